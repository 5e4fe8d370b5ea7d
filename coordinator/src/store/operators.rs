//! What operators changed through the API: API keys, and the log of all such changes.

use std::collections::BTreeMap;
use std::ops::Bound;

use countersign_api::{AuditEntry, Submitter};
use countersign_protocol::{Hash, UnixMillis};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::{FeedError, Pending, Store, StoreError, from_row, to_row};
use crate::api_key::{Credential, MadeKey};

/// Name to row.
const API_KEYS: TableDefinition<&str, &[u8]> = TableDefinition::new("api_keys");
/// Id of a credential that a key no longer has to the time at which it lost it.
const REVOKED: TableDefinition<[u8; 32], &[u8]> = TableDefinition::new("revoked");
/// Sequence number to row.
const AUDIT: TableDefinition<u64, &[u8]> = TableDefinition::new("audit");

/// A change that the audit log names.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct Act<'a> {
    pub at: UnixMillis,
    pub by: &'a Submitter,
    /// Such as `webhook.put`.
    pub action: &'a str,
    /// A task, a wallet, or a name.
    pub target: &'a str,
}

/// A change of an API key. Credentials that it takes away are remembered.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct KeyChange<'a> {
    pub name: &'a str,
    /// `None` if the key is new.
    pub before: Option<&'a MadeKey>,
    /// `None` if the key is revoked.
    pub after: Option<&'a MadeKey>,
    /// The entry of the audit log, which is stored with the change or not at all.
    pub act: Act<'a>,
}

/// Changes that wait to be committed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// `None` if the key is gone.
    keys: BTreeMap<String, Option<Vec<u8>>>,
    /// `None` if a key has the credential again.
    revoked: BTreeMap<[u8; 32], Option<Vec<u8>>>,
    audit: BTreeMap<u64, Vec<u8>>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.revoked.is_empty() && self.audit.is_empty()
    }
}

impl Store {
    /// Stores an API key, or forgets it.
    pub fn put_api_key(&self, change: KeyChange<'_>) -> Result<(), StoreError> {
        let KeyChange {
            name,
            before,
            after,
            act,
        } = change;
        self.change(|pending| {
            let changes = &mut pending.batch.operators;
            changes.keys.insert(name.into(), after.map(to_row));
            for lost in before.into_iter().flat_map(MadeKey::credentials) {
                changes.revoked.insert(row_of(lost), Some(to_row(&act.at)));
            }
            for kept in after.into_iter().flat_map(MadeKey::credentials) {
                changes.revoked.insert(row_of(kept), None);
            }
            pending.log(act);
        })
    }

    /// True of a credential that a key had that was made through the API, and that none has now.
    pub fn is_revoked(&self, credential: &Credential) -> Result<bool, StoreError> {
        let id = row_of(credential);
        let pending = self.shared.lock();
        let found = pending.find(|batch| batch.operators.revoked.get(&id).cloned());
        drop(pending);
        match found {
            Some(row) => Ok(row.is_some()),
            None => {
                let row: Option<UnixMillis> = self.shared.read(REVOKED, "revoked", id)?;
                Ok(row.is_some())
            }
        }
    }

    /// Returns the durable API keys, by name.
    pub fn api_keys(&self) -> Result<BTreeMap<String, MadeKey>, StoreError> {
        let table = self.shared.db.begin_read()?.open_table(API_KEYS)?;
        table
            .iter()?
            .map(|entry| {
                let (name, row) = entry?;
                Ok((name.value().to_owned(), from_row("api_keys", row.value())?))
            })
            .collect()
    }

    /// Appends to the audit log.
    pub fn audit(&self, act: Act<'_>) -> Result<(), StoreError> {
        self.change(|pending| pending.log(act))
    }

    /// Returns at most `limit` durable entries of the audit log behind this place, each with its
    /// place, and where to go on.
    #[allow(clippy::type_complexity, reason = "a page and where it ends")]
    pub fn audit_log(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<(u64, AuditEntry)>, u64), FeedError> {
        if after > last_audit(&self.shared.db)? {
            return Err(FeedError::Ahead);
        }
        Ok(self.audit_behind(after, limit)?)
    }

    /// The place of the newest durable entry of the audit log, or 0, and its hash; zeros if it is
    /// from before the chain.
    pub fn audit_end(&self) -> Result<(u64, Hash), StoreError> {
        let table = self.shared.db.begin_read()?.open_table(AUDIT)?;
        let Some((place, row)) = table.last()? else {
            return Ok((0, Hash([0; 32])));
        };
        let entry: AuditEntry = from_row("audit", row.value())?;
        let hash = entry.link.map_or(Hash([0; 32]), |link| link.hash);
        Ok((place.value(), hash))
    }

    #[allow(clippy::type_complexity, reason = "a page and where it ends")]
    fn audit_behind(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<(u64, AuditEntry)>, u64), StoreError> {
        let table = self.shared.db.begin_read()?.open_table(AUDIT)?;
        let mut next = after;
        let mut entries = Vec::new();
        let behind = (Bound::Excluded(after), Bound::Unbounded);
        for entry in table.range::<u64>(behind)?.take(limit) {
            let (place, row) = entry?;
            next = place.value();
            entries.push((next, from_row("audit", row.value())?));
        }
        Ok((entries, next))
    }
}

impl Pending {
    /// Appends to the audit log, behind the newest entry.
    pub(super) fn log(&mut self, act: Act<'_>) {
        self.last_audit += 1;
        let zero = Hash([0; 32]);
        let act = act.unlinked();
        let act = act.linked(self.last_audit, self.last_act.unwrap_or(zero));
        self.last_act = act.link.map(|link| link.hash);
        let entry = AuditEntry::of(act, self.last_audit.to_string());
        let place = self.last_audit;
        self.batch.operators.audit.insert(place, to_row(&entry));
    }
}

impl Act<'_> {
    /// The act as it is chained.
    fn unlinked(&self) -> countersign_audit::Act {
        countersign_audit::Act {
            at: self.at,
            by: self.by.name.clone(),
            sha256: self.by.sha256,
            requester: self.by.requester,
            action: self.action.into(),
            target: self.target.into(),
            link: None,
        }
    }
}

fn row_of(credential: &Credential) -> [u8; 32] {
    *credential.id().as_bytes()
}

/// Creates the tables.
pub(super) fn create(write: &WriteTransaction) -> Result<(), StoreError> {
    write.open_table(API_KEYS)?;
    write.open_table(REVOKED)?;
    write.open_table(AUDIT)?;
    Ok(())
}

/// The place of the newest entry of the audit log in the file, or 0.
pub(super) fn last_audit(db: &Database) -> Result<u64, StoreError> {
    let table = db.begin_read()?.open_table(AUDIT)?;
    Ok(table.last()?.map_or(0, |(place, _)| place.value()))
}

/// The hash of the newest entry of the audit log in the file, if it is of the chain.
pub(super) fn last_act(db: &Database) -> Result<Option<Hash>, StoreError> {
    let table = db.begin_read()?.open_table(AUDIT)?;
    let Some((_, row)) = table.last()? else {
        return Ok(None);
    };
    let entry: AuditEntry = from_row("audit", row.value())?;
    Ok(entry.link.map(|link| link.hash))
}

/// Writes a batch's changes.
pub(super) fn commit(write: &WriteTransaction, changes: &Changes) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut keys = write.open_table(API_KEYS)?;
    for (name, row) in &changes.keys {
        match row {
            Some(row) => keys.insert(name.as_str(), row.as_slice())?,
            None => keys.remove(name.as_str())?,
        };
    }
    let mut revoked = write.open_table(REVOKED)?;
    for (id, row) in &changes.revoked {
        match row {
            Some(row) => revoked.insert(id, row.as_slice())?,
            None => revoked.remove(id)?,
        };
    }
    let mut audit = write.open_table(AUDIT)?;
    for (place, row) in &changes.audit {
        audit.insert(place, row.as_slice())?;
    }
    Ok(())
}
