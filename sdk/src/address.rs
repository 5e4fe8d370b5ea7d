//! Lists of addresses, compared by the rules of each kind of chain.

use std::fmt;

use serde::{Deserialize, Deserializer};
use sha3::{Digest, Keccak256};

/// A list of addresses with lookups in logarithmic time ([example](crate#values-in-tasks)).
///
/// An entry is an address, `0x…` or `bc1…`, which then counts on every chain that has such
/// addresses; or an account of one chain ([CAIP-10](https://chainagnostic.org/CAIPs/caip-10)),
/// `eip155:1:0x…`. As an object it can carry a label for people: `{"address": "0x…", "label": "cold
/// storage"}`. Comparison depends on the kind of address:
/// * `0x` and 40 hex digits: case does not matter. An entry in mixed case must
///   fit its checksum ([EIP-55](https://eips.ethereum.org/EIPS/eip-55)).
/// * SegWit addresses ([BIP-173](https://github.com/bitcoin/bips/blob/master/bip-0173.mediawiki),
///   BIP-350): case does not matter; an entry must fit its checksum.
/// * Anything else: every character must be equal.
#[derive(Debug, Clone, Default)]
pub struct AddressSet(AddressMap<AddressEntry>);

/// One entry of an [`AddressSet`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressEntry {
    label: Option<Box<str>>,
}

impl AddressEntry {
    /// The label, if the entry has one.
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }
}

/// Values by address, which is written and compared as in an [`AddressSet`]. An address can have
/// several values. See the [example](crate#values-in-tasks).
#[derive(Debug, Clone)]
pub struct AddressMap<V>(Vec<Listed<V>>);

#[derive(Debug, Clone)]
struct Listed<V> {
    address: Address,
    chain: Option<Box<str>>,
    value: V,
}

impl<V> Default for AddressMap<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> AddressMap<V> {
    /// Builds the map from addresses and their values.
    pub fn new<'a>(entries: impl IntoIterator<Item = (&'a str, V)>) -> Result<Self, AddressError> {
        let entries = entries.into_iter().map(|(text, value)| listed(text, value));
        let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
        entries.sort_unstable_by(|a, b| a.address.cmp(&b.address));
        Ok(Self(entries))
    }

    /// Finds the values for `address` on `chain`, a CAIP-2 id such as `eip155:1`.
    pub fn find(&self, chain: &str, address: &str) -> impl Iterator<Item = &V> {
        let counts =
            move |listed: &&Listed<V>| listed.chain.as_deref().is_none_or(|other| other == chain);
        self.entries(address)
            .iter()
            .filter(counts)
            .map(|listed| &listed.value)
    }

    /// Finds the values for `address` on any chain.
    pub fn find_on_any_chain(&self, address: &str) -> impl Iterator<Item = &V> {
        self.entries(address).iter().map(|listed| &listed.value)
    }

    fn entries(&self, address: &str) -> &[Listed<V>] {
        let address = Address::of_task(address);
        let first = self.0.partition_point(|listed| listed.address < address);
        let end = first + self.0[first..].partition_point(|listed| listed.address == address);
        &self.0[first..end]
    }

    /// The number of entries, not of addresses.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reasons why a text cannot be an entry of an address list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// The text is empty, or contains white space.
    Malformed(String),
    /// The text is a name, such as one of ENS. Tasks show addresses, so it would never match.
    Name(String),
    /// The case of the letters does not fit EIP-55, or the checksum of a SegWit address is wrong.
    Checksum(String),
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) => write!(f, "`{text}` is not an address; copy it again"),
            Self::Name(text) => {
                write!(
                    f,
                    "`{text}` is a name, and tasks show addresses; look it up and write the address it has now"
                )
            }
            Self::Checksum(text) => {
                write!(
                    f,
                    "the checksum of `{text}` is wrong: a character is mistyped; copy the address again"
                )
            }
        }
    }
}

impl std::error::Error for AddressError {}

impl AddressSet {
    /// Builds the list from addresses with optional labels.
    pub fn new<'a>(
        entries: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Self, AddressError> {
        let entry = |label: Option<&str>| AddressEntry {
            label: label.map(Into::into),
        };
        AddressMap::new(
            entries
                .into_iter()
                .map(|(text, label)| (text, entry(label))),
        )
        .map(AddressSet)
    }

    /// Finds the entry for `address` on `chain` (a CAIP-2 id such as `eip155:1`).
    pub fn find(&self, chain: &str, address: &str) -> Option<&AddressEntry> {
        self.0.find(chain, address).next()
    }

    /// Finds the entry for `address` on any chain: for deny lists, if the chain is not known.
    pub fn find_on_any_chain(&self, address: &str) -> Option<&AddressEntry> {
        self.0.find_on_any_chain(address).next()
    }

    /// True if there is an entry for `address` on `chain`.
    pub fn contains(&self, chain: &str, address: &str) -> bool {
        self.find(chain, address).is_some()
    }

    /// True if an entry can be an address of `chain`: it is listed for that chain, or for none but
    /// in the form of its addresses.
    pub fn concerns(&self, chain: &str) -> bool {
        let is_evm = chain.starts_with("eip155:");
        self.0
            .0
            .iter()
            .any(|listed| match (&listed.chain, &listed.address) {
                (Some(other), _) => **other == *chain,
                (None, Address::Evm(_)) => is_evm,
                (None, Address::Text(_)) => !is_evm,
            })
    }

    /// The number of entries, not of addresses.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// True if two texts are the same address, by the rules of an [`AddressSet`].
pub fn same_address(a: &str, b: &str) -> bool {
    Address::of_task(a) == Address::of_task(b)
}

/// The form in which addresses are compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Address {
    Evm([u8; 20]),
    /// SegWit in lower case, everything else unchanged.
    Text(Box<str>),
}

impl Address {
    /// An address written by the node, which has checked it.
    fn of_task(text: &str) -> Self {
        match evm(text) {
            Some(bytes) => Self::Evm(bytes),
            None if is_segwit(text) => Self::Text(text.to_ascii_lowercase().into()),
            None => Self::Text(text.into()),
        }
    }

    /// An address written by a person, to be checked.
    fn of_person(text: &str) -> Result<Self, AddressError> {
        let bad_checksum = || AddressError::Checksum(text.into());
        if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(AddressError::Malformed(text.into()));
        }
        if text.contains('.') {
            return Err(AddressError::Name(text.into()));
        }
        if let Some(bytes) = evm(text) {
            let digits = &text[2..];
            let mixed = digits.bytes().any(|b| b.is_ascii_lowercase())
                && digits.bytes().any(|b| b.is_ascii_uppercase());
            if mixed && checksummed(&bytes) != digits {
                return Err(bad_checksum());
            }
        } else if looks_like_segwit(text) && !is_segwit(text) {
            return Err(bad_checksum());
        }
        Ok(Self::of_task(text))
    }
}

fn listed<V>(text: &str, value: V) -> Result<Listed<V>, AddressError> {
    let (chain, address) = match text.rsplit_once(':') {
        Some((chain, address)) if chain.contains(':') => (Some(chain), address),
        Some(_) => return Err(AddressError::Malformed(text.into())),
        None => (None, text),
    };
    Ok(Listed {
        address: Address::of_person(address)?,
        chain: chain.map(Into::into),
        value,
    })
}

fn evm(text: &str) -> Option<[u8; 20]> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))?;
    let mut bytes = [0; 20];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

/// EIP-55: a letter is upper-case where the hash of the lower-case digits has a digit of 8 or more.
fn checksummed(address: &[u8; 20]) -> String {
    let lower = hex::encode(address);
    let hash = Keccak256::digest(&lower);
    let upper = |at: usize| (hash[at / 2] >> (4 * (1 - at % 2))) & 0xf >= 8;
    lower
        .char_indices()
        .map(|(at, c)| if upper(at) { c.to_ascii_uppercase() } else { c })
        .collect()
}

fn is_segwit(text: &str) -> bool {
    looks_like_segwit(text) && bech32::segwit::decode(text).is_ok()
}

/// True for texts that begin like a SegWit address of one of Bitcoin's networks.
fn looks_like_segwit(text: &str) -> bool {
    ["bc1", "tb1", "bcrt1"].iter().any(|prefix| {
        text.get(..prefix.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
    })
}

/// A list of texts, or of objects with `address` and `label`.
impl<'de> Deserialize<'de> for AddressSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected an address, or `address` and `label`")]
        enum Written {
            Bare(String),
            Labelled(Labelled),
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Labelled {
            address: String,
            label: Option<String>,
        }
        let written = Vec::<Written>::deserialize(deserializer)?;
        let entries = written.iter().map(|written| match written {
            Written::Bare(address) => (address.as_str(), None),
            Written::Labelled(entry) => (entry.address.as_str(), entry.label.as_deref()),
        });
        Self::new(entries).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> Result<AddressSet, AddressError> {
        AddressSet::new(entries.iter().map(|entry| (*entry, None)))
    }

    /// The examples of EIP-55.
    const EIP55: [&str; 8] = [
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x27b1fdb04752bbc536007a920d24acb045561c26",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ];

    #[test]
    fn case_does_not_matter_on_evm_chains_but_a_wrong_checksum_does() {
        let set = list(&EIP55).unwrap();
        for address in EIP55 {
            let upper = format!("0x{}", address[2..].to_uppercase());
            for text in [address, &address.to_lowercase(), &upper] {
                assert!(set.contains("eip155:1", text), "{text}");
                assert!(list(&[text]).is_ok(), "{text}");
            }
        }
        for wrong in [
            "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        ] {
            assert_eq!(
                list(&[wrong]).unwrap_err(),
                AddressError::Checksum(wrong.into())
            );
        }
        assert!(!set.contains("eip155:1", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAee"));
    }

    /// The address is the first example of BIP-173.
    #[test]
    fn case_does_not_matter_for_segwit_but_it_does_for_others() {
        let lower = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
        let chain = "bip122:000000000019d6689c085ae165831e93";
        for entry in [lower, &lower.to_uppercase()] {
            let set = list(&[entry]).unwrap();
            assert!(set.contains(chain, lower) && set.contains(chain, &lower.to_uppercase()));
        }
        let mixed = lower.replacen('q', "Q", 1);
        for wrong in [mixed.as_str(), "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5"] {
            assert!(
                matches!(list(&[wrong]), Err(AddressError::Checksum(_))),
                "{wrong}"
            );
        }
        let set = list(&["1BoatSLRHtKNngkdXEeobR76b53LETtpyT"]).unwrap();
        assert!(set.contains(chain, "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"));
        assert!(!set.contains(chain, "1boatSLRHtKNngkdXEeobR76b53LETtpyT"));
    }

    #[test]
    fn an_account_of_one_chain_counts_there_alone() {
        let address = "0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359";
        let set = list(&[
            &format!("eip155:10:{address}"),
            &format!("eip155:1:{address}"),
        ])
        .unwrap();
        assert!(set.contains("eip155:1", address) && set.contains("eip155:10", address));
        assert!(!set.contains("eip155:100", address));
        assert!(set.find_on_any_chain(address).is_some());
    }

    #[test]
    fn an_invalid_address_is_refused() {
        for text in [
            "",
            " 0xab",
            "a b",
            "eip155:0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359",
            "0xab\n",
            "eip155:1:",
        ] {
            assert!(
                matches!(list(&[text]), Err(AddressError::Malformed(_))),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_name_is_not_an_address() {
        for text in [
            "vitalik.eth",
            "eip155:1:vitalik.eth",
            "toly.sol",
            "a.b.example",
        ] {
            let error = list(&[text]).unwrap_err();
            assert!(
                matches!(error, AddressError::Name(_)) && error.to_string().contains("look it up"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_list_concerns_the_chains_whose_addresses_it_has() {
        let solana = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp";
        let ethereum = "eip155:1";
        for (entry, on_solana, on_ethereum) in [
            ("0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359", false, true),
            (
                "eip155:10:0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359",
                false,
                false,
            ),
            ("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", true, false),
        ] {
            let list = list(&[entry]).unwrap();
            assert_eq!(
                (list.concerns(solana), list.concerns(ethereum)),
                (on_solana, on_ethereum),
                "{entry}"
            );
        }
    }

    #[test]
    fn entries_are_texts_or_objects_and_nothing_else() {
        let read = serde_json::from_str::<AddressSet>;
        let set = read(r#"["a", {"address": "b", "label": "second"}, {"address": "c"}]"#).unwrap();
        assert_eq!(set.len(), 3);
        assert_eq!(set.find("x:y", "b").unwrap().label(), Some("second"));
        for text in [
            r#"[1]"#,
            r#"[{"label": "x"}]"#,
            r#"[{"address": "a", "lable": "x"}]"#,
            r#""a""#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
