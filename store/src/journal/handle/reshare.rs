//! Reshares that this node has started or prepared, and the generations that keys came to.

use countersign_protocol::{KeyDescriptor, KeyId, NodeId, SignedAck, TaskId, UnixMillis};
use redb::ReadableTable;

use super::Journal;
use crate::journal::error::{ReadJournalError, WriteJournalError};
use crate::journal::generation::{GENERATIONS, Generation, UNHEARD, place, split};
use crate::journal::operation::Operation;
use crate::journal::prepared::{PREPARED, PreparedReshare, ReshareStage};
use crate::journal::read::read;
use crate::journal::started::{self, STARTED};
use crate::journal::written::Written;

impl Journal {
    /// Records, before a share is used for it, that a reshare of the key begins now. Those from
    /// before `since` are forgotten.
    pub fn start_reshare(
        &self,
        key: KeyId,
        task: TaskId,
        at: UnixMillis,
        since: UnixMillis,
    ) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::StartReshare {
            key,
            task,
            at,
            since,
        })
    }

    /// The reshares of a key that this node has started, each with the time of its start. Old ones
    /// may have been forgotten.
    pub fn started_reshares(
        &self,
        key: &KeyId,
    ) -> Result<Vec<(TaskId, UnixMillis)>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(STARTED)? else {
                return Ok(Vec::new());
            };
            started::read(&table, key)
        })
    }

    /// Records that this node has prepared for a reshare. From here on, the task is in doubt until
    /// it ends with [`Outcome::Reshared`](countersign_protocol::Outcome::Reshared) or through
    /// [`TaskChange::CloseReshare`](crate::TaskChange::CloseReshare).
    pub fn prepare_reshare(&self, prepared: PreparedReshare) -> Result<(), WriteJournalError> {
        self.writer
            .run(Operation::PrepareReshare(Box::new(prepared)))
            .map(drop)
    }

    /// The prepared reshare of a task.
    pub fn prepared(&self, task: &TaskId) -> Result<Option<PreparedReshare>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(PREPARED)? else {
                return Ok(None);
            };
            table
                .get(&task.0)?
                .map(|prepared| read("handovers", prepared.value()))
                .transpose()
        })
    }

    /// All prepared reshares, by task.
    pub fn prepared_reshares(&self) -> Result<Vec<PreparedReshare>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(PREPARED)? else {
                return Ok(Vec::new());
            };
            table
                .iter()?
                .map(|entry| read("handovers", entry?.1.value()))
                .collect()
        })
    }

    /// The prepared reshares of a key, by task.
    pub fn prepared_reshares_of(
        &self,
        key: &KeyId,
    ) -> Result<Vec<PreparedReshare>, ReadJournalError> {
        self.read_prepared_reshares(self.ask(|known| known.reshares_of(key))?)
    }

    /// The prepared reshares at this stage, by task.
    pub fn prepared_reshares_at(
        &self,
        stage: ReshareStage,
    ) -> Result<Vec<PreparedReshare>, ReadJournalError> {
        self.read_prepared_reshares(self.ask(|known| known.reshares_at(stage))?)
    }

    fn read_prepared_reshares(
        &self,
        tasks: Vec<TaskId>,
    ) -> Result<Vec<PreparedReshare>, ReadJournalError> {
        let missing = || ReadJournalError::Damaged { table: "handovers" };
        tasks
            .iter()
            .map(|task| self.prepared(task)?.ok_or_else(missing))
            .collect()
    }

    /// Keeps a generation that a key has already come to. The caller has verified it.
    pub fn keep_generation(&self, descriptor: KeyDescriptor) -> Result<(), WriteJournalError> {
        self.writer
            .run(Operation::KeepGeneration(Box::new(descriptor)))
            .map(drop)
    }

    /// Records members' verified acknowledgements that they have a generation in force.
    pub fn in_force(
        &self,
        key: KeyId,
        generation: u32,
        acks: Vec<SignedAck>,
    ) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::InForce {
            key,
            generation,
            acks,
        })
    }

    /// Records that these nodes know all that they need of a generation.
    pub fn heard(
        &self,
        key: KeyId,
        generation: u32,
        nodes: Vec<NodeId>,
    ) -> Result<Written, WriteJournalError> {
        self.writer.run(Operation::Heard {
            key,
            generation,
            nodes,
        })
    }

    /// A generation of a key with all acknowledgements that this node saw or was told of.
    pub fn generation(
        &self,
        key: &KeyId,
        number: u32,
    ) -> Result<Option<Generation>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(GENERATIONS)? else {
                return Ok(None);
            };
            table
                .get(&place(key, number))?
                .map(|known| read("generations", known.value()))
                .transpose()
        })
    }

    /// Generations that some node concerned may not know yet, as key and number.
    pub fn unheard(&self) -> Result<Vec<(KeyId, u32)>, ReadJournalError> {
        self.look(|| {
            let Some(table) = self.later_table(UNHEARD)? else {
                return Ok(Vec::new());
            };
            table.iter()?.map(|entry| split(entry?.0.value())).collect()
        })
    }
}
