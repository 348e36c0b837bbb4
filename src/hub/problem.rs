//! Refusals, as RFC 9457 problems.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::uplink::problem::PREFIX;

use super::store::StoreError;

/// A problem as it is sent.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// `urn:beian:problem:` and a word.
    #[serde(rename = "type")]
    pub kind: String,
    /// One sentence.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What to change, where more can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// `sequence_rollback`: the highest sequence that the hub has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub highest: Option<u64>,
    /// Seconds to wait, for `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<u64>,
}

impl Problem {
    /// A problem of this type.
    pub fn new(status: StatusCode, word: &str, title: &str) -> Problem {
        Problem {
            kind: format!("{PREFIX}{word}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: None,
            highest: None,
            retry_after: None,
        }
    }

    /// With what to change.
    pub fn detail(mut self, text: impl Into<String>) -> Problem {
        self.detail = Some(text.into());
        self
    }

    /// Nothing there.
    pub fn not_found() -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this path")
    }

    /// The request itself is wrong.
    pub fn bad(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad_request", "The request cannot be understood")
            .detail(detail)
    }

    /// Too much at once, or the store is not there.
    pub fn unavailable(seconds: u64) -> Problem {
        let mut p =
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The hub cannot take this now");
        p.retry_after = Some(seconds);
        p
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut r = Response::new(Body::from(body));
        *r.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let h = r.headers_mut();
        h.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            h.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if r.status() == StatusCode::UNAUTHORIZED {
            r.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        r
    }
}

impl From<StoreError> for Problem {
    fn from(e: StoreError) -> Problem {
        tracing::error!(target: "beian", error = %e, "the store");
        Problem::unavailable(5)
    }
}
