//! The coordinator of a case: it has the case's answers, and every order ends with the case's
//! result. The clients in other languages have the same one in their tests.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};

struct Told {
    answers: Map<String, Value>,
    result: Value,
}

/// Starts it, and returns its URL. It ends with the test.
pub async fn start(answers: Map<String, Value>, result: Value) -> String {
    let app = axum::Router::new()
        .fallback(answer)
        .with_state(Arc::new(Told { answers, result }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    format!("http://{address}")
}

async fn answer(State(told): State<Arc<Told>>, request: Request) -> (StatusCode, String) {
    if request.method() == Method::POST {
        let body = axum::body::to_bytes(request.into_body(), 1 << 20)
            .await
            .unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        return (
            StatusCode::CREATED,
            carried_out(&body, &told.result).to_string(),
        );
    }
    match told.answers.get(request.uri().path()) {
        Some(found) => (StatusCode::OK, found.to_string()),
        None => {
            let error = json!({"title": "Not Found", "status": 404, "code": "not-found", "detail": "there is no such thing"});
            (StatusCode::NOT_FOUND, error.to_string())
        }
    }
}

/// The view of an order for a signature that has been carried out.
fn carried_out(body: &Value, result: &Value) -> Value {
    let task: Value = serde_json::from_str(body["task"].as_str().unwrap()).unwrap();
    json!({
        "id": task["id"], "sequence": 1, "revision": 1, "state": "completed", "operation": "KeySign",
        "requester": task["requester"], "wallet": task["operation"]["key-sign"]["key"],
        "submitted": task["created"], "offered": null, "started": null, "ended": null,
        "not_after": task["not_after"], "reason": null, "task": body["task"],
        "signature": body["signature"], "nodes": [], "result": result, "events": [],
    })
}
