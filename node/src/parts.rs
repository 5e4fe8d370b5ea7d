//! What lives as long as the node. A node of which a part has ended would look alive and not do its
//! work: it ends as a whole, with an error, and a supervisor starts it again.

use std::collections::HashMap;
use std::future::Future;

use tokio::task::{Id, JoinError, JoinSet};

/// The parts of a node that runs. Dropping them ends them.
#[derive(Default)]
pub struct Parts {
    running: JoinSet<()>,
    kinds: HashMap<Id, Kind>,
}

/// A part that is no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Died {
    /// Which.
    pub part: &'static str,
    /// How it ended.
    pub how: String,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Ends when the node is told to stop, and not before.
    Part(&'static str),
    /// May be done at any time, and must not die.
    Errand(&'static str),
}

impl Parts {
    /// Starts a part.
    pub fn run(&mut self, part: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.start(Kind::Part(part), work);
    }

    /// Starts what has an end of its own.
    pub fn send(&mut self, errand: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.start(Kind::Errand(errand), work);
    }

    fn start(&mut self, kind: Kind, work: impl Future<Output = ()> + Send + 'static) {
        let id = self.running.spawn(work).id();
        self.kinds.insert(id, kind);
    }

    /// Resolves when a part has ended that nobody told to.
    pub async fn died(&mut self) -> Died {
        while let Some(ended) = self.running.join_next_with_id().await {
            let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
            let how = ended
                .err()
                .map_or_else(|| "without error".into(), |error| error.to_string());
            match self.kinds.remove(&id) {
                Some(Kind::Part(part)) => return Died { part, how },
                Some(Kind::Errand(part)) if how != "without error" => return Died { part, how },
                Some(Kind::Errand(_)) | None => {}
            }
        }
        std::future::pending().await
    }

    /// Waits until all have ended, once they were told to.
    pub async fn ended(&mut self) {
        while let Some(ended) = self.running.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a part of the node did not end cleanly");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_ends_is_told_and_an_errand_only_if_it_dies() {
        let mut parts = Parts::default();
        parts.run("lives", std::future::pending());
        parts.send("done", async {});
        parts.run("ends", async {});
        let ends = Died {
            part: "ends",
            how: "without error".into(),
        };
        assert_eq!(parts.died().await, ends);
        parts.send("dies", async { panic!("for the test") });
        let dies = parts.died().await;
        assert!(
            dies.part == "dies" && dies.how.contains("for the test"),
            "{dies:?}"
        );
    }
}
