//! The trail of a decision: one log line for each rule that was considered, and the final reason.

use std::borrow::Cow;

use countersign_sdk::{Failure, Host, Level, StateError, Verdict, approve, reject};

/// The reason why a rule does not let a task pass.
#[derive(Debug)]
pub enum Objection {
    Refused {
        /// The stable code, listed in `docs/rules.yaml`.
        code: &'static str,
        /// The reason as one sentence for people.
        reason: String,
    },
    /// The rule could not be evaluated.
    Failed(Failure),
}

impl From<StateError> for Objection {
    fn from(error: StateError) -> Self {
        Self::Failed(error.into())
    }
}

/// The result of a rule: pass, with the reason, or an objection.
pub type Ruling = Result<Cow<'static, str>, Objection>;

/// Returns an objection with this code and reason.
pub fn refuse<T>(code: &'static str, reason: impl Into<String>) -> Result<T, Objection> {
    Err(Objection::Refused {
        code,
        reason: reason.into(),
    })
}

/// The writer of a decision's log lines.
pub struct Trail<'a, H> {
    host: &'a H,
    /// The name of the policy whose rules are considered.
    policy: Option<&'a str>,
}

impl<'a, H: Host> Trail<'a, H> {
    /// Starts the trail of the rules outside of policies.
    pub fn new(host: &'a H) -> Self {
        Trail { host, policy: None }
    }

    /// Starts the trail of a policy's rules.
    pub fn within(&self, policy: &'a str) -> Self {
        Trail {
            host: self.host,
            policy: Some(policy),
        }
    }

    /// Logs the ruling of `rule`, and returns its objection, if any.
    pub fn rule(&self, rule: &str, ruling: Ruling) -> Result<(), Objection> {
        match ruling {
            Ok(why) => {
                self.line(Level::Debug, rule, "passes", &why);
                Ok(())
            }
            Err(objection) => {
                let (outcome, why) = match &objection {
                    Objection::Refused { reason, .. } => ("refuses", reason.clone()),
                    Objection::Failed(failure) => ("cannot be judged", format!("{failure:?}")),
                };
                self.line(Level::Info, rule, outcome, &why);
                Err(objection)
            }
        }
    }

    /// Logs that a policy does not apply, for this reason.
    pub fn skip(&self, why: &str) {
        self.line(Level::Debug, "when", "does not match", why);
    }

    /// Logs that others signed beyond a limit, which could not be prevented here.
    pub fn exceeded(&self, why: &str) {
        self.line(
            Level::Warn,
            "limits",
            "are exceeded by what other members sign",
            why,
        );
    }

    fn line(&self, level: Level, rule: &str, outcome: &str, why: &str) {
        let rule = match self.policy {
            Some(policy) => format!("policy {policy}: {rule}"),
            None => rule.into(),
        };
        let message = format!("{rule} {outcome}: {why}");
        self.host.log(
            level,
            &message,
            &[("rule", &rule), ("outcome", outcome), ("why", why)],
        );
    }
}

/// Converts a ruling about signatures of others to the answer to the node.
pub fn counted(counted: Result<(), Objection>) -> Result<(), Failure> {
    counted.map_err(|objection| match objection {
        Objection::Refused { reason, .. } => Failure::Unavailable(reason),
        Objection::Failed(failure) => failure,
    })
}

/// Converts a ruling to the answer to the node.
pub fn verdict(judged: Result<(), Objection>) -> Result<Verdict, Failure> {
    match judged {
        Ok(()) => approve(),
        Err(Objection::Refused { code, reason }) => reject(code, reason),
        Err(Objection::Failed(failure)) => Err(failure),
    }
}
