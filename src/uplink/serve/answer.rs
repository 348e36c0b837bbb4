//! Answers: all headers of ours, and errors as RFC 9457 problems.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};

/// Before the name of a problem's kind.
const TYPE: &str = "urn:beian:problem:";

/// An answer of a few bytes.
pub(super) fn answer(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<axum::body::Bytes>,
) -> Response<Body> {
    let body = body.into();
    let length = body.len() as u64;
    stream(status, kind, length, Body::from(body))
}

/// An answer whose length is known, whatever its body is. The length is
/// given here, since HEAD answers have none of the body and all of the headers.
pub(super) fn stream(status: StatusCode, kind: &'static str, length: u64, body: Body) -> Response<Body> {
    let mut r = Response::new(body);
    *r.status_mut() = status;
    let h = r.headers_mut();
    h.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    h.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    secure(r)
}

/// What every answer says.
pub(super) fn secure(mut r: Response<Body>) -> Response<Body> {
    let h = r.headers_mut();
    h.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    h.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    r
}

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// The last part of its type.
    pub(super) kind: &'static str,
    /// One sentence for whoever debugs the client.
    pub(super) title: &'static str,
    /// One header more.
    pub(super) header: Option<(header::HeaderName, &'static str)>,
}

macro_rules! problem {
    ($name:ident, $status:ident, $kind:literal, $title:literal $(, $header:ident = $value:literal)?) => {
        pub(super) const $name: Problem = Problem {
            status: StatusCode::$status,
            kind: $kind,
            title: $title,
            header: problem!(@ $($header = $value)?),
        };
    };
    (@) => { None };
    (@ $header:ident = $value:literal) => { Some((header::$header, $value)) };
}

problem!(HOST_UNCLEAR, BAD_REQUEST, "host_unclear", "The request does not say which host it means");
problem!(
    HOST_UNKNOWN,
    MISDIRECTED_REQUEST,
    "host_unknown",
    "This agent does not go by that name; use an address, or the name in [serve] announce"
);
problem!(
    NO_TOKEN,
    UNAUTHORIZED,
    "unauthorised",
    "A token (Authorization: Bearer) or a client certificate is needed",
    WWW_AUTHENTICATE = "Bearer"
);
problem!(
    WRONG_TOKEN,
    UNAUTHORIZED,
    "unauthorised",
    "This is not the agent's token",
    WWW_AUTHENTICATE = "Bearer error=\"invalid_token\""
);
problem!(BODY, PAYLOAD_TOO_LARGE, "body_not_allowed", "Requests have no body here");
problem!(NOT_FOUND, NOT_FOUND, "not_found", "There is nothing at this path");
problem!(NO_NAME, NOT_FOUND, "name_unknown", "The ledger holds nothing about this name");
problem!(NOT_A_NAME, BAD_REQUEST, "bad_name", "The path holds no name that can be read");
problem!(READ_ONLY, METHOD_NOT_ALLOWED, "method_not_allowed", "Only GET and HEAD here", ALLOW = "GET, HEAD");
problem!(POST_ONLY, METHOD_NOT_ALLOWED, "method_not_allowed", "Only POST here", ALLOW = "POST");
problem!(BUSY, SERVICE_UNAVAILABLE, "busy", "Too many requests at the same time", RETRY_AFTER = "1");
problem!(
    NOT_READY,
    SERVICE_UNAVAILABLE,
    "not_ready",
    "The first scan is not done yet, or the daemon is stopping",
    RETRY_AFTER = "5"
);
problem!(BROKEN, INTERNAL_SERVER_ERROR, "internal", "The agent could not read what it should answer");

impl From<Problem> for Response<Body> {
    fn from(p: Problem) -> Response<Body> {
        let body = serde_json::json!({
            "type": format!("{TYPE}{}", p.kind),
            "title": p.title,
            "status": p.status.as_u16(),
        });
        let mut r = answer(p.status, "application/problem+json", body.to_string());
        if let Some((name, value)) = p.header {
            r.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        r
    }
}
