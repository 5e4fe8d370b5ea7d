//! age, and nothing else: the node's identity behind its passphrase, and whole files sealed to
//! recipients.
//!
//! The only file that imports age. It neither opens nor names a file.
//!
//! Limit: age keeps the text of an identity and one 64 KiB chunk of plaintext in memory of its own
//! while it works.

use std::io::{self, Read, Write};

use age::secrecy::{ExposeSecret, SecretString};
use age::{DecryptError, Decryptor, Encryptor, scrypt, x25519};
use zeroize::Zeroizing;

use crate::passphrase::Passphrase;
use crate::trailer::MacKey;

/// The largest scrypt work factor (base-2 logarithm): 1 GiB. A damaged file cannot ask for more.
pub(crate) const MAX_WORK_FACTOR: u8 = 20;

const SECRET_KEY: &str = "AGE-SECRET-KEY-1";

/// The age identity of a node. Not its network identity: this one only opens the store.
pub(crate) struct NodeKey(x25519::Identity);

/// Whoever may open the store besides the node.
pub(crate) struct Recipients(Vec<x25519::Recipient>);

/// A text that is no age recipient of the native kind.
#[derive(Debug)]
pub(crate) struct BadRecipient(pub(crate) String);

/// Why a sealed file does not open.
#[derive(Debug)]
pub(crate) enum Unsealed {
    /// The passphrase does not fit, or the sealed key was changed.
    WrongKey,
    /// A sound header that names others.
    NotForUs,
    /// Not the bytes that were written.
    Damaged(String),
}

impl NodeKey {
    pub(crate) fn generate() -> Self {
        Self(x25519::Identity::generate())
    }

    /// What makes the trailer unforgeable for all who know only the recipients.
    pub(crate) fn mac_key(&self) -> MacKey {
        MacKey::derive(self.0.to_string().expose_secret().as_bytes())
    }

    /// An age identity file as `age-keygen` writes it, under the passphrase. Two while one takes
    /// the other's place.
    pub(crate) fn seal(
        keys: &[&Self],
        passphrase: &Passphrase,
        work_factor: u8,
    ) -> io::Result<Vec<u8>> {
        let mut recipient = scrypt::Recipient::new(secret(passphrase));
        recipient.set_work_factor(work_factor.clamp(1, MAX_WORK_FACTOR));
        let mut sealed = Vec::new();
        seal_to(
            [&recipient as &dyn age::Recipient].into_iter(),
            &mut sealed,
            |writer| {
                keys.iter().try_for_each(|Self(key)| {
                    writeln!(writer, "# public key: {}", key.to_public())?;
                    writer.write_all(key.to_string().expose_secret().as_bytes())?;
                    writer.write_all(b"\n")
                })
            },
        )?;
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
        keys.ok_or_else(|| Unsealed::Damaged("it holds no age identity".into()))
    }

    /// Encrypts what `write` writes to this node and the others.
    pub(crate) fn seal_file(
        &self,
        others: &Recipients,
        output: impl Write,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let own = self.0.to_public();
        let all = std::iter::once(&own)
            .chain(&others.0)
            .map(|recipient| recipient as &dyn age::Recipient);
        seal_to(all, output, write)
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

/// To whom a backup is sealed.
pub(crate) enum BackupKey<'a> {
    Passphrase(&'a Passphrase),
    Recipients(Recipients),
}

/// Encrypts what `write` writes.
pub(crate) fn seal_backup(
    key: &BackupKey<'_>,
    output: impl Write,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    match key {
        BackupKey::Passphrase(passphrase) => {
            let mut recipient = scrypt::Recipient::new(secret(passphrase));
            recipient.set_work_factor(crate::DEFAULT_WORK_FACTOR);
            seal_to(
                [&recipient as &dyn age::Recipient].into_iter(),
                output,
                write,
            )
        }
        BackupKey::Recipients(Recipients(all)) => seal_to(
            all.iter().map(|recipient| recipient as &dyn age::Recipient),
            output,
            write,
        ),
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
                Unsealed::Damaged("the identity file holds no age identity".into())
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

/// The plaintext is shorter than the ciphertext by far more than the 32 bytes below which
/// `read_to_end` would grow it.
fn read_all(
    decryptor: Decryptor<&[u8]>,
    identity: &dyn age::Identity,
    sealed_len: usize,
) -> Result<Zeroizing<Vec<u8>>, Unsealed> {
    let mut reader = decryptor
        .decrypt(std::iter::once(identity))
        .map_err(damaged)?;
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
        // Not in the library's words: it estimates the time by shifting a number by a difference
        // that may be anything.
        DecryptError::ExcessiveWork { required, .. } => Unsealed::Damaged(format!(
            "it asks for a scrypt work factor of {required}, more than {MAX_WORK_FACTOR}"
        )),
        other => Unsealed::Damaged(other.to_string()),
    }
}

/// The one secret key among comment lines.
fn parse_identity(text: &[u8]) -> Option<NodeKey> {
    let [key] = <[NodeKey; 1]>::try_from(parse_identities(text)?).ok()?;
    Some(key)
}

/// The secret keys among comment lines.
fn parse_identities(text: &[u8]) -> Option<Vec<NodeKey>> {
    let keys = std::str::from_utf8(text)
        .ok()?
        .lines()
        .filter(|line| line.starts_with(SECRET_KEY));
    keys.map(|key| key.parse().ok().map(NodeKey)).collect()
}
