//! The signer of PyPI `cobo-waas2` as the oracle for the headers `Biz-Api-*`: what it signs is
//! accepted, and no expectation here is ours.

use std::path::Path;
use std::process::Command;

use axum::http::{HeaderMap, HeaderName, Method, Uri};
use countersign_coordinator::signed_request::Claim;
use countersign_protocol::CoordinatorId;
use serde_json::Value;

/// Signs requests with the package's helper, and prints one JSON object a line.
const SIGNER: &str = r#"
import json
from urllib.parse import urlencode
from cobo_waas2.crypto.local_ed25519_signer import LocalEd25519Signer
from cobo_waas2.crypto.signing_helper import SignHelper

signer = LocalEd25519Signer("2a" * 32)
for method, path, params, body in [
    ("GET", "/v1/tasks", {}, None),
    ("GET", "/v1/tasks", {"limit": 5, "before": 9}, None),
    ("get", "/v1/wallets", {"name": "a b|c&d/é"}, None),
    ("POST", "/v1/tasks", {}, json.dumps({"task": "é | ü", "signature": "00"}).encode()),
    ("PUT", "/v1/tasks/1", {"x": ""}, "{\"é\": 1}".encode()),
]:
    headers = SignHelper.generate_headers(signer, body, method, params, path)
    query = urlencode(params)
    print(json.dumps({
        "headers": headers,
        "key": signer.get_public_key(),
        "method": method.upper(),
        "uri": path + ("?" + query if query else ""),
        "body": (body or b"").decode(),
    }))
"#;

#[test]
fn what_the_package_signs_is_accepted() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = here.join("../dist/models/bin/python");
    assert!(
        python.exists(),
        "the models are not installed; run `just models`"
    );
    let output = Command::new(python).args(["-c", SIGNER]).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let requests: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(requests.len(), 5);
    // This form names no coordinator.
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let own = CoordinatorId::from_bytes(key.verifying_key().to_bytes()).unwrap();
    for request in requests {
        let field = |name: &str| request[name].as_str().unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in request["headers"].as_object().unwrap() {
            let name: HeaderName = name.parse().unwrap();
            headers.insert(name, value.as_str().unwrap().parse().unwrap());
        }
        let claim = Claim::read(&headers).unwrap().unwrap();
        assert_eq!(hex::encode(claim.requester.as_bytes()), field("key"));
        assert_eq!(claim.body_sha256(), None);
        let method: Method = field("method").parse().unwrap();
        let uri: Uri = field("uri").parse().unwrap();
        let body = field("body").as_bytes();
        claim.verify(&own, &method, &uri, body).unwrap();
        let other = [body, b" "].concat();
        assert!(claim.verify(&own, &method, &uri, &other).is_err());
        assert!(claim.verify(&own, &Method::DELETE, &uri, body).is_err());
    }
}
