//! Evil approval servers of the kind that `webhook` asks: nothing is signed without a sound
//! approval, and after each the seven checks of the oracle hold. The finer cases are
//! the plugin's own tests.

use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign_protocol::Scheme;
use countersign_tests::oracle::{Oracle, refused};
use countersign_tests::scripted::{Asked, Say, Server, http};
use countersign_tests::{Blueprint, Cluster, Plugins, process};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// The secret that authenticates requests.
const SECRET: &str = "f2a51c7be6d04f83a9d1c6470be85d32";
/// The secret that authenticates answers.
const ANSWERS: &str = "07c4e9b1d25f48a6bb30f9e81c7d56a4";
const HEADER: &str = "countersign-signature";

const UNSOUND: &str = "plugin-failed:unavailable";
/// Every conduct with the code and the words of the resulting refusal.
const EVIL: &[(&str, Conduct, &str, &str)] = &[
    (
        "reject",
        |question| {
            let mut answer = question.answer("reject");
            answer["reason"] = "not today".into();
            says(answer.to_string())
        },
        "webhook-rejected",
        "not today",
    ),
    (
        "wrong secret",
        |q| q.approval_by("another secret of thirty-two byte", now()),
        UNSOUND,
        "expected secret",
    ),
    (
        "secret of requests",
        |question| question.approval_by(SECRET, now()),
        UNSOUND,
        "expected secret",
    ),
    (
        "reflect",
        |q| {
            Say::Bytes(http(
                "200 OK",
                &[(HEADER, q.asked.header(HEADER).unwrap())],
                &q.asked.body,
            ))
        },
        UNSOUND,
        "expected secret",
    ),
    (
        "no signature",
        |q| Say::Bytes(http("200 OK", &[], q.answer("approve").to_string())),
        UNSOUND,
        "no header",
    ),
    (
        "two signatures",
        |question| {
            let body = question.answer("approve").to_string();
            let header = signed(ANSWERS, now(), body.as_bytes());
            Say::Bytes(http(
                "200 OK",
                &[(HEADER, &header), (HEADER, &header)],
                body,
            ))
        },
        UNSOUND,
        "twice",
    ),
    (
        "changed body",
        |question| {
            let header = signed(
                ANSWERS,
                now(),
                question.answer("reject").to_string().as_bytes(),
            );
            Say::Bytes(http(
                "200 OK",
                &[(HEADER, &header)],
                question.answer("approve").to_string(),
            ))
        },
        UNSOUND,
        "expected secret",
    ),
    (
        "old",
        |question| question.approval_by(ANSWERS, now() - 90),
        UNSOUND,
        "seconds away",
    ),
    (
        "from the future",
        |question| question.approval_by(ANSWERS, now() + 90),
        UNSOUND,
        "seconds away",
    ),
    (
        "replay",
        |question| Say::Bytes(question.first.clone().unwrap()),
        UNSOUND,
        "the answer is for the request",
    ),
    (
        "other request",
        |question| {
            says(
                question
                    .approval(json!({ "request_id": "0000:1" }))
                    .to_string(),
            )
        },
        UNSOUND,
        "the answer is for the request",
    ),
    (
        "other nonce",
        |question| {
            says(
                question
                    .approval(json!({ "nonce": "00".repeat(32) }))
                    .to_string(),
            )
        },
        UNSOUND,
        "another nonce",
    ),
    (
        "upper case",
        |question| says(question.answer("APPROVE").to_string()),
        UNSOUND,
        "unknown variant",
    ),
    (
        "no action",
        |question| says(question.approval(json!({ "action": null })).to_string()),
        UNSOUND,
        "the answer",
    ),
    (
        "more members",
        |question| says(question.approval(json!({ "until": 1 })).to_string()),
        UNSOUND,
        "unknown field",
    ),
    (
        "both",
        |question| {
            says(
                question
                    .answer("approve")
                    .to_string()
                    .replacen('{', "{\"action\":\"reject\",", 1),
            )
        },
        UNSOUND,
        "the answer",
    ),
    ("empty", |_| says(""), UNSOUND, "the answer"),
    ("page", |_| says("<html>ok</html>"), UNSOUND, "the answer"),
    ("not text", |_| says([0xff, 0xfe]), UNSOUND, "the answer"),
    (
        "oversized",
        |_| says("x".repeat(65_537)),
        UNSOUND,
        "exceeds 65536 bytes",
    ),
    (
        "endless",
        |_| Say::Drip(b"HTTP/1.1 200 OK\r\n\r\nx".to_vec()),
        UNSOUND,
        "no answer in time",
    ),
    (
        "gibberish",
        |_| Say::Bytes(b"\x00\x01approve".to_vec()),
        UNSOUND,
        "",
    ),
    ("closed", |_| Say::Bytes(Vec::new()), UNSOUND, ""),
    (
        "server error",
        |q| {
            Say::Bytes(whole(
                "500 Internal Server Error",
                q.answer("approve").to_string(),
            ))
        },
        UNSOUND,
        "HTTP status 500",
    ),
    (
        "redirect",
        |q| {
            Say::Bytes(http(
                "307 Temporary Redirect",
                &[("location", &q.elsewhere)],
                "",
            ))
        },
        UNSOUND,
        "HTTP status 307",
    ),
    (
        "slow",
        |q| {
            Say::Late(
                Duration::from_secs(30),
                whole("200 OK", q.answer("approve").to_string()),
            )
        },
        UNSOUND,
        "no answer in time",
    ),
];

/// A question with a valid signature.
struct Question {
    asked: Asked,
    document: Value,
    /// The first approval, once there is one.
    first: Option<Vec<u8>>,
    /// URL of another server.
    elsewhere: String,
}

/// A server's answer to a question.
type Conduct = fn(&Question) -> Say;

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// The header's value.
fn signed(secret: &str, time: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    format!("t={time},v1={}", hex::encode(mac.finalize().into_bytes()))
}

impl Question {
    fn answer(&self, action: &str) -> Value {
        json!({ "request_id": self.document["request_id"], "nonce": self.document["nonce"], "action": action })
    }

    /// An approval, except for these members.
    fn approval(&self, others: Value) -> Value {
        let mut answer = self.answer("approve");
        for (name, value) in others.as_object().unwrap() {
            answer[name] = value.clone();
        }
        answer
    }

    /// An approval under this secret, sent at this time.
    fn approval_by(&self, secret: &str, time: u64) -> Say {
        let body = self.answer("approve").to_string();
        Say::Bytes(http(
            "200 OK",
            &[(HEADER, &signed(secret, time, body.as_bytes()))],
            body,
        ))
    }
}

/// An answer with a valid signature.
fn whole(status: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    http(
        status,
        &[(HEADER, &signed(ANSWERS, now(), body.as_ref()))],
        body,
    )
}

fn says(body: impl AsRef<[u8]>) -> Say {
    Say::Bytes(whole("200 OK", body))
}

fn approve(question: &Question) -> Say {
    says(question.answer("approve").to_string())
}

/// A server whose conduct changes.
struct Hook {
    server: Server,
    conduct: Arc<Mutex<Conduct>>,
}

impl Hook {
    async fn start(elsewhere: String) -> Self {
        let conduct = Arc::new(Mutex::new(approve as Conduct));
        let script = conduct.clone();
        let first = Mutex::new(None);
        let say = move |asked: &Asked| {
            let header = asked.header(HEADER).unwrap();
            let time = header["t=".len()..]
                .split(',')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            if header != signed(SECRET, time, &asked.body) {
                return Say::Bytes(http("401 Unauthorized", &[], ""));
            }
            let document: Value = serde_json::from_slice(&asked.body).unwrap();
            let mut first = first.lock().unwrap();
            let asked = asked.clone();
            let elsewhere = elsewhere.clone();
            let question = Question {
                asked,
                document,
                first: first.clone(),
                elsewhere,
            };
            first.get_or_insert_with(|| whole("200 OK", question.answer("approve").to_string()));
            script.lock().unwrap()(&question)
        };
        Self {
            server: Server::start(say).await.unwrap(),
            conduct,
        }
    }

    fn conduct(&self, conduct: Conduct) {
        *self.conduct.lock().unwrap() = conduct;
    }

    fn policy(&self) -> String {
        let file = process::plugin("webhook").unwrap();
        let url = self.server.url("/hook");
        format!(
            "  deadline_seconds: 20\n  secrets: {{ ask: ask.secret, answer: answer.secret }}\n  plugins:\n    - name: webhook\n      \
             file: '{}'\n      config: {{ url: '{url}', secret: ask, answer_secret: answer, request_timeout: 2, retry_times: 0 }}\n      \
             grants: {{ keys: [ask, answer], http: ['{url}'] }}",
            file.display()
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_cannot_have_anything_signed_but_by_a_sound_approval() {
    let elsewhere = Server::start(|_| Say::Bytes(http("200 OK", &[], "")))
        .await
        .unwrap();
    let hook = Hook::start(elsewhere.url("/hook")).await;
    let plugins = Plugins::Text(hook.policy());
    let mut cluster = Cluster::prepare(Blueprint {
        plugins,
        nodes: 2,
        ..Blueprint::default()
    })
    .await
    .unwrap();
    for node in &cluster.nodes {
        for (name, secret) in [("ask.secret", SECRET), ("answer.secret", ANSWERS)] {
            let file = node.dir.join(name);
            std::fs::write(&file, format!("{secret}\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    cluster.start_all().await.unwrap();
    let wallet = cluster
        .create_wallet("guarded", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let order = cluster.order(wallet.key, "m/1", b"pay", None).unwrap();
    let mut oracle = Oracle::new(&cluster).unwrap();

    for (name, evil, code, words) in EVIL {
        hook.conduct(*evil);
        let refusal = refused(cluster.client.sign(&order, |_| {}).await)
            .unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert_eq!(refusal.code, *code, "{name}: {refusal:?}");
        assert!(refusal.reason.contains(words), "{name}: {refusal:?}");
        oracle
            .after_attack(&cluster, &refusal)
            .unwrap_or_else(|error| panic!("{name}: {error:#}"));
        hook.conduct(approve);
        let signature = cluster.client.sign(&order, |_| {}).await;
        let signature = signature
            .unwrap_or_else(|error| panic!("after {name} (check 2): {error}\n{}", cluster.logs()));
        oracle.after_healing(signature).unwrap();
    }
    assert!(elsewhere.asked().is_empty(), "a redirect was followed");
    let logs = cluster.logs();
    assert!(
        !logs.contains(SECRET) && !logs.contains(ANSWERS),
        "a shared secret is in a log (check 4)"
    );
}
