use alloy_consensus::TxEnvelope;
use alloy_eips::Decodable2718;
use alloy_primitives::B256;
use countersign_protocol::Scheme;
use k256::ecdsa::{RecoveryId, Signature as Ecdsa, VerifyingKey};

use super::*;
use crate::PayloadKind;
use crate::testkit::{decode_as, digest_of, ecdsa, transaction};

const TOKEN: Address = Address::repeat_byte(0xaa);

fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    decode_as(&ecdsa(), PayloadKind::EvmTransaction, bytes)
}

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

/// Strips the signature from a published transaction, puts it back, and returns the signed
/// content with the account recovered from the digest computed here, through a key whose root
/// is the recovered point.
fn recovered(signed: &str) -> (Decoded, Vec<u8>) {
    let envelope = TxEnvelope::decode_2718(&mut unhex(signed).as_slice()).unwrap();
    let unsigned = match &envelope {
        TxEnvelope::Legacy(tx) => tx.tx().encoded_for_signing(),
        TxEnvelope::Eip2930(tx) => tx.tx().encoded_for_signing(),
        TxEnvelope::Eip1559(tx) => tx.tx().encoded_for_signing(),
        TxEnvelope::Eip4844(tx) => tx.tx().encoded_for_signing(),
        TxEnvelope::Eip7702(tx) => tx.tx().encoded_for_signing(),
    };
    let digest = unhex(&digest_of(&decode(&unsigned).unwrap()));
    let signature = envelope.signature();
    let rs = [
        signature.r().to_be_bytes::<32>(),
        signature.s().to_be_bytes::<32>(),
    ]
    .concat();
    let parity = RecoveryId::new(signature.v(), false);
    let point =
        VerifyingKey::recover_from_prehash(&digest, &Ecdsa::from_slice(&rs).unwrap(), parity)
            .unwrap();
    let root = point.to_encoded_point(true);
    let key = Key {
        root_public_key: root.as_bytes(),
        ..ecdsa()
    };
    let payload = countersign_protocol::Payload::new(PayloadKind::EvmTransaction, unsigned.clone());
    let form = crate::BitcoinForm::Transaction;
    let put_back = crate::finish(
        &key,
        &DerivationPath::default(),
        &payload,
        &Default::default(),
        &[&rs],
        form,
    )
    .unwrap();
    assert_eq!(
        (hex::encode(put_back.bytes), put_back.missing),
        (signed.to_string(), 0)
    );
    (
        decode_as(&key, PayloadKind::EvmTransaction, &unsigned).unwrap(),
        unsigned,
    )
}

#[test]
fn the_example_of_eip_155_has_its_published_digest() {
    let bytes = unhex(
        "ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080",
    );
    let decoded = decode(&bytes).unwrap();
    assert_eq!(
        digest_of(&decoded),
        "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"
    );
    let transaction = transaction(&decoded);
    assert_eq!(transaction.chain, "eip155:1");
    // The account of private key 1.
    assert_eq!(
        transaction.sources,
        ["0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"]
    );
    let [to] = &transaction.destinations[..] else {
        panic!()
    };
    assert_eq!(
        (&*to.address, &*to.asset),
        ("0x3535353535353535353535353535353535353535", "")
    );
    assert_eq!((&*to.amount, to.change), ("1000000000000000000", false));
    assert_eq!(transaction.fee.as_deref(), Some("420000000000000"));
    assert_eq!((transaction.calls.len(), transaction.grants.len()), (0, 0));
    assert_eq!(transaction.unsigned, bytes);
}

/// From go-ethereum's tests of its signer for this type.
#[test]
fn a_published_transaction_of_eip_2930_has_its_digest() {
    let bytes = unhex("01e00103018261a894b94f5374fce5edbc8e2a8697c15331677e6ebf0b0a825544c0");
    let digest = "49b486f0ec0a60dfbbca2d30cb07c9e8ffb2a2ff41f29a1ab6737475f6ff69f3";
    assert_eq!(digest_of(&decode(&bytes).unwrap()), digest);
}

#[test]
fn live_transactions_recover_to_their_senders() {
    // Mainnet 0x280cde7cdefe4b188750e76c888f13bd05ce9a4d7767730feefe8a0e50ca6fc4: a swap.
    let (legacy, _) = recovered(
        "f9015482078b8505d21dba0083022ef1947a250d5630b4cf539739df2c5dacb4c659f2488d880c46549a521b13d8b8e47ff36ab50000000000000000000000000000000000000000000066ab5a608bd00a23f2fe000000000000000000000000000000000000000000000000000000000000008000000000000000000000000048c04ed5691981c42154c6167398f95e8f38a7ff00000000000000000000000000000000000000000000000000000000632ceac70000000000000000000000000000000000000000000000000000000000000002000000000000000000000000c02aaa39b223fe8d0a0e5c4f27ead9083c756cc20000000000000000000000006c6ee5e31d828de241282b9606c8e98ea48526e225a0c9077369501641a92ef7399ff81c21639ed4fd8fc69cb793cfa1dbfab342e10aa0615facb2f1bcf3274a354cfe384a38d0cc008a11c2dd23a69111bc6930ba27a8",
    );
    let swap = transaction(&legacy);
    assert_eq!(swap.sources, ["0xa12e1462d0ceD572f396F58B6E2D03894cD7C8a4"]);
    let [
        Call {
            contract,
            selector,
            method,
            amount,
            ..
        },
    ] = &swap.calls[..]
    else {
        panic!()
    };
    assert_eq!(contract, "0x7a250d5630B4cF539739dF2C5dAcb4c659F2488D");
    assert_eq!(
        (&selector[..], method, &**amount),
        (&[0x7f, 0xf3, 0x6a, 0xb5][..], &None, "884487398604084184")
    );

    // Mainnet, EIP-1559.
    let (eip1559, _) = recovered(
        "02f86f0102843b9aca0085029e7822d68298f094d9e1459a7a482635700cbc20bbaf52d495ab9c9680841b55ba3ac080a0c199674fcb29f353693dd779c017823b954b3c69dffa3cd6b2a6ff7888798039a028ca912de909e7e6cdef9cdcaf24c54dd8c1032946dfa1d85c206b32a9064fe8",
    );
    assert_eq!(
        transaction(&eip1559).sources,
        ["0x001e2b7dE757bA469a57bF6b23d982458a07eFcE"]
    );
    assert!(transaction(&eip1559).destinations.is_empty());

    // Sepolia 0x9a22ccb0029bc8b0ddd073be1a1d923b7ae2b2ea52100bae0db4424f9107e9c0: five blobs,
    // value, no data.
    let (blobs, _) = recovered(
        "03f9011d83aa36a7820fa28477359400852e90edd0008252089411e9ca82a3a762b4b5bd264d4173a242e7a770648080c08504a817c800f8a5a0012ec3d6f66766bedb002a190126b3549fce0047de0d4c25cffce0dc1c57921aa00152d8e24762ff22b1cfd9f8c0683786a7ca63ba49973818b3d1e9512cd2cec4a0013b98c6c83e066d5b14af2b85199e3d4fc7d1e778dd53130d180f5077e2d1c7a001148b495d6e859114e670ca54fb6e2657f0cbae5b08063605093a4b3dc9f8f1a0011ac212f13c5dff2b2c6b600a79635103d6f580a4221079951181b25c7e654901a0c8de4cced43169f9aa3d36506363b2d2c44f6c49fc1fd91ea114c86f3757077ea01e11fdd0d1934eda0492606ee0bb80a7bf8f35cc5f86ec60fe5031ba48bfd544",
    );
    let blobs = transaction(&blobs);
    assert_eq!(
        (&*blobs.chain, &blobs.sources[0]),
        (
            "eip155:11155111",
            &"0xA83C816D4f9b2783761a22BA6FADB0eB0606D7B2".into()
        )
    );
    // 21,000 gas at 200 gwei, and five blobs of 131,072 gas at 20 gwei.
    assert_eq!(blobs.fee.as_deref(), Some("17307200000000000"));
}

#[test]
fn a_transaction_without_chain_is_refused() {
    // The same fields as the example of EIP-155, without chain id and zeros; and with chain id 0.
    for bytes in [
        "e9098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080",
        "ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080808080",
        "02dd80808080809435353535353535353535353535353535353535358080c0",
    ] {
        let refused = decode(&unhex(bytes)).unwrap_err();
        assert!(refused.to_string().contains("chain"), "{refused}");
    }
}

#[test]
fn only_the_one_unsigned_encoding_is_accepted() {
    let good = "ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080";
    assert!(decode(&unhex(good)).is_ok());
    for (what, bytes) in [
        ("trailing byte", format!("{good}00")),
        (
            "nonce with a leading zero",
            good.replacen("ec09", "ed8109", 1),
        ),
        (
            "signature in place of the zeros",
            good.replacen("018080", "010180", 1),
        ),
        ("type that is not known", format!("05{good}")),
        ("type 0", format!("00{good}")),
        ("nothing but a type", "02".into()),
        ("legacy transaction with a type", format!("01{good}")),
    ] {
        assert_eq!(
            decode(&unhex(&bytes)).unwrap_err().code(),
            "payload-malformed",
            "{what}"
        );
    }
    let signed = include_str!("../fixtures/evm-signed-1559.hex")
        .trim()
        .trim_start_matches("0x");
    for (bytes, part) in [
        (signed, "signed already"),
        ("0x02", "hexadecimal text"),
        (
            "05d7019463c0c19a282a1b52b07dd5a65b58948a07dae32b01",
            "eip7702",
        ),
        (
            "e9098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080",
            "EIP-155",
        ),
    ] {
        let bytes = hex::decode(bytes).unwrap_or_else(|_| bytes.as_bytes().to_vec());
        let refused = decode(&bytes).unwrap_err().to_string();
        assert!(
            refused.contains(part) && refused.contains("expected an unsigned transaction"),
            "{refused}"
        );
        assert!(refused.contains("docs/payloads.md"), "{refused}");
    }
    // Signed transactions, of each type.
    assert!(decode(&unhex("02f86f0102843b9aca0085029e7822d68298f094d9e1459a7a482635700cbc20bbaf52d495ab9c9680841b55ba3ac080a0c199674fcb29f353693dd779c017823b954b3c69dffa3cd6b2a6ff7888798039a028ca912de909e7e6cdef9cdcaf24c54dd8c1032946dfa1d85c206b32a9064fe8")).is_err());
    for scheme in [Scheme::Ed25519, Scheme::SchnorrSecp256k1, Scheme::Taproot] {
        let refused = decode_as(
            &crate::testkit::key_of(scheme),
            PayloadKind::EvmTransaction,
            &unhex(good),
        );
        assert_eq!(refused.unwrap_err().code(), "payload-scheme");
    }
}

fn call(to: TxKind, value: u64, data: Vec<u8>) -> Vec<u8> {
    let value = U256::from(value);
    let call = TxEip1559 {
        chain_id: 10,
        to,
        value,
        input: data.into(),
        gas_limit: 100,
        ..Default::default()
    };
    call.encoded_for_signing()
}

fn word(last: u8) -> Vec<u8> {
    [&[0; 31][..], &[last]].concat()
}

fn account(byte: u8) -> Vec<u8> {
    [&[0; 12][..], &[byte; 20]].concat()
}

fn token(selector: u32, words: &[Vec<u8>]) -> Result<crate::Transaction, DecodeError> {
    contract(TOKEN, selector, words)
}

fn contract(
    to: Address,
    selector: u32,
    words: &[Vec<u8>],
) -> Result<crate::Transaction, DecodeError> {
    let data = [&selector.to_be_bytes()[..], &words.concat()].concat();
    decode(&call(TxKind::Call(to), 0, data)).map(|decoded| transaction(&decoded).clone())
}

#[test]
fn who_is_sent_nothing_is_shown_all_the_same() {
    let decoded = decode(&call(TxKind::Call(TOKEN), 0, vec![])).unwrap();
    let [to] = &transaction(&decoded).destinations[..] else {
        panic!("{decoded:?}")
    };
    assert_eq!(
        (&*to.address, &*to.asset, &*to.amount),
        (&*TOKEN.to_string(), "", "0")
    );
    // A call names its contract.
    let decoded = decode(&call(TxKind::Call(TOKEN), 0, vec![1])).unwrap();
    assert!(
        transaction(&decoded).destinations.is_empty() && transaction(&decoded).calls.len() == 1
    );
}

#[test]
fn transfers_of_tokens_name_the_final_recipient() {
    let b = Address::repeat_byte(0xbb).to_string();
    let asset = |kind: &str| format!("eip155:10/{kind}:{TOKEN}");
    for (selector, words, expected, amount) in [
        (
            0xa9059cbb,
            vec![account(0xbb), word(7)],
            asset("erc20"),
            "7",
        ),
        (
            0x23b872dd,
            vec![account(0xcc), account(0xbb), word(7)],
            asset("token"),
            "7",
        ),
        // A token of ERC-721 may have the number 0, which as an amount is nothing.
        // It is shown nevertheless.
        (
            0x23b872dd,
            vec![account(0xcc), account(0xbb), word(0)],
            asset("token"),
            "0",
        ),
        (
            0x42842e0e,
            vec![account(0xcc), account(0xbb), word(7)],
            asset("erc721") + "/7",
            "1",
        ),
        (
            0xf242432a,
            vec![
                account(0xcc),
                account(0xbb),
                word(7),
                word(3),
                word(160),
                word(0),
            ],
            asset("erc1155") + "/7",
            "3",
        ),
    ] {
        let transaction = token(selector, &words).unwrap();
        let [to] = &transaction.destinations[..] else {
            panic!("{selector:x}")
        };
        assert_eq!(
            (&to.address, &to.asset, &*to.amount),
            (&b, &expected, amount)
        );
        assert!(transaction.calls[0].method.is_some() && transaction.grants.is_empty());
        // Data after the arguments is ignored by the contract and here.
        let longer = token(selector, &[&words[..], &[word(9)]].concat()).unwrap();
        assert_eq!(longer.destinations, transaction.destinations);
    }
}

#[test]
fn a_batch_of_tokens_names_each() {
    let next = [&[0; 30][..], &[1, 0]].concat();
    let words = [
        account(0xcc),
        account(0xbb),
        word(160),
        next,
        word(0),
        word(2),
        word(5),
        word(6),
    ];
    let words = [&words[..], &[word(2), word(50), word(60)]].concat();
    let batch = token(0x2eb2c2d6, &words).unwrap();
    let seen: Vec<_> = batch
        .destinations
        .iter()
        .map(|to| (&to.asset[60..], &*to.amount))
        .collect();
    assert_eq!(seen, [("/5", "50"), ("/6", "60")]);
    let mut uneven = words.clone();
    uneven[5] = word(1);
    assert!(token(0x2eb2c2d6, &uneven).is_err());
    let mut outside = words;
    outside[2] = vec![0xff; 32];
    assert!(token(0x2eb2c2d6, &outside).is_err());
}

#[test]
fn rights_that_are_handed_out_are_grants() {
    let all = vec![0xff; 32];
    let permit2 = alloy_primitives::address!("000000000022D473030F116dDEE9F6B43aC78BA3");
    let b = Address::repeat_byte(0xbb).to_string();
    for (to, selector, words, asset, amount) in [
        (
            TOKEN,
            0x095ea7b3,
            vec![account(0xbb), word(7)],
            "token",
            Some("7"),
        ),
        (
            TOKEN,
            0x095ea7b3,
            vec![account(0xbb), word(0)],
            "token",
            Some("0"),
        ),
        (
            TOKEN,
            0x095ea7b3,
            vec![account(0xbb), all.clone()],
            "token",
            None,
        ),
        (
            TOKEN,
            0x39509351,
            vec![account(0xbb), word(7)],
            "erc20",
            Some("7"),
        ),
        (
            TOKEN,
            0xa22cb465,
            vec![account(0xbb), word(1)],
            "erc721",
            None,
        ),
        (
            TOKEN,
            0xa22cb465,
            vec![account(0xbb), word(0)],
            "erc721",
            Some("0"),
        ),
        (
            TOKEN,
            0xd505accf,
            vec![account(0xcc), account(0xbb), word(7), word(8)],
            "erc20",
            Some("7"),
        ),
        (
            TOKEN,
            0x8fcbaf0c,
            vec![account(0xcc), account(0xbb), word(0), word(0), word(1)],
            "erc20",
            None,
        ),
        (
            permit2,
            0x87517c45,
            vec![account(0xaa), account(0xbb), word(7), word(9)],
            "erc20",
            Some("7"),
        ),
    ] {
        let transaction = contract(to, selector, &words).unwrap();
        let [grant] = &transaction.grants[..] else {
            panic!("{selector:x}")
        };
        assert_eq!(grant.spender, b);
        assert_eq!(grant.asset, format!("eip155:10/{asset}:{TOKEN}"));
        assert_eq!(grant.amount.as_deref(), amount, "{selector:x}");
        assert!(transaction.destinations.is_empty());
    }
    let token_zero = include_str!("../fixtures/evm-erc721-approve-token-0.hex").trim();
    let decoded = decode(&unhex(token_zero)).unwrap();
    let [grant] = &transaction(&decoded).grants[..] else {
        panic!()
    };
    assert_eq!(
        grant.asset,
        "eip155:1/token:0xBC4CA0EdA7647A8aB7C2061c2E118A18a936f13D"
    );
    assert_eq!(grant.amount.as_deref(), Some("0"));
    // Permit2's methods mean nothing elsewhere.
    let elsewhere = token(
        0x87517c45,
        &[account(0xaa), account(0xbb), word(7), word(9)],
    )
    .unwrap();
    assert!(elsewhere.grants.is_empty() && elsewhere.calls[0].method.is_none());
}

#[test]
fn a_known_method_with_arguments_that_contracts_read_differently_is_refused() {
    let dirty = [&[1][..], &account(0xbb)[1..]].concat();
    for (selector, words) in [
        (0xa9059cbb, vec![account(0xbb)]),
        (0xa9059cbb, vec![]),
        (0xa9059cbb, vec![account(0xbb), word(1)[1..].to_vec()]),
        (0xa9059cbb, vec![dirty.clone(), word(1)]),
        (0x23b872dd, vec![dirty.clone(), account(0xbb), word(1)]),
        (0x095ea7b3, vec![dirty, word(1)]),
        (0xa22cb465, vec![account(0xbb), word(2)]),
    ] {
        assert_eq!(
            token(selector, &words).unwrap_err().code(),
            "payload-malformed",
            "{selector:x}"
        );
    }
}

#[test]
fn unknown_calls_and_creations_stay_visible() {
    let decoded = decode(&call(TxKind::Call(TOKEN), 5, vec![1, 2])).unwrap();
    let seen = transaction(&decoded);
    assert_eq!(
        (seen.calls[0].selector.as_slice(), &seen.calls[0].method),
        (&[1, 2][..], &None)
    );
    assert_eq!((&*seen.calls[0].amount, seen.destinations.len()), ("5", 1));

    let decoded = decode(&call(TxKind::Create, 5, vec![0xa9, 0x05, 0x9c, 0xbb, 1])).unwrap();
    let created = transaction(&decoded);
    assert_eq!(
        (&*created.calls[0].contract, created.calls[0].selector.len()),
        ("", 0)
    );
    // The first contract of the account of private key 1.
    assert_eq!(
        created.destinations[0].address,
        "0xF2E246BB76DF876Cef8b38ae84130F4F55De395b"
    );
}

#[test]
fn delegations_of_eip_7702_are_grants_of_everything() {
    use alloy_eips::eip7702::{Authorization, SignedAuthorization};
    let authorise = |byte| {
        let inner = Authorization {
            chain_id: U256::from(10),
            address: Address::repeat_byte(byte),
            nonce: 1,
        };
        SignedAuthorization::new_unchecked(inner, 0, U256::from(1), U256::from(2))
    };
    let authorization_list = vec![authorise(0xbb), authorise(0)];
    let call = TxEip7702 {
        chain_id: 10,
        to: TOKEN,
        authorization_list,
        ..Default::default()
    };
    let decoded = decode(&call.encoded_for_signing()).unwrap();
    let [given, back] = &transaction(&decoded).grants[..] else {
        panic!()
    };
    assert_eq!(
        (&*given.spender, &*given.asset),
        (&*Address::repeat_byte(0xbb).to_string(), "")
    );
    assert_eq!((&given.amount, back.amount.as_deref()), (&None, Some("0")));
}

#[test]
fn access_lists_of_eip_2930_are_read() {
    use alloy_eips::eip2930::{AccessList, AccessListItem};
    let item = AccessListItem {
        address: TOKEN,
        storage_keys: vec![B256::repeat_byte(1)],
    };
    let access_list = AccessList(vec![item]);
    let call = TxEip2930 {
        chain_id: 10,
        gas_price: 3,
        gas_limit: 7,
        to: TxKind::Call(TOKEN),
        access_list,
        ..Default::default()
    };
    let decoded = decode(&call.encoded_for_signing()).unwrap();
    assert_eq!(transaction(&decoded).fee.as_deref(), Some("21"));
    assert_eq!(digest_of(&decoded), hex::encode(call.signature_hash()));
}
