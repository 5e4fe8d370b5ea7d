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

    /// Sends a report that the coordinator does not ask for again and can do without. It is
    /// dropped while others wait.
    pub fn send_if_idle(&self, report: FromNode) {
        if self.0.capacity() > QUEUE / 2 {
            self.send(report);
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

#[cfg(test)]
mod tests {
    use countersign_protocol::control::{Pace, Stage};

    use super::*;
    use crate::test_node::node;

    const TASK: TaskId = TaskId([1; 16]);

    fn report() -> FromNode {
        FromNode::Capacity { tasks: 1 }
    }

    #[test]
    fn reports_leave_in_the_order_in_which_they_were_made() {
        let (reporter, mut reports) = Reporter::new();
        for tasks in [1, 2] {
            reporter.clone().send(FromNode::Capacity { tasks });
        }
        for tasks in [1, 2] {
            assert_eq!(reports.try_recv(), Ok(FromNode::Capacity { tasks }));
        }
    }

    /// A task must not wait for a coordinator that is away.
    #[test]
    fn a_report_too_many_is_dropped_and_the_earlier_ones_stay() {
        let (reporter, mut reports) = Reporter::new();
        for _ in 0..QUEUE {
            reporter.send(report());
        }
        reporter.send(FromNode::Capacity { tasks: 2 });
        let waiting: Vec<_> = std::iter::from_fn(|| reports.try_recv().ok()).collect();
        assert_eq!(waiting, vec![report(); QUEUE]);
        reporter.send(report());
        assert_eq!(reports.try_recv(), Ok(report()), "there is room again");
    }

    #[test]
    fn what_can_be_done_without_never_takes_the_place_of_a_report() {
        let (reporter, mut reports) = Reporter::new();
        for _ in 0..2 * QUEUE {
            reporter.send_if_idle(FromNode::Capacity { tasks: 2 });
        }
        for _ in 0..QUEUE / 2 {
            reporter.send(report());
        }
        let waiting: Vec<_> = std::iter::from_fn(|| reports.try_recv().ok()).collect();
        assert_eq!(waiting.len(), QUEUE);
        assert_eq!(waiting[QUEUE / 2..], vec![report(); QUEUE / 2]);
    }

    #[test]
    fn a_report_without_a_link_harms_nobody() {
        let (reporter, reports) = Reporter::new();
        drop(reports);
        reporter.send(report());
    }

    #[test]
    fn progress_has_a_pace_only_in_a_long_stage() {
        let (reporter, mut reports) = Reporter::new();
        let progress = reporter.progress(TASK);
        let task = TASK;
        let stage = Stage::AuxInfo;
        let waiting_for = vec![node(2)];
        let pace = Pace {
            elapsed_ms: 1,
            limit_ms: 2,
            percent: None,
        };
        progress(stage, waiting_for.clone(), None);
        progress(stage, waiting_for.clone(), Some(pace));
        let short = FromNode::Progress {
            task,
            stage,
            waiting_for: waiting_for.clone(),
        };
        let long = FromNode::Working {
            task,
            stage,
            waiting_for,
            pace,
        };
        assert_eq!(reports.try_recv(), Ok(short));
        assert_eq!(reports.try_recv(), Ok(long));
    }
}
