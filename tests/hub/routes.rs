//! What is at which path, and the document of it.

use serde_json::{Value, json};

use crate::harness::provider::{On, Provider};

crate::on_both_stores!(every_path_answers_as_the_document_says);

async fn every_path_answers_as_the_document_says(on: On) {
    let p = Provider::start(on).await;
    let get = async |path: &str| {
        let answer = p.http.get(format!("{}{path}", p.url)).send().await.unwrap();
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(answer.headers()["cache-control"], "no-store", "{path}");
        let status = answer.status().as_u16();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (status, kind, serde_json::from_slice::<Value>(&answer.bytes().await.unwrap()).unwrap())
    };
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(path).await, (200, "application/json".to_owned(), json!({"status": "ok"})), "{path}");
    }
    let (status, kind, problem) = get("/v1/nothing").await;
    assert_eq!((status, kind.as_str()), (404, "application/problem+json"));
    assert_eq!(problem["type"], "urn:beian:problem:not_found");
    let (status, _, document) = get("/openapi.json").await;
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")));
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/v1/agents/{id}/heartbeat", "/v1/agents/{id}/reports", "/v1/enrol"]);
    // The shapes are those of the types that are sent.
    let shapes = &document["components"]["schemas"];
    for (shape, member) in [
        ("EnrolRequest", "public_key"),
        ("EnrolResponse", "receipt_key"),
        ("HubSettings", "heartbeat_interval"),
        ("Problem", "highest"),
    ] {
        assert!(!shapes[shape]["properties"][member].is_null(), "{shape} {member}: {shapes}");
    }
    // Without a store nothing is ready; alive it is still.
    p.hub.store.close().await;
    assert_eq!(get("/readyz").await.0, 503);
    assert_eq!(get("/healthz").await.0, 200);
}
