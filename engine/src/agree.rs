//! Agreement on public bytes: some parties state them, and all parties check
//! that the statements match.
//!
//! A party that held no share learns the public shares of the previous generation this way, and one
//! that leaves learns the new committee's. Nothing here is secret, and nothing is trusted on its
//! own: callers compare the bytes with a hash that was signed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::{Engine, MessageKind, Outgoing, PartyIndex, Recipient, Step};
use crate::error::{CallerFault, EngineError, PeerFault};
use crate::sealed::{decode_only_form, encode};
use crate::session::{Task, execution_id};

/// Maximum message size in bytes. The public shares of the largest committee need a tenth of that.
pub(crate) const MAX_WORD: usize = 4 << 10;

/// Parameters of an agreement. All parties must use the same values, except for `me`.
#[derive(Debug, Clone)]
pub struct AgreeParams<'a> {
    /// A unique name of this run.
    pub session: &'a [u8],
    /// Position of this party among the parties.
    pub me: PartyIndex,
    /// The number of parties.
    pub parties: u16,
    /// The parties that state the bytes: distinct, at least one.
    pub speakers: &'a [PartyIndex],
}

/// Yields the bytes that every speaker stated. A speaker passes its own as `mine`;
/// nobody else passes any.
pub fn agree(
    params: AgreeParams<'_>,
    mine: Option<Vec<u8>>,
) -> Result<Box<dyn Engine<Output = Vec<u8>>>, EngineError> {
    let AgreeParams {
        session,
        me,
        parties,
        speakers,
    } = params;
    let stranger = speakers
        .iter()
        .chain([&me])
        .find(|party| party.0 >= parties);
    if let Some(stranger) = stranger {
        return Err(CallerFault::NotInSession(*stranger).into());
    }
    if speakers.is_empty() || mine.is_some() != speakers.contains(&me) {
        return Err(CallerFault::NoRole.into());
    }
    let names: Vec<u8> = speakers
        .iter()
        .flat_map(|speaker| speaker.0.to_be_bytes())
        .collect();
    let id = execution_id(Task::Agree, session, &[&parties.to_be_bytes(), &names])?;
    let said = speakers.iter().map(|speaker| (*speaker, None)).collect();
    let mut agreement = Agreement {
        id,
        me,
        said,
        unsent: mine.is_some(),
        failed: None,
    };
    if let Some(mine) = mine {
        agreement.said.insert(me, Some(mine));
    }
    Ok(Box::new(agreement))
}

struct Agreement {
    id: [u8; 32],
    me: PartyIndex,
    /// The statement of each speaker.
    said: BTreeMap<PartyIndex, Option<Vec<u8>>>,
    unsent: bool,
    failed: Option<EngineError>,
}

#[derive(Serialize, Deserialize)]
struct Word {
    id: [u8; 32],
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
}

impl Engine for Agreement {
    type Output = Vec<u8>;

    fn step(&mut self) -> Result<Step<Vec<u8>>, EngineError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if std::mem::take(&mut self.unsent) {
            return self.word().map(Step::Send);
        }
        let said: Option<Vec<&Vec<u8>>> = self.said.values().map(Option::as_ref).collect();
        let Some(said) = said else {
            return Ok(Step::NeedMessage);
        };
        match said.split_first() {
            Some((first, rest)) if rest.iter().all(|other| other == first) => {
                Ok(Step::Done((*first).clone()))
            }
            _ => {
                let culprits = self.other_speaker().into_iter().collect();
                self.fail(EngineError::Peer {
                    fault: PeerFault::Disagreement,
                    culprits,
                })
            }
        }
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
        match self.read(from, kind, body) {
            Ok(bytes) => {
                self.said.insert(from, Some(bytes));
                Ok(())
            }
            Err(fault) => self.fail(EngineError::peer(fault, from)),
        }
    }

    fn body_limit(&self) -> usize {
        MAX_WORD
    }
}

impl Agreement {
    /// The only other speaker that this party heard. With several it is unknown here
    /// which one is wrong.
    fn other_speaker(&self) -> Option<PartyIndex> {
        let mut others = self.said.keys().filter(|speaker| **speaker != self.me);
        let other = others.next()?;
        let more = others.next();
        (self.said.contains_key(&self.me) && more.is_none()).then_some(*other)
    }

    fn word(&self) -> Result<Outgoing, EngineError> {
        let bytes = self
            .said
            .get(&self.me)
            .cloned()
            .flatten()
            .unwrap_or_default();
        let capacity = bytes.len() + 64;
        let body = encode(&Word { id: self.id, bytes }, capacity).map_err(EngineError::bug)?;
        if body.len() > MAX_WORD {
            return Err(EngineError::bug(
                "the bytes to agree on are too long for one message",
            ));
        }
        Ok(Outgoing {
            to: Recipient::All,
            body,
        })
    }

    fn read(&self, from: PartyIndex, kind: MessageKind, body: &[u8]) -> Result<Vec<u8>, PeerFault> {
        match self.said.get(&from) {
            None => return Err(PeerFault::NoSay),
            Some(Some(_)) => return Err(PeerFault::Repeated),
            Some(None) if kind != MessageKind::Broadcast => return Err(PeerFault::WrongKind),
            Some(None) if body.len() > MAX_WORD => return Err(PeerFault::TooLong),
            Some(None) => {}
        }
        let word: Word = decode_only_form(body).ok_or(PeerFault::Malformed)?;
        if word.id == self.id {
            Ok(word.bytes)
        } else {
            Err(PeerFault::Disagreement)
        }
    }

    fn fail<T>(&mut self, error: EngineError) -> Result<T, EngineError> {
        self.failed = Some(error.clone());
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn party(me: u16, mine: Option<&[u8]>) -> Box<dyn Engine<Output = Vec<u8>>> {
        let speakers = [PartyIndex(0), PartyIndex(2)];
        let params = AgreeParams {
            session: b"s",
            me: PartyIndex(me),
            parties: 3,
            speakers: &speakers,
        };
        agree(params, mine.map(<[u8]>::to_vec)).unwrap()
    }

    fn word(engine: &mut dyn Engine<Output = Vec<u8>>) -> Zeroizing<Vec<u8>> {
        match engine.step().unwrap() {
            Step::Send(message) => message.body,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_all_speakers_say_is_agreed() {
        let mut first = party(0, Some(b"x"));
        let mut last = party(2, Some(b"x"));
        let mut listener = party(1, None);
        let a = word(&mut *first);
        let b = word(&mut *last);
        assert!(matches!(listener.step(), Ok(Step::NeedMessage)));
        listener
            .receive(PartyIndex(0), MessageKind::Broadcast, &a)
            .unwrap();
        assert!(matches!(listener.step(), Ok(Step::NeedMessage)));
        listener
            .receive(PartyIndex(2), MessageKind::Broadcast, &b)
            .unwrap();
        assert!(matches!(listener.step(), Ok(Step::Done(bytes)) if bytes == b"x"));
        first
            .receive(PartyIndex(2), MessageKind::Broadcast, &b)
            .unwrap();
        assert!(matches!(first.step(), Ok(Step::Done(bytes)) if bytes == b"x"));
    }

    #[test]
    fn everything_else_ends_the_run() {
        let mut first = party(0, Some(b"x"));
        let mut last = party(2, Some(b"y"));
        let a = word(&mut *first);
        let b = word(&mut *last);
        let mut listener = party(1, None);
        listener
            .receive(PartyIndex(0), MessageKind::Broadcast, &a)
            .unwrap();
        listener
            .receive(PartyIndex(2), MessageKind::Broadcast, &b)
            .unwrap();
        let disagreement = EngineError::Peer {
            fault: PeerFault::Disagreement,
            culprits: Vec::new(),
        };
        assert_eq!(listener.step().unwrap_err(), disagreement);
        assert_eq!(listener.step().unwrap_err(), disagreement, "it stays ended");
        let fault = |from: u16, kind, body: &[u8]| {
            let mut engine = party(1, None);
            engine
                .receive(PartyIndex(0), MessageKind::Broadcast, &a)
                .unwrap();
            engine.receive(PartyIndex(from), kind, body).unwrap_err()
        };
        let broadcast = MessageKind::Broadcast;
        assert_eq!(
            fault(0, broadcast, &a),
            EngineError::peer(PeerFault::Repeated, PartyIndex(0))
        );
        assert_eq!(
            fault(2, MessageKind::Direct, &b),
            EngineError::peer(PeerFault::WrongKind, PartyIndex(2))
        );
        assert_eq!(
            fault(2, broadcast, &b[1..]),
            EngineError::peer(PeerFault::Malformed, PartyIndex(2))
        );
        // Its first key as bytes instead of text.
        let other_form = [&b[..1], &[b[1] ^ 0x20], &b[2..]].concat();
        assert_eq!(
            fault(2, broadcast, &other_form),
            EngineError::peer(PeerFault::Malformed, PartyIndex(2))
        );
        assert_eq!(
            fault(1, broadcast, &b),
            EngineError::peer(PeerFault::NoSay, PartyIndex(1))
        );
    }

    #[test]
    fn only_speakers_bring_bytes() {
        let speakers = [PartyIndex(0)];
        let run = |me: u16, mine: Option<Vec<u8>>| {
            let params = AgreeParams {
                session: b"s",
                me: PartyIndex(me),
                parties: 2,
                speakers: &speakers,
            };
            agree(params, mine).map(drop)
        };
        assert!(run(0, Some(vec![1])).is_ok());
        assert!(run(1, None).is_ok());
        assert_eq!(run(0, None), Err(CallerFault::NoRole.into()));
        assert_eq!(run(1, Some(vec![1])), Err(CallerFault::NoRole.into()));
        assert_eq!(
            run(2, None),
            Err(CallerFault::NotInSession(PartyIndex(2)).into())
        );
    }
}
