//! Tasks that live as long as the node. A node that lost one would look alive without doing its
//! work: it ends as a whole instead, with an error, and a supervisor restarts it.

use std::collections::HashMap;
use std::future::Future;

use tokio::task::{Id, JoinError, JoinSet};

/// The parts of a running node. Dropping them ends them.
#[derive(Default)]
pub struct Parts {
    running: JoinSet<()>,
    kinds: HashMap<Id, Kind>,
}

/// A part that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Died {
    pub part: &'static str,
    /// The panic message, or `without error`.
    pub how: String,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Ends only when the node is told to stop.
    Part(&'static str),
    /// May finish at any time, but must not panic.
    Errand(&'static str),
}

impl Parts {
    pub fn run(&mut self, part: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.start(Kind::Part(part), work);
    }

    /// Starts a task that finishes on its own.
    pub fn send(&mut self, errand: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.start(Kind::Errand(errand), work);
    }

    fn start(&mut self, kind: Kind, work: impl Future<Output = ()> + Send + 'static) {
        let id = self.running.spawn(work).id();
        self.kinds.insert(id, kind);
    }

    /// Resolves when a part has ended without being told to.
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

    /// Waits until all parts have ended; call it once they were told to stop.
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

    #[tokio::test]
    async fn errands_that_end_well_are_never_told() {
        let mut parts = Parts::default();
        parts.send("one", async {});
        parts.send("two", async {});
        let turns = async {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            died = parts.died() => panic!("{died:?}"),
            () = turns => {}
        }
    }

    #[tokio::test]
    async fn parts_that_were_told_to_stop_are_waited_for_though_one_panics() {
        let mut parts = Parts::default();
        let (ended, mut told) = tokio::sync::mpsc::channel(1);
        parts.run("panics", async { panic!("for the test") });
        parts.run("ends", async move {
            tokio::task::yield_now().await;
            ended.send(()).await.unwrap();
        });
        parts.ended().await;
        assert_eq!(told.try_recv(), Ok(()));
    }

    #[tokio::test]
    async fn parts_end_with_the_node_that_they_belong_to() {
        let mut parts = Parts::default();
        let (alive, gone) = tokio::sync::oneshot::channel::<()>();
        parts.run("lives", async move {
            let _alive = alive;
            std::future::pending().await
        });
        tokio::task::yield_now().await;
        drop(parts);
        assert!(gone.await.is_err());
    }
}
