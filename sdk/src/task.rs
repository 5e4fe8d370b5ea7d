//! Shortcuts to what rules ask of a task most often. They add no facts.

use crate::{Intent, Operation, Origin, Signing, Task, Transaction};

impl Task {
    /// The signing request, if the task is one.
    pub fn signing(&self) -> Option<&Signing> {
        match &self.operation {
            Operation::Sign(signing) => Some(signing),
            _ => None,
        }
    }

    /// The transaction to sign, if the task signs one.
    pub fn transaction(&self) -> Option<&Transaction> {
        match &self.signing()?.intent {
            Intent::Transaction(transaction) => Some(transaction),
            _ => None,
        }
    }

    /// Value of an extra statement that the node itself stands behind.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.statement(name, Origin::Fact)
    }

    /// Value of an extra statement that only the requester makes.
    pub fn claim(&self, name: &str) -> Option<&str> {
        self.statement(name, Origin::Claim)
    }

    fn statement(&self, name: &str, origin: Origin) -> Option<&str> {
        let found = self.extra.iter().find(|s| s.name == name && s.origin == origin)?;
        Some(&found.value)
    }
}
