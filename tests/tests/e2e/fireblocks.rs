//! Evil callback handlers of the kind that `fireblocks-callback` asks: nothing is signed without a
//! sound APPROVE, and after each the seven checks of the oracle hold. The finer cases are
//! the plugin's own tests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_protocol::Scheme;
use countersign_tests::oracle::{Oracle, refused};
use countersign_tests::scripted::{Asked, Say, Server, http};
use countersign_tests::{Blueprint, Cluster, Plugins, jwt, process};
use rsa::RsaPublicKey;
use rsa::pkcs8::DecodePublicKey;
use serde_json::{Value, json};

const UNSOUND: &str = "plugin-failed:unavailable";
/// Every conduct with the code and the words of the resulting refusal.
const EVIL: &[(&str, Conduct, &str, &str)] = &[
    (
        "reject",
        |question| {
            let mut answer = question.answer("REJECT");
            answer["rejectionReason"] = "not today".into();
            sealed(&answer)
        },
        "callback-rejected",
        "not today",
    ),
    (
        "ignore",
        |question| sealed(&question.answer("IGNORE")),
        "callback-ignored",
        "somebody else",
    ),
    (
        "retry for ever",
        |question| sealed(&question.answer("RETRY")),
        "callback-undecided",
        "no try",
    ),
    (
        "wrong key",
        |q| says(jwt::seal(&jwt::keys().1, &q.answer("APPROVE"))),
        UNSOUND,
        "not signed by the expected key",
    ),
    (
        "reflect",
        |question| says(&question.token),
        UNSOUND,
        "not signed by the expected key",
    ),
    (
        "no algorithm",
        |question| says(jwt::unsealed(&question.answer("APPROVE"))),
        UNSOUND,
        "`alg` is not RS256",
    ),
    (
        "shared secret",
        |question| says(jwt::seal_shared(&jwt::keys().0, &question.answer("APPROVE")).unwrap()),
        UNSOUND,
        "`alg` is not RS256",
    ),
    (
        "other request",
        |question| sealed(&question.approval(json!({ "requestId": "0000" }))),
        UNSOUND,
        "the answer is for the request",
    ),
    (
        "replay",
        |question| says(question.first.as_ref().unwrap()),
        UNSOUND,
        "the answer is for the request",
    ),
    (
        "no request",
        |question| sealed(&question.approval(json!({ "requestId": null }))),
        UNSOUND,
        "the request None",
    ),
    (
        "expired",
        |question| sealed(&question.approval(json!({ "exp": 1 }))),
        UNSOUND,
        "`exp` has passed",
    ),
    (
        "lower case",
        |question| sealed(&question.answer("approve")),
        UNSOUND,
        "unknown action",
    ),
    (
        "no action",
        |question| sealed(&question.approval(json!({ "action": null }))),
        UNSOUND,
        "unknown action None",
    ),
    ("empty", |_| says(""), UNSOUND, "the answer is empty"),
    (
        "page",
        |_| says("<html>ok</html>"),
        UNSOUND,
        "malformed token",
    ),
    ("not text", |_| says([0xff, 0xfe]), UNSOUND, "not text"),
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
        |_| Say::Bytes(b"\x00\x01APPROVE".to_vec()),
        UNSOUND,
        "",
    ),
    ("closed", |_| Say::Bytes(Vec::new()), UNSOUND, ""),
    (
        "server error",
        |q| {
            Say::Bytes(http(
                "500 Internal Server Error",
                &[],
                jwt::seal(&jwt::keys().0, &q.answer("APPROVE")),
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
            let approval = jwt::seal(&jwt::keys().0, &q.answer("APPROVE"));
            Say::Late(Duration::from_secs(30), http("200 OK", &[], approval))
        },
        UNSOUND,
        "no answer in time",
    ),
];

/// A question whose token a node signed.
struct Question {
    claims: Value,
    token: String,
    /// Number of times it was asked before.
    before: usize,
    /// The first approval, once there is one.
    first: Option<String>,
    /// URL of another server.
    elsewhere: String,
}

/// A handler's answer to a question.
type Conduct = fn(&Question) -> Say;

impl Question {
    /// The claims of an answer.
    fn answer(&self, action: &str) -> Value {
        json!({ "action": action, "requestId": self.claims["requestId"] })
    }

    /// An approval, except for these members; null removes one.
    fn approval(&self, others: Value) -> Value {
        let mut answer = self.answer("APPROVE");
        for (name, value) in others.as_object().unwrap() {
            answer[name] = value.clone();
        }
        answer
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        answer
    }
}

fn says(text: impl AsRef<[u8]>) -> Say {
    Say::Bytes(http("200 OK", &[], text))
}

/// In a sound token.
fn sealed(claims: &Value) -> Say {
    says(jwt::seal(&jwt::keys().0, claims))
}

fn approve(question: &Question) -> Say {
    sealed(&question.answer("APPROVE"))
}

/// A handler whose conduct changes.
struct Handler {
    server: Server,
    conduct: Arc<Mutex<Conduct>>,
}

impl Handler {
    async fn start(elsewhere: String) -> (Self, Arc<Mutex<Vec<RsaPublicKey>>>) {
        let conduct = Arc::new(Mutex::new(approve as Conduct));
        let nodes = Arc::new(Mutex::new(Vec::new()));
        let script = conduct.clone();
        let trusted = nodes.clone();
        let first = Mutex::new(None);
        let seen = Mutex::new(Vec::new());
        let say = move |asked: &Asked| {
            let token = String::from_utf8(asked.body.clone()).unwrap();
            let Ok(claims) = jwt::claims(&trusted.lock().unwrap(), &token) else {
                return Say::Bytes(http("401 Unauthorized", &[], ""));
            };
            let mut seen = seen.lock().unwrap();
            let before = seen.iter().filter(|id| **id == claims["requestId"]).count();
            seen.push(claims["requestId"].clone());
            let mut first = first.lock().unwrap();
            let question = Question {
                claims,
                token,
                before,
                first: first.clone(),
                elsewhere: elsewhere.clone(),
            };
            first.get_or_insert_with(|| jwt::seal(&jwt::keys().0, &question.answer("APPROVE")));
            script.lock().unwrap()(&question)
        };
        (
            Self {
                server: Server::start(say).await.unwrap(),
                conduct,
            },
            nodes,
        )
    }

    fn conduct(&self, conduct: Conduct) {
        *self.conduct.lock().unwrap() = conduct;
    }

    fn policy(&self) -> String {
        let file = process::plugin("fireblocks-callback").unwrap();
        let url = self.server.url("/handler");
        format!(
            "  deadline_seconds: 20\n  public_keys: {{ handler: handler.pem }}\n  plugins:\n    - name: fireblocks-callback\n      \
             file: '{}'\n      config: {{ url: '{url}', key: handler, request_timeout: 2, retry_times: 1, retry_seconds: 1 }}\n      \
             grants: {{ keys: [callback, handler], http: ['{url}/'] }}",
            file.display()
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fireblocks_handler_cannot_have_anything_signed_but_by_a_sound_approval() {
    tokio::task::spawn_blocking(jwt::keys).await.unwrap();
    let elsewhere = Server::start(|_| Say::Bytes(http("200 OK", &[], "")))
        .await
        .unwrap();
    let (handler, nodes) = Handler::start(elsewhere.url("/handler/v2/tx_sign_request")).await;
    let plugins = Plugins::Text(handler.policy());
    let mut cluster = Cluster::prepare(Blueprint {
        plugins,
        nodes: 2,
        ..Blueprint::default()
    })
    .await
    .unwrap();
    for node in &cluster.nodes {
        std::fs::write(
            node.dir.join("handler.pem"),
            jwt::public_pem(&jwt::keys().0).unwrap(),
        )
        .unwrap();
        let key = countersign_node::public::read(&node.db())
            .unwrap()
            .callback_public_key;
        nodes
            .lock()
            .unwrap()
            .push(RsaPublicKey::from_public_key_pem(&key).unwrap());
    }
    cluster.start_all().await.unwrap();
    let wallet = cluster
        .create_wallet("guarded", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let order = cluster.order(wallet.key, "m/1", b"pay", None).unwrap();
    let mut oracle = Oracle::new(&cluster).unwrap();

    for (name, evil, code, words) in EVIL {
        handler.conduct(*evil);
        let refusal = refused(cluster.client.sign(&order, |_| {}).await)
            .unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert_eq!(refusal.code, *code, "{name}: {refusal:?}");
        assert!(refusal.reason.contains(words), "{name}: {refusal:?}");
        oracle
            .after_attack(&cluster, &refusal)
            .unwrap_or_else(|error| panic!("{name}: {error:#}"));
        handler.conduct(approve);
        let signature = cluster.client.sign(&order, |_| {}).await;
        let signature = signature
            .unwrap_or_else(|error| panic!("after {name} (check 2): {error}\n{}", cluster.logs()));
        oracle.after_healing(signature).unwrap();
    }
    assert!(elsewhere.asked().is_empty(), "a redirect was followed");

    // The same question again is answered, and by then the handler has made up its mind.
    handler.conduct(|question| match question.before {
        0 => sealed(&question.answer("RETRY")),
        _ => approve(question),
    });
    oracle
        .after_healing(cluster.client.sign(&order, |_| {}).await.unwrap())
        .unwrap();
    let paths: Vec<_> = handler
        .server
        .asked()
        .into_iter()
        .map(|asked| asked.path)
        .collect();
    assert_eq!(
        paths
            .iter()
            .filter(|path| *path == "/handler/v2/config_change_sign_request")
            .count(),
        2
    );
    assert!(
        paths
            .iter()
            .skip(2)
            .all(|path| path == "/handler/v2/tx_sign_request"),
        "{paths:?}"
    );
}
