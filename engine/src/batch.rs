//! Runs many instances of one protocol as one: each message carries the messages of all of them.
//!
//! A task with many signatures costs the rounds of one. The runs stay separate: each has a name,
//! nonces and an end of its own, and the batch is finished when all are. It relies on one property:
//! runs of one protocol with the same parties send the same kinds of messages in the same order.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use crate::engine::{Engine, MAX_BODY, MessageKind, Outgoing, PartyIndex, Recipient, Step};
use crate::error::{EngineError, PeerFault};
use crate::sealed::{decode_only_form, encode};

/// Upper bound of the bytes that CBOR puts before an item.
const ITEM: usize = 9;

/// Combines these runs; all parties must pass as many, in the same order. Yields the
/// results in that order.
pub fn batch<T: 'static>(
    runs: Vec<Box<dyn Engine<Output = T>>>,
) -> Box<dyn Engine<Output = Vec<T>>> {
    Box::new(Batch {
        runs: runs.into_iter().map(Run::new).collect(),
        failed: None,
    })
}

/// The maximum size of a batch message, given the maxima of its runs.
pub(crate) fn longest(runs: impl Iterator<Item = usize>) -> usize {
    MAX_BODY.min(runs.map(|limit| limit + ITEM).sum::<usize>() + ITEM)
}

struct Batch<T> {
    runs: Vec<Run<T>>,
    failed: Option<EngineError>,
}

struct Run<T> {
    engine: Box<dyn Engine<Output = T>>,
    /// A message that waits for those of the other runs.
    unsent: Option<Outgoing>,
    result: Option<T>,
}

/// One message of each run.
#[derive(Serialize, Deserialize)]
struct Bundle(Vec<ByteBuf>);

impl<T> Engine for Batch<T> {
    type Output = Vec<T>;

    fn step(&mut self) -> Result<Step<Vec<T>>, EngineError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let step = self.step_all();
        self.keep_failure(step)
    }

    fn receive(
        &mut self,
        from: PartyIndex,
        kind: MessageKind,
        body: &[u8],
    ) -> Result<(), EngineError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let received = self.deliver(from, kind, body);
        self.keep_failure(received)
    }

    fn body_limit(&self) -> usize {
        longest(self.runs.iter().map(|run| run.engine.body_limit()))
    }
}

impl<T> Batch<T> {
    fn step_all(&mut self) -> Result<Step<Vec<T>>, EngineError> {
        self.runs.iter_mut().try_for_each(Run::advance)?;
        if self.runs.iter().all(|run| run.unsent.is_some()) {
            return self.bundle().map(Step::Send);
        }
        if self.runs.iter().any(|run| run.unsent.is_some()) {
            return Err(EngineError::bug("the runs of a batch are out of step"));
        }
        if self.runs.iter().all(|run| run.result.is_some()) {
            return Ok(Step::Done(
                self.runs
                    .iter_mut()
                    .filter_map(|run| run.result.take())
                    .collect(),
            ));
        }
        Ok(Step::NeedMessage)
    }

    fn bundle(&mut self) -> Result<Outgoing, EngineError> {
        let messages: Vec<Outgoing> = self
            .runs
            .iter_mut()
            .filter_map(|run| run.unsent.take())
            .collect();
        let to = messages
            .first()
            .map_or(Recipient::All, |message| message.to);
        if messages.iter().any(|message| message.to != to) {
            return Err(EngineError::bug("the runs of a batch are out of step"));
        }
        let size = messages
            .iter()
            .map(|message| message.body.len() + ITEM)
            .sum::<usize>()
            + ITEM;
        if size > MAX_BODY {
            return Err(EngineError::bug("a batch is too large for one message"));
        }
        // Direct messages can carry secrets: the buffer never grows, and the copies are wiped.
        let bundle = Bundle(
            messages
                .iter()
                .map(|m| ByteBuf::from(m.body.to_vec()))
                .collect(),
        );
        let body = encode(&bundle, size).map_err(EngineError::bug);
        bundle
            .0
            .into_iter()
            .for_each(|body| drop(Zeroizing::new(body.into_vec())));
        Ok(Outgoing { to, body: body? })
    }

    fn deliver(
        &mut self,
        from: PartyIndex,
        kind: MessageKind,
        body: &[u8],
    ) -> Result<(), EngineError> {
        let malformed = || EngineError::peer(PeerFault::Malformed, from);
        if body.len() > self.body_limit() {
            return Err(EngineError::peer(PeerFault::TooLong, from));
        }
        let Bundle(bodies) = decode_only_form(body).ok_or_else(malformed)?;
        if bodies.len() != self.runs.len() {
            return Err(malformed());
        }
        let bodies = bodies
            .into_iter()
            .map(|body| Zeroizing::new(body.into_vec()));
        self.runs
            .iter_mut()
            .zip(bodies)
            .try_for_each(|(run, body)| run.engine.receive(from, kind, &body))
    }

    fn keep_failure<R>(&mut self, result: Result<R, EngineError>) -> Result<R, EngineError> {
        if let Err(error) = &result {
            // Secrets go with the runs.
            self.runs.clear();
            self.failed = Some(error.clone());
        }
        result
    }
}

impl<T> Run<T> {
    fn new(engine: Box<dyn Engine<Output = T>>) -> Self {
        Self {
            engine,
            unsent: None,
            result: None,
        }
    }

    /// Advances to the next message, the end, or a wait.
    fn advance(&mut self) -> Result<(), EngineError> {
        if self.unsent.is_some() || self.result.is_some() {
            return Ok(());
        }
        match self.engine.step()? {
            Step::Send(message) => self.unsent = Some(message),
            Step::Done(result) => self.result = Some(result),
            Step::NeedMessage => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Sends its script, then ends once it has received `wanted` messages.
    struct Scripted {
        script: VecDeque<(Recipient, u8)>,
        wanted: usize,
        heard: Vec<u8>,
    }

    impl Engine for Scripted {
        type Output = Vec<u8>;

        fn step(&mut self) -> Result<Step<Vec<u8>>, EngineError> {
            match self.script.pop_front() {
                Some((to, byte)) => Ok(Step::Send(Outgoing {
                    to,
                    body: Zeroizing::new(vec![byte]),
                })),
                None if self.heard.len() < self.wanted => Ok(Step::NeedMessage),
                None => Ok(Step::Done(std::mem::take(&mut self.heard))),
            }
        }

        fn receive(
            &mut self,
            from: PartyIndex,
            _: MessageKind,
            body: &[u8],
        ) -> Result<(), EngineError> {
            if body == [0xFF] {
                return Err(EngineError::peer(PeerFault::Malformed, from));
            }
            self.heard.extend(body);
            Ok(())
        }
    }

    fn run(script: &[(Recipient, u8)], wanted: usize) -> Box<dyn Engine<Output = Vec<u8>>> {
        Box::new(Scripted {
            script: script.iter().copied().collect(),
            wanted,
            heard: Vec::new(),
        })
    }

    fn send(engine: &mut dyn Engine<Output = Vec<Vec<u8>>>) -> Outgoing {
        match engine.step().unwrap() {
            Step::Send(message) => message,
            other => panic!("{other:?}"),
        }
    }

    const ONE: Recipient = Recipient::One(PartyIndex(1));

    #[test]
    fn each_message_carries_those_of_all_runs_and_each_run_has_its_end() {
        let mut sender = batch(vec![
            run(&[(Recipient::All, 1), (ONE, 2)], 0),
            run(&[(Recipient::All, 3), (ONE, 4)], 0),
        ]);
        let mut receiver = batch(vec![run(&[], 2), run(&[], 2)]);
        let first = send(&mut *sender);
        let second = send(&mut *sender);
        assert_eq!((first.to, second.to), (Recipient::All, ONE));
        assert!(matches!(sender.step(), Ok(Step::Done(results)) if results.len() == 2));
        assert!(matches!(receiver.step(), Ok(Step::NeedMessage)));
        receiver
            .receive(PartyIndex(0), MessageKind::Broadcast, &first.body)
            .unwrap();
        receiver
            .receive(PartyIndex(0), MessageKind::Direct, &second.body)
            .unwrap();
        assert!(
            matches!(receiver.step(), Ok(Step::Done(results)) if results == [vec![1, 2], vec![3, 4]])
        );
    }

    #[test]
    fn a_bundle_of_another_shape_and_a_failing_run_end_the_batch() {
        let three = send(&mut *batch(vec![
            run(&[(ONE, 1)], 0),
            run(&[(ONE, 2)], 0),
            run(&[(ONE, 3)], 0),
        ]))
        .body;
        let bad = send(&mut *batch(vec![
            run(&[(ONE, 1)], 0),
            run(&[(ONE, 0xFF)], 0),
        ]))
        .body;
        let mut other_form = send(&mut *batch(vec![run(&[(ONE, 1)], 0), run(&[(ONE, 2)], 0)])).body;
        // Its first message as text instead of bytes.
        other_form[1] ^= 0x20;
        for body in [&three[..], &bad[..], &other_form[..], &three[1..], &[]] {
            let mut receiver = batch(vec![run(&[], 1), run(&[], 1)]);
            let error = receiver
                .receive(PartyIndex(0), MessageKind::Direct, body)
                .unwrap_err();
            assert_eq!(error.culprits(), [PartyIndex(0)]);
            assert_eq!(receiver.step().unwrap_err(), error, "it stays ended");
        }
    }

    #[test]
    fn runs_that_are_out_of_step_are_a_defect() {
        for second in [run(&[], 0), run(&[(ONE, 1)], 0)] {
            let mut uneven = batch(vec![run(&[(Recipient::All, 1)], 0), second]);
            assert!(matches!(uneven.step(), Err(EngineError::Bug(_))));
        }
    }
}
