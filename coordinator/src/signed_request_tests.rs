//! Signed requests without sockets: what is signed, field by field, and what is accepted once.

use axum::http::HeaderValue;
use ed25519_dalek::{Signer, SigningKey};

use super::*;
use crate::testkit::coordinator_id;

const NOW: UnixMillis = UnixMillis(1_764_453_908_123);
const NONCE_TEXT: &str = "0123456789abcdef0123456789abcdef";

const REQUEST: Request = Request {
    method: "POST",
    uri: "/v1/tasks?limit=5&before=9",
    body: b"{\"task\": \"x\"}",
    time: NOW.0,
};

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn requester(key: &SigningKey) -> RequesterId {
    RequesterId::from_bytes(key.verifying_key().to_bytes()).unwrap()
}

fn headers(fields: &[(&'static str, String)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| {
            let name = axum::http::HeaderName::from_static(name);
            (name, HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

/// A request as its sender makes it.
#[derive(Clone, Copy)]
struct Request {
    method: &'static str,
    uri: &'static str,
    body: &'static [u8],
    time: u64,
}

impl Request {
    fn method(&self) -> Method {
        self.method.parse().unwrap()
    }

    fn uri(&self) -> Uri {
        self.uri.parse().unwrap()
    }

    fn own(&self, nonce: &str) -> HeaderMap {
        let uri = self.uri();
        let body: [u8; 32] = Sha256::digest(self.body).into();
        let text = [
            "countersign/2 http request",
            &coordinator_id().to_string(),
            self.method,
            uri.path(),
            uri.query().unwrap_or_default(),
            &hex::encode(body),
            &self.time.to_string(),
            nonce,
        ];
        let signature = key().sign(text.join("\n").as_bytes());
        headers(&[
            (REQUESTER, requester(&key()).to_string()),
            (TIME, self.time.to_string()),
            (NONCE, nonce.into()),
            (BODY, hex::encode(body)),
            (SIGNATURE, hex::encode(signature.to_bytes())),
        ])
    }

    fn biz(&self) -> HeaderMap {
        let uri = self.uri();
        let text = format!(
            "{}|{}|{}|{}|{}",
            self.method,
            uri.path(),
            self.time,
            uri.query().unwrap_or_default(),
            String::from_utf8_lossy(self.body)
        );
        let digest = Sha256::digest(Sha256::digest(text));
        headers(&[
            (BIZ_KEY, hex::encode(key().verifying_key().to_bytes())),
            (BIZ_NONCE, self.time.to_string()),
            (BIZ_SIGNATURE, hex::encode(key().sign(&digest).to_bytes())),
        ])
    }

    fn verify(&self, headers: &HeaderMap) -> Result<Signed, RequestError> {
        let claim = Claim::read(headers)?.unwrap();
        if claim
            .body_sha256()
            .is_some_and(|hash| hash[..] != Sha256::digest(self.body)[..])
        {
            return Err(RequestError::Body);
        }
        claim.verify(&coordinator_id(), &self.method(), &self.uri(), self.body)
    }
}

#[test]
fn a_request_for_one_coordinator_is_refused_by_every_other() {
    let other = CoordinatorId::from_bytes(crate::testkit::key(101).verifying_key().to_bytes());
    let claim = Claim::read(&REQUEST.own(NONCE_TEXT)).unwrap().unwrap();
    let at = |id: &CoordinatorId| claim.verify(id, &REQUEST.method(), &REQUEST.uri(), REQUEST.body);
    assert_eq!(at(&other.unwrap()), Err(RequestError::Unauthorised));
    at(&coordinator_id()).unwrap();
}

#[test]
fn both_forms_prove_the_requester() {
    for headers in [REQUEST.own(NONCE_TEXT), REQUEST.biz()] {
        let signed = REQUEST.verify(&headers).unwrap();
        assert_eq!(signed.requester, requester(&key()));
        assert_eq!(signed.time, NOW);
    }
    assert_eq!(Claim::read(&HeaderMap::new()), Ok(None));
}

#[test]
fn every_part_of_the_request_is_signed() {
    let altered = [
        Request {
            method: "PUT",
            ..REQUEST
        },
        Request {
            uri: "/v1/task?limit=5&before=9",
            ..REQUEST
        },
        Request {
            uri: "/v1/tasks?limit=6&before=9",
            ..REQUEST
        },
        Request {
            uri: "/v1/tasks",
            ..REQUEST
        },
        Request {
            body: b"{\"task\": \"y\"}",
            ..REQUEST
        },
        Request {
            body: b"",
            ..REQUEST
        },
    ];
    for headers in [REQUEST.own(NONCE_TEXT), REQUEST.biz()] {
        for request in altered {
            let refused = request.verify(&headers).unwrap_err();
            assert!(
                matches!(refused, RequestError::Unauthorised | RequestError::Body),
                "{} {}: {refused}",
                request.method,
                request.uri
            );
        }
    }
}

#[test]
fn every_header_is_signed_or_refused() {
    let other = SigningKey::from_bytes(&[8; 32]);
    let changes = [
        (REQUESTER, requester(&other).to_string()),
        (TIME, (NOW.0 + 1).to_string()),
        (NONCE, NONCE_TEXT.replace('0', "1")),
        (BODY, hex::encode([0; 32])),
        (SIGNATURE, hex::encode([1; 64])),
        (BIZ_KEY, hex::encode(other.verifying_key().to_bytes())),
        (BIZ_NONCE, (NOW.0 + 1).to_string()),
        (BIZ_SIGNATURE, hex::encode([1; 64])),
    ];
    for (name, value) in changes {
        let own = name.starts_with("countersign");
        let signed = || {
            if own {
                REQUEST.own(NONCE_TEXT)
            } else {
                REQUEST.biz()
            }
        };
        let mut changed = signed();
        changed.insert(name, value.parse().unwrap());
        let refused = REQUEST.verify(&changed).unwrap_err();
        assert!(
            matches!(refused, RequestError::Unauthorised | RequestError::Body),
            "{name}: {refused}"
        );
        let mut absent = signed();
        absent.remove(name);
        assert!(REQUEST.verify(&absent).is_err(), "without {name}");
        let mut twice = signed();
        twice.append(name, twice[name].clone());
        assert_eq!(Claim::read(&twice), Err(RequestError::Header(name)));
        for malformed in ["", "x", " 1", "01", "+1", "1.0"] {
            let mut changed = signed();
            changed.insert(name, malformed.parse().unwrap());
            assert_eq!(
                Claim::read(&changed),
                Err(RequestError::Header(name)),
                "{malformed:?}"
            );
        }
    }
}

#[test]
fn a_time_is_a_number_of_milliseconds() {
    for time in ["18446744073709551616", "-1", "1e3", "0x10", "１"] {
        let mut headers = REQUEST.own(NONCE_TEXT);
        headers.insert(TIME, HeaderValue::from_bytes(time.as_bytes()).unwrap());
        assert_eq!(Claim::read(&headers), Err(RequestError::Header(TIME)));
    }
}

#[test]
fn nobody_proves_itself_in_two_ways() {
    let mut both = REQUEST.own(NONCE_TEXT);
    both.extend(REQUEST.biz());
    assert_eq!(Claim::read(&both), Err(RequestError::Ambiguous));
    for mut headers in [REQUEST.own(NONCE_TEXT), REQUEST.biz()] {
        headers.insert("authorization", "Bearer csapi_1".parse().unwrap());
        assert_eq!(Claim::read(&headers), Err(RequestError::Ambiguous));
    }
}

/// `path|nonce|query|body` cuts in several ways if a part has the separator.
#[test]
fn a_separator_in_path_or_query_is_refused() {
    for uri in ["/v1/ta|sks", "/v1/tasks?a|b"] {
        let request = Request { uri, ..REQUEST };
        assert_eq!(request.verify(&request.biz()), Err(RequestError::Separator));
        request.verify(&request.own(NONCE_TEXT)).unwrap();
    }
}

#[test]
fn no_signature_of_a_task_is_one_of_a_request() {
    let message = countersign_protocol::SignedTask::signed_message(b"{}");
    let mut headers = REQUEST.own(NONCE_TEXT);
    let signature = hex::encode(key().sign(&message).to_bytes());
    headers.insert(SIGNATURE, signature.parse().unwrap());
    assert_eq!(REQUEST.verify(&headers), Err(RequestError::Unauthorised));
    let mut headers = REQUEST.biz();
    headers.insert(BIZ_SIGNATURE, signature.parse().unwrap());
    assert_eq!(REQUEST.verify(&headers), Err(RequestError::Unauthorised));
}

/// The blocks of the page that begin with these words, without the marks around them.
fn block(begins: &str) -> &'static str {
    let page = include_str!("../../docs/api-authentication.md");
    let blocks = page.split("\n```").skip(1).step_by(2);
    let mut found = blocks.filter_map(|block| block.split_once('\n').map(|(_, text)| text));
    found.find(|text| text.starts_with(begins)).unwrap()
}

#[test]
fn the_worked_example_of_the_page_is_right() {
    let key = SigningKey::from_bytes(&std::array::from_fn(|at| at as u8));
    let (head, body) = block("POST /v1/tasks").split_once("\n\n").unwrap();
    let mut headers = HeaderMap::new();
    for line in head.lines().skip(1).chain(block("Biz-Api-Key").lines()) {
        let (name, value) = line.split_once(": ").unwrap();
        let name: axum::http::HeaderName = name.parse().unwrap();
        headers.insert(name, value.parse().unwrap());
    }
    let message = block("countersign/2 http request");
    assert_eq!((message.len(), body.len()), (217, 30));
    assert_eq!(headers[REQUESTER], requester(&key).to_string());
    assert_eq!(headers[BODY], hex::encode(Sha256::digest(body)));
    let signature = key.sign(message.as_bytes()).to_bytes();
    assert_eq!(headers[SIGNATURE], hex::encode(signature));
    let [own, biz]: [Vec<_>; 2] = ["countersign", "biz"].map(|prefix| {
        let named = headers
            .iter()
            .filter(|(name, _)| name.as_str().starts_with(prefix));
        named
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    });
    let uri = Uri::from_static("/v1/tasks");
    let coordinator = message.lines().nth(1).unwrap().parse().unwrap();
    for headers in [own, biz] {
        let claim = Claim::read(&headers.into_iter().collect())
            .unwrap()
            .unwrap();
        let signed = claim
            .verify(&coordinator, &Method::POST, &uri, body.as_bytes())
            .unwrap();
        assert_eq!(signed.requester, requester(&key));
    }
}

/// A process that has run for a while.
fn accepted() -> Accepted {
    Accepted::since(UnixMillis(0))
}

fn signed(time: u64, digest: u64) -> Signed {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&digest.to_be_bytes());
    Signed {
        requester: requester(&key()),
        time: UnixMillis(time),
        digest: bytes,
    }
}

#[test]
fn a_request_is_accepted_once_and_only_for_a_while() {
    let accepted = accepted();
    let at = |millis: i64| UnixMillis(NOW.0.saturating_add_signed(millis));
    let request = signed(NOW.0, 1);
    assert_eq!(accepted.accept(&request, at(0)), Ok(()));
    for later in [0, 1, 29_999, 30_000] {
        assert_eq!(
            accepted.accept(&request, at(later)),
            Err(RequestError::Repeated)
        );
    }
    assert_eq!(
        accepted.accept(&request, at(30_001)),
        Err(RequestError::Old(30_001))
    );
    assert_eq!(accepted.accept(&signed(NOW.0, 2), at(-5_000)), Ok(()));
    assert_eq!(
        accepted.accept(&signed(NOW.0, 3), at(-5_001)),
        Err(RequestError::Ahead(5_001))
    );
}

#[test]
fn two_requests_in_one_millisecond_are_two() {
    let accepted = accepted();
    let one = REQUEST.verify(&REQUEST.biz()).unwrap();
    let other = Request {
        body: b"other",
        ..REQUEST
    };
    let other = other.verify(&other.biz()).unwrap();
    assert_eq!(accepted.accept(&one, NOW), Ok(()));
    assert_eq!(accepted.accept(&other, NOW), Ok(()));
    assert_eq!(accepted.accept(&one, NOW), Err(RequestError::Repeated));
}

/// The earlier process may have accepted whatever is dated up to [`AHEAD`] after its end.
#[test]
fn a_restart_opens_no_window_for_replays() {
    for accepted_at in [0, 1, 4_999, 5_000] {
        let request = signed(NOW.0 + accepted_at, 1);
        assert_eq!(accepted().accept(&request, NOW), Ok(()));
        let restarted = Accepted::since(UnixMillis(NOW.0 + 1));
        for later in (1..40_000).step_by(499) {
            let now = UnixMillis(NOW.0 + later);
            assert!(restarted.accept(&request, now).is_err(), "after {later} ms");
        }
    }
    let restarted = Accepted::since(NOW);
    let late = UnixMillis(NOW.0 + 5_001);
    assert_eq!(restarted.accept(&signed(late.0, 1), late), Ok(()));
}

#[test]
fn a_clock_that_goes_back_and_a_longer_window_open_none_either() {
    let accepted = accepted();
    let request = signed(NOW.0, 1);
    accepted.accept(&request, NOW).unwrap();
    let later = NOW.0 + 60_000;
    accepted
        .accept(&signed(later, 2), UnixMillis(later))
        .unwrap();
    assert_eq!(accepted.accept(&request, NOW), Err(RequestError::Started));
    accepted.set_window(300_000);
    assert_eq!(
        accepted.accept(&request, UnixMillis(later)),
        Err(RequestError::Started)
    );
}

#[test]
fn the_memory_of_a_requester_is_bounded_and_nobody_elses() {
    let accepted = accepted();
    let many = REMEMBERED as u64;
    for number in 0..many {
        assert_eq!(accepted.accept(&signed(NOW.0, number), NOW), Ok(()));
    }
    assert_eq!(
        accepted.accept(&signed(NOW.0, many), NOW),
        Err(RequestError::Full)
    );
    let other = Signed {
        requester: requester(&SigningKey::from_bytes(&[8; 32])),
        ..signed(NOW.0, 1)
    };
    assert_eq!(accepted.accept(&other, NOW), Ok(()));
    // What is too old to be accepted makes room.
    let later = UnixMillis(NOW.0 + 30_001);
    assert_eq!(accepted.accept(&signed(later.0, 1), later), Ok(()));
    assert_eq!(accepted.memory.lock().unwrap().of.len(), 1);
}
