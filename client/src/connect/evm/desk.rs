//! The orders that are under way, and who waits for them.
//!
//! An order runs whether or not somebody waits: its caller may give up long before the nodes'
//! operators have approved. Many tools then send the same request again. That must not pay twice:
//! a request that equals one whose result nobody has received yet takes that one up. Once a result
//! was handed over, an equal request is a new order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_protocol::{Hash, TaskId};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::error::{INTERNAL, LIMIT, RpcError, pending};

/// The most orders at once.
const MAX_RUNNING: usize = 64;
/// The most results that are kept for callers who gave up; the oldest make room.
const MAX_KEPT: usize = 1024;

/// How far an order is.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// Behind another one of its account, or being filled in.
    Waiting,
    /// Ordered: the nodes decide or sign.
    Ordered(TaskId),
    /// Signed, and not yet taken by the upstream RPC.
    Signed {
        task: Option<TaskId>,
        /// The transaction's hash, in hexadecimal behind 0x.
        hash: String,
    },
    /// Over.
    Done(Result<Value, RpcError>),
}

/// Where an order reports how far it is.
pub type Report = watch::Sender<Stage>;

/// All orders whose results have not been received.
#[derive(Debug, Clone, Default)]
pub struct Desk(Arc<Mutex<Orders>>);

#[derive(Debug, Default)]
struct Orders {
    next: u64,
    all: BTreeMap<u64, Order>,
}

#[derive(Debug)]
struct Order {
    /// Of the method and its parameters.
    request: Hash,
    attended: bool,
    stage: watch::Receiver<Stage>,
}

impl Order {
    fn is_done(&self) -> bool {
        matches!(*self.stage.borrow(), Stage::Done(_))
    }
}

impl Desk {
    /// Takes an equal order up that nobody waits for, or starts one. `start` must spawn its work.
    pub fn attend(
        &self,
        request: &str,
        start: impl FnOnce(Report),
    ) -> Result<Attendance, RpcError> {
        let request = Hash::of("countersign/1 connected request", request.as_bytes());
        let (number, stage, report) = {
            let mut orders = self.orders();
            match orders.take_up(request) {
                Some((number, stage)) => (number, stage, None),
                None => {
                    let (report, stage) = watch::channel(Stage::Waiting);
                    let number = orders.add(request, stage.clone())?;
                    (number, stage, Some(report))
                }
            }
        };
        if let Some(report) = report {
            start(report);
        }
        Ok(Attendance {
            desk: self.clone(),
            number,
            stage,
        })
    }

    /// The orders that are not over, for the person who ends the program.
    pub fn under_way(&self) -> Vec<Stage> {
        let orders = self.orders();
        let stages = orders.all.values().filter(|order| !order.is_done());
        stages.map(|order| order.stage.borrow().clone()).collect()
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Orders {
    fn take_up(&mut self, request: Hash) -> Option<(u64, watch::Receiver<Stage>)> {
        let mut equal = self.all.iter_mut();
        let (number, order) =
            equal.find(|(_, order)| !order.attended && order.request == request)?;
        order.attended = true;
        Some((*number, order.stage.clone()))
    }

    fn add(&mut self, request: Hash, stage: watch::Receiver<Stage>) -> Result<u64, RpcError> {
        let running = self.all.values().filter(|order| !order.is_done()).count();
        if running >= MAX_RUNNING {
            let message = format!("{running} requests are pending; wait until some have ended");
            return Err(RpcError::new(LIMIT, message));
        }
        if self.all.len() >= MAX_KEPT {
            let kept = self.all.iter();
            let oldest = kept
                .filter(|(_, order)| order.is_done() && !order.attended)
                .map(|(number, _)| *number)
                .next();
            oldest.map(|number| self.all.remove(&number));
        }
        self.next += 1;
        let order = Order {
            request,
            attended: true,
            stage,
        };
        self.all.insert(self.next, order);
        Ok(self.next)
    }
}

/// Somebody's wait for an order. Dropped without a result, the order is nobody's again.
#[derive(Debug)]
pub struct Attendance {
    desk: Desk,
    number: u64,
    stage: watch::Receiver<Stage>,
}

impl Attendance {
    /// The result, or that it is pending once the time is over.
    pub async fn until(mut self, deadline: Instant) -> Result<Value, RpcError> {
        loop {
            let stage = self.stage.borrow_and_update().clone();
            if let Stage::Done(result) = stage {
                self.desk.orders().all.remove(&self.number);
                return result;
            }
            tokio::select! {
                biased;
                changed = self.stage.changed() => if changed.is_err() {
                    self.desk.orders().all.remove(&self.number);
                    return Err(died());
                },
                () = tokio::time::sleep_until(deadline) => return Err(told(&stage)),
            }
        }
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        if let Some(order) = self.desk.orders().all.get_mut(&self.number) {
            order.attended = false;
        }
    }
}

fn told(stage: &Stage) -> RpcError {
    match stage {
        Stage::Waiting | Stage::Done(_) => pending(None, None),
        Stage::Ordered(task) => pending(Some(*task), None),
        Stage::Signed { task, hash } => pending(*task, Some(hash)),
    }
}

fn died() -> RpcError {
    let message = "the endpoint has a defect and lost this request; see `countersign task list` for what was ordered, and \
                   report it";
    RpcError::new(INTERNAL, message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::super::error::PENDING;
    use super::*;

    /// Attends; the report if a new order was started.
    fn attend(desk: &Desk, request: &str) -> (Attendance, Option<Report>) {
        let mut started = None;
        let attendance = desk
            .attend(request, |report| started = Some(report))
            .unwrap();
        (attendance, started)
    }

    fn done(report: &Report, value: i32) {
        report.send_replace(Stage::Done(Ok(json!(value))));
    }

    fn now() -> Instant {
        Instant::now()
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(600)
    }

    #[tokio::test]
    async fn a_request_that_was_told_as_pending_is_taken_up_by_its_repetition() {
        let desk = Desk::default();
        let (first, report) = attend(&desk, "pay");
        let report = report.unwrap();
        report.send_replace(Stage::Ordered(TaskId([7; 16])));
        let told = first.until(now()).await.unwrap_err();
        assert_eq!(
            (told.code, &told.data.unwrap()["task"]),
            (PENDING, &json!(TaskId([7; 16])))
        );
        let (again, started) = attend(&desk, "pay");
        assert!(started.is_none(), "it was ordered a second time");
        done(&report, 1);
        assert_eq!(again.until(later()).await, Ok(json!(1)));
        // The result was handed over, so the next one is another payment.
        assert!(attend(&desk, "pay").1.is_some());
    }

    #[tokio::test]
    async fn a_caller_that_left_finds_the_result_of_its_order() {
        let desk = Desk::default();
        let (first, report) = attend(&desk, "pay");
        drop(first);
        done(&report.unwrap(), 1);
        let (again, started) = attend(&desk, "pay");
        assert!(started.is_none());
        assert_eq!(again.until(later()).await, Ok(json!(1)));
    }

    #[tokio::test]
    async fn two_callers_that_wait_have_two_orders() {
        let desk = Desk::default();
        let (first, one) = attend(&desk, "pay");
        let (second, two) = attend(&desk, "pay");
        done(&one.unwrap(), 1);
        done(&two.expect("its own order"), 2);
        assert_eq!(second.until(later()).await, Ok(json!(2)));
        assert_eq!(first.until(later()).await, Ok(json!(1)));
        let (_third, other) = attend(&desk, "pay more");
        assert!(other.is_some());
    }

    #[tokio::test]
    async fn an_order_that_died_is_told() {
        let desk = Desk::default();
        let (first, report) = attend(&desk, "pay");
        drop(report);
        assert_eq!(first.until(later()).await.unwrap_err().code, INTERNAL);
        assert!(attend(&desk, "pay").1.is_some());
    }

    #[tokio::test]
    async fn orders_are_bounded_and_kept_results_make_room() {
        let desk = Desk::default();
        let mut running = Vec::new();
        for number in 0..MAX_RUNNING {
            running.push(attend(&desk, &number.to_string()));
        }
        let refused = desk.attend("one more", |_| panic!("started"));
        assert_eq!(refused.unwrap_err().code, LIMIT);
        assert_eq!(desk.under_way().len(), MAX_RUNNING);
        for (attendance, report) in running {
            drop(attendance);
            done(&report.unwrap(), 1);
        }
        for number in MAX_RUNNING..MAX_KEPT + 10 {
            let (attendance, report) = attend(&desk, &number.to_string());
            drop(attendance);
            done(&report.unwrap(), 1);
        }
        assert_eq!(desk.orders().all.len(), MAX_KEPT);
        assert!(attend(&desk, "0").1.is_some(), "the oldest is gone");
        assert!(attend(&desk, &MAX_KEPT.to_string()).1.is_none());
    }
}
