//! The endpoint as a listener: what reaches it, and in what form answers leave it.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::super::{Gate, Token};
use super::World;

const PAGE: &str = "https://app.example";

struct Open {
    http: reqwest::Client,
    url: String,
    address: String,
    world: World,
}

impl Open {
    async fn new() -> Self {
        let world = World::new().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let token = Token::random();
        let url = format!("http://{address}/{}", token.expose());
        let gate = Gate::new(address, token, vec![PAGE.into()]).unwrap();
        let served = world
            .endpoint
            .clone()
            .serve(listener, gate, std::future::pending());
        tokio::spawn(served);
        Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            url,
            address: address.to_string(),
            world,
        }
    }

    fn post(&self, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        let post = self.http.post(&self.url).body(body);
        post.header("content-type", "application/json")
    }

    fn order(&self) -> String {
        let params = json!([self.world.payment(5, json!({}))]);
        json!({"jsonrpc": "2.0", "id": 1, "method": "eth_sendTransaction", "params": params})
            .to_string()
    }
}

#[tokio::test]
async fn nobody_who_is_not_let_in_gets_anything_signed() {
    let open = Open::new().await;
    let order = open.order();
    let without_token = open
        .http
        .post(format!("http://{}/", open.address))
        .header("content-type", "application/json")
        .body(order.clone());
    for (request, expected) in [
        (without_token, StatusCode::UNAUTHORIZED),
        (
            open.post(order.clone())
                .header("origin", "https://evil.example"),
            StatusCode::FORBIDDEN,
        ),
        (
            open.post(order.clone()).header("host", "evil.example"),
            StatusCode::MISDIRECTED_REQUEST,
        ),
        (
            open.http
                .post(&open.url)
                .header("content-type", "text/plain")
                .body(order.clone()),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        (open.http.get(&open.url), StatusCode::METHOD_NOT_ALLOWED),
        (
            open.post(" ".repeat(2 << 20) + &order),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), expected);
        assert!(
            answer
                .headers()
                .get("access-control-allow-origin")
                .is_none()
        );
        let told: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert!(told["error"]["message"].is_string(), "{told}");
    }
    assert!(open.world.signer().asked().is_empty());
    let answer = open.post(order).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    let told: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert!(told["result"].is_string(), "{told}");
}

#[tokio::test]
async fn a_listed_page_is_answered_and_may_read_the_answer() {
    let open = Open::new().await;
    let asked = open
        .http
        .request(reqwest::Method::OPTIONS, &open.url)
        .header("origin", PAGE)
        .send()
        .await
        .unwrap();
    assert_eq!(asked.status(), StatusCode::NO_CONTENT);
    assert_eq!(asked.headers()["access-control-allow-origin"], PAGE);
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let answer = open.post(call).header("origin", PAGE).send().await.unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], PAGE);
    let expected = json!({"jsonrpc": "2.0", "id": 1, "result": "0x7a69"});
    let told: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_notification_has_no_answer() {
    let open = Open::new().await;
    let call = r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#;
    let answer = open.post(call).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_tool_that_gives_up_and_tries_again_pays_once() {
    let open = Open::new().await;
    let let_go = open.world.signer().hold();
    let impatient = open.post(open.order()).timeout(Duration::from_millis(300));
    assert!(impatient.send().await.unwrap_err().is_timeout());
    let_go.add_permits(10);
    let answer = open.post(open.order()).send().await.unwrap();
    let told: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert!(told["result"].is_string(), "{told}");
    assert_eq!(open.world.signer().asked().len(), 1);
}
