//! Asks a server before each signature, and approves only if the server answers with
//! `{"approve": true}` and nothing else.
//!
//! Anyone who can answer under the server's name can approve: use https, or verify a signature over
//! the answer with `keys`.

use countersign_sdk::{
    Failure, Host, Level, Operation, Plugin, Request, Task, Verdict, approve, export_plugin, json, reject,
};
use serde::Deserialize;

/// Unknown keys are errors, so that a misspelt rule is not silently ignored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whole URL, below a prefix that is granted under `grants.http`.
    url: String,
}

/// The server's answer, as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    approve: bool,
    #[serde(default)]
    reason: String,
}

pub struct Policy;

impl Plugin for Policy {
    type Config = Config;

    const NAME: &'static str = "__NAME__";
    const DESCRIPTION: &'static str = "Asks a server before each signature.";

    fn evaluate(config: &Config, task: &Task, host: &impl Host) -> Result<Verdict, Failure> {
        match &task.operation {
            Operation::Sign(_) => ask(config, task, host),
            _ => Err(Failure::Unsupported("no rule for this operation".into())),
        }
    }
}

export_plugin!(Policy);

fn ask(config: &Config, task: &Task, host: &impl Host) -> Result<Verdict, Failure> {
    let request = Request {
        method: "POST".into(),
        url: config.url.clone(),
        headers: vec![("content-type".into(), "application/json".into())],
        // The bytes that the requester signed, which are JSON.
        body: task.raw.clone(),
        timeout_ms: Some(5_000),
    };
    let response = host.send(&request)?;
    if response.status != 200 {
        return Err(Failure::Unavailable(format!("the server answers with status {}", response.status)));
    }
    let answer: Answer = json::strict(&response.body)
        .map_err(|error| Failure::Unavailable(format!("the server's answer cannot be read: {error}")))?;
    if !answer.approve {
        return reject("server-refused", answer.reason);
    }
    host.log(Level::Info, "the server approves", &[("task", &task.id)]);
    approve()
}

#[cfg(test)]
mod tests {
    use countersign_sdk::testing::{MockHost, transfer};
    use countersign_sdk::{HttpError, Response};

    use super::*;

    fn judge(answer: Result<(u16, &'static str), HttpError>) -> Result<Verdict, Failure> {
        let host = MockHost::default().with_server(move |_, _| {
            let (status, body) = answer.clone()?;
            Ok(Response { status, headers: Vec::new(), body: body.into() })
        });
        let config = Config { url: "https://risk.example.com/check".into() };
        Policy::evaluate(&config, &transfer("eip155:1", "0xSafe", "1"), &host)
    }

    #[test]
    fn only_a_clear_yes_approves() {
        assert_eq!(judge(Ok((200, r#"{"approve": true}"#))), Ok(Verdict::Approve));
        let no = judge(Ok((200, r#"{"approve": false, "reason": "too late"}"#)));
        assert!(matches!(no, Ok(Verdict::Reject(no)) if no.code == "server-refused"));
        for answer in [Ok((500, "")), Ok((200, "yes")), Ok((200, r#"{"approve": true, "approve": true}"#)), Err(HttpError::Timeout)] {
            assert!(judge(answer).is_err());
        }
    }
}
