//! The messages of one round.

use std::collections::BTreeMap;
use std::convert::Infallible;

use round_based::Incoming;
use round_based::rounds_router::MessagesStore;

use crate::PartyIndex;

/// The messages of one round, from all parties that may speak in it; the adapter refuses all
/// others.
pub(crate) struct Gathered<M> {
    expected: usize,
    messages: BTreeMap<PartyIndex, M>,
}

impl<M> Gathered<M> {
    pub(crate) fn from(expected: usize) -> Self {
        Self {
            expected,
            messages: BTreeMap::new(),
        }
    }
}

impl<M: 'static> MessagesStore for Gathered<M> {
    type Msg = M;
    type Output = BTreeMap<PartyIndex, M>;
    type Error = Infallible;

    fn add_message(&mut self, message: Incoming<M>) -> Result<(), Infallible> {
        self.messages
            .insert(PartyIndex(message.sender), message.msg);
        Ok(())
    }

    fn wants_more(&self) -> bool {
        self.messages.len() < self.expected
    }

    fn output(self) -> Result<Self::Output, Self> {
        if self.wants_more() {
            Err(self)
        } else {
            Ok(self.messages)
        }
    }
}
