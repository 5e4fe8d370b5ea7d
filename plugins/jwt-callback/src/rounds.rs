//! Asks all servers at once, and retries those that gave no valid answer at a fixed interval, never
//! past the task's deadline. Each try has its own token, since the previous one may have expired.

use std::time::Duration;

use countersign_sdk::{Failure, Host, HttpError, Level, Request, Response, timeout_ms};

use crate::config::{Config, Server};
use crate::envelope::{self, Answer, Binding};

/// Time reserved for reading the answers, so that the node does not stop the plugin after
/// it has received one.
const MARGIN_MS: u64 = 100;
/// Minimum time that must be left to begin a round.
const SHORTEST_ROUND_MS: u64 = 500;

/// A question to one server.
pub(crate) struct Question<'a> {
    pub(crate) server: &'a Server,
    /// The request id, unique to this server.
    pub(crate) id: String,
    pub(crate) document: String,
    /// The id of the asking node.
    pub(crate) node: &'a str,
}

pub(crate) struct Objection {
    pub(crate) url: String,
    pub(crate) error: String,
}

/// Asks until every server has approved (`None`), one objects, or the tries of one are used up.
pub(crate) fn ask(
    config: &Config,
    mut open: Vec<Question>,
    deadline: u64,
    host: &impl Host,
) -> Result<Option<Objection>, Failure> {
    let pause = config.sleep_seconds * 1000;
    let mut tries = 0;
    loop {
        let timeout = time_for_a_round(config, host.now(), deadline).ok_or_else(|| {
            Failure::Unavailable("no time is left to ask the callback servers".into())
        })?;
        let failed = match round(config, open, timeout, host)? {
            Round::Objection(objection) => return Ok(Some(objection)),
            Round::Unanswered(failed) if failed.is_empty() => return Ok(None),
            Round::Unanswered(failed) => failed,
        };
        tries += 1;
        if tries > config.retry_times {
            return Err(given_up(&failed, tries, ""));
        }
        if time_for_a_round(config, host.now().saturating_add(pause), deadline).is_none() {
            return Err(given_up(&failed, tries, ", no time for another"));
        }
        host.sleep(Duration::from_millis(pause));
        open = failed.into_iter().map(|(question, _)| question).collect();
    }
}

enum Round<'a> {
    Objection(Objection),
    /// Questions without a valid answer, with the reasons.
    Unanswered(Vec<(Question<'a>, String)>),
}

fn round<'a>(
    config: &Config,
    questions: Vec<Question<'a>>,
    timeout_ms: u32,
    host: &impl Host,
) -> Result<Round<'a>, Failure> {
    let exchanges = exchange(config, &questions, timeout_ms, host)?;
    let mut failed = Vec::new();
    let mut refused = None;
    for (question, Exchange { binding, response }) in questions.into_iter().zip(exchanges) {
        let server = question.server;
        let answer = match response {
            Ok(Response { status, body, .. }) => envelope::decision(
                host,
                &server.key,
                (status, &body),
                &question.id,
                binding.as_ref(),
            ),
            Err(error) => {
                let text = error.describe();
                // The node itself refused to send; a retry would not change that.
                if matches!(error, HttpError::Denied(_) | HttpError::Invalid(_)) {
                    refused = Some(error);
                }
                Err(text)
            }
        };
        match answer {
            Ok(Answer::Approve) => {}
            Ok(Answer::Reject(error)) => {
                return Ok(Round::Objection(Objection {
                    url: server.url.clone(),
                    error,
                }));
            }
            Err(problem) => {
                let fields = [("url", server.url.as_str()), ("problem", &problem)];
                host.log(Level::Warn, "callback try failed", &fields);
                failed.push((question, problem));
            }
        }
    }
    refused.map_or(Ok(Round::Unanswered(failed)), |error| Err(error.into()))
}

fn given_up(failed: &[(Question, String)], tries: u64, why: &str) -> Failure {
    let told: Vec<_> = failed
        .iter()
        .map(|(question, problem)| format!("{}: {problem}", question.server.url))
        .collect();
    Failure::Unavailable(format!("{} (tries: {tries}{why})", told.join("; ")))
}

/// Pings all servers at once, and reports the failures.
pub(crate) fn ping(
    config: &Config,
    questions: &[Question],
    host: &impl Host,
) -> Result<(), Failure> {
    let exchanges = exchange(config, questions, config.request_timeout * 1000, host)?;
    let mut problems = Vec::new();
    for (question, Exchange { binding, response }) in questions.iter().zip(exchanges) {
        let server = question.server;
        let alive = match response {
            Ok(Response { status, body, .. }) => {
                envelope::alive(host, &server.key, (status, &body), binding.as_ref())
            }
            Err(error) => Err(error.describe()),
        };
        problems.extend(
            alive
                .err()
                .map(|problem| format!("{}: {problem}", server.url)),
        );
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::Unavailable(problems.join("; ")))
    }
}

/// Returns the time limit in milliseconds for a round that begins at `now`, within the deadline.
fn time_for_a_round(config: &Config, now: u64, deadline: u64) -> Option<u32> {
    let left = deadline.saturating_sub(now).saturating_sub(MARGIN_MS);
    (left >= SHORTEST_ROUND_MS).then(|| timeout_ms(config.request_timeout, left))
}

struct Exchange {
    binding: Option<Binding>,
    response: Result<Response, HttpError>,
}

fn exchange(
    config: &Config,
    questions: &[Question],
    timeout_ms: u32,
    host: &impl Host,
) -> Result<Vec<Exchange>, Failure> {
    let bind = |question: &Question| {
        config
            .strict
            .then(|| Binding::new(host, question.node, &question.document))
    };
    let bindings: Vec<_> = questions.iter().map(bind).collect();
    let mut requests = Vec::with_capacity(questions.len());
    for (question, binding) in questions.iter().zip(&bindings) {
        let key = &config.signing_key;
        let minutes = config.token_expire_minutes;
        let token = envelope::seal(host, key, &question.document, minutes, binding.as_ref())?;
        requests.push(post(&question.server.url, &token, timeout_ms));
    }
    let responses = host.send_all(&requests);
    // A missing answer would otherwise count as an approval.
    if responses.len() != questions.len() {
        return Err(Failure::Internal(
            "the node returned a different number of answers than requests".into(),
        ));
    }
    let pair = |(binding, response)| Exchange { binding, response };
    Ok(bindings.into_iter().zip(responses).map(pair).collect())
}

fn post(url: &str, token: &str, timeout_ms: u32) -> Request {
    Request {
        method: "POST".into(),
        url: url.into(),
        headers: vec![(
            "content-type".into(),
            "application/x-www-form-urlencoded".into(),
        )],
        // A compact JWT only has characters that need no escaping in a form.
        body: format!("TSS_JWT_MSG={token}").into_bytes(),
        timeout_ms: Some(timeout_ms),
    }
}
