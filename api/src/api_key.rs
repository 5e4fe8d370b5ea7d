//! API keys, and the record of what they were used for.

use std::str::FromStr;

use countersign_audit::{Act, ActLink, ActsHead};
use countersign_protocol::evidence::Signature;
use countersign_protocol::{CoordinatorId, Hash, KeyId, RequesterId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::Open;

/// Permissions of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Read access to tasks, wallets, nodes and events.
    Read,
    /// Handing in votes of people on tasks. Each vote proves itself.
    Vote,
    /// Submission and cancellation of tasks, and import of wallets. Nodes obey the requester's
    /// signature, not this scope.
    Create,
    /// API keys, webhooks, the audit log, and everything else that concerns all users of the
    /// coordinator.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Read, Self::Vote, Self::Create, Self::Admin];

    /// Its word in the API, in configurations and as an argument.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Vote => "vote",
            Self::Create => "create",
            Self::Admin => "admin",
        }
    }
}

/// The word names no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a scope; use read, vote, create or admin")]
pub struct ScopeError;

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(word: &str) -> Result<Self, ScopeError> {
        let named = |scope: &Self| scope.as_str() == word;
        Self::ALL.into_iter().find(named).ok_or(ScopeError)
    }
}

/// An API key, as asked for. Exactly one of `sha256` and `requester` says who it is: the secret is
/// made by its holder and never sent here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApiKeySpec {
    /// SHA-256 of the key's text form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Hash>,
    /// The requester that signs requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<RequesterId>,
    /// Everything else is answered with 403.
    pub scopes: Vec<Scope>,
    /// Only these wallets, their tasks and their events; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallets: Option<Vec<KeyId>>,
    /// The key is refused from this time on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<UnixMillis>,
}

/// The settings of an API key, as answers show them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiKeySettings {
    /// SHA-256 of the key's text form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Hash>,
    /// The requester that signs requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<RequesterId>,
    /// Everything else is answered with 403.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Scope>))]
    pub scopes: Vec<Open<Scope>>,
    /// Only these wallets, their tasks and their events; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallets: Option<Vec<KeyId>>,
    /// The key is refused from this time on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<UnixMillis>,
}

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiKeyView {
    /// Its name in its path, in logs and in the audit log.
    pub name: String,
    /// Its credential and its permissions.
    pub spec: ApiKeySettings,
    /// The credential before the last rotation, while it is still accepted.
    pub previous: Option<PreviousCredential>,
    /// Where it is kept.
    #[cfg_attr(feature = "openapi", schema(value_type = KeyOrigin))]
    pub origin: Open<KeyOrigin>,
}

/// A credential that was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PreviousCredential {
    /// SHA-256 of the key's text form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Hash>,
    /// The requester that signs requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<RequesterId>,
    /// It is refused from this time on.
    pub expires: UnixMillis,
}

/// Where an API key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum KeyOrigin {
    /// In the coordinator's configuration, and changed only there.
    File,
    /// Made through the API.
    Api,
}

/// All API keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiKeyList {
    /// In the order of their names.
    pub api_keys: Vec<ApiKeyView>,
}

/// Replaces the credential of a key. Repeating the request changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RotateApiKey {
    /// SHA-256 of the new key's text form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Hash>,
    /// The requester that signs requests from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<RequesterId>,
    /// Seconds for which the credential before is still accepted; at most seven days.
    #[serde(default)]
    pub overlap_seconds: u32,
}

/// Sets the end of a key, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ExpireApiKey {
    /// The key is refused from this time on. Null: it does not end by itself.
    #[serde(deserialize_with = "Option::deserialize")]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub expires: Option<UnixMillis>,
}

/// The sender of a request: the API key, and the credential that proved it. Names may be given
/// again; a credential has one holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Submitter {
    /// The name of the API key.
    pub name: String,
    /// SHA-256 of the key's text form, if it was sent. Shown only to callers with the scope
    /// `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Hash>,
    /// The requester, if the request was signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<RequesterId>,
}

/// An entry of the audit log: a change that was made with an API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// The cursor just behind this entry, for `after`.
    pub cursor: String,
    /// Time of the change.
    pub at: UnixMillis,
    /// The name of the API key.
    pub by: String,
    /// SHA-256 of the key's text form, if it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Hash>,
    /// The requester, if the request was signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<RequesterId>,
    /// What was done, such as `webhook.put`. Words may be added.
    pub action: String,
    /// What it was done to: a task, a wallet, or a name.
    pub target: String,
    /// Its place in the chain of all entries. Absent if an earlier version wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<AuditLink>,
}

/// The place of an entry in the chain, in which each has the hash of the one before
/// (docs/audit.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditLink {
    /// Counts from 1 without a gap.
    pub number: u64,
    /// Hash of the entry before; zeros for the first of the chain.
    pub previous: Hash,
    /// Hash of all fields of the entry, without its cursor.
    pub hash: Hash,
}

/// The end of the audit log, signed by the coordinator's identity (docs/audit.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEnd {
    /// The coordinator.
    pub coordinator: CoordinatorId,
    /// The number of the last entry; 0 if there is none.
    pub number: u64,
    /// Its hash; zeros if there is no chain yet.
    pub hash: Hash,
    /// The time of signing.
    pub at: UnixMillis,
    /// Ed25519 over all of it.
    pub signature: Signature,
}

impl AuditEntry {
    /// The entry that shows an act, with the cursor behind it.
    pub fn of(act: Act, cursor: String) -> Self {
        Self {
            cursor,
            at: act.at,
            by: act.by,
            sha256: act.sha256,
            requester: act.requester,
            action: act.action,
            target: act.target,
            link: act.link.map(AuditLink::from),
        }
    }
}

impl From<AuditEntry> for Act {
    fn from(entry: AuditEntry) -> Self {
        Self {
            at: entry.at,
            by: entry.by,
            sha256: entry.sha256,
            requester: entry.requester,
            action: entry.action,
            target: entry.target,
            link: entry.link.map(ActLink::from),
        }
    }
}

impl From<ActLink> for AuditLink {
    fn from(link: ActLink) -> Self {
        Self {
            number: link.number,
            previous: link.previous,
            hash: link.hash,
        }
    }
}

impl From<AuditLink> for ActLink {
    fn from(link: AuditLink) -> Self {
        Self {
            number: link.number,
            previous: link.previous,
            hash: link.hash,
        }
    }
}

impl From<ActsHead> for AuditEnd {
    fn from(head: ActsHead) -> Self {
        Self {
            coordinator: head.coordinator,
            number: head.number,
            hash: head.hash,
            at: head.at,
            signature: head.signature,
        }
    }
}

impl From<AuditEnd> for ActsHead {
    fn from(end: AuditEnd) -> Self {
        Self {
            coordinator: end.coordinator,
            number: end.number,
            hash: end.hash,
            at: end.at,
            signature: end.signature,
        }
    }
}

/// A part of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditPage {
    /// Oldest first.
    pub entries: Vec<AuditEntry>,
    /// `after` of the next request, whether or not there are more entries already.
    pub next: String,
    /// The end of the log, on a page that reaches it. Absent from earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<AuditEnd>,
}

/// A requester whose tasks the coordinator accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RequesterList {
    /// True if any requester with a valid signature is accepted. Nodes have their own lists.
    pub any: bool,
    /// Those in the configuration, if it lists some.
    pub requesters: Vec<RequesterId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_has_one_word() {
        for scope in Scope::ALL {
            assert_eq!(serde_json::json!(scope), scope.as_str());
            assert_eq!(scope.as_str().parse(), Ok(scope));
        }
        assert_eq!("owner".parse::<Scope>(), Err(ScopeError));
        // The error about an unknown word lists all of them.
        let error = serde_json::from_str::<Scope>("\"owner\"").unwrap_err();
        assert_eq!(
            error.to_string().matches('`').count(),
            2 * (Scope::ALL.len() + 1)
        );
    }
}
