//! The people who sign in by passkey: a file that the console's operator keeps, with each person's
//! passkeys and the file of the API key that the console uses for her.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_files::custody::read_secret;
use countersign_files::{Custody, CustodyError};
use countersign_protocol::text::{is_plain, printable};
use countersign_protocol::{ApproverId, ApproverKey};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::random::digest;
use super::session::Key;

/// Size limit of the file in bytes.
const LARGEST: u64 = 1 << 20;
/// The most people, and passkeys of one person.
const MOST: usize = 1000;
const MOST_OF_ONE: usize = 20;
/// The longest name, in characters.
const LONGEST: usize = 64;
/// The longest id of a credential in bytes (WebAuthn Level 3, section 5.4.3).
const MAX_CREDENTIAL: usize = 1023;
/// Size limit of a file with an API key, in bytes.
const MAX_KEY: u64 = 1024;

/// Approvers of the profile by name.
pub(super) type Approvers = BTreeMap<String, Vec<ApproverId>>;

/// Why nobody can sign in by passkey.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeopleError {
    /// It cannot be read, or others could have written it.
    #[error("the people are not read ({0}); name a file that only you may write with --people")]
    File(CustodyError),
    /// It is no list of people.
    #[error(
        "{path}: {reason}; write `NAME: {{api_key_file: FILE, passkeys: [{{id: csv1…, credential: …}}]}}` for each person",
        path = path.display()
    )]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The API key of a person cannot be used.
    #[error(
        "the API key of {name} is not read ({reason}); write it into its file, mode 600, which `api_key_file` names"
    )]
    ApiKey {
        /// The person.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// No passkey could be asked on this page.
    #[error(
        "nobody can sign in by passkey at {0}, since it is not among the `origins` under `passkeys` in the profile; add it there, or leave out --people"
    )]
    Page(String),
}

/// One person as the file has her.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    api_key_file: PathBuf,
    passkeys: Vec<WrittenPasskey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPasskey {
    /// The public key, as the profile's `approvers` have it.
    id: ApproverId,
    /// The credential's id, in base64url without padding.
    credential: String,
}

/// A passkey with its owner.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) approver: ApproverId,
    pub(super) credential: String,
    /// The public key, as a compressed point.
    pub(super) key: [u8; 33],
    api_key_file: PathBuf,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Person({})", self.name)
    }
}

impl Person {
    /// Reads the API key that is used for her, which may have been replaced since.
    pub(super) fn api_key(&self) -> Result<Key, PeopleError> {
        let unusable = |reason: String| PeopleError::ApiKey {
            name: self.name.clone(),
            reason,
        };
        let bytes = read_secret(&self.api_key_file, MAX_KEY).map(Zeroizing::new);
        let bytes = bytes.map_err(|error| unusable(error.to_string()))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| unusable("it is no text".into()))?;
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(unusable("it is not one word".into()));
        }
        Ok(Key::new(Zeroizing::new(text.to_owned())))
    }
}

/// Everybody who signs in by passkey.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct People(BTreeMap<String, Arc<Person>>);

impl People {
    /// Reads a file of people, and sees that each API key can be read. `approvers`: if the profile
    /// lists them, a passkey of one of them is under the same name here.
    pub(super) fn read(path: &Path, approvers: Option<&Approvers>) -> Result<Self, PeopleError> {
        let bytes = Custody::Operator
            .read(path, LARGEST)
            .map_err(PeopleError::File)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let people = Self::parse(&bytes, folder, approvers);
        let people = people.map_err(|reason| PeopleError::Form {
            path: path.into(),
            reason,
        })?;
        people.check_keys(path)?;
        Ok(people)
    }

    /// Sees that each API key can be read, and is one person's. Under one key the coordinator's log
    /// could not tell two people apart.
    fn check_keys(&self, path: &Path) -> Result<(), PeopleError> {
        let mut owners = BTreeMap::new();
        for person in self.0.values() {
            let key = person.api_key()?;
            let owner = *owners.entry(digest(key.expose())).or_insert(&person.name);
            if owner != &person.name {
                return Err(PeopleError::Form {
                    path: path.into(),
                    reason: format!("{} has the API key of {owner}", person.name),
                });
            }
        }
        Ok(())
    }

    /// The passkey with this id of a credential.
    pub(super) fn by_credential(&self, credential: &str) -> Option<&Arc<Person>> {
        self.0.get(credential)
    }

    /// True if this passkey is still this person's, and so is the place of her API key.
    pub(super) fn has(&self, person: &Person) -> bool {
        self.by_credential(&person.credential)
            .is_some_and(|listed| **listed == *person)
    }

    pub(super) fn parse(
        bytes: &[u8],
        folder: &Path,
        approvers: Option<&Approvers>,
    ) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let written: BTreeMap<String, Written> =
            countersign_strict::yaml(text).map_err(|error| error.to_string())?;
        if written.is_empty() || written.len() > MOST {
            return Err(format!(
                "it has {} people, 1 to {MOST} are allowed",
                written.len()
            ));
        }
        let mut people = BTreeMap::new();
        let mut keys = BTreeSet::new();
        for (name, one) in written {
            check_name(&name)?;
            let api_key_file = folder.join(one.api_key_file);
            if one.passkeys.is_empty() || one.passkeys.len() > MOST_OF_ONE {
                return Err(format!("{name} has no passkey, or more than {MOST_OF_ONE}"));
            }
            for WrittenPasskey { id, credential } in one.passkeys {
                let key = passkey(&id).ok_or_else(|| format!("{id} of {name} is no passkey"))?;
                check_credential(&credential).map_err(|reason| format!("{name}: {reason}"))?;
                check_owner(&name, &id, approvers)?;
                let person = Person {
                    name: name.clone(),
                    approver: id,
                    credential: credential.clone(),
                    key,
                    api_key_file: api_key_file.clone(),
                };
                let is_first = keys.insert(id);
                if people.insert(credential, Arc::new(person)).is_some() || !is_first {
                    return Err(format!("{id} of {name} is listed twice"));
                }
            }
        }
        Ok(Self(people))
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let is_long = name.chars().count() > LONGEST;
    if name.trim().is_empty() || is_long || !is_plain(name) {
        return Err(format!("`{}` is not a name", name.escape_debug()));
    }
    Ok(())
}

/// The text of an id has one form, so that comparing texts compares the ids.
fn check_credential(credential: &str) -> Result<(), String> {
    let is_id = URL_SAFE_NO_PAD
        .decode(credential)
        .is_ok_and(|bytes| !bytes.is_empty() && bytes.len() <= MAX_CREDENTIAL);
    if !is_id {
        let shown = printable(credential, 80);
        return Err(format!(
            "`{shown}` is not the id of a credential in base64url"
        ));
    }
    Ok(())
}

fn check_owner(name: &str, id: &ApproverId, approvers: Option<&Approvers>) -> Result<(), String> {
    let mut owners = approvers.into_iter().flatten();
    match owners.find(|(_, keys)| keys.contains(id)) {
        Some((owner, _)) if owner != name => Err(format!(
            "{id} is {owner}'s by the profile, and not {name}'s"
        )),
        Some(_) | None => Ok(()),
    }
}

/// The key of a passkey that can have made a signature.
fn passkey(id: &ApproverId) -> Option<[u8; 33]> {
    match id.key() {
        ApproverKey::Passkey(key) => countersign_vote::is_usable(id.key()).then_some(*key),
        ApproverKey::Ed25519(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use countersign_vote::testing::{Key as VotingKey, Passkey};

    use super::*;

    fn person(name: &str, seed: u8, credential: &str) -> String {
        let id = Passkey::new(seed).id();
        format!(
            "{name}: {{api_key_file: {name}.key, passkeys: [{{id: {id}, credential: {credential}}}]}}\n"
        )
    }

    fn parse(text: &str, approvers: Option<&Approvers>) -> Result<People, String> {
        People::parse(text.as_bytes(), Path::new("/etc/console"), approvers)
    }

    #[test]
    fn people_are_found_by_their_credentials() {
        let both = person("ann", 3, "QUFB") + &person("ben", 4, "QkJC");
        let people = parse(&both, None).unwrap();
        let ann = people.by_credential("QUFB").unwrap();
        assert_eq!((&*ann.name, ann.approver), ("ann", Passkey::new(3).id()));
        assert_eq!(ann.api_key_file, Path::new("/etc/console/ann.key"));
        assert_eq!(people.by_credential("QkJC").unwrap().name, "ben");
        assert!(people.by_credential("QkJD").is_none());
        let approvers = Approvers::from([("ann".into(), vec![ann.approver])]);
        assert_eq!(parse(&both, Some(&approvers)), Ok(people.clone()));
        let later = parse(&person("ann", 5, "QUFB"), None).unwrap();
        assert!(people.has(ann) && !later.has(ann), "another key");
    }

    #[test]
    fn a_list_that_does_not_say_who_has_which_passkey_is_refused() {
        let ann = person("ann", 3, "QUFB");
        let key = VotingKey::new(1).id();
        let elsewhere = Approvers::from([("ben".into(), vec![Passkey::new(3).id()])]);
        assert!(parse(&ann, Some(&elsewhere)).unwrap_err().contains("ben's"));
        for wrong in [
            String::new(),
            "{}".into(),
            "[ann]".into(),
            ann.clone() + &ann,
            ann.clone() + &person("ben", 3, "QkJC"),
            ann.clone() + &person("ben", 4, "QUFB"),
            ann.replace("QUFB", "QUFB="),
            ann.replace("QUFB", "QUF"),
            ann.replace("QUFB", "''"),
            ann.replace("ann:", "'an\u{202e}n':"),
            ann.replace("ann:", "' ':"),
            ann.replace("api_key_file", "api_key"),
            ann.replace("passkeys", "more: 1, passkeys"),
            format!("ann: {{api_key_file: a, passkeys: [{{id: {key}, credential: QUFB}}]}}\n"),
            "ann: {api_key_file: a, passkeys: []}\n".into(),
        ] {
            assert!(parse(&wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn files_that_others_may_write_or_read_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("people.yaml");
        let key = dir.path().join("ann.key");
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        std::fs::write(&path, person("ann", 3, "QUFB")).unwrap();
        std::fs::write(&key, "the-key-of-ann\n").unwrap();
        mode(&key, 0o600);
        let people = People::read(&path, None).unwrap();
        let ann = people.by_credential("QUFB").unwrap();
        assert_eq!(ann.api_key().unwrap().expose(), "the-key-of-ann");
        assert!(!format!("{people:?}").contains("the-key"));
        mode(&key, 0o640);
        let refused = People::read(&path, None);
        assert!(matches!(refused, Err(PeopleError::ApiKey { .. })));
        mode(&key, 0o600);
        std::fs::write(&key, "two words\n").unwrap();
        let refused = People::read(&path, None);
        assert!(matches!(refused, Err(PeopleError::ApiKey { .. })));
        std::fs::write(&key, "the-key-of-ann\n").unwrap();
        let copy = dir.path().join("ben.key");
        std::fs::copy(&key, &copy).unwrap();
        mode(&copy, 0o600);
        std::fs::write(&path, person("ann", 3, "QUFB") + &person("ben", 4, "QkJC")).unwrap();
        let refused = People::read(&path, None).unwrap_err();
        assert!(refused.to_string().contains("the API key of"), "{refused}");
        mode(&path, 0o666);
        let refused = People::read(&path, None);
        assert!(matches!(refused, Err(PeopleError::File(_))));
    }
}
