//! The trail of a decision: one log line for each rule that was considered, and the reason that
//! ended it.

use std::borrow::Cow;

use countersign_sdk::{Failure, Host, Level, StateError, Verdict, approve, reject};

/// Why a rule does not let a task pass.
#[derive(Debug)]
pub enum Objection {
    /// The rule says no.
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

/// What a rule says: pass, and why, or an objection.
pub type Ruling = Result<Cow<'static, str>, Objection>;

/// An objection with this code and reason.
pub fn refuse<T>(code: &'static str, reason: impl Into<String>) -> Result<T, Objection> {
    Err(Objection::Refused {
        code,
        reason: reason.into(),
    })
}

/// Where the lines go.
pub struct Trail<'a, H> {
    host: &'a H,
    /// The policy whose rules are considered.
    policy: Option<&'a str>,
}

impl<'a, H: Host> Trail<'a, H> {
    /// The trail of the rules that stand outside of policies.
    pub fn new(host: &'a H) -> Self {
        Trail { host, policy: None }
    }

    /// The same for the rules of a policy.
    pub fn within(&self, policy: &'a str) -> Self {
        Trail {
            host: self.host,
            policy: Some(policy),
        }
    }

    /// Logs what `rule` says, and passes it on.
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

    /// Logs that a policy is not the one, because of this selector.
    pub fn skip(&self, why: &str) {
        self.line(Level::Debug, "when", "does not match", why);
    }

    /// Logs that a limit is exceeded by what others signed, and that this could not be prevented
    /// here.
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

/// The answer to the node about what others signed.
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
