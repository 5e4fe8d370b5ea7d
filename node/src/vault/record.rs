//! The stored form of a share: its public descriptor as JSON, preceded by its length, and the
//! secret part as the engine writes it.

use countersign_engine::Share;
use countersign_protocol::KeyDescriptor;
use zeroize::Zeroizing;

use super::error::VaultError;

#[cfg(test)]
thread_local! {
    /// Number of records that this thread has read.
    pub(crate) static READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

pub(super) fn join_share(key: &KeyDescriptor, share: &Share) -> Zeroizing<Vec<u8>> {
    let public = serde_json::to_vec(key)
        .unwrap_or_else(|error| unreachable!("a key record is plain data: {error}"));
    let secret = share.to_bytes();
    let mut record = Zeroizing::new(Vec::with_capacity(4 + public.len() + secret.len()));
    record.extend_from_slice(&(public.len() as u32).to_be_bytes());
    record.extend_from_slice(&public);
    record.extend_from_slice(&secret);
    record
}

pub(super) fn descriptor_in(name: &str, record: &[u8]) -> Result<KeyDescriptor, VaultError> {
    let damaged = || VaultError::Unusable {
        what: "share",
        why: format!("the record of {name} is damaged"),
    };
    split_share(record)
        .map(|(descriptor, _)| descriptor)
        .ok_or_else(damaged)
}

pub(super) fn split_share(record: &[u8]) -> Option<(KeyDescriptor, &[u8])> {
    #[cfg(test)]
    READ.set(READ.get() + 1);
    let (length, rest) = record.split_first_chunk::<4>()?;
    let (public, secret) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((serde_json::from_slice(public).ok()?, secret))
}
