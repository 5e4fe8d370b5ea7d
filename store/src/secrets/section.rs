//! Sections: the kinds of secrets, each a table of the database.

use redb::TableDefinition;

pub(super) type Table = TableDefinition<'static, &'static str, &'static [u8]>;

/// The kind of a secret. Sections are appended, never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Section {
    /// The node's Ed25519 identity on the network.
    Identity,
    /// RSA keys of approval callbacks.
    CallbackKey,
    /// Keys that sign event notifications.
    EventKey,
    /// Key shares in use.
    Share,
    /// Key shares that not every member has confirmed yet.
    PendingShare,
    /// Auxiliary information of a committee.
    Aux,
    /// Safe primes made in advance.
    Prime,
}

impl Section {
    /// Every section, in the order of the file.
    pub const ALL: [Self; 7] = [
        Self::Identity,
        Self::CallbackKey,
        Self::EventKey,
        Self::Share,
        Self::PendingShare,
        Self::Aux,
        Self::Prime,
    ];

    /// The name of its table in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::CallbackKey => "callback-key",
            Self::EventKey => "event-key",
            Self::Share => "share",
            Self::PendingShare => "pending-share",
            Self::Aux => "aux",
            Self::Prime => "prime",
        }
    }

    pub(super) fn table(self) -> Table {
        TableDefinition::new(self.name())
    }
}
