//! The trail of a decision: one log line for each rule that was considered, and the
//! reason that ended it.

use std::borrow::Cow;

use countersign_sdk::{Failure, Host, Level, StateError, Verdict, approve, reject};

/// Why a rule does not let a task pass.
#[derive(Debug)]
pub enum Objection {
    Refused {
        /// Stable code, listed in `docs/rules.yaml`.
        code: &'static str,
        /// One sentence for people.
        reason: String,
    },
    /// The rule could not be judged.
    Failed(Failure),
}

impl From<StateError> for Objection {
    fn from(error: StateError) -> Self {
        Self::Failed(error.into())
    }
}

/// The result of a rule: pass, with the reason, or an objection.
pub type Ruling = Result<Cow<'static, str>, Objection>;

/// An objection with this code and reason.
pub fn refuse<T>(code: &'static str, reason: impl Into<String>) -> Result<T, Objection> {
    Err(Objection::Refused {
        code,
        reason: reason.into(),
    })
}

/// The writer of the log lines.
pub struct Trail<'a, H> {
    host: &'a H,
    /// The policy whose rules are considered.
    policy: Option<&'a str>,
}

impl<'a, H: Host> Trail<'a, H> {
    /// The trail of the rules outside of policies.
    pub fn new(host: &'a H) -> Self {
        Trail { host, policy: None }
    }

    /// The trail of the rules of a policy.
    pub fn within(&self, policy: &'a str) -> Self {
        Trail {
            host: self.host,
            policy: Some(policy),
        }
    }

    /// Logs the ruling of `rule`, and passes it on.
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

    /// Logs that a policy does not apply, because of this selector.
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

/// The answer to the node about signatures of others.
pub fn counted(counted: Result<(), Objection>) -> Result<(), Failure> {
    counted.map_err(|objection| match objection {
        Objection::Refused { reason, .. } => Failure::Unavailable(reason),
        Objection::Failed(failure) => failure,
    })
}

/// The answer to the node.
pub fn verdict(judged: Result<(), Objection>) -> Result<Verdict, Failure> {
    match judged {
        Ok(()) => approve(),
        Err(Objection::Refused { code, reason }) => reject(code, reason),
        Err(Objection::Failed(failure)) => Err(failure),
    }
}
