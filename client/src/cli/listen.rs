//! `countersign webhook listen`: posts events to a receiver on this machine, as a webhook would.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use countersign_client::api::FeedEvent;
use countersign_client::{Client, ClientError, News, is_this_machine};
use countersign_protocol::UnixMillis;
use ed25519_dalek::{Signer, SigningKey};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use serde_json::json;

use super::event::{self, Which};
use super::line::{Line, Tone};
use super::output::Output;
use super::time;

/// Time limit of one delivery, as of a webhook.
const ATTEMPT: Duration = Duration::from_secs(15);

/// The receiver. Each event is posted once, in their order; what fails is shown, and not repeated.
#[derive(Debug, Args)]
pub struct ListenArgs {
    /// Where events are posted: http on this machine, or https.
    #[arg(long, value_name = "URL")]
    forward: String,
    /// Leave out the signature. By default, deliveries are signed by a new key of this command,
    /// whose public part is shown first.
    #[arg(long)]
    unsigned: bool,
    #[command(flatten)]
    which: Which,
}

/// Posts events, each once.
struct Forwarder {
    http: reqwest::Client,
    url: reqwest::Url,
    key: Option<SigningKey>,
}

/// What became of a delivery.
struct Answered {
    status: Option<u16>,
    error: Option<String>,
    millis: u64,
}

pub async fn execute(
    args: ListenArgs,
    client: &Client,
    output: &Output,
) -> Result<(), ClientError> {
    let forwarder = Forwarder::new(&args.forward, !args.unsigned)?;
    let filter = args.which.filter(client)?;
    forwarder.introduce(output)?;
    let forward = async |news| match news {
        News::Event(event) => {
            let answered = forwarder.post(&event).await;
            answered.show(&event, output)
        }
        News::Gap => Ok(()),
    };
    event::each(client, filter, args.which.after, output, forward).await
}

impl Forwarder {
    fn new(url: &str, signed: bool) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(ATTEMPT)
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ClientError::Usage(format!("no HTTP client ({error}); reinstall")))?;
        Ok(Self {
            http,
            url: target(url)?,
            key: signed.then(|| SigningKey::generate(&mut rand::rngs::OsRng)),
        })
    }

    fn introduce(&self, output: &Output) -> Result<(), ClientError> {
        let url = self.url.as_str();
        let key = self.key.as_ref().map(whpk);
        let line = match &key {
            Some(key) => format!("posting to {url}, signed by {key}"),
            None => format!("posting to {url}, unsigned"),
        };
        output.item(&json!({"forward": url, "whpk": key}), line.into())
    }

    async fn post(&self, event: &FeedEvent) -> Answered {
        let began = Instant::now();
        let headers = headers(self.key.as_ref(), &event.id, time::now(), &event.text);
        let request = self.http.post(self.url.clone());
        let request = request.header(CONTENT_TYPE, "application/json");
        let request = headers.into_iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        });
        let (status, error) = match request.body(event.text.clone()).send().await {
            Ok(answer) if answer.status().is_success() => (Some(answer.status().as_u16()), None),
            Ok(answer) => {
                let error = format!("the receiver answered {}", answer.status());
                (Some(answer.status().as_u16()), Some(error))
            }
            Err(error) if error.is_timeout() => (None, Some("no answer within 15 s".into())),
            Err(error) => (None, Some(error.without_url().to_string())),
        };
        Answered {
            status,
            error,
            millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Answered {
    fn show(&self, event: &FeedEvent, output: &Output) -> Result<(), ClientError> {
        let (text, tone) = match (&self.error, self.status) {
            (Some(error), _) => (error.clone(), Tone::Bad),
            (None, Some(status)) => (status.to_string(), Tone::Good),
            (None, None) => ("no answer".into(), Tone::Bad),
        };
        let json = json!({
            "event": event.id, "type": event.kind, "cursor": event.cursor,
            "status": self.status, "error": self.error, "millis": self.millis,
        });
        let line = Line::from(format!("{} {}: ", event.kind, event.id))
            .and(text, tone)
            .and(format!(" ({} ms)", self.millis), Tone::Dim);
        output.item(&json, line)
    }
}

/// The headers of a delivery: Standard Webhooks 1.0 with Ed25519 (`v1a`), over `id.seconds.body`.
fn headers(
    key: Option<&SigningKey>,
    id: &str,
    at: UnixMillis,
    body: &str,
) -> Vec<(&'static str, String)> {
    let seconds = at.0 / 1000;
    let mut headers = vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
    ];
    headers.extend(key.map(|key| {
        let signature = key.sign(format!("{id}.{seconds}.{body}").as_bytes());
        let text = format!("v1a,{}", STANDARD.encode(signature.to_bytes()));
        ("webhook-signature", text)
    }));
    headers
}

/// The public key as libraries of Standard Webhooks take it.
fn whpk(key: &SigningKey) -> String {
    format!("whpk_{}", STANDARD.encode(key.verifying_key().to_bytes()))
}

/// A URL under the rule for webhooks: unencrypted events stay on this machine.
fn target(text: &str) -> Result<reqwest::Url, ClientError> {
    let refused = |why: &str| {
        let advice = "name http on this machine, such as http://127.0.0.1:3000/hook, or https";
        ClientError::Usage(format!(
            "events cannot be posted to `{text}`: {why}; {advice}"
        ))
    };
    let url = reqwest::Url::parse(text).map_err(|_| refused("it is not a URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("it has a user or a password"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if url.host_str().is_some_and(is_this_machine) => Ok(url),
        "http" => Err(refused("it is not encrypted")),
        _ => Err(refused("it is neither https nor http")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unencrypted_events_stay_on_this_machine() {
        for good in [
            "http://127.0.0.1:3000/hook",
            "http://localhost:1/",
            "http://[::1]:1/a",
            "https://example.com/hook",
        ] {
            target(good).unwrap();
        }
        for (bad, why) in [
            ("http://example.com/", "not encrypted"),
            ("http://10.0.0.1/", "not encrypted"),
            ("ftp://127.0.0.1/", "neither"),
            ("http://a:b@127.0.0.1/", "password"),
            ("hook", "not a URL"),
        ] {
            let error = target(bad).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    /// Verified by the key alone, over the text that Standard Webhooks says.
    #[test]
    fn a_delivery_is_signed_over_id_time_and_body() {
        let key = SigningKey::from_bytes(&[5; 32]);
        let signed = headers(Some(&key), "evt_1", UnixMillis(1_700_000_000_999), "{}");
        assert_eq!(signed[0], ("webhook-id", "evt_1".into()));
        assert_eq!(signed[1], ("webhook-timestamp", "1700000000".into()));
        let (name, value) = &signed[2];
        assert_eq!(*name, "webhook-signature");
        let bytes = STANDARD
            .decode(value.strip_prefix("v1a,").unwrap())
            .unwrap();
        let signature = ed25519_dalek::Signature::from_slice(&bytes).unwrap();
        let public = STANDARD
            .decode(whpk(&key).strip_prefix("whpk_").unwrap())
            .unwrap();
        let public: [u8; 32] = public.try_into().unwrap();
        let public = ed25519_dalek::VerifyingKey::from_bytes(&public).unwrap();
        public
            .verify_strict(b"evt_1.1700000000.{}", &signature)
            .unwrap();
        let unsigned = headers(None, "evt_1", UnixMillis(0), "{}");
        assert_eq!(unsigned.len(), 2);
    }
}
