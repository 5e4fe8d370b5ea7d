//! Turns any round-based protocol into an [`Engine`]: key generation, auxiliary information and
//! signing alike.
//!
//! It bounds and decodes messages, checks each sender's right to speak in a round, and keeps early
//! messages. A protocol may have a [`Gate`], which sees every message before the protocol does. The
//! adapter knows no scheme.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use round_based::state_machine::{MpcParty, ProceedResult, StateMachine, wrap_protocol};
use round_based::{Incoming, MessageDestination, MessageType, ProtocolMessage};
use serde::{Serialize, de::DeserializeOwned};

use crate::engine::{Engine, MessageKind, Outgoing, PartyIndex, Recipient, Step};
use crate::error::{CallerFault, EngineError, PeerFault};
use crate::sealed::{decode_only_form, encode};

/// Maximum size of a message that alone reveals a secret; its buffer is reserved at once, so that
/// growing does not leave copies behind.
const SECRET_BODY: usize = 1024;

/// A protocol message, with the limits of its round.
pub(crate) trait RoundMessage:
    ProtocolMessage + Serialize + DeserializeOwned + 'static
{
    /// The variants by name, each with the maximum size of an honest message in the
    /// largest committee, in bytes.
    const LIMITS: &'static [(&'static str, usize)];

    fn kind(&self) -> MessageKind;

    /// True if the integers in an encoded message are as long as honest ones. Curve points and
    /// scalars have one length, so protocols without longer integers have nothing to check.
    fn integers_fit(_body: &[u8]) -> bool {
        true
    }
}

/// Our own checks in front of a protocol. A gate sees each message once, after its form, kind and
/// sender were checked, and on the thread that steps the engine: it may compute.
pub(crate) trait Gate<M> {
    /// Takes a message and returns those that may proceed to the protocol now, in order: this one,
    /// or none while it must wait for another, or those that waited for it. An error names the
    /// sender of a message that must not pass.
    fn pass(&mut self, message: Incoming<M>) -> Result<Vec<Incoming<M>>, EngineError>;
}

/// The gate of protocols whose own checks suffice.
struct Open;

impl<M> Gate<M> for Open {
    fn pass(&mut self, message: Incoming<M>) -> Result<Vec<Incoming<M>>, EngineError> {
        Ok(vec![message])
    }
}

/// A party's run of a round-based protocol.
pub(crate) struct Adapter<M, O> {
    me: PartyIndex,
    parties: u16,
    state: State<M, O>,
}

/// Starts `protocol` as party `me` of `parties`, where everybody may speak in every round. The
/// future owns all that it needs, secrets included.
pub(crate) fn start<M, O, F>(
    me: PartyIndex,
    parties: u16,
    protocol: impl FnOnce(MpcParty<M>) -> F,
) -> Box<dyn Engine<Output = O>>
where
    M: RoundMessage,
    O: 'static,
    F: Future<Output = Result<O, EngineError>> + 'static,
{
    start_run(me, parties, Box::new(|_, _| true), Box::new(Open), protocol)
}

/// Like [`start`], but each message must pass `gate` before the protocol sees it.
pub(crate) fn start_behind<M, O, F>(
    me: PartyIndex,
    parties: u16,
    gate: impl Gate<M> + 'static,
    protocol: impl FnOnce(MpcParty<M>) -> F,
) -> Box<dyn Engine<Output = O>>
where
    M: RoundMessage,
    O: 'static,
    F: Future<Output = Result<O, EngineError>> + 'static,
{
    start_run(me, parties, Box::new(|_, _| true), Box::new(gate), protocol)
}

/// Like [`start`], but a message is refused if its sender may not speak in its round.
pub(crate) fn start_where<M, O, F>(
    me: PartyIndex,
    parties: u16,
    has_say: impl Fn(PartyIndex, &M) -> bool + 'static,
    protocol: impl FnOnce(MpcParty<M>) -> F,
) -> Box<dyn Engine<Output = O>>
where
    M: RoundMessage,
    O: 'static,
    F: Future<Output = Result<O, EngineError>> + 'static,
{
    start_run(me, parties, Box::new(has_say), Box::new(Open), protocol)
}

fn start_run<M, O, F>(
    me: PartyIndex,
    parties: u16,
    has_say: HasSay<M>,
    gate: Box<dyn Gate<M>>,
    protocol: impl FnOnce(MpcParty<M>) -> F,
) -> Box<dyn Engine<Output = O>>
where
    M: RoundMessage,
    O: 'static,
    F: Future<Output = Result<O, EngineError>> + 'static,
{
    let machine = Box::new(wrap_protocol(protocol));
    let inbox = VecDeque::new();
    let passed = VecDeque::new();
    let run = Run {
        machine,
        has_say,
        gate,
        waiting: false,
        inbox,
        passed,
        heard: BTreeSet::new(),
    };
    Box::new(Adapter {
        me,
        parties,
        state: State::Running(run),
    })
}

impl<M: RoundMessage, O> Engine for Adapter<M, O> {
    type Output = O;

    fn step(&mut self) -> Result<Step<O>, EngineError> {
        let step = match &mut self.state {
            State::Running(run) => run.step(),
            State::Finished => Err(EngineError::bug("an engine was stepped after its end")),
            State::Failed(error) => return Err(error.clone()),
        };
        if let Ok(Step::Done(_)) = step {
            self.state = State::Finished;
        }
        self.keep_failure(step)
    }

    fn receive(
        &mut self,
        from: PartyIndex,
        kind: MessageKind,
        body: &[u8],
    ) -> Result<(), EngineError> {
        if from == self.me || from.0 >= self.parties {
            return Err(CallerFault::NotInSession(from).into());
        }
        let received = match &mut self.state {
            State::Running(run) => run.receive(from, kind, body),
            State::Finished => Ok(()),
            State::Failed(error) => return Err(error.clone()),
        };
        self.keep_failure(received)
    }

    fn body_limit(&self) -> usize {
        M::LIMITS.iter().map(|(_, limit)| *limit).max().unwrap_or(0)
    }
}

impl<M, O> Adapter<M, O> {
    /// Records an error, which ends the run: the machine and its secrets are dropped.
    fn keep_failure<T>(&mut self, result: Result<T, EngineError>) -> Result<T, EngineError> {
        let result = result.map_err(|error| error.between(self.me, self.parties));
        if let Err(error) = &result {
            self.state = State::Failed(error.clone());
        }
        result
    }
}

enum State<M, O> {
    Running(Run<M, O>),
    Finished,
    Failed(EngineError),
}

/// Predicate that decides whether a party may send this message to this one.
type HasSay<M> = Box<dyn Fn(PartyIndex, &M) -> bool>;

type Machine<M, O> = Box<dyn StateMachine<Output = Result<O, EngineError>, Msg = M>>;

struct Run<M, O> {
    machine: Machine<M, O>,
    has_say: HasSay<M>,
    gate: Box<dyn Gate<M>>,
    waiting: bool,
    /// Messages that the gate has not seen.
    inbox: VecDeque<Incoming<M>>,
    /// Messages that the gate let through.
    passed: VecDeque<Incoming<M>>,
    /// The senders heard in each round. Rounds are few, so this bounds the inbox too.
    heard: BTreeSet<(PartyIndex, u16)>,
}

impl<M: RoundMessage, O> Run<M, O> {
    fn step(&mut self) -> Result<Step<O>, EngineError> {
        loop {
            if self.waiting && !self.deliver()? {
                return Ok(Step::NeedMessage);
            }
            match self.proceed()? {
                ProceedResult::SendMsg(message) => return outgoing(message).map(Step::Send),
                ProceedResult::NeedsOneMoreMessage => self.waiting = true,
                ProceedResult::Yielded => {}
                ProceedResult::Output(output) => return output.map(Step::Done),
                ProceedResult::Error(error) => return Err(EngineError::bug(error)),
            }
        }
    }

    /// Delivers one message, if there is one that may pass.
    fn deliver(&mut self) -> Result<bool, EngineError> {
        while self.passed.is_empty() {
            let Some(message) = self.inbox.pop_front() else {
                return Ok(false);
            };
            self.passed = self.admit(message)?.into();
        }
        let Some(message) = self.passed.pop_front() else {
            return Ok(false);
        };
        self.machine
            .received_msg(message)
            .map_err(|_| EngineError::bug("a message was refused"))?;
        self.waiting = false;
        Ok(true)
    }

    /// Gates compute on numbers that peers chose, just as the libraries do.
    fn admit(&mut self, message: Incoming<M>) -> Result<Vec<Incoming<M>>, EngineError> {
        catch_unwind(AssertUnwindSafe(|| self.gate.pass(message)))
            .unwrap_or_else(|_| Err(EngineError::bug("a gate panicked")))
    }

    /// The libraries compute on numbers that peers chose; a panic in them must end only this run.
    fn proceed(&mut self) -> Result<ProceedResult<Result<O, EngineError>, M>, EngineError> {
        catch_unwind(AssertUnwindSafe(|| self.machine.proceed()))
            .map_err(|_| EngineError::bug("a protocol panicked"))
    }

    fn receive(
        &mut self,
        from: PartyIndex,
        kind: MessageKind,
        body: &[u8],
    ) -> Result<(), EngineError> {
        let msg: M = decode(body).map_err(|fault| EngineError::peer(fault, from))?;
        if msg.kind() != kind {
            return Err(EngineError::peer(PeerFault::WrongKind, from));
        }
        if !(self.has_say)(from, &msg) {
            return Err(EngineError::peer(PeerFault::NoSay, from));
        }
        if !self.heard.insert((from, msg.round())) {
            return Err(EngineError::peer(PeerFault::Repeated, from));
        }
        let id = self.heard.len() as u64;
        self.inbox.push_back(Incoming {
            id,
            sender: from.0,
            msg_type: message_type(kind),
            msg,
        });
        Ok(())
    }
}

fn outgoing<M: Serialize>(message: round_based::Outgoing<M>) -> Result<Outgoing, EngineError> {
    let body = encode(&message.msg, SECRET_BODY).map_err(EngineError::bug)?;
    Ok(Outgoing {
        to: recipient(message.recipient),
        body,
    })
}

/// Refuses messages over their round's limit before decoding them, and any encoding but the
/// canonical one, so that the bytes that were hashed and the value that was decoded are the same.
fn decode<M: RoundMessage>(body: &[u8]) -> Result<M, PeerFault> {
    let variant = variant(body).ok_or(PeerFault::Malformed)?;
    let (_, limit) = M::LIMITS
        .iter()
        .find(|(name, _)| *name == variant)
        .ok_or(PeerFault::Malformed)?;
    if body.len() > *limit {
        return Err(PeerFault::TooLong);
    }
    if !M::integers_fit(body) {
        return Err(PeerFault::Integers);
    }
    decode_only_form(body).ok_or(PeerFault::Malformed)
}

/// The name of an encoded variant: CBOR has a map of one entry (0xA1) and a short text for it
/// (0x60 plus its length).
pub(crate) fn variant(body: &[u8]) -> Option<&str> {
    let [0xA1, length @ 0x60..=0x77, rest @ ..] = body else {
        return None;
    };
    std::str::from_utf8(rest.get(..usize::from(length - 0x60))?).ok()
}

fn recipient(destination: MessageDestination) -> Recipient {
    match destination {
        MessageDestination::AllParties => Recipient::All,
        MessageDestination::OneParty(party) => Recipient::One(PartyIndex(party)),
    }
}

fn message_type(kind: MessageKind) -> MessageType {
    match kind {
        MessageKind::Broadcast => MessageType::Broadcast,
        MessageKind::Direct => MessageType::P2P,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::Cause;

    #[derive(ProtocolMessage, Clone, Serialize, Deserialize)]
    enum Msg {
        Only(Empty),
    }

    #[derive(Clone, Serialize, Deserialize)]
    struct Empty;

    impl RoundMessage for Msg {
        const LIMITS: &'static [(&'static str, usize)] = &[("Only", 16)];

        fn kind(&self) -> MessageKind {
            MessageKind::Broadcast
        }
    }

    #[test]
    fn a_panic_ends_the_run_and_nothing_else() {
        let secret = std::rc::Rc::new(());
        let held = secret.clone();
        let mut engine: Box<dyn Engine<Output = ()>> =
            start::<Msg, _, _>(PartyIndex(0), 2, |_| async move { panic!("{held:?}") });
        let error = engine.step().unwrap_err();
        assert_eq!(error.cause(), Cause::Bug);
        assert_eq!(engine.step().unwrap_err(), error);
        assert_eq!(
            std::rc::Rc::strong_count(&secret),
            1,
            "a failed run keeps nothing"
        );
    }

    #[test]
    fn a_message_has_one_form_and_a_length() {
        let mut honest = vec![];
        ciborium::into_writer(&Msg::Only(Empty), &mut honest).unwrap();
        assert!(decode::<Msg>(&honest).is_ok());
        let null = honest.pop();
        assert_eq!(null, Some(0xF6), "an empty struct");
        let fault = |rest: &[u8]| decode::<Msg>(&[&honest[..], rest].concat()).err();
        assert_eq!(
            fault(&[0xF7]),
            Some(PeerFault::Malformed),
            "another form of the same"
        );
        assert_eq!(
            fault(&[0xF6, 0]),
            Some(PeerFault::Malformed),
            "something behind it"
        );
        assert_eq!(
            fault(&[0; 16]),
            Some(PeerFault::TooLong),
            "not even decoded"
        );
        assert_eq!(
            decode::<Msg>(b"\xA1\x64Onlx\xF6").err(),
            Some(PeerFault::Malformed),
            "a name nobody knows"
        );
        assert_eq!(
            decode::<Msg>(b"\xA1\x77Only").err(),
            Some(PeerFault::Malformed),
            "a name that is cut off"
        );
    }

    #[test]
    fn between_two_parties_an_unnamed_fault_is_the_other_ones() {
        let fault = || EngineError::Peer {
            fault: PeerFault::UnreliableBroadcast,
            culprits: vec![],
        };
        for (parties, named) in [(2, vec![PartyIndex(1)]), (3, vec![])] {
            let mut engine: Box<dyn Engine<Output = ()>> =
                start::<Msg, _, _>(PartyIndex(0), parties, move |_| async move { Err(fault()) });
            assert_eq!(engine.step().unwrap_err().culprits(), named);
        }
    }

    #[test]
    fn after_the_end_messages_are_dropped_and_steps_fail() {
        let mut engine = start::<Msg, _, _>(PartyIndex(0), 2, |_| async { Ok(7) });
        assert!(matches!(engine.step(), Ok(Step::Done(7))));
        assert_eq!(
            engine.receive(PartyIndex(1), MessageKind::Broadcast, b"late"),
            Ok(())
        );
        assert_eq!(engine.step().unwrap_err().cause(), Cause::Bug);
    }
}
