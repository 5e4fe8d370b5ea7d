//! Wallets: what is believed, what the wallet book becomes, and what is derived from a root key.
//!
//! A host passes the text of the book as it is in its file, under the file's lock, and does with
//! the file what the answer says.

use countersign_protocol::{DerivationPath, KeyDescriptor, KeyId, Operation, UnixMillis};
use countersign_requester::belief::{Belief, Believed, Introduction};
use countersign_requester::book::{Entry, Pages};
use countersign_requester::known::Acquaintances;
use countersign_requester::profile::Chains;
use countersign_requester::{proof, succession};
use countersign_verify::{ExtendedPublicKey, addresses, result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::order::Order;
use crate::pages::PinnedPages;

/// What to do with the file of the book.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Write {
    /// Nothing.
    #[default]
    Nothing,
    /// Add this text at its end.
    Append(String),
    /// Replace it by this text.
    Whole(String),
}

/// A believed wallet, and what to do with the file of the book.
#[derive(Serialize)]
pub struct Recorded {
    wallet: KeyDescriptor,
    belief: Option<Belief>,
    write: Write,
}

/// A question about one wallet of the book.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct One {
    book: String,
    id: KeyId,
}

/// One entry of the book, verified whoever wrote it; null if there is none.
pub fn one(One { book, id }: One) -> Result<Option<Entry>, Failure> {
    let pages = read(&book)?;
    pages.wallets.get(&id).cloned().map(verified).transpose()
}

/// The whole book.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct All {
    book: String,
}

/// All entries of the book, each verified.
pub fn all(All { book }: All) -> Result<Vec<Entry>, Failure> {
    read(&book)?.wallets.into_values().map(verified).collect()
}

/// A name in the book.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    book: String,
    name: String,
}

/// The ids that the book has under a name.
pub fn named(Named { book, name }: Named) -> Result<Vec<KeyId>, Failure> {
    let entries = read(&book)?.wallets.into_values();
    let named = entries.filter(|entry| entry.wallet.name == name);
    Ok(named.map(|entry| entry.wallet.key).collect())
}

/// A wallet as a coordinator introduces it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Introduced {
    id: KeyId,
    told: KeyDescriptor,
    /// Absent: `told` is the first.
    #[serde(default)]
    generations: Option<Vec<KeyDescriptor>>,
    /// The order that made it; absent if the coordinator has none.
    #[serde(default)]
    order: Option<Order>,
    #[serde(default)]
    passkeys: PinnedPages,
}

impl Introduced {
    fn introduction(self) -> Result<Introduction, Failure> {
        let mut generations = self.generations.unwrap_or_else(|| vec![self.told.clone()]);
        generations.retain(|one| one.generation <= self.told.generation);
        let order = self.order.map(Into::into);
        let pages = self.passkeys.get()?;
        let introduction =
            Introduction::new(self.id, generations, &self.told, order.as_ref(), pages)?;
        Ok(introduction)
    }
}

/// A wallet that is met, with the book, and those whom the profile names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Met {
    book: String,
    introduced: Introduced,
    known: Acquaintances,
    now: UnixMillis,
}

/// Believes a wallet at first sight, or one that the book has without a reason, if the profile has
/// all its members and its requester.
pub fn meet(met: Met) -> Result<Recorded, Failure> {
    let pages = read(&met.book)?;
    let introduction = met.introduced.introduction()?;
    let known = pages.wallets.get(&introduction.newest().key);
    if let Some(entry) = known.filter(|entry| entry.belief.is_none()) {
        succession::check_includes(&introduction, &entry.wallet)?;
    }
    record(pages, introduction.by_profile(&met.known.known(), met.now)?)
}

/// A wallet to look at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    introduced: Introduced,
    known: Acquaintances,
}

/// What a person compares before trusting a wallet. Nothing of it is believed.
#[derive(Serialize)]
pub struct ForPeople {
    wallet: KeyDescriptor,
    lines: Vec<String>,
    doubts: Vec<String>,
    fingerprint: String,
}

/// Checks that the parts of a wallet fit together, and describes it.
pub fn introduce(shown: Shown) -> Result<ForPeople, Failure> {
    let introduction = shown.introduced.introduction()?;
    let known = shown.known.known();
    let doubts = introduction.doubts(&known);
    Ok(ForPeople {
        lines: introduction.lines(&known),
        doubts: doubts.iter().map(ToString::to_string).collect(),
        fingerprint: introduction.fingerprint(),
        wallet: introduction.newest().clone(),
    })
}

/// A person's word for a wallet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    book: String,
    introduced: Introduced,
    /// Of what the person was shown.
    fingerprint: String,
    reason: String,
    now: UnixMillis,
}

/// Believes a wallet on a person's word.
pub fn trust(word: Word) -> Result<Recorded, Failure> {
    let pages = read(&word.book)?;
    let introduction = word.introduced.introduction()?;
    match pages.wallets.get(&introduction.newest().key) {
        Some(entry) if entry.belief.is_some() => {
            return Err(Failure::usage(
                "this wallet is in the wallet book already; look at its belief there",
            ));
        }
        Some(entry) => succession::check_includes(&introduction, &entry.wallet)?,
        None => {}
    }
    let believed = introduction.by_word(&word.fingerprint, &word.reason, word.now)?;
    record(pages, believed)
}

/// What a coordinator tells about a wallet of the book.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Followed {
    book: String,
    told: KeyDescriptor,
    #[serde(default)]
    generations: Vec<KeyDescriptor>,
}

/// Follows a believed wallet from the generation in the book to the coordinator's.
pub fn follow(followed: Followed) -> Result<Recorded, Failure> {
    let pages = read(&followed.book)?;
    let Some(entry) = pages.wallets.get(&followed.told.key).cloned() else {
        return Err(Failure::usage(
            "the wallet is not in the wallet book; meet it first",
        ));
    };
    let entry = verified(entry)?;
    if entry.belief.is_none() {
        return Err(Failure::usage(
            "the wallet is in the wallet book without a reason; meet it first",
        ));
    }
    let later = succession::follow(&entry.wallet, followed.generations, &followed.told)?;
    replace(pages, entry, &later)
}

/// The result of an order for a wallet, or for its next generation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    book: String,
    own: countersign_protocol::RequesterId,
    order: Order,
    made: KeyDescriptor,
    #[serde(default)]
    passkeys: PinnedPages,
    now: UnixMillis,
}

/// Believes the result of an own order for a wallet.
pub fn created(made: Made) -> Result<Recorded, Failure> {
    let (order, _) = made.order.of(made.own, &made.passkeys)?;
    let believed = Believed::ordered(&made.made, &order, made.passkeys.get()?, made.now)?;
    record(read(&made.book)?, believed)
}

/// Believes the result of an own order for the next generation of a wallet.
pub fn reshared(made: Made) -> Result<Recorded, Failure> {
    let (_, task) = made.order.of(made.own, &made.passkeys)?;
    let Operation::KeyReshare(reshare) = &task.operation else {
        return Err(Failure::invalid("a generation for another operation"));
    };
    result::reshared(task.id, reshare, None, &made.made)?;
    let pages = read(&made.book)?;
    let Some(entry) = pages.wallets.get(&made.made.key).cloned() else {
        return Err(Failure::usage(
            "the wallet is not in the wallet book; meet it first",
        ));
    };
    replace(pages, verified(entry)?, &[made.made])
}

/// A wallet by itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wallet {
    wallet: KeyDescriptor,
}

/// The text of the root key: `xpub…` (secp256k1) or `cpub…` (Ed25519).
pub fn root_key(Wallet { wallet }: Wallet) -> Result<String, Failure> {
    Ok(proof::root_key(&wallet)?)
}

/// A child of a wallet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Child {
    wallet: KeyDescriptor,
    path: DerivationPath,
    #[serde(default)]
    chains: Chains,
    #[serde(default)]
    script_root: Option<String>,
}

/// A derived key with its addresses by kind.
#[derive(Serialize)]
pub struct Derived {
    #[serde(with = "hex::serde")]
    public_key: Vec<u8>,
    addresses: Map<String, Value>,
}

/// Derives a child of a wallet.
pub fn child(child: Child) -> Result<Derived, Failure> {
    let mut root = [0; 32];
    let script_root = match child.script_root {
        Some(text) => {
            hex::decode_to_slice(text, &mut root).map_err(|_| {
                Failure::usage("a script root has 32 bytes; give 64 hexadecimal digits")
            })?;
            Some(&root)
        }
        None => None,
    };
    let networks = child.chains.networks().map_err(Failure::usage)?;
    let network = networks
        .bitcoin_addresses()
        .ok_or_else(|| Failure::usage("the network of Bitcoin is not known; name another one"))?;
    let derived = addresses::child(&(&child.wallet).into(), &child.path, network, script_root)?;
    let kinds = derived.addresses.into_iter();
    Ok(Derived {
        public_key: derived.public_key,
        addresses: kinds
            .map(|(kind, address)| (kind.into(), address.into()))
            .collect(),
    })
}

/// An extended public key, and a path below it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extended {
    key: String,
    path: DerivationPath,
}

/// A key below an extended public key.
#[derive(Serialize)]
pub struct ExtendedChild {
    key: String,
    #[serde(with = "hex::serde")]
    public_key: Vec<u8>,
}

/// Derives below an extended public key (BIP-32; `cpub…` for Ed25519).
pub fn extended_child(Extended { key, path }: Extended) -> Result<ExtendedChild, Failure> {
    let key: ExtendedPublicKey = key.parse().map_err(Failure::usage)?;
    let child = key.derive(path.steps())?;
    Ok(ExtendedChild {
        key: child.to_string(),
        public_key: child.public_key().to_vec(),
    })
}

/// An empty text is a book that does not exist yet.
fn read(book: &str) -> Result<Pages, Failure> {
    if book.is_empty() {
        Ok(Pages::default())
    } else {
        Ok(Pages::parse(book)?)
    }
}

fn verified(entry: Entry) -> Result<Entry, Failure> {
    proof::check_wallet(entry.wallet.key, &entry.wallet)?;
    Ok(entry)
}

fn record(pages: Pages, believed: Believed) -> Result<Recorded, Failure> {
    let write = match pages.recorded(&believed)? {
        Some(entry) => write(&pages, &entry)?,
        None => Write::Nothing,
    };
    Ok(Recorded {
        wallet: believed.wallet().clone(),
        belief: Some(believed.belief().clone()),
        write,
    })
}

/// Replaces a wallet of the book by each of these generations in turn.
fn replace(
    mut pages: Pages,
    mut entry: Entry,
    later: &[KeyDescriptor],
) -> Result<Recorded, Failure> {
    let mut changed = false;
    for next in later {
        if let Some(replaced) = pages.replaced(next)? {
            pages.wallets.insert(next.key, replaced.clone());
            entry = replaced;
            changed = true;
        }
    }
    let write = if changed {
        write(&pages, &entry)?
    } else {
        Write::Nothing
    };
    Ok(Recorded {
        wallet: entry.wallet,
        belief: entry.belief,
        write,
    })
}

fn write(pages: &Pages, entry: &Entry) -> Result<Write, Failure> {
    let line = pages.line(entry).map_err(Failure::unreadable)?;
    match line {
        Some(line) => Ok(Write::Append(line)),
        None => {
            let whole = pages.with(entry).map_err(Failure::unreadable)?;
            Ok(Write::Whole(whole))
        }
    }
}
