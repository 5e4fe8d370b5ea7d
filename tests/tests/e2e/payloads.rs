//! Payloads at real nodes: decoded before any plugin is asked, refused if they are not of the
//! declared kind, and signed input by input. Signatures are judged by libraries that decode
//! and sign nothing here.

use countersign_client::api::Open;
use countersign_client::{Client, ClientError, SignOrder, Signature};
use countersign_protocol::{
    InputSignature, KeyDescriptor, KeySign, Operation, Outcome, Payload, PayloadKind, Scheme,
};
use countersign_tests::{Blueprint, Cluster, PrimeSource};
use k256::ecdsa::{RecoveryId, Signature as EcdsaSignature, VerifyingKey};
use sha3::{Digest, Keccak256};

const MAIL: &str = r#"{"types":{"EIP712Domain":[{"name":"name","type":"string"},{"name":"version","type":"string"},{"name":"chainId","type":"uint256"},{"name":"verifyingContract","type":"address"}],"Person":[{"name":"name","type":"string"},{"name":"wallet","type":"address"}],"Mail":[{"name":"from","type":"Person"},{"name":"to","type":"Person"},{"name":"contents","type":"string"}]},"primaryType":"Mail","domain":{"name":"Ether Mail","version":"1","chainId":1,"verifyingContract":"0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"},"message":{"from":{"name":"Cow","wallet":"0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},"to":{"name":"Bob","wallet":"0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},"contents":"Hello, Bob!"}}"#;

async fn cluster(primes: PrimeSource) -> Cluster {
    Cluster::start(Blueprint {
        nodes: 2,
        primes,
        ..Blueprint::default()
    })
    .await
    .unwrap()
}

async fn sign(client: &Client, cluster: &Cluster, order: &SignOrder) -> Signature {
    client
        .sign(order, |_| {})
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", cluster.logs()))
}

fn order(wallet: &KeyDescriptor, path: &str, kind: PayloadKind, bytes: Vec<u8>) -> SignOrder {
    SignOrder::new(wallet.key, path.parse().unwrap(), Payload::new(kind, bytes))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ecdsa_wallet_signs_for_ethereum() {
    let mut cluster = cluster(PrimeSource::Fixture).await;
    let wallet = crate::aux_info::wallet(&mut cluster, "ethereum").await;
    a_transfer_is_by_its_sender(&cluster, &wallet).await;
    typed_data_and_personal_messages_are_by_their_signer(&cluster, &wallet).await;
}

async fn a_transfer_is_by_its_sender(cluster: &Cluster, wallet: &KeyDescriptor) {
    let path = "m/44/60/0/0/7";
    let transfer = ethereum_transfer();
    let mut order = order(wallet, path, PayloadKind::EvmTransaction, transfer.clone());
    let hash = keccak(&transfer);
    order.payload.digests = vec![hash.to_vec()];
    order.claims = [("reference".into(), "invoice 7".into())].into();
    let made = sign(&cluster.client, cluster, &order).await;
    let [signature] = &made.signed.signatures[..] else {
        panic!("{made:?}")
    };
    assert_eq!(
        (
            signature.path.to_string().as_str(),
            &signature.signed_bytes[..]
        ),
        (path, &hash[..])
    );
    assert_eq!(recovered(&hash, signature), ethereum_address(wallet, path));
}

async fn typed_data_and_personal_messages_are_by_their_signer(
    cluster: &Cluster,
    wallet: &KeyDescriptor,
) {
    // The example of EIP-712, whose digest it states.
    let digest = "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2";
    let mut data = order(wallet, "m/1", PayloadKind::Eip712, MAIL.into());
    data.payload.digests = vec![hex::decode(digest).unwrap()];
    let made = sign(&cluster.client, cluster, &data).await;
    let [signature] = &made.signed.signatures[..] else {
        panic!("{made:?}")
    };
    let hash: [u8; 32] = hex::decode(digest).unwrap().try_into().unwrap();
    assert_eq!(recovered(&hash, signature), ethereum_address(wallet, "m/1"));

    let made = sign(
        &cluster.client,
        cluster,
        &order(wallet, "m/2", PayloadKind::Eip191, b"hello".to_vec()),
    )
    .await;
    let [signature] = &made.signed.signatures[..] else {
        panic!("{made:?}")
    };
    let hash = keccak(b"\x19Ethereum Signed Message:\n5hello");
    assert_eq!(recovered(&hash, signature), ethereum_address(wallet, "m/2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_payload_is_not_is_refused_before_any_plugin_is_asked() {
    let cluster = cluster(PrimeSource::None).await;
    let wallet = cluster
        .create_wallet("refusals", Scheme::Ed25519, 2)
        .await
        .unwrap();
    let claimed = |digest: Vec<u8>| Payload {
        digests: vec![digest],
        ..Payload::new(PayloadKind::Message, b"pay".to_vec())
    };
    for (payload, code) in [
        (claimed(vec![7; 32]), "digest-mismatch"),
        (
            Payload::new(PayloadKind::Digest, vec![7; 32]),
            "blind-signing",
        ),
        (
            Payload::new(PayloadKind::Message, vec![7; 32]),
            "blind-signing",
        ),
        (
            Payload::new(PayloadKind::EvmTransaction, ethereum_transfer()),
            "payload-scheme",
        ),
        (
            Payload::new(PayloadKind::SolanaMessage, b"no message".to_vec()),
            "payload-malformed",
        ),
        (
            Payload::new(PayloadKind::Message, solana_transfer(&wallet, "m")),
            "message-is-transaction",
        ),
    ] {
        let operation = Operation::KeySign(KeySign {
            key: wallet.key,
            path: "m".parse().unwrap(),
            payload: payload.clone(),
            signers: None,
        });
        let task = cluster.submit(operation).await.unwrap();
        let decisions: Vec<_> = task
            .nodes
            .iter()
            .filter_map(|node| node.decision.as_ref())
            .collect();
        assert!(!decisions.is_empty(), "{task:?}");
        for decision in decisions {
            let refusal = decision
                .refusal
                .as_ref()
                .unwrap_or_else(|| panic!("{payload:?} was approved"));
            assert_eq!(
                (refusal.code.as_str(), refusal.plugin.as_deref()),
                (code, None),
                "{}",
                refusal.reason
            );
            assert!(
                decision.verdicts.is_empty(),
                "a plugin was asked: {decision:?}"
            );
        }
        let signed = |outcome: &Open<Outcome>| matches!(outcome, Open::Known(Outcome::Signed(_)));
        assert!(
            !task
                .nodes
                .iter()
                .filter_map(|node| node.outcome.as_ref())
                .any(|at| signed(&at.outcome))
        );
    }
    let order = SignOrder::new(wallet.key, "m".parse().unwrap(), claimed(vec![7; 32]));
    let error = cluster.client.sign(&order, |_| {}).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Payload(_)) && error.code() == "digest-mismatch",
        "{error}"
    );
    let right = SignOrder {
        payload: claimed(b"pay".to_vec()),
        ..order
    };
    sign(&cluster.client, &cluster, &right).await;
    a_solana_transfer_is_signed_as_what_it_is(&cluster, &wallet).await;
}

async fn a_solana_transfer_is_signed_as_what_it_is(cluster: &Cluster, wallet: &KeyDescriptor) {
    let transfer = solana_transfer(wallet, "m/44/501/0");
    let transfer_order = order(
        wallet,
        "m/44/501/0",
        PayloadKind::SolanaMessage,
        transfer.clone(),
    );
    let made = sign(&cluster.client, cluster, &transfer_order).await;
    let [signature] = &made.signed.signatures[..] else {
        panic!("{made:?}")
    };
    let key =
        ed25519_dalek::VerifyingKey::from_bytes(&child(wallet, "m/44/501/0").try_into().unwrap())
            .unwrap();
    let signature = ed25519_dalek::Signature::from_slice(&signature.signature).unwrap();
    key.verify_strict(&transfer, &signature).unwrap();
}

/// A legacy message: the child pays 5 lamports to 0x22…22 by the system program.
fn solana_transfer(wallet: &KeyDescriptor, path: &str) -> Vec<u8> {
    let instruction = [
        &[2, 2, 0, 1, 12][..],
        &2u32.to_le_bytes(),
        &5u64.to_le_bytes(),
    ]
    .concat();
    [
        &[1, 0, 1, 3][..],
        &child(wallet, path),
        &[0x22; 32],
        &[0; 32],
        &[0x33; 32],
        &[1],
        &instruction,
    ]
    .concat()
}

/// The address that made this signature of this hash.
fn recovered(hash: &[u8; 32], made: &InputSignature) -> [u8; 20] {
    let signature = EcdsaSignature::from_slice(&made.signature).unwrap();
    let recovery = RecoveryId::from_byte(made.recovery_id.unwrap()).unwrap();
    address(&VerifyingKey::recover_from_prehash(hash, &signature, recovery).unwrap())
}

fn ethereum_address(wallet: &KeyDescriptor, path: &str) -> [u8; 20] {
    address(&VerifyingKey::from_sec1_bytes(&child(wallet, path)).unwrap())
}

fn child(wallet: &KeyDescriptor, path: &str) -> Vec<u8> {
    let path: countersign_protocol::DerivationPath = path.parse().unwrap();
    let root = &wallet.root_public_key;
    let chain_code = wallet.chain_code.as_bytes();
    countersign_verify::derive_public(wallet.scheme, root, chain_code, path.steps())
        .unwrap()
        .0
}

/// The last 20 bytes of the hash of the point.
fn address(key: &VerifyingKey) -> [u8; 20] {
    keccak(&key.to_encoded_point(false).as_bytes()[1..])[12..]
        .try_into()
        .unwrap()
}

fn keccak(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

/// EIP-1559 on chain 1: nonce 7, fees 1 and 2 gwei, 21000 gas, 1 ETH to 0x1111…, no
/// data, no access list.
fn ethereum_transfer() -> Vec<u8> {
    let fields = [
        rlp(&[1]),
        rlp(&[7]),
        rlp(&1_000_000_000u32.to_be_bytes()),
        rlp(&2_000_000_000u32.to_be_bytes()),
        rlp(&[0x52, 0x08]),
        rlp(&[0x11; 20]),
        rlp(&1_000_000_000_000_000_000u64.to_be_bytes()),
        rlp(&[]),
        vec![0xc0],
    ]
    .concat();
    [&[2, 0xc0 + fields.len() as u8], &fields[..]].concat()
}

/// A short string of RLP.
fn rlp(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [byte] if *byte < 0x80 => vec![*byte],
        _ => [&[0x80 + bytes.len() as u8], bytes].concat(),
    }
}
