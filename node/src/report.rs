//! The way from tasks to the coordinator. Reports that cannot be sent now are requested again when
//! the link is back.

use countersign_protocol::TaskId;
use countersign_protocol::control::FromNode;
use tokio::sync::mpsc;

use crate::session::driver::Progress;

/// Maximum number of reports that wait for the link.
const QUEUE: usize = 1024;

#[derive(Clone)]
pub struct Reporter(mpsc::Sender<FromNode>);

impl Reporter {
    /// Returns a reporter and the receiver of its reports.
    pub fn new() -> (Self, mpsc::Receiver<FromNode>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }

    /// Sends a report, or drops it when the link has been down for long: the coordinator offers
    /// unfinished tasks again and gets the recorded answer.
    pub fn send(&self, report: FromNode) {
        if self.0.try_send(report).is_err() {
            tracing::debug!("a report was dropped; the coordinator will ask again");
        }
    }

    /// Returns a callback that reports the progress of one task.
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
