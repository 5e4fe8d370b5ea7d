//! Encryption with age: the node's identity under its passphrase, and whole files sealed to
//! recipients. The only file that imports age; it neither opens nor names files.
//!
//! Limit: while age works, its own memory holds an identity's text and 64 KiB of plaintext.

use std::io::{self, Read, Write};
use std::iter;

use age::secrecy::{ExposeSecret, SecretString};
use age::{DecryptError, Decryptor, Encryptor, scrypt, x25519};
use zeroize::Zeroizing;

use crate::passphrase::Passphrase;
use crate::trailer::MacKey;

/// The scrypt work factor for passphrases, a base-2 logarithm: 64 MiB and about 0.13 s of one core.
pub const DEFAULT_WORK_FACTOR: u8 = 16;
/// The largest scrypt work factor (base-2 logarithm): 1 GiB. A damaged file cannot ask for more.
pub(crate) const MAX_WORK_FACTOR: u8 = 20;

const SECRET_KEY: &str = "AGE-SECRET-KEY-1";

/// The age identity of a node, which only opens the store. The network identity is another key.
pub(crate) struct NodeKey(x25519::Identity);

/// The recipients that may open the store besides the node.
pub(crate) struct Recipients(Vec<x25519::Recipient>);

/// A text that is not a native age recipient (X25519).
#[derive(Debug)]
pub(crate) struct BadRecipient(pub(crate) String);

/// The reason why a sealed file does not open.
#[derive(Debug)]
pub(crate) enum Unsealed {
    /// The passphrase is wrong, or the sealed key was changed.
    WrongKey,
    /// The header is sound, but names other recipients.
    NotForUs,
    /// The bytes are not those that were written.
    Damaged(String),
}

impl NodeKey {
    pub(crate) fn generate() -> Self {
        Self(x25519::Identity::generate())
    }

    /// The key that makes the trailer unforgeable for anybody who knows only the recipients.
    pub(crate) fn mac_key(&self) -> MacKey {
        MacKey::derive(self.0.to_string().expose_secret().as_bytes())
    }

    /// Seals an age identity file, as `age-keygen` writes it, under the passphrase. While one
    /// identity replaces another, both are in it.
    pub(crate) fn seal(
        keys: &[&Self],
        passphrase: &Passphrase,
        work_factor: u8,
    ) -> io::Result<Vec<u8>> {
        let mut recipient = scrypt::Recipient::new(secret(passphrase));
        recipient.set_work_factor(work_factor.clamp(1, MAX_WORK_FACTOR));
        let mut sealed = Vec::new();
        seal_to(iter::once(&recipient as _), &mut sealed, |writer| {
            keys.iter().try_for_each(|Self(key)| {
                writeln!(writer, "# public key: {}", key.to_public())?;
                writer.write_all(key.to_string().expose_secret().as_bytes())?;
                writer.write_all(b"\n")
            })
        })?;
        Ok(sealed)
    }

    pub(crate) fn unseal(sealed: &[u8], passphrase: &Passphrase) -> Result<Vec<Self>, Unsealed> {
        let decryptor = Decryptor::new_buffered(sealed).map_err(damaged)?;
        if !decryptor.is_scrypt() {
            return Err(Unsealed::Damaged(
                "it is not sealed with a passphrase".into(),
            ));
        }
        let mut identity = scrypt::Identity::new(secret(passphrase));
        identity.set_max_work_factor(MAX_WORK_FACTOR);
        let text = read_all(decryptor, &identity, sealed.len())?;
        let keys = parse_identities(&text).filter(|keys| (1..=2).contains(&keys.len()));
        keys.ok_or_else(|| Unsealed::Damaged("it does not hold an age identity".into()))
    }

    /// Encrypts the output of `write` to this node and to the others.
    pub(crate) fn seal_file(
        &self,
        others: &Recipients,
        output: impl Write,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let own = self.0.to_public();
        let all = iter::once(&own).chain(&others.0);
        seal_to(all.map(|recipient| recipient as _), output, write)
    }

    /// Decrypts a whole file into memory that never moves.
    pub(crate) fn unseal_file(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealed> {
        read_all(
            Decryptor::new_buffered(sealed).map_err(damaged)?,
            &self.0,
            sealed.len(),
        )
    }
}

/// The key that a backup is sealed to.
pub(crate) enum BackupKey<'a> {
    Passphrase(&'a Passphrase),
    Recipients(Recipients),
}

/// Encrypts the output of `write`.
pub(crate) fn seal_backup(
    key: &BackupKey<'_>,
    output: impl Write,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    match key {
        BackupKey::Passphrase(passphrase) => {
            let mut recipient = scrypt::Recipient::new(secret(passphrase));
            recipient.set_work_factor(DEFAULT_WORK_FACTOR);
            seal_to(iter::once(&recipient as _), output, write)
        }
        BackupKey::Recipients(Recipients(all)) => {
            let all = all.iter().map(|recipient| recipient as _);
            seal_to(all, output, write)
        }
    }
}

/// Decrypts a backup with its passphrase, or with the identity in the text of an age identity file.
pub(crate) fn open_backup(
    sealed: &[u8],
    passphrase: Option<&Passphrase>,
    identity: Option<&[u8]>,
) -> Result<Zeroizing<Vec<u8>>, Unsealed> {
    let decryptor = Decryptor::new_buffered(sealed).map_err(damaged)?;
    match (passphrase, identity) {
        (Some(passphrase), _) => {
            let mut identity = scrypt::Identity::new(secret(passphrase));
            identity.set_max_work_factor(MAX_WORK_FACTOR);
            read_all(decryptor, &identity, sealed.len())
        }
        (None, text) => {
            let key = text.and_then(parse_identity);
            let key = key.ok_or_else(|| {
                Unsealed::Damaged("the identity file does not hold an age identity".into())
            })?;
            read_all(decryptor, &key.0, sealed.len())
        }
    }
}

impl Recipients {
    /// Reads recipients of the native kind (`age1…`, X25519).
    pub(crate) fn parse(texts: &[String]) -> Result<Self, BadRecipient> {
        let parse = |text: &String| text.trim().parse().map_err(|_| BadRecipient(text.clone()));
        texts
            .iter()
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Recipients)
    }
}

fn secret(passphrase: &Passphrase) -> SecretString {
    SecretString::from(passphrase.expose().to_owned())
}

fn seal_to<'a>(
    recipients: impl Iterator<Item = &'a dyn age::Recipient>,
    output: impl Write,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let encryptor = Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
    let mut writer = encryptor.wrap_output(output)?;
    write(&mut writer)?;
    writer.finish()?.flush()
}

/// Decrypts into memory that never moves. The buffer has the ciphertext's length, so it has more
/// than the 32 spare bytes below which `read_to_end` would grow it.
fn read_all(
    decryptor: Decryptor<&[u8]>,
    identity: &dyn age::Identity,
    sealed_len: usize,
) -> Result<Zeroizing<Vec<u8>>, Unsealed> {
    let mut reader = decryptor.decrypt(iter::once(identity)).map_err(damaged)?;
    let mut plaintext = Zeroizing::new(Vec::with_capacity(sealed_len));
    reader
        .read_to_end(&mut plaintext)
        .map_err(|error| Unsealed::Damaged(error.to_string()))?;
    Ok(plaintext)
}

fn damaged(error: DecryptError) -> Unsealed {
    match error {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => Unsealed::WrongKey,
        DecryptError::NoMatchingKeys => Unsealed::NotForUs,
        // age's own text estimates the time by a shift that may overflow.
        DecryptError::ExcessiveWork { required, .. } => Unsealed::Damaged(format!(
            "it asks for a scrypt work factor of {required}, more than {MAX_WORK_FACTOR}"
        )),
        other => Unsealed::Damaged(other.to_string()),
    }
}

/// Parses an identity file with exactly one secret key.
fn parse_identity(text: &[u8]) -> Option<NodeKey> {
    let [key] = <[NodeKey; 1]>::try_from(parse_identities(text)?).ok()?;
    Some(key)
}

/// Parses the secret keys of an identity file, among comment lines.
fn parse_identities(text: &[u8]) -> Option<Vec<NodeKey>> {
    let keys = str::from_utf8(text)
        .ok()?
        .lines()
        .filter(|line| line.starts_with(SECRET_KEY));
    keys.map(|key| key.parse().ok().map(NodeKey)).collect()
}
