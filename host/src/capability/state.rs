//! `state`: durable memory from task to task. Needs a grant with a quota in bytes.
//!
//! Writes are staged here; the node commits them with its decision.

use std::collections::BTreeMap;

use wasmtime::component::{HasSelf, Linker};

use crate::capability::interface::{Capability, Interface, Need, PreInit};
use crate::contract::anchor::Anchor;
use crate::contract::bindings::countersign::policy::state;
use crate::contract::evaluation::StateWrite;
use crate::contract::grants::Grants;
use crate::contract::services::{Memory, Services, StateError};
use crate::contract::trace::{AnswerSize, Asked};
use crate::sandbox::call_state::CallState;
use crate::sandbox::context::Context;
use crate::sandbox::states::States;
use crate::sandbox::terms::{Budget, Reach};

/// Bytes of a key.
const KEY: usize = 256;
/// Bytes of a value.
const VALUE: usize = 64 << 10;
/// Entries of one listing.
const LIST: usize = 1000;

pub(crate) enum State {}

impl Capability for State {
    const INTERFACES: &'static [Interface] = &[Interface {
        name: "countersign:policy/state",
        pre_init: PreInit::Traps,
    }];
    const NEED: Need = Need::Grant("say how many bytes it may remember in grants.state_bytes");
    const REACH: Reach = Reach::Node;
    const BUDGET: Budget = Budget {
        most: 10_000,
        of: "state operations",
    };

    type Grant = u64;

    fn granted(grants: &Grants) -> Option<&u64> {
        Some(&grants.state_bytes).filter(|bytes| **bytes > 0)
    }

    fn anchors(_grants: &Grants, _services: &dyn Services) -> Vec<Anchor> {
        Vec::new()
    }

    fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
        state::add_to_linker::<CallState, HasSelf<CallState>>(linker, |call| call)
    }
}

/// The plugin's memory as one call sees it.
#[derive(Default)]
struct Staged {
    /// The committed memory as it was at the first access, so that all reads of a call
    /// are of one moment.
    memory: Option<Box<dyn Memory>>,
    /// Bytes of the committed memory, once they were counted.
    committed: Option<u64>,
    writes: BTreeMap<String, StateWrite>,
    /// Bytes by which the staged writes change the committed memory.
    bytes: i64,
}

/// Gives a call this view of its memory; by default it takes one at its first access.
pub(crate) fn set_memory(states: &mut States, memory: Option<Box<dyn Memory>>) {
    states.of::<Staged>().memory = memory;
}

/// Takes the writes that were staged in a call.
pub(crate) fn take_writes(states: &mut States) -> Vec<StateWrite> {
    states.take::<Staged>().writes.into_values().collect()
}

impl state::Host for CallState {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, state::Error>> {
        let asked = Asked::new("state.get", key.as_str(), &[]);
        self.answer::<State, _>(asked, |call, node| {
            let (staged, context) = call.staged();
            Ok(staged.visible(context, node.services(), &key)?)
        })
    }

    fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl_seconds: Option<u64>,
    ) -> wasmtime::Result<Result<(), state::Error>> {
        let ttl = ttl_seconds
            .map_or(u64::MAX, |seconds| seconds)
            .to_be_bytes();
        let asked = Asked::new("state.set", key.as_str(), &[&value, &ttl]);
        self.write(
            asked,
            StateWrite {
                key,
                value: Some(value),
                ttl_seconds,
            },
        )
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), state::Error>> {
        let asked = Asked::new("state.delete", key.as_str(), &[]);
        self.write(
            asked,
            StateWrite {
                key,
                value: None,
                ttl_seconds: None,
            },
        )
    }

    fn list_keys(
        &mut self,
        prefix: String,
        limit: u32,
    ) -> wasmtime::Result<Result<Vec<String>, state::Error>> {
        let entries = self.list_entries(prefix, limit)?;
        Ok(entries.map(|entries| entries.into_iter().map(|(key, _)| key).collect()))
    }

    fn list_entries(
        &mut self,
        prefix: String,
        limit: u32,
    ) -> wasmtime::Result<Result<Vec<(String, Vec<u8>)>, state::Error>> {
        let asked = Asked::new("state.list", prefix.as_str(), &[&limit.to_be_bytes()]);
        let limit = (limit as usize).min(LIST);
        self.answer::<State, _>(asked, |call, node| {
            let (staged, context) = call.staged();
            Ok(staged.visible_entries(context, node.services(), &prefix, limit)?)
        })
    }
}

impl CallState {
    fn staged(&mut self) -> (&mut Staged, &Context) {
        (self.states.of(), &self.context)
    }

    /// Stages a write. A write that a recording allowed is staged without a check.
    fn write(
        &mut self,
        asked: Asked,
        write: StateWrite,
    ) -> wasmtime::Result<Result<(), state::Error>> {
        let answer: Result<(), state::Error> = self.answer::<State, _>(asked, |call, node| {
            let (staged, context) = call.staged();
            Ok(staged.admit(context, node.services(), &write)?)
        })?;
        if answer.is_ok() {
            let (staged, _) = self.staged();
            staged.writes.insert(write.key.clone(), write);
        }
        Ok(answer)
    }
}

impl Staged {
    fn memory(
        &mut self,
        context: &Context,
        services: &dyn Services,
    ) -> Result<&dyn Memory, StateError> {
        if self.memory.is_none() {
            self.memory = Some(services.memory(&context.memory_of)?);
        }
        self.memory
            .as_deref()
            .ok_or_else(|| StateError::Internal("it is gone".into()))
    }

    /// The value that this call sees: its own write, else the committed entry.
    fn visible(
        &mut self,
        context: &Context,
        services: &dyn Services,
        key: &str,
    ) -> Result<Option<Vec<u8>>, StateError> {
        match self.writes.get(key) {
            Some(write) => Ok(write.value.clone()),
            None => self.memory(context, services)?.get(key),
        }
    }

    fn visible_entries(
        &mut self,
        context: &Context,
        services: &dyn Services,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let most = limit + self.writes.len();
        let committed = self.memory(context, services)?.entries(prefix, most)?;
        let mut entries: BTreeMap<String, Vec<u8>> = committed.into_iter().collect();
        let writes = self.writes.iter();
        for (key, write) in writes.filter(|(key, _)| key.starts_with(prefix)) {
            match &write.value {
                Some(value) => entries.insert(key.clone(), value.clone()),
                None => entries.remove(key),
            };
        }
        Ok(entries.into_iter().take(limit).collect())
    }

    /// Checks a write against the limits, and counts its bytes.
    fn admit(
        &mut self,
        context: &Context,
        services: &dyn Services,
        write: &StateWrite,
    ) -> Result<(), StateError> {
        let value_len = write.value.as_ref().map_or(0, Vec::len);
        if write.key.len() > KEY || value_len > VALUE {
            return Err(StateError::Denied(format!(
                "keys have {KEY} bytes, values {VALUE}"
            )));
        }
        let size = |value: &Option<Vec<u8>>| {
            value
                .as_ref()
                .map_or(0, |value| (write.key.len() + value.len()) as i64)
        };
        let seen = self.visible(context, services, &write.key)?;
        let bytes = self.bytes + size(&write.value) - size(&seen);
        let committed = match self.committed {
            Some(bytes) => bytes,
            None => self.memory(context, services)?.used()?,
        };
        self.committed = Some(committed);
        let quota = context.grants.state_bytes;
        if write.value.is_some() && i128::from(committed) + i128::from(bytes) > i128::from(quota) {
            return Err(StateError::Denied(format!(
                "the quota of {quota} bytes is used up"
            )));
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl From<StateError> for state::Error {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Denied(text) => Self::Denied(text),
            StateError::Internal(text) => Self::Internal(text),
        }
    }
}

impl AnswerSize for Result<Option<Vec<u8>>, state::Error> {
    fn size(&self) -> usize {
        let value = self.as_ref().ok().and_then(Option::as_ref);
        value.map_or(0, Vec::len)
    }
}

impl AnswerSize for Result<(), state::Error> {
    fn size(&self) -> usize {
        0
    }
}

impl AnswerSize for Result<Vec<(String, Vec<u8>)>, state::Error> {
    fn size(&self) -> usize {
        let entries = self.iter().flatten();
        entries.map(|(key, value)| key.len() + value.len()).sum()
    }
}
