//! The table of contents of the hub's HTTP: every path, and the OpenAPI
//! document that comes from the same list.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Hub;
use super::problem::Problem;
use super::{enrol, ingest};

/// The head of the document.
#[derive(OpenApi)]
#[openapi(info(
    title = "beian-hub",
    description = "The provider's side of beian: enrolment, reports, filings, findings. Errors are RFC 9457 problems."
))]
struct Head;

/// All paths with their document.
fn paths() -> OpenApiRouter<Arc<Hub>> {
    OpenApiRouter::with_openapi(Head::openapi())
        // agents
        .routes(routes!(enrol::enrol))
        .routes(routes!(ingest::report))
        .routes(routes!(ingest::heartbeat))
}

/// The OpenAPI 3.1 document.
pub fn document() -> utoipa::openapi::OpenApi {
    paths().into_openapi()
}

/// Everything that the hub answers.
pub fn router(hub: Arc<Hub>) -> Router {
    let (router, document) = paths().split_for_parts();
    let text = document.to_json().unwrap_or_default();
    router
        .route("/openapi.json", get(move || std::future::ready(json(text.clone()))))
        .route("/healthz", get(|| std::future::ready(json("{\"status\":\"ok\"}\n".to_owned()))))
        .route("/readyz", get(ready))
        .fallback(|| std::future::ready(Problem::not_found()))
        // Whoever takes more reads its body itself.
        .layer(DefaultBodyLimit::max(64 << 10))
        .layer(axum::middleware::map_response(secure))
        .with_state(hub)
}

async fn ready(State(hub): State<Arc<Hub>>) -> Result<Response, Problem> {
    hub.store.ping().await?;
    Ok(json("{\"status\":\"ok\"}\n".to_owned()))
}

fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}

/// What every answer says.
async fn secure(mut r: Response) -> Response {
    let h = r.headers_mut();
    h.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    h.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    r
}
