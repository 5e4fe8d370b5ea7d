//! The way from tasks to the coordinator. What cannot be sent now is asked for again when the link
//! is back.

use countersign_protocol::TaskId;
use countersign_protocol::control::FromNode;
use tokio::sync::mpsc;

use crate::session::driver::Progress;

/// Reports that may wait for the link.
const QUEUE: usize = 1024;

/// Sends reports.
#[derive(Clone)]
pub struct Reporter(mpsc::Sender<FromNode>);

impl Reporter {
    /// A reporter, and the end where reports come out.
    pub fn new() -> (Self, mpsc::Receiver<FromNode>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }

    /// Reports, or drops the report when the link is down for long: the coordinator offers
    /// unfinished tasks again and gets the recorded answer.
    pub fn send(&self, report: FromNode) {
        if self.0.try_send(report).is_err() {
            tracing::debug!("a report was dropped; the coordinator will ask again");
        }
    }

    /// Reports the progress of one task.
    pub fn progress(&self, task: TaskId) -> Progress {
        let reporter = self.clone();
        Box::new(move |stage, waiting_for, pace| {
            reporter.send(match pace {
                None => FromNode::Progress {
                    task,
                    stage,
                    waiting_for,
                },
                Some(pace) => FromNode::Working {
                    task,
                    stage,
                    waiting_for,
                    pace,
                },
            });
        })
    }
}
