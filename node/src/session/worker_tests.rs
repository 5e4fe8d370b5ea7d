//! Turns, queues and threads, with engines that follow a script.

use std::collections::VecDeque;
use std::time::Duration;

use countersign_engine::Recipient;
use futures_util::FutureExt;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::*;

/// An engine that answers each step from a list, and tells when it is dropped.
struct Script {
    steps: VecDeque<Step<u8>>,
    heard: Vec<Vec<u8>>,
    _dropped: Option<oneshot::Sender<()>>,
}

impl Script {
    fn of(steps: impl IntoIterator<Item = Step<u8>>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            heard: Vec::new(),
            _dropped: None,
        }
    }
}

impl Engine for Script {
    type Output = u8;

    fn step(&mut self) -> Result<Step<u8>, EngineError> {
        self.steps
            .pop_front()
            .ok_or_else(|| EngineError::Bug("the script has ended".into()))
    }

    fn receive(&mut self, _: PartyIndex, _: MessageKind, body: &[u8]) -> Result<(), EngineError> {
        if body == b"bad" {
            return Err(EngineError::Bug("a bad message".into()));
        }
        self.heard.push(body.to_vec());
        Ok(())
    }
}

fn says(body: &[u8]) -> Step<u8> {
    Step::Send(Outgoing {
        to: Recipient::All,
        body: Zeroizing::new(body.to_vec()),
    })
}

fn message(body: &[u8]) -> Incoming {
    Incoming {
        from: PartyIndex(1),
        kind: MessageKind::Broadcast,
        body: body.to_vec(),
    }
}

fn start(pool: &CpuPool, script: Script) -> Worker<u8> {
    Worker::start(pool.clone(), move || Ok(Box::new(script))).unwrap()
}

/// Waits for a thread to act; only a thread that never does is slow.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what)
        .await
        .expect("it happens")
}

async fn result(worker: &mut Worker<u8>) -> Result<u8, WorkError> {
    loop {
        match soon(worker.next()).await.expect("the thread lives") {
            FromEngine::Send(_) => {}
            FromEngine::Done(result) => return result,
        }
    }
}

#[test]
fn a_pool_has_no_more_turns_than_it_was_made_with_and_takes_them_back() {
    let pool = CpuPool::of(2);
    let enter = || pool.enter().now_or_never();
    let [first, second] = [enter(), enter()];
    assert!(first.is_some() && second.is_some());
    assert!(enter().is_none());
    drop(first);
    assert_eq!(pool.free(), Some(1));
    assert!(enter().is_some());
}

#[test]
fn turns_are_given_in_the_order_in_which_they_were_asked_for() {
    let pool = CpuPool::of(1);
    let held = pool.enter().now_or_never().unwrap();
    let mut first = Box::pin(pool.enter());
    let mut second = Box::pin(pool.enter());
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());
    drop(held);
    assert!(second.as_mut().now_or_never().is_none());
    assert!(first.as_mut().now_or_never().is_some());
}

/// Auxiliary information must not take the processors that signatures need.
#[test]
fn auxiliary_information_is_made_one_at_a_time_and_small_engines_never_wait() {
    let pools = CpuPools::new();
    assert_eq!(pools.aux.free(), Some(1));
    assert!(pools.ecdsa.free() >= Some(1));
    assert_eq!(pools.free.free(), None);
    let entered: Vec<_> = (0..1000)
        .map(|_| pools.free.enter().now_or_never())
        .collect();
    assert!(entered.iter().all(Option::is_some));
}

#[test]
fn an_engine_is_stepped_until_it_waits_and_its_messages_go_out_in_order() {
    let mut script = Script::of([says(b"1"), says(b"2"), Step::NeedMessage, Step::Done(7)]);
    let mut sent = Vec::new();
    let mut send = |message: Outgoing| {
        sent.push(message.body.to_vec());
        Ok(())
    };
    assert_eq!(compute(&mut script, &mut send).unwrap(), None);
    assert_eq!(compute(&mut script, &mut send).unwrap(), Some(7));
    assert_eq!(sent, [b"1", b"2"]);
}

#[test]
fn an_engine_that_nobody_listens_to_computes_no_further() {
    let mut script = Script::of([says(b"1"), says(b"2")]);
    let stopped = compute(&mut script, &mut |_| Err(WorkError::Stopped));
    assert!(matches!(stopped, Err(WorkError::Stopped)));
    assert_eq!(script.steps.len(), 1);
}

#[test]
fn a_result_that_was_known_is_given_once() {
    let mut engine = Immediate::new(7);
    assert!(matches!(engine.step(), Ok(Step::Done(7))));
    assert!(matches!(engine.step(), Err(EngineError::Bug(_))));
}

#[test]
fn a_party_that_is_alone_has_no_peer_to_hear() {
    let refused = receive(&mut Immediate::new(7), message(b"m"));
    assert!(
        matches!(refused, Err(WorkError::Engine(error)) if error.cause() == countersign_engine::Cause::Caller)
    );
}

#[tokio::test]
async fn the_result_comes_after_all_messages_and_ends_the_output() {
    let pool = CpuPool::default();
    let mut worker = start(&pool, Script::of([says(b"1"), Step::Done(7)]));
    assert!(matches!(
        soon(worker.next()).await,
        Some(FromEngine::Send(_))
    ));
    assert!(matches!(
        soon(worker.next()).await,
        Some(FromEngine::Done(Ok(7)))
    ));
    assert!(soon(worker.next()).await.is_none());
}

/// Two nodes would otherwise wait for each other's turns.
#[tokio::test]
async fn an_engine_that_waits_for_a_message_holds_no_turn() {
    let pool = CpuPool::of(1);
    let script = Script::of([says(b"1"), Step::NeedMessage, Step::Done(7)]);
    let mut worker = start(&pool, script);
    assert!(matches!(
        soon(worker.next()).await,
        Some(FromEngine::Send(_))
    ));
    drop(soon(pool.enter()).await);
    assert!(worker.deliver(message(b"m")));
    assert_eq!(result(&mut worker).await.unwrap(), 7);
}

#[tokio::test]
async fn an_engine_that_cannot_be_built_says_why() {
    let unopened = || Err(WorkError::Secrets("the share is damaged".into()));
    let mut worker: Worker<u8> = Worker::start(CpuPool::of(1), unopened).unwrap();
    let Err(WorkError::Secrets(text)) = result(&mut worker).await else {
        panic!("no engine")
    };
    assert_eq!(text, "the share is damaged");
}

#[tokio::test]
async fn a_message_that_the_engine_refuses_ends_it_and_gives_its_turn_back() {
    let pool = CpuPool::of(1);
    let mut worker = start(&pool, Script::of([Step::NeedMessage, Step::Done(7)]));
    assert!(worker.deliver(message(b"bad")));
    assert!(matches!(
        result(&mut worker).await,
        Err(WorkError::Engine(_))
    ));
    assert_eq!(pool.free(), Some(1));
}

/// The engine holds an opened share.
#[tokio::test]
async fn an_engine_dies_with_its_session() {
    let (dropped, gone) = oneshot::channel();
    let script = Script {
        _dropped: Some(dropped),
        ..Script::of([Step::NeedMessage])
    };
    let worker = start(&CpuPool::of(1), script);
    drop(worker);
    assert!(soon(gone).await.is_err(), "it was dropped");
}

#[test]
fn a_task_is_told_to_stop_when_its_session_ends() {
    let (worker, post) = Worker::<u8>::pair();
    assert!(!post.stop.is_cancelled());
    drop(worker);
    assert!(post.stop.is_cancelled());
}

#[test]
fn an_engine_that_is_far_behind_is_given_no_more_than_its_inbox_holds() {
    let (worker, mut post) = Worker::<u8>::pair();
    assert!((0..INBOX).all(|_| worker.deliver(message(b"m"))));
    assert!(!worker.deliver(message(b"m")));
    assert!(post.inbox.try_recv().is_ok());
    assert!(worker.deliver(message(b"m")), "it has caught up by one");
}

/// Its result, or its failure, is still in the outbox and is what counts.
#[test]
fn a_message_for_an_engine_that_has_ended_is_not_a_flood() {
    let (worker, post) = Worker::<u8>::pair();
    drop(post);
    assert!((0..2 * INBOX).all(|_| worker.deliver(message(b"m"))));
}

#[test]
fn the_progress_of_a_worker_is_seen_while_it_works() {
    let (worker, post) = Worker::<u8>::pair();
    assert_eq!((worker.computes(), worker.steps()), (false, 0));
    post.pulse.set_computing(true);
    (0..3).for_each(|_| post.pulse.step());
    assert_eq!((worker.computes(), worker.steps()), (true, 3));
    post.pulse.set_computing(false);
    assert!(!worker.computes());
}
