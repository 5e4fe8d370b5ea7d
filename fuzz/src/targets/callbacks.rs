//! Answers of approval servers: tokens, and JSON under a MAC. Nothing is accepted that an honest
//! server did not say.
//!
//! Input: one byte that chooses what is signed, one for the status, and the text. `REQUEST` stands
//! for the id of the request, `NONCE` for its nonce, so that an input can answer the question.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign_fireblocks_callback::FireblocksCallback;
use countersign_jwt_callback::JwtCallback;
use countersign_sdk::testing::{self, MockHost};
use countersign_sdk::{Host, Plugin, Request, Response, Verdict, json, jwt};
use countersign_webhook::Webhook;
use serde_json::{Map, Value};

use crate::input::Input;

const NOW_S: u64 = MockHost::NOW / 1000;
const STATUS: [u16; 6] = [200, 400, 201, 302, 404, 500];
const RS256: &str = r#"{"alg":"RS256","typ":"JWT"}"#;

const GENUINE: [Genuine; 4] = [
    Genuine::Nothing,
    Genuine::Signed,
    Genuine::Header,
    Genuine::Stranger,
];

/// The parts of an answer that are genuine.
#[derive(Clone, Copy)]
enum Genuine {
    /// Nothing: the input is the body itself.
    Nothing,
    /// The token or MAC, over claims that the input chose.
    Signed,
    /// As `Signed`, with a header that the input chose as well, up to the first line feed.
    Header,
    /// The signature is by another key.
    Stranger,
}

/// A token with this header and these claims.
fn token(host: &MockHost, key: &str, header: &str, claims: &str) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = host.sign(key, "RS256", signed.as_bytes()).expect("a key");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn answer(host: &MockHost, key: &str, genuine: Genuine, text: &str) -> String {
    match genuine {
        Genuine::Nothing => text.to_owned(),
        Genuine::Signed => token(host, key, RS256, text),
        Genuine::Header => {
            let (header, claims) = text.split_once('\n').unwrap_or((text, ""));
            token(host, key, header, claims)
        }
        Genuine::Stranger => token(host, "stranger", RS256, text),
    }
}

fn ok(status: u16, body: String, headers: Vec<(String, String)>) -> Response {
    Response {
        status,
        headers,
        body: body.into_bytes(),
    }
}

fn keys() -> MockHost {
    MockHost::default()
        .with_key("callback")
        .with_key("server")
        .with_key("stranger")
}

/// The members of the claims, as read by another parser.
fn read(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_default()
}

/// `jwt` of the SDK, and the plugin `jwt-callback`. In a signed input the text is the document
/// of the server's answer.
pub(super) fn jwt(input: &[u8]) -> bool {
    let mut input = Input::new(input);
    let genuine = input.choose(&GENUINE);
    let status = input.choose(&STATUS);
    let strict = input.byte() & 1 == 1;
    let text = String::from_utf8_lossy(input.rest()).into_owned();
    believed_tokens_are_signed(genuine, &text);

    let config = format!(
        r#"{{"strict":{strict},"retry_times":0,"servers":[{{"url":"https://cb.example/v2/check","key":"server"}}]}}"#
    );
    let config = json::config(&config).expect("a configuration");
    let document = text.clone();
    let host = keys().with_server(move |host, request| {
        let document = document.replace("REQUEST", &asked(host, request));
        let claims = format!(
            r#"{{"package_data":"{}","exp":{}}}"#,
            STANDARD.encode(&document),
            NOW_S + 60
        );
        let body = match genuine {
            Genuine::Nothing => document,
            Genuine::Signed | Genuine::Header => token(host, "server", RS256, &claims),
            Genuine::Stranger => token(host, "stranger", RS256, &claims),
        };
        Ok(ok(status, body, vec![]))
    });
    let verdict =
        JwtCallback::evaluate(&config, &testing::transfer("eip155:1", "0xabc", "1"), &host);
    let approved = matches!(verdict, Ok(Verdict::Approve));
    if approved {
        let said = read(&text);
        assert!(matches!(genuine, Genuine::Signed | Genuine::Header) && status == 200 && !strict);
        assert_eq!(said.get("action").and_then(Value::as_str), Some("APPROVE"));
        assert!(
            said.get("request_id")
                .and_then(Value::as_str)
                .is_some_and(|id| id.contains("REQUEST"))
        );
    }
    approved
}

/// The id in a request of `jwt-callback`.
fn asked(host: &MockHost, request: &Request) -> String {
    let form = String::from_utf8_lossy(&request.body).into_owned();
    let token = form.split_once('=').map_or("", |(_, token)| token);
    let Ok(claims) = jwt::verify(host, "callback", token) else {
        return String::new();
    };
    let package = claims["package_data"]
        .as_str()
        .and_then(|data| STANDARD.decode(data).ok())
        .unwrap_or_default();
    let document: Value = serde_json::from_slice(&package).unwrap_or_default();
    document["request_id"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn believed_tokens_are_signed(genuine: Genuine, text: &str) {
    let host = keys();
    let token = answer(&host, "server", genuine, text);
    let Ok(claims) = jwt::verify(&host, "server", &token) else {
        return;
    };
    assert!(
        jwt::verify_answer(&host, "server", &token).is_ok(),
        "what has not expired is an answer too"
    );
    let exp = claims
        .get("exp")
        .and_then(Value::as_f64)
        .expect("an expiry");
    assert!(exp > NOW_S as f64);
    assert!(jwt::verify(&host, "stranger", &token).is_err());
    let parts: Vec<_> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    let part = |at: usize| URL_SAFE_NO_PAD.decode(parts[at]).expect("base64url");
    assert_eq!(read(&String::from_utf8_lossy(&part(0)))["alg"], "RS256");
    assert_eq!(
        read(&String::from_utf8_lossy(&part(1))),
        claims,
        "two readers read two answers"
    );
    match genuine {
        Genuine::Signed | Genuine::Header => {}
        Genuine::Nothing => assert!(part(2).starts_with(b"server|"), "nobody signed it"),
        Genuine::Stranger => panic!("a stranger is believed"),
    }
}

/// The plugin `fireblocks-callback`.
pub(super) fn fireblocks(input: &[u8]) -> bool {
    let mut input = Input::new(input);
    let genuine = input.choose(&GENUINE);
    let status = input.choose(&STATUS);
    let text = String::from_utf8_lossy(input.rest()).into_owned();
    let config = json::config(
        r#"{"url":"https://handler.example/base/","key":"server","retry_times":0,"retry_seconds":10,
            "assets":{"eip155:1":{"id":"ETH","decimals":18}}}"#,
    )
    .expect("a configuration");
    let answered = text.clone();
    let host = keys().with_server(move |host, request| {
        let token = String::from_utf8_lossy(&request.body).into_owned();
        let claims = jwt::verify_answer(host, "callback", &token).unwrap_or_default();
        let id = claims
            .get("requestId")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Ok(ok(
            status,
            answer(host, "server", genuine, &answered.replace("REQUEST", id)),
            vec![],
        ))
    });
    let account = "0x5dC69B1Fbb13Bafd09af88a782F0F285772Ad5f8";
    let verdict =
        FireblocksCallback::evaluate(&config, &testing::transfer("eip155:1", account, "1"), &host);
    let approved = matches!(verdict, Ok(Verdict::Approve));
    if approved {
        assert_eq!(status, 200);
        let claims = match genuine {
            Genuine::Signed => text.as_str(),
            Genuine::Header => text.split_once('\n').expect("a header").1,
            Genuine::Nothing | Genuine::Stranger => panic!("nobody signed it"),
        };
        let said = read(claims);
        assert_eq!(said.get("action").and_then(Value::as_str), Some("APPROVE"));
        assert!(
            said.get("requestId")
                .and_then(Value::as_str)
                .is_some_and(|id| id.contains("REQUEST"))
        );
    }
    approved
}

/// The plugin `webhook`. Unsigned, the text is the header up to the first line feed, then the body.
pub(super) fn webhook(input: &[u8]) -> bool {
    let mut input = Input::new(input);
    let genuine = input.choose(&GENUINE);
    let status = input.choose(&STATUS);
    let late = i64::from(input.byte() as i8);
    let text = String::from_utf8_lossy(input.rest()).into_owned();
    let config = r#"{"url":"https://approve.example/hook","secret":"hook","retry_times":0}"#;
    let config = json::config(config).expect("a configuration");
    let said = text.clone();
    let host = MockHost::default()
        .with_secret("hook", *b"0123456789abcdef0123456789abcdef")
        .with_secret("stranger", *b"a secret that is somebody else's.")
        .with_server(move |host, request| {
            let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let member = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
            let body = said
                .replace("REQUEST", &member("request_id"))
                .replace("NONCE", &member("nonce"));
            let time = NOW_S.saturating_add_signed(late);
            let header = |secret: &str, body: &str| {
                let code = host
                    .sign(secret, "HS256", format!("{time}.{body}").as_bytes())
                    .expect("a secret");
                format!("t={time},v1={}", hex::encode(code))
            };
            let (header, body) = match genuine {
                Genuine::Signed => (header("hook", &body), body),
                Genuine::Stranger => (header("stranger", &body), body),
                Genuine::Nothing => {
                    let (header, body) = body.split_once('\n').unwrap_or((&body, ""));
                    (header.to_owned(), body.to_owned())
                }
                Genuine::Header => {
                    let (before, body) = body.split_once('\n').unwrap_or((&body, ""));
                    (
                        format!("{before},{}", header("hook", body)),
                        body.to_owned(),
                    )
                }
            };
            Ok(ok(
                status,
                body,
                vec![("Countersign-Signature".into(), header)],
            ))
        });
    let verdict = Webhook::evaluate(&config, &testing::transfer("eip155:1", "0xabc", "1"), &host);
    let approved = matches!(verdict, Ok(Verdict::Approve));
    if approved {
        assert_eq!(status, 200);
        let body = match genuine {
            Genuine::Signed => text.as_str(),
            Genuine::Header => text.split_once('\n').expect("a header").1,
            Genuine::Nothing | Genuine::Stranger => panic!("nobody signed it"),
        };
        assert!(late.abs() <= 60, "an answer is fresh");
        let said = read(body);
        assert_eq!(said.get("action").and_then(Value::as_str), Some("approve"));
        for (name, stands_for) in [("request_id", "REQUEST"), ("nonce", "NONCE")] {
            assert!(
                said[name]
                    .as_str()
                    .is_some_and(|text| text.contains(stands_for))
            );
        }
    }
    approved
}

/// Each text under each choice of genuine parts.
fn with_choices(choices: usize, texts: &[String]) -> Vec<Vec<u8>> {
    let all = texts.iter().flat_map(|text| {
        (0..GENUINE.len()).map(move |genuine| {
            let mut bytes = vec![0; choices];
            bytes[0] = genuine as u8;
            [&bytes, text.as_bytes()].concat()
        })
    });
    all.collect()
}

pub(super) fn jwt_seeds() -> Vec<Vec<u8>> {
    let exp = NOW_S + 60;
    let claims = format!(r#"{{"exp":{exp},"nbf":{NOW_S},"a":"b"}}"#);
    with_choices(
        3,
        &[
            r#"{"status":0,"request_id":"REQUEST","action":"APPROVE","error":""}"#.into(),
            r#"{"request_id":"REQUEST","action":"REJECT","error":"too much"}"#.into(),
            claims.clone(),
            format!("{RS256}\n{claims}"),
            format!("{{\"alg\":\"none\"}}\n{claims}"),
            token(&keys(), "server", RS256, &claims),
        ],
    )
}

pub(super) fn fireblocks_seeds() -> Vec<Vec<u8>> {
    let claims = ["APPROVE", "REJECT", "IGNORE", "RETRY"].map(|action| {
        format!(
            r#"{{"action":"{action}","requestId":"REQUEST","iat":{NOW_S},"rejectionReason":"no"}}"#
        )
    });
    let with_header = format!("{RS256}\n{}", claims[0]);
    with_choices(2, &[&claims[..], &[with_header]].concat())
}

pub(super) fn webhook_seeds() -> Vec<Vec<u8>> {
    let answer = |action| {
        format!(
            r#"{{"request_id":"REQUEST","nonce":"NONCE","action":"{action}","reason":"because"}}"#
        )
    };
    let headed = format!("v0=00, v1=00\n{}", answer("approve"));
    let forged = format!("t={NOW_S},v1={}\n{}", "00".repeat(32), answer("approve"));
    with_choices(3, &[answer("approve"), answer("reject"), headed, forged])
}
