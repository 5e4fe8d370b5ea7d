//! Invitations: files of the data directory, and the tokens that go with them.
//!
//! The file is what counts. A token is accepted while its file is there, and the file leaves the
//! folder by one rename before anything else happens, so each token is spent once, whoever comes at
//! the same time and whenever the process dies. A spent invitation never becomes open again.

mod book;
mod complaints;
mod desk;
mod joined;
mod rights;

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign_link::{Identity, IdentityError};
use countersign_protocol::contact::{Role, is_name};
use countersign_protocol::invitation::{Invitation, InvitationId, Token};
use countersign_protocol::{CoordinatorId, UnixMillis, encode};
use hmac::{Hmac, Mac};
use rand::RngCore;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

pub use book::Book;
pub use desk::{Desk, NotJoined, look_after};
pub use joined::JoinedError;
pub(crate) use joined::merged;
pub use rights::{Rights, RightsError};

/// Name of the folder of open invitations in the data directory.
const FOLDER: &str = "invitations";
/// Name of the folder in it for those that were spent and are not yet recorded.
const SPENT: &str = "spent";
/// Names the key of the MAC among those that are derived from the identity.
const LABEL: &[u8] = b"invitations";
/// Size limit of a file in bytes.
const LARGEST: u64 = 8192;
/// The most invitations that are open at a time.
const MOST: usize = 64;
/// Shortest and longest validity.
const VALID: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(7 * 24 * 3600)];

/// The open invitations of a coordinator.
pub struct Invitations {
    data: PathBuf,
    folder: PathBuf,
    coordinator: CoordinatorId,
    key: Zeroizing<[u8; 32]>,
}

/// Somebody to be invited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// The part that the guest will have.
    pub role: Role,
    /// The name that the guest will have.
    pub name: String,
    /// Those of a requester; the usual ones if absent.
    pub rights: Option<Rights>,
}

/// An invitation as its file has it. The file's name is its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    version: u16,
    /// The part that the guest will have.
    pub role: Role,
    /// The name that the guest will have.
    pub name: String,
    /// Not accepted from this time on.
    pub expires: UnixMillis,
    /// The rights of a requester, in version 2 of the file; the usual ones if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<Rights>,
}

/// The content of the folder at one look.
#[derive(Debug)]
struct Swept {
    /// The last expiry of the open invitations.
    until: Option<UnixMillis>,
    unreadable: Vec<(InvitationId, io::Error)>,
}

/// Why an invitation was not made, listed or revoked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub enum InvitationError {
    /// The folder cannot be used.
    #[error("{} cannot be used ({error}); check the disk and the permissions", path.display())]
    Io { path: PathBuf, error: io::Error },
    /// The coordinator could not read what this user writes.
    #[error(
        "{} belongs to user {owner}, and this is user {me}: the coordinator could not read the invitation; run the command as its user, with `sudo -u`", data.display()
    )]
    Foreign { data: PathBuf, owner: u32, me: u32 },
    /// The MAC's key cannot be derived.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The name cannot be one.
    #[error(
        "`{0}` cannot be a name: it has hidden characters, begins like an id, or is not of 1 to 64 bytes; choose another"
    )]
    Name(String),
    /// There is no such address.
    #[error(
        "`{0}` is not an address that others can dial; write host:port, such as coordinator.example:7443"
    )]
    Address(String),
    /// Too long or too short.
    #[error("an invitation is valid for 1 minute to 7 days; choose a time between them")]
    Validity,
    /// The name is asked for twice.
    #[error("`{0}` is invited twice; name it once")]
    Twice(String),
    /// There would be too many.
    #[error(
        "{0} invitations are open, and {MOST} may be; invite fewer, or revoke some with `countersign-coordinator invite revoke`"
    )]
    TooMany(usize),
    /// Some of those that were made are left over.
    #[error(
        "{error}; these invitations stay open although nobody has seen their tokens: {left}; revoke them with `countersign-coordinator invite revoke`"
    )]
    Left { error: Box<Self>, left: String },
    /// There is none with this id.
    #[error(
        "there is no open invitation {0}; `countersign-coordinator invite list` shows those that are open"
    )]
    Unknown(InvitationId),
}

impl Invitations {
    /// The invitations in a data directory, made and verified by this identity.
    pub fn of(
        data: &Path,
        identity: &Identity,
        coordinator: CoordinatorId,
    ) -> Result<Self, IdentityError> {
        Ok(Self {
            data: data.into(),
            folder: data.join(FOLDER),
            coordinator,
            key: identity.derive(LABEL)?,
        })
    }

    /// Makes an invitation: its file, and the token for whoever is invited. A requester has the
    /// usual rights.
    pub fn make(
        &self,
        role: Role,
        name: &str,
        address: &str,
        valid: Duration,
        now: UnixMillis,
    ) -> Result<Token, InvitationError> {
        let name = name.into();
        let rights = None;
        self.make_one(Guest { role, name, rights }, address, valid, now)
    }

    /// Makes an invitation for a requester with these rights.
    pub fn make_limited(
        &self,
        rights: Rights,
        name: &str,
        address: &str,
        valid: Duration,
        now: UnixMillis,
    ) -> Result<Token, InvitationError> {
        let guest = Guest {
            role: Role::Requester,
            name: name.into(),
            rights: Some(rights),
        };
        self.make_one(guest, address, valid, now)
    }

    fn make_one(
        &self,
        guest: Guest,
        address: &str,
        valid: Duration,
        now: UnixMillis,
    ) -> Result<Token, InvitationError> {
        let mut made = self.make_all(&[guest], address, valid, now)?;
        Ok(made.remove(0))
    }

    /// Makes an invitation for each guest, or none: all are checked before the first is made, and
    /// if one fails, those before it are withdrawn.
    pub fn make_all(
        &self,
        guests: &[Guest],
        address: &str,
        valid: Duration,
        now: UnixMillis,
    ) -> Result<Vec<Token>, InvitationError> {
        self.check(guests, address, valid, now)?;
        let mut ids = Vec::new();
        let made = guests.iter().map(|guest| {
            let id = new_id();
            ids.push(id);
            self.make_as(id, guest, address, valid, now)
        });
        let made: Result<Vec<Token>, _> = made.collect();
        made.map_err(|error| self.withdrawn(error, &ids))
    }

    /// Removes those of these invitations that are there, because of this error.
    fn withdrawn(&self, error: InvitationError, ids: &[InvitationId]) -> InvitationError {
        let left = self.withdraw(ids);
        if left.is_empty() {
            return error;
        }
        let left: Vec<String> = left.iter().map(ToString::to_string).collect();
        InvitationError::Left {
            error: Box::new(error),
            left: left.join(", "),
        }
    }

    /// Removes those of these invitations that are there, and returns those that stay nevertheless.
    pub fn withdraw(&self, ids: &[InvitationId]) -> Vec<InvitationId> {
        let stays = |id: &&InvitationId| {
            let revoked = self.revoke(**id);
            !matches!(revoked, Ok(()) | Err(InvitationError::Unknown(_)))
        };
        ids.iter().filter(stays).copied().collect()
    }

    /// Checks everything that is known before the first invitation is made.
    fn check(
        &self,
        guests: &[Guest],
        address: &str,
        valid: Duration,
        now: UnixMillis,
    ) -> Result<(), InvitationError> {
        self.check_owner()?;
        let mut names = BTreeSet::new();
        for Guest { name, .. } in guests {
            if !is_name(name) {
                return Err(InvitationError::Name(name.escape_default().to_string()));
            }
            if !names.insert(name) {
                return Err(InvitationError::Twice(name.clone()));
            }
        }
        if !is_address(address) {
            return Err(InvitationError::Address(
                address.escape_default().to_string(),
            ));
        }
        if !(VALID[0]..=VALID[1]).contains(&valid) {
            return Err(InvitationError::Validity);
        }
        let listed = self.list()?;
        let open = listed.iter().filter(|(_, open)| now < open.expires).count();
        if open + guests.len() > MOST {
            return Err(InvitationError::TooMany(open));
        }
        Ok(())
    }

    fn make_as(
        &self,
        id: InvitationId,
        guest: &Guest,
        address: &str,
        valid: Duration,
        now: UnixMillis,
    ) -> Result<Token, InvitationError> {
        let Guest { role, name, rights } = guest.clone();
        let open = Open {
            version: version(rights.as_ref()),
            role,
            name,
            expires: UnixMillis(now.0 + valid.as_millis() as u64),
            rights,
        };
        self.put(id, &open).map_err(|error| self.failed(error))?;
        let invitation = Invitation {
            coordinator: self.coordinator,
            address: address.into(),
            id,
            role,
            name: open.name.clone(),
            expires: open.expires,
        };
        let mac = self.mac(&invitation, open.rights.as_ref());
        let mac = mac.finalize().into_bytes().into();
        Ok(Token { invitation, mac })
    }

    /// The invitations whose files are there, expired ones included, in the order of their expiry.
    pub fn list(&self) -> Result<Vec<(InvitationId, Open)>, InvitationError> {
        let mut listed = Vec::new();
        for id in self.ids().map_err(|error| self.failed(error))? {
            match self.read(id) {
                Ok(open) => listed.push((id, open)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        listed.sort_by_key(|(id, open)| (open.expires, *id));
        Ok(listed)
    }

    /// Removes an invitation; its token is worth nothing from now on.
    pub fn revoke(&self, id: InvitationId) -> Result<(), InvitationError> {
        let removed = std::fs::remove_file(self.file(id)).and_then(|()| sync(&self.folder));
        removed.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => InvitationError::Unknown(id),
            _ => self.failed(error),
        })
    }

    /// The invitation of a token that was made here, has not expired, and whose file is there and
    /// says the same.
    fn accepted(&self, token: &Token, now: UnixMillis) -> Option<Open> {
        let invitation = &token.invitation;
        let file = self.read(invitation.id).ok()?;
        let mac = self.mac(invitation, file.rights.as_ref());
        let genuine = mac.verify_slice(&token.mac).is_ok();
        let same = Open {
            version: version(file.rights.as_ref()),
            role: invitation.role,
            name: invitation.name.clone(),
            expires: invitation.expires,
            rights: file.rights.clone(),
        };
        let is_good = genuine
            && invitation.coordinator == self.coordinator
            && now < invitation.expires
            && file == same;
        is_good.then_some(file)
    }

    /// Takes the invitation out of the folder. False if somebody else was faster.
    fn spend(&self, id: InvitationId) -> io::Result<bool> {
        let spent = self.folder.join(SPENT);
        make_folder(&spent)?;
        match std::fs::rename(self.file(id), spent.join(id.to_string())) {
            Ok(()) => sync(&spent)
                .and_then(|()| sync(&self.folder))
                .map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Forgets a spent invitation once its guest is on record.
    fn forget(&self, id: InvitationId) -> io::Result<()> {
        std::fs::remove_file(self.folder.join(SPENT).join(id.to_string()))
    }

    /// Forgets the invitations that were spent when the process died, and returns them. Some of
    /// their guests may be on record.
    fn forget_spent(&self) -> io::Result<Vec<Open>> {
        let spent = self.folder.join(SPENT);
        let mut found = Vec::new();
        for id in ids_in(&spent)? {
            found.extend(read(&spent.join(id.to_string())).ok());
            self.forget(id)?;
        }
        Ok(found)
    }

    /// Removes expired invitations, and returns the last expiry of the others. A file that cannot
    /// be read is no invitation.
    fn sweep(&self, now: UnixMillis) -> io::Result<Swept> {
        let mut swept = Swept {
            until: None,
            unreadable: Vec::new(),
        };
        for id in self.ids()? {
            match self.read(id) {
                Ok(open) if now < open.expires => {
                    swept.until = swept.until.max(Some(open.expires));
                }
                Ok(_) => std::fs::remove_file(self.file(id))?,
                // Revoked a moment ago.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => swept.unreadable.push((id, error)),
            }
        }
        Ok(swept)
    }

    /// Refuses to write what the coordinator could not read: it runs as the owner of its data.
    fn check_owner(&self) -> Result<(), InvitationError> {
        let owner = std::fs::metadata(&self.data).map_err(|error| self.failed(error))?;
        let owner = owner.uid();
        let me = rustix::process::geteuid().as_raw();
        if owner == me {
            return Ok(());
        }
        let data = self.data.clone();
        Err(InvitationError::Foreign { data, owner, me })
    }

    /// Covers what the token says and, if they are not the usual ones, the rights in the file.
    fn mac(&self, invitation: &Invitation, rights: Option<&Rights>) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.key[..])
            .unwrap_or_else(|error| unreachable!("HMAC takes keys of any length: {error}"));
        mac.update(&invitation.covered());
        if let Some(rights) = rights {
            mac.update(&encode(&(rights.scopes(), rights.wallets())));
        }
        mac
    }

    fn put(&self, id: InvitationId, open: &Open) -> io::Result<()> {
        make_folder(&self.folder)?;
        countersign_files::replace(self.file(id), &serde_json::to_vec(open)?)
    }

    fn read(&self, id: InvitationId) -> io::Result<Open> {
        read(&self.file(id))
    }

    fn ids(&self) -> io::Result<Vec<InvitationId>> {
        ids_in(&self.folder)
    }

    fn file(&self, id: InvitationId) -> PathBuf {
        self.folder.join(id.to_string())
    }

    fn failed(&self, error: io::Error) -> InvitationError {
        InvitationError::Io {
            path: self.folder.clone(),
            error,
        }
    }
}

fn new_id() -> InvitationId {
    let mut id = InvitationId([0; 16]);
    rand::rngs::OsRng.fill_bytes(&mut id.0);
    id
}

/// The version of a file with these rights.
fn version(rights: Option<&Rights>) -> u16 {
    if rights.is_some() { 2 } else { 1 }
}

/// True of `host:port` with a port that can be dialled.
fn is_address(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    let parts = text.rsplit_once(':');
    let known = parts.is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    let unspecified = text
        .parse::<std::net::SocketAddr>()
        .is_ok_and(|address| address.ip().is_unspecified());
    plain && known && !unspecified && text.len() <= countersign_protocol::invitation::MAX_ADDRESS
}

fn read(file: &Path) -> io::Result<Open> {
    Ok(serde_json::from_slice(&countersign_files::read(
        file, LARGEST,
    )?)?)
}

/// The files of a folder whose names are ids. None if there is no folder.
fn ids_in(folder: &Path) -> io::Result<Vec<InvitationId>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let id = name
            .to_str()
            .and_then(|name| name.parse::<InvitationId>().ok());
        ids.extend(id);
    }
    Ok(ids)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
