//! Real-world files given to the command line: each is described before anything is ordered, or
//! refused with the reason.

use countersign_protocol::{Operation, Scheme};

use super::forged::coordinator::{Forger, OURS, acked, made, task};
use super::*;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../payload/fixtures");

/// The generator of secp256k1.
const EVM_ROOT: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
/// The payer of the transactions in the files.
const SOLANA_ROOT: &str = "9b19c607f5421cf7128b19f6d8ad2a18ebf73f145f4236118de34799599cc4b8";

const ON_EVM: [Case; 10] = [
    case(
        "--eip712",
        "eip712-extra_top_level.json",
        &[
            "take 3000",
            "not signed and left out: `account`",
            "0xeff639971acbc674e42cccb66151bcdcfcfb8154ef7b93432cd0dbf30f29a2bb",
        ],
    ),
    case(
        "--eip712",
        "eip712-hl_usd_send.json",
        &[
            "HyperliquidTransaction:UsdSend",
            "the rights it grants are not shown",
            "0x3e1cc8a4ff4098c79434c2a2ab58d740d35dc2e097c2810597f4eba094aa964c",
        ],
    ),
    case(
        "--eip712",
        "eip712-injective_string_contract.json",
        &[
            "contract cosmos",
            "NOT KNOWN",
            "0x73994727c09f27b69c475fb8dd74e995cc73b48fe9864803d6c4fb8a1f557e0c",
        ],
    ),
    case(
        "--eip712",
        "eip712-ledger01_extra_member.json",
        &[
            "`message.r`",
            "`message.v`",
            "0xeff639971acbc674e42cccb66151bcdcfcfb8154ef7b93432cd0dbf30f29a2bb",
        ],
    ),
    case(
        "--eip712",
        "eip712-no_domain_type.json",
        &[
            "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)",
            "0x41a4c78c62a6f34478880e86f2101edd314eef44d1961c8b123aa33fdaead37a",
        ],
    ),
    case(
        "--eip712",
        "eip712-over_u64_number.json",
        &["take 100000000000000000000 "],
    ),
    case(
        "--eip712",
        "eip712-v4_permit_for_all.json",
        &[
            "an ERC-721 contract",
            "take EVERY TOKEN of eip155:1/erc721:0xbD21",
        ],
    ),
    case(
        "--eip7702",
        "@evm-7702-authorization.hex",
        &["HANDS THE WHOLE ACCOUNT to 0x63c0c19a282a1B52b07dD5a65b58948A07DAE32B"],
    ),
    case(
        "--evm-transaction",
        "@evm-erc721-approve-token-0.hex",
        &["token number 0, or the amount 0"],
    ),
    case(
        "--evm-transaction",
        "@evm-signed-1559.hex",
        &["error: ", "it is signed already"],
    ),
];
const ON_SOLANA: [Case; 3] = [
    case(
        "--solana",
        "@solana-priority-fee-unbounded.hex",
        &["a fee of at most 230584300.921374395 SOL"],
    ),
    case(
        "--solana",
        "@solana-usdc-ata-owner.hex",
        &[
            "to YMN9Qj5jPNp7j14VPcML1B6xGgcPWVZUGLFU3Mnyfaf, an account of gBxS1f6uyyGPuW5MzGBukidSb71jdsCb5fZaoSzULE5",
        ],
    ),
    case(
        "--solana",
        "@solana-wire-transaction.b64",
        &[
            "sends 0.000001 SOL (1000)",
            "a fee of at most 0.000005 SOL (5000)",
        ],
    ),
];
const ON_BITCOIN: [BitcoinCase; 2] = [
    BitcoinCase {
        file: "psbt-base64-76-columns.txt",
        key: "0394b7b7fa9b71e12de462a35072a27482b2502fc79c45183efda2200329d9023e",
        fingerprint: [0x69, 0x73, 0x13, 0xee],
        says: &[
            "sends 0.0001 BTC (10000)",
            "to nobody, memo 737761703a4554483a30786162636465 (\"swap:ETH:0xabcde\")",
            "a fee of at most 0.00009 BTC (9000)",
        ],
    },
    BitcoinCase {
        file: "psbt-p2wsh-2of3.psbt",
        key: "03ff0c39d4a933a669f0867dc93c59aaca2c26dff61acc1f16f4665593a682641c",
        fingerprint: [0x68, 0x16, 0xb8, 0x11],
        says: &[
            "calls multisig 2 of 3",
            "sends 0.0008 BTC (80000)",
            "a fee of at most 0.0001 BTC (10000)",
        ],
    },
];

/// The option for a file, and its expected description.
struct Case {
    flag: &'static str,
    file: &'static str,
    says: &'static [&'static str],
}

const fn case(flag: &'static str, file: &'static str, says: &'static [&'static str]) -> Case {
    Case { flag, file, says }
}

/// A wallet of the client's own order, introduced by the coordinator.
fn wallet(
    forger: &Forger,
    id: u8,
    scheme: Scheme,
    root: &[u8],
) -> (countersign_protocol::SignedTask, KeyDescriptor) {
    let mut wanted = task(forger.own.id(), &OURS, id);
    let Operation::KeyGen(keygen) = &mut wanted.operation else {
        panic!("no KeyGen")
    };
    keygen.scheme = scheme;
    let order = forger.own.sign(&wanted);
    let wallet = KeyDescriptor {
        root_public_key: root.to_vec(),
        ..made(&order, 100)
    };
    let members = wallet.committee.members().to_vec();
    (order, acked(wallet, &members))
}

/// Returns the description of a file. After an error nothing is submitted.
async fn said(forger: &Forger, wallet: &KeyDescriptor, flag: &str, given: &str) -> String {
    forger.handed_in();
    let output = binary(
        forger.dir.path(),
        &["sign", &wallet.key.to_string(), flag, given],
    )
    .await;
    let said = text(&output.stderr);
    let refused =
        said.starts_with("error: the payload ") || said.starts_with("error: the message ");
    assert_eq!(forger.handed_in().is_empty(), refused, "{said}");
    said
}

async fn all_said(forger: &Forger, wallet: &KeyDescriptor, cases: &[Case]) {
    for Case { flag, file, says } in cases {
        let given = match file.strip_prefix('@') {
            Some(file) => format!("@{FIXTURES}/{file}"),
            None => format!("{FIXTURES}/{file}"),
        };
        let said = said(forger, wallet, flag, &given).await;
        says.iter()
            .for_each(|part| assert!(said.contains(part), "{file}: {part} is missing in\n{said}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_people_have_are_shown_for_what_they_do() {
    let forger = Forger::start().await;
    let (evm_order, evm) = wallet(
        &forger,
        1,
        Scheme::EcdsaSecp256k1,
        &hex::decode(EVM_ROOT).unwrap(),
    );
    let (solana_order, solana) = wallet(
        &forger,
        2,
        Scheme::Ed25519,
        &hex::decode(SOLANA_ROOT).unwrap(),
    );
    forger.tell(&[
        (&evm_order, std::slice::from_ref(&evm)),
        (&solana_order, std::slice::from_ref(&solana)),
    ]);
    all_said(&forger, &evm, &ON_EVM).await;
    all_said(&forger, &solana, &ON_SOLANA).await;
    let tron =
        std::fs::read_to_string(format!("{FIXTURES}/message-tron-trigger-contract.hex")).unwrap();
    let said = said(&forger, &evm, "--message-hex", tron.trim()).await;
    assert!(said.contains("a Tron transaction"), "{said}");
}

/// The one key of a file with a known origin, its fingerprint (BIP-32),
/// and the expected description.
struct BitcoinCase {
    file: &'static str,
    key: &'static str,
    fingerprint: [u8; 4],
    says: &'static [&'static str],
}

/// The same PSBT, in which the key is its own root: the value of its `PSBT_IN_BIP32_DERIVATION`
/// is the fingerprint alone.
fn with_own_origin(psbt: &[u8], key: &[u8], fingerprint: [u8; 4]) -> Vec<u8> {
    let field = [&[0x22, 0x06], key].concat();
    let value = psbt
        .windows(field.len())
        .position(|bytes| bytes == field)
        .unwrap()
        + field.len();
    let after = value + 1 + usize::from(psbt[value]);
    [&psbt[..value], &[4], &fingerprint, &psbt[after..]].concat()
}

/// The files use keys that created no wallet here, so the key in each is made a wallet's root.
#[tokio::test(flavor = "multi_thread")]
async fn bitcoin_files_are_read_in_every_form_and_shared_scripts_are_shown() {
    use base64::Engine as _;
    let forger = Forger::start().await;
    let base64 = base64::engine::general_purpose::STANDARD;
    for (
        id,
        BitcoinCase {
            file,
            key,
            fingerprint,
            says,
        },
    ) in (1..).zip(&ON_BITCOIN)
    {
        let file = format!("{FIXTURES}/{file}");
        let key = hex::decode(key).unwrap();
        let (order, wallet) = wallet(&forger, id, Scheme::EcdsaSecp256k1, &key);
        forger.tell(&[(&order, std::slice::from_ref(&wallet))]);
        let as_it_is = said(&forger, &wallet, "--psbt", &format!("@{file}")).await;
        assert!(
            as_it_is.contains("0 of its inputs have an origin in this key"),
            "{as_it_is}"
        );

        let bytes = std::fs::read(&file).unwrap();
        let bytes = if bytes.starts_with(b"psbt") {
            bytes
        } else {
            base64
                .decode(text(&bytes).split_whitespace().collect::<String>())
                .unwrap()
        };
        let psbt = with_own_origin(&bytes, &key, *fingerprint);
        let encoded = base64.encode(&psbt);
        let columns: Vec<String> = encoded.as_bytes().chunks(76).map(text).collect();
        let given = forger.dir.path().join("ours");
        for form in [
            psbt.clone(),
            hex::encode(&psbt).into_bytes(),
            columns.join("\n").into_bytes(),
        ] {
            std::fs::write(&given, form).unwrap();
            let said = said(&forger, &wallet, "--psbt", &format!("@{}", given.display())).await;
            says.iter()
                .for_each(|part| assert!(said.contains(part), "{part} is missing in\n{said}"));
        }
    }
}
