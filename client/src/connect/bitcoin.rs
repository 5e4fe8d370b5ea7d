//! The external signer of Bitcoin Core (its `doc/external-signer.md`): descriptors, addresses and
//! signed PSBTs of one wallet.
//!
//! The wallet's root is what Core takes for the master key, and its children are not hardened: the
//! accounts are `m/84/0/0` and so on, without marks. Core takes the paths of descriptors as they
//! are. An ECDSA wallet has the forms `pkh`, `sh(wpkh)` and `wpkh`, a Taproot wallet has `tr`: two
//! wallets, and for Core two signers.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use countersign_payload::{BitcoinForm, read_psbt};
use countersign_protocol::{DerivationPath, KeyDescriptor, Payload, PayloadKind, Scheme};
use countersign_requester::order::SignOrder;
use countersign_verify::address::Network;
use countersign_verify::descriptor::{Form, checksum, ranged};
use countersign_verify::{DeriveError, ExtendedPublicKey};

use crate::client::Client;
use crate::error::ClientError;

/// The longest descriptor of one key, in bytes.
const MAX_DESCRIPTOR: usize = 512;

/// A chain by the name that Core has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Core's")]
pub enum Chain {
    Main,
    Test,
    Testnet4,
    Signet,
    Regtest,
}

impl Chain {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Main,
        Self::Test,
        Self::Testnet4,
        Self::Signet,
        Self::Regtest,
    ];

    /// Core's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Test => "test",
            Self::Testnet4 => "testnet4",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    /// The name in a profile, under `chains`.
    fn in_profile(self) -> &'static str {
        match self {
            Self::Main => "mainnet",
            Self::Test => "testnet",
            Self::Testnet4 => "testnet4",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    /// The coin type of BIP-44.
    fn coin(self) -> u32 {
        match self {
            Self::Main => 0,
            Self::Test | Self::Testnet4 | Self::Signet | Self::Regtest => 1,
        }
    }

    fn addresses(self) -> Network {
        match self {
            Self::Main => Network::Mainnet,
            Self::Test | Self::Testnet4 | Self::Signet => Network::Testnet,
            Self::Regtest => Network::Regtest,
        }
    }
}

/// The names that `--chain` takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("give Core's name of the chain: main, test, testnet4, signet or regtest")]
pub struct UnknownChain;

impl FromStr for Chain {
    type Err = UnknownChain;

    fn from_str(text: &str) -> Result<Self, UnknownChain> {
        let mut all = Self::ALL.into_iter();
        all.find(|chain| chain.name() == text).ok_or(UnknownChain)
    }
}

/// Descriptors of an account, with checksums, for each form of its scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Core's")]
pub struct Descriptors {
    pub receive: Vec<String>,
    pub internal: Vec<String>,
}

/// A PSBT as far as this wallet can sign it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Core's")]
pub struct SignedPsbt {
    /// Base64.
    pub psbt: String,
    /// False if signatures of others are missing.
    pub complete: bool,
}

/// A wallet as a signer of Core.
#[derive(Debug)]
pub struct Signer {
    wallet: KeyDescriptor,
    root: ExtendedPublicKey,
    chain: Chain,
}

impl Signer {
    /// A wallet, which must be of a scheme of Bitcoin, on the chain of the client's profile.
    pub fn new(client: &Client, wallet: KeyDescriptor) -> Result<Self, ClientError> {
        let named = |chain: &Chain| {
            let solana = &client.networks().solana;
            let networks = countersign_payload::Networks::named(chain.in_profile(), solana);
            networks.is_ok_and(|networks| networks.bitcoin == client.networks().bitcoin)
        };
        let chain = Chain::ALL.into_iter().find(named).ok_or_else(|| {
            ClientError::Usage(
                "the network under `chains` in the profile is none of Bitcoin Core's; correct it"
                    .into(),
            )
        })?;
        Self::on(chain, wallet)
    }

    fn on(chain: Chain, wallet: KeyDescriptor) -> Result<Self, ClientError> {
        if forms(wallet.scheme).is_empty() {
            return Err(ClientError::Usage(format!(
                "wallet {} has the scheme {}, which signs nothing of Bitcoin; name a wallet of ecdsa-secp256k1 or taproot",
                wallet.name, wallet.scheme
            )));
        }
        let root = ExtendedPublicKey::root(
            wallet.scheme,
            &wallet.root_public_key,
            wallet.chain_code.as_bytes(),
        )
        .map_err(|error| ClientError::Usage(error.to_string()))?;
        Ok(Self {
            wallet,
            root,
            chain,
        })
    }

    /// The BIP-32 fingerprint of the wallet's root, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        hex::encode(self.root.fingerprint())
    }

    /// The wallet's name, for people.
    pub fn name(&self) -> &str {
        &self.wallet.name
    }

    /// Checks that Core means this wallet, on this chain.
    pub fn check(
        &self,
        fingerprint: Option<&str>,
        chain: Option<Chain>,
    ) -> Result<(), ClientError> {
        let own = self.fingerprint();
        if let Some(other) = fingerprint.filter(|other| !other.eq_ignore_ascii_case(&own)) {
            return Err(ClientError::Usage(format!(
                "the fingerprint {other} is not the wallet's, which is {own}; name the right wallet in -signer"
            )));
        }
        if let Some(other) = chain.filter(|other| *other != self.chain) {
            return Err(ClientError::Usage(format!(
                "Bitcoin Core is on the chain {}, and the profile names {} under `chains`; use a profile for that chain",
                other.name(),
                self.chain.in_profile()
            )));
        }
        Ok(())
    }

    /// The descriptors of an account: `m/PURPOSE/COIN/ACCOUNT`, as BIP-44 orders them, without
    /// hardened steps.
    pub fn descriptors(&self, account: u32) -> Result<Descriptors, ClientError> {
        let wrong = |error: DeriveError| {
            ClientError::Usage(format!("account {account} has no descriptors: {error}"))
        };
        let of = |branch: u32| -> Result<Vec<String>, ClientError> {
            let one = |form: &(Form, u32)| {
                let path = [form.1, self.chain.coin(), account];
                ranged(form.0, &self.root, &path, branch, self.chain.addresses()).map_err(wrong)
            };
            forms(self.wallet.scheme).iter().map(one).collect()
        };
        Ok(Descriptors {
            receive: of(0)?,
            internal: of(1)?,
        })
    }

    /// The address of a descriptor of one key. The key is derived here, from the path that the
    /// descriptor names, and must be the one in it.
    pub fn address(&self, descriptor: &str) -> Result<String, ClientError> {
        let unread = || {
            ClientError::Usage(
                "the descriptor is not of one key of this wallet; ask for an address that Bitcoin Core made with it".into(),
            )
        };
        let read = Described::read(descriptor).ok_or_else(unread)?;
        if !read.fingerprint.eq_ignore_ascii_case(&self.fingerprint()) {
            return Err(ClientError::Usage(format!(
                "the descriptor is of the key {}, and the wallet's is {}; name the right wallet in -signer",
                read.fingerprint,
                self.fingerprint()
            )));
        }
        let mut all = forms(self.wallet.scheme).iter();
        if !all.any(|(form, _)| *form == read.form) {
            return Err(unread());
        }
        let wrong = |error: DeriveError| ClientError::Usage(error.to_string());
        let origin = self.root.derive(read.origin.steps()).map_err(wrong)?;
        let child = origin.derive(read.rest.steps()).map_err(wrong)?;
        if !self.has_key(&read, &origin) {
            return Err(ClientError::Usage(
                "the key in the descriptor is not this wallet's at that path; do not use the address".into(),
            ));
        }
        let network = self.chain.addresses();
        let key = child.public_key();
        let address = match read.form {
            Form::Pkh => network.p2pkh(key),
            Form::Wpkh => network.p2wpkh(key),
            Form::ShWpkh => network.p2sh_p2wpkh(key),
            Form::Tr => network.p2tr(key, None),
        };
        address.map_err(wrong)
    }

    /// Has a PSBT signed: Base64, as Core sends it.
    pub async fn sign(&self, client: &Client, psbt: &str) -> Result<SignedPsbt, ClientError> {
        let bytes =
            read_psbt(psbt.as_bytes()).map_err(|error| ClientError::Usage(error.to_string()))?;
        let payload = Payload::new(PayloadKind::Psbt, bytes);
        payload
            .check()
            .map_err(|error| ClientError::Usage(error.to_string()))?;
        let order = SignOrder::new(self.wallet.key, DerivationPath::default(), payload);
        let made = client.sign(&order, |_| ()).await?;
        let finished = client.finish(&order, &made, BitcoinForm::Psbt).await?;
        Ok(SignedPsbt {
            psbt: BASE64.encode(&finished.bytes),
            complete: finished.missing == 0,
        })
    }

    /// True if the descriptor has the key that its origin leads to: bare, or with its chain code.
    fn has_key(&self, read: &Described, origin: &ExtendedPublicKey) -> bool {
        let key = origin.public_key();
        // BIP-340: Taproot's keys have no sign.
        let bare = match read.form {
            Form::Tr => key.get(1..).unwrap_or_default(),
            Form::Pkh | Form::Wpkh | Form::ShWpkh => key,
        };
        let extended = origin.bitcoin_text(self.chain.addresses());
        extended.is_some_and(|text| text == read.key)
            || (read.key == hex::encode(bare) && read.rest.steps().is_empty())
    }
}

/// The words of Core's standard input: `signtx "…"`, with or without quotes.
pub fn words(text: &str) -> Vec<String> {
    let unquoted = |word: &str| word.trim_matches('"').to_owned();
    text.split_whitespace().map(unquoted).collect()
}

/// The forms of a scheme, each with its purpose (BIP-44, 49, 84, 86).
fn forms(scheme: Scheme) -> &'static [(Form, u32)] {
    match scheme {
        Scheme::EcdsaSecp256k1 => &[(Form::Pkh, 44), (Form::ShWpkh, 49), (Form::Wpkh, 84)],
        Scheme::Taproot => &[(Form::Tr, 86)],
        Scheme::Ed25519 | Scheme::SchnorrSecp256k1 => &[],
    }
}

/// A descriptor of one key: `form([fingerprint/origin]key/rest)`, with a checksum or without.
struct Described {
    form: Form,
    fingerprint: String,
    origin: DerivationPath,
    key: String,
    rest: DerivationPath,
}

impl Described {
    fn read(text: &str) -> Option<Self> {
        if text.len() > MAX_DESCRIPTOR {
            return None;
        }
        let body = match text.split_once('#') {
            Some((body, sum)) => (checksum(body)? == sum).then_some(body)?,
            None => text,
        };
        let (form, inner) = [
            (Form::ShWpkh, "sh(wpkh(", "))"),
            (Form::Wpkh, "wpkh(", ")"),
            (Form::Pkh, "pkh(", ")"),
            (Form::Tr, "tr(", ")"),
        ]
        .into_iter()
        .find_map(|(form, before, after)| {
            Some((form, body.strip_prefix(before)?.strip_suffix(after)?))
        })?;
        let (origin, key) = inner.strip_prefix('[')?.split_once(']')?;
        let (fingerprint, origin) = parted(origin)?;
        let (key, rest) = parted(key)?;
        Some(Self {
            form,
            fingerprint: fingerprint.into(),
            origin,
            key: key.into(),
            rest,
        })
    }
}

/// A text and the path behind it.
fn parted(text: &str) -> Option<(&str, DerivationPath)> {
    match text.split_once('/') {
        Some((first, path)) => Some((first, format!("m/{path}").parse().ok()?)),
        None => Some((text, DerivationPath::default())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// BIP-32, test vector 2.
    const ROOT: &str = "03cbcaa9c98c877a26977d00825c956a238e8dddfbd322cce4f74b0b5bd6ace4a7";
    const CHAIN_CODE: &str = "60499f801b896d83179a4374aeb7822aaeaceaa0db1f85ee3e904c4defbd9689";
    const FINGERPRINT: &str = "bd16bee5";

    fn signer(scheme: Scheme, chain: Chain) -> Signer {
        let key = |seed: u8| {
            let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).verifying_key();
            countersign_protocol::NodeId::from_bytes(key.to_bytes()).unwrap()
        };
        let wallet = serde_json::from_value(json!({
            "key": countersign_protocol::KeyId::from_bytes([1; 16]).unwrap(),
            "task": countersign_protocol::TaskId([2; 16]),
            "session": countersign_protocol::SessionId([3; 32]),
            "name": "n", "scheme": scheme, "committee": [key(1), key(2)], "threshold": 2, "generation": 0,
            "root_public_key": ROOT, "chain_code": CHAIN_CODE,
            "public_shares": countersign_protocol::Hash([5; 32]), "aux": null, "stored": []
        }))
        .unwrap();
        Signer::on(chain, wallet).unwrap()
    }

    /// By embit 0.8, as in the tests of `countersign_verify::descriptor`.
    #[test]
    fn an_account_is_described_in_every_form_of_its_scheme() {
        let ecdsa = signer(Scheme::EcdsaSecp256k1, Chain::Main);
        assert_eq!(ecdsa.fingerprint(), FINGERPRINT);
        let told = ecdsa.descriptors(0).unwrap();
        let kinds = |all: &[String]| {
            all.iter()
                .map(|text| text.split("xpub").next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let expected = [
            "pkh([bd16bee5/44/0/0]",
            "sh(wpkh([bd16bee5/49/0/0]",
            "wpkh([bd16bee5/84/0/0]",
        ];
        assert_eq!(kinds(&told.receive), expected);
        assert_eq!(kinds(&told.internal), expected);
        assert_eq!(
            told.internal[2],
            "wpkh([bd16bee5/84/0/0]xpub6CuYYW1fmpk9nnRg3hJHVfKpWvY4jwTqDNgqbdNia24Fqkmo5cXXdjuqT9wgZARoMBRmknvjFzwzTDww2yKGWai2A9EQoPcFNEa9ypQ66bN/1/*)#zul7ztls"
        );
        let taproot = signer(Scheme::Taproot, Chain::Regtest)
            .descriptors(7)
            .unwrap();
        assert_eq!((taproot.receive.len(), taproot.internal.len()), (1, 1));
        assert!(taproot.receive[0].starts_with("tr([bd16bee5/86/1/7]tpub"));
    }

    /// Addresses by embit 0.8, and keys of `ExtendedPublicKey`, which that library checked.
    #[test]
    fn an_address_is_derived_from_the_path_and_not_taken_on_trust() {
        let signer = signer(Scheme::EcdsaSecp256k1, Chain::Main);
        let account = signer.root.derive(&[84, 0, 0]).unwrap();
        let child = hex::encode(account.derive(&[1, 7]).unwrap().public_key());
        let xpub = account.bitcoin_text(Network::Mainnet).unwrap();
        for (text, address) in [
            (
                format!("wpkh([bd16bee5/84/0/0/1/7]{child})"),
                "bc1qcxj3e3s582dekf2fu0yg68j8vvp3rvyr7surna",
            ),
            (
                format!("wpkh([BD16BEE5/84/0/0]{xpub}/1/7)"),
                "bc1qcxj3e3s582dekf2fu0yg68j8vvp3rvyr7surna",
            ),
            (
                format!("pkh([bd16bee5/84/0/0/1/7]{child})"),
                "1JeuDEZPj9KCReQcqLoedQ6i4U23Vs31Wz",
            ),
            (
                format!("sh(wpkh([bd16bee5/84/0/0/1/7]{child}))"),
                "37rnxQLDjGHxqsEoKKxPvCC8bASgS6yKmr",
            ),
        ] {
            assert_eq!(signer.address(&text).unwrap(), address, "{text}");
            let sum = checksum(&text).unwrap();
            assert_eq!(signer.address(&format!("{text}#{sum}")).unwrap(), address);
        }
    }

    #[test]
    fn a_descriptor_of_anything_else_has_no_address() {
        let signer = signer(Scheme::EcdsaSecp256k1, Chain::Main);
        let account = signer.root.derive(&[84, 0, 0]).unwrap();
        let child = hex::encode(account.derive(&[1, 7]).unwrap().public_key());
        let other = hex::encode(account.derive(&[1, 8]).unwrap().public_key());
        let tpub = account.bitcoin_text(Network::Testnet).unwrap();
        let good = format!("wpkh([bd16bee5/84/0/0/1/7]{child})");
        assert!(signer.address(&good).is_ok());
        for text in [
            format!("wpkh([bd16bee6/84/0/0/1/7]{child})"),
            format!("wpkh([bd16bee5/84/0/0/1/7]{other})"),
            format!("wpkh([bd16bee5/84/0/0/1/8]{child})"),
            format!("wpkh([bd16bee5/84h/0h/0h/1/7]{child})"),
            format!("wpkh([bd16bee5/84/0/0/1/7]{child}/0)"),
            format!("wpkh([bd16bee5/84/0/0]{tpub}/1/7)"),
            format!("wpkh([bd16bee5/84/0/0]{tpub}/1/*)"),
            format!("wpkh({child})"),
            format!("tr([bd16bee5/84/0/0/1/7]{})", &child[2..]),
            format!("wsh(pk([bd16bee5/84/0/0/1/7]{child}))"),
            format!("{good}#qqqqqqqq"),
            format!("{good})"),
            "wpkh(".into(),
            String::new(),
            "x".repeat(10_000),
        ] {
            assert!(signer.address(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn another_key_or_chain_is_refused() {
        let signer = signer(Scheme::Taproot, Chain::Signet);
        assert!(signer.check(None, None).is_ok());
        assert!(signer.check(Some("BD16BEE5"), Some(Chain::Signet)).is_ok());
        assert!(signer.check(Some("00000000"), Some(Chain::Signet)).is_err());
        for chain in [Chain::Main, Chain::Test, Chain::Testnet4, Chain::Regtest] {
            assert!(signer.check(Some(FINGERPRINT), Some(chain)).is_err());
        }
        for chain in Chain::ALL {
            assert_eq!(chain.name().parse(), Ok(chain));
        }
        assert_eq!("mainnet".parse::<Chain>(), Err(UnknownChain));
    }

    #[test]
    fn core_writes_its_command_with_or_without_quotes() {
        for text in [
            "signtx \"cHNidA==\"",
            "signtx cHNidA==\n",
            " signtx  cHNidA== ",
        ] {
            assert_eq!(words(text), ["signtx", "cHNidA=="]);
        }
        assert!(words(" \n").is_empty());
    }
}
