use base64::Engine as _;

use super::*;
use crate::PayloadKind;
use crate::testkit::{decode_as, ecdsa, ed25519, transaction};

fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    decode_as(&ed25519(), PayloadKind::SolanaMessage, bytes)
}

/// Builds a message of the signing key and account 0xbb, writable, then `more`, read-only; each
/// instruction is program, accounts and data.
fn message(more: &[[u8; 32]], instructions: &[(u8, &[u8], &[u8])]) -> Vec<u8> {
    let mut bytes = vec![1, 0, more.len() as u8, 2 + more.len() as u8];
    bytes.extend(ed25519().root_public_key);
    bytes.extend([0xbb; 32]);
    bytes.extend(more.concat());
    bytes.extend([9; 32]);
    bytes.push(instructions.len() as u8);
    for (program, accounts, data) in instructions {
        bytes.extend([*program, accounts.len() as u8]);
        bytes.extend(*accounts);
        bytes.push(data.len() as u8);
        bytes.extend(*data);
    }
    bytes
}

fn program(address: &str) -> [u8; 32] {
    bs58::decode(address)
        .into_vec()
        .unwrap()
        .try_into()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    bs58::encode(bytes).into_string()
}

fn tagged(tag: &[u8], number: u64, rest: &[u8]) -> Vec<u8> {
    [tag, &number.to_le_bytes(), rest].concat()
}

/// A published transaction from the tests of web3.js, with its signature.
#[test]
fn a_published_transaction_is_read_and_its_signature_fits_the_signed_bytes() {
    let wire = "AVuErQHaXv0SG0/PchunfxHKt8wMRfMZzqV0tkC5qO6owYxWU2v871AoWywGoFQr4z+q/7mE8lIufNl/kxj+nQ0BAAEDE5j2LG0aRXxRumpLXz29L2n8qTIWIY3ImX5Ba9F9k8r9Q5/Mtmcn8onFxt47xKj+XdXXd3C8j/FcPu7csUrz/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAxJrndgN4IFTxep3s6kO0ROug7bEsbx0xxuDkqEvwUusBAgIAAQwCAAAAMQAAAAAAAAA=";
    let wire = base64::engine::general_purpose::STANDARD
        .decode(wire)
        .unwrap();
    let signature = &wire[1..65];
    let bytes = &wire[65..];
    let signer = &bytes[4..36];
    let key = Key {
        root_public_key: signer,
        ..ed25519()
    };
    let decoded = decode_as(&key, PayloadKind::SolanaMessage, bytes).unwrap();
    let signed = &decoded.inputs[0].signed_bytes;
    countersign_verify::ChildKey::new(Scheme::Ed25519, signer)
        .verify(signed, signature)
        .unwrap();
    let seen = transaction(&decoded);
    assert_eq!(seen.sources, [text(signer)]);
    let [to] = &seen.destinations[..] else {
        panic!()
    };
    assert_eq!(
        (&*to.address, &*to.amount),
        ("J3dxNj7nDRRqRRXuEMynDG57DkZK4jYRuv3Garmb1i99", "49")
    );
    assert_eq!(
        (&*seen.calls[0].contract, seen.calls[0].method.as_deref()),
        (SYSTEM, Some("Transfer"))
    );
    assert_eq!(
        decode(bytes).unwrap_err().code(),
        "payload-malformed",
        "another signer"
    );
    let payload = countersign_protocol::Payload::new(PayloadKind::SolanaMessage, bytes.to_vec());
    let form = crate::BitcoinForm::Transaction;
    let put_back = crate::finish(
        &key,
        &DerivationPath::default(),
        &payload,
        &Networks::default(),
        &[signature],
        form,
    );
    assert_eq!(
        put_back,
        Ok(crate::Finished {
            bytes: wire,
            missing: 0
        })
    );
}

#[test]
fn value_of_the_system_program_names_its_recipient() {
    let seed = [&2u64.to_le_bytes()[..], b"ab"].concat();
    for (accounts, data) in [
        (&[0, 1][..], tagged(&[2, 0, 0, 0], 7, &[])),
        (&[0, 1], tagged(&[0, 0, 0, 0], 7, &[0; 40])),
        (
            &[0, 1, 0],
            [
                &[3, 0, 0, 0][..],
                &[5; 32],
                &seed,
                &7u64.to_le_bytes(),
                &[0; 40],
            ]
            .concat(),
        ),
        (&[0, 1, 0, 0, 0], tagged(&[5, 0, 0, 0], 7, &[])),
        (&[0, 0, 1], tagged(&[11, 0, 0, 0], 7, &[0; 40])),
        (&[1, 0], tagged(&[13, 0, 0, 0], 7, &[0; 40])),
    ] {
        let decoded = decode(&message(&[program(SYSTEM)], &[(2, accounts, &data)])).unwrap();
        let [to] = &transaction(&decoded).destinations[..] else {
            panic!("{data:?}")
        };
        assert_eq!(
            (&to.address, &*to.asset, &*to.amount),
            (&text(&[0xbb; 32]), "", "7")
        );
        assert_eq!(transaction(&decoded).calls[0].selector, data[..4]);
        for (accounts, data) in [(&accounts[..0], &data[..]), (accounts, &data[..8])] {
            assert!(
                decode(&message(&[program(SYSTEM)], &[(2, accounts, data)])).is_err(),
                "{data:?}"
            );
        }
    }
}

#[test]
fn tokens_name_recipient_and_mint_or_say_that_the_mint_is_unknown() {
    for token in [TOKEN, TOKEN_2022] {
        for (accounts, data, mint) in [
            (&[0, 1, 0][..], tagged(&[3], 7, &[]), "unknown".to_string()),
            (&[0, 3, 1, 0], tagged(&[12], 7, &[6]), text(&[0xcc; 32])),
        ] {
            let bytes = message(&[program(token), [0xcc; 32]], &[(2, accounts, &data)]);
            let decoded = decode(&bytes).unwrap();
            let [to] = &transaction(&decoded).destinations[..] else {
                panic!()
            };
            assert_eq!((&to.address, &*to.amount), (&text(&[0xbb; 32]), "7"));
            assert_eq!(
                to.asset,
                format!("{}/token:{mint}", Networks::default().solana)
            );
            assert!(transaction(&decoded).calls[0].method.is_some());
        }
    }
}

#[test]
fn what_gives_others_a_hold_on_an_account_is_a_grant() {
    let owner = [0xbb; 32];
    // SetAuthority: AuthorityType::AccountOwner is 2, and 1 says that a key follows.
    for (by, accounts, data, amount) in [
        (TOKEN, &[0, 1, 0][..], tagged(&[4], 7, &[]), Some("7")),
        (TOKEN, &[0, 3, 1, 0], tagged(&[13], u64::MAX, &[6]), None),
        (TOKEN, &[0, 1, 0], vec![9], None),
        (TOKEN_2022, &[0, 0], [&[6, 2, 1][..], &owner].concat(), None),
        (SYSTEM, &[0], [&[1, 0, 0, 0][..], &owner].concat(), None),
    ] {
        let decoded = decode(&message(
            &[program(by), [0xcc; 32]],
            &[(2, accounts, &data)],
        ))
        .unwrap();
        let [grant] = &transaction(&decoded).grants[..] else {
            panic!("{data:?}")
        };
        assert_eq!(
            (&grant.spender, grant.amount.as_deref()),
            (&text(&owner), amount),
            "{data:?}"
        );
    }
    let home = decode(&message(&[program(TOKEN)], &[(2, &[1, 0, 0], &[9])])).unwrap();
    assert!(
        transaction(&home).grants.is_empty(),
        "an account that is closed to the signer"
    );
    let batch = decode(&message(&[program(TOKEN)], &[(2, &[0, 1, 0], &[255, 0])]));
    assert_eq!(batch.unwrap_err().code(), "payload-malformed");
}

/// The account that the files were made for.
fn key_of_files() -> Vec<u8> {
    hex::decode("9b19c607f5421cf7128b19f6d8ad2a18ebf73f145f4236118de34799599cc4b8").unwrap()
}

fn decode_file(hex: &str) -> Decoded {
    let root = key_of_files();
    let key = Key {
        root_public_key: &root,
        ..ed25519()
    };
    decode_as(
        &key,
        PayloadKind::SolanaMessage,
        &hex::decode(hex.trim()).unwrap(),
    )
    .unwrap()
}

/// Each message was executed by LiteSVM 0.0.1, which charged this fee.
#[test]
fn the_highest_fee_is_the_one_that_the_network_takes() {
    for line in include_str!("../fixtures/solana-fees.txt").lines() {
        let (fee, message) = line.split_once(' ').unwrap();
        let decoded = decode(&hex::decode(message).unwrap()).unwrap();
        assert_eq!(transaction(&decoded).fee.as_deref(), Some(fee), "{message}");
        assert!(
            transaction(&decoded)
                .calls
                .iter()
                .all(|call| call.method.is_some()),
            "{message}"
        );
    }
}

#[test]
fn a_price_without_bounds_is_shown() {
    let decoded = decode_file(include_str!(
        "../fixtures/solana-priority-fee-unbounded.hex"
    ));
    // 200,000 units at 1,152,921,504,606,846,975 millionths, and a signature.
    assert_eq!(
        transaction(&decoded).fee.as_deref(),
        Some("230584300921374395")
    );
    let calls: Vec<_> = transaction(&decoded)
        .calls
        .iter()
        .map(|call| (call.method.as_deref(), &call.fields[0]))
        .collect();
    assert_eq!(
        calls[0],
        (
            Some("SetComputeUnitLimit"),
            &("units", "200000".to_string())
        )
    );
    assert_eq!(
        calls[1],
        (
            Some("SetComputeUnitPrice"),
            &("micro_lamports", "1152921504606846975".to_string())
        )
    );
    assert_eq!(calls[2].0, Some("Transfer"));
}

#[test]
fn signatures_that_a_program_verifies_are_paid_for() {
    let precompiled = program("Ed25519SigVerify111111111111111111111111111");
    let fee = |data: &[u8]| {
        transaction(&decode(&message(&[precompiled], &[(2, &[], data)])).unwrap())
            .fee
            .clone()
    };
    assert_eq!(fee(&[3, 0]), Some("20000".into()));
    assert_eq!(fee(&[]), Some("5000".into()));
}

#[test]
fn settings_of_the_compute_budget_that_the_network_refuses_are_refused() {
    let budget = program(COMPUTE_BUDGET);
    let limit = [2, 1, 0, 0, 0];
    assert!(decode(&message(&[budget], &[(2, &[], &limit)])).is_ok());
    for wrong in [
        vec![&limit[..], &limit],
        vec![&[3, 1, 0, 0, 0, 0, 0, 0, 0], &[3, 2, 0, 0, 0, 0, 0, 0, 0]],
        vec![&limit[..4]],
        vec![&[2, 1, 0, 0, 0, 0]],
        vec![&[0, 1, 0, 0, 0, 1, 0, 0, 0]],
        vec![&[5, 1, 0, 0, 0]],
        vec![&[]],
    ] {
        let instructions: Vec<(u8, &[u8], &[u8])> =
            wrong.into_iter().map(|data| (2, &[][..], data)).collect();
        assert_eq!(
            decode(&message(&[budget], &instructions))
                .unwrap_err()
                .code(),
            "payload-malformed"
        );
    }
}

#[test]
fn the_owner_of_an_account_that_the_message_makes_is_shown() {
    let decoded = decode_file(include_str!("../fixtures/solana-usdc-ata-owner.hex"));
    let seen = transaction(&decoded);
    let account = text(&[8; 32]);
    let owner = text(&[10; 32]);
    assert_eq!(seen.owners, [(account.clone(), owner)].into());
    let [rent, tokens] = &seen.destinations[..] else {
        panic!()
    };
    assert_eq!(
        (&rent.address, &*rent.asset, &*rent.amount, rent.change),
        (&account, "", "2039280", false)
    );
    assert_eq!(
        (&tokens.address, &*tokens.amount, tokens.change),
        (&account, "5", false)
    );
    assert_eq!(
        tokens.asset,
        format!("{}/token:{}", Networks::default().solana, text(&[9; 32]))
    );
    assert!(seen.calls.iter().all(|call| call.method.is_some()));
    assert!(seen.grants.is_empty());
}

/// By solders 0.29: the accounts of two wallets for USDC, under each token program.
#[test]
fn associated_accounts_are_derived_as_everybody_derives_them() {
    let usdc = program("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v");
    let [ours, other] = [
        "FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z",
        "J3dxNj7nDRRqRRXuEMynDG57DkZK4jYRuv3Garmb1i99",
    ];
    for (owner, token, account) in [
        (ours, TOKEN, "HU2S9ByyqbnCD2SVfvr9qoLtDTtyTnMZoMaw1xpr6cTb"),
        (
            ours,
            TOKEN_2022,
            "VM2GEGSS8zhuHTM4KD9BJiNPJx14sJzDcZwfZTm219F",
        ),
        (other, TOKEN, "13uzUGewpMFAgY62YJMjfY549G17VPuJMqKTXcb3F1Ly"),
        (
            other,
            TOKEN_2022,
            "GmaNsvShWGrfrf9v6UEMH17JqKeTQR9riKfZiTKa4iQT",
        ),
    ] {
        // The owner is among the accounts, and nothing else shows it.
        let keys = [program(token), usdc, program(account), program(other)];
        let paid = message(&keys, &[(2, &[1, 3, 4, 0], &tagged(&[12], 7, &[6]))]);
        let decoded = decode(&paid).unwrap();
        assert_eq!(
            transaction(&decoded).owners,
            [(account.into(), owner.into())].into()
        );
        assert_eq!(transaction(&decoded).destinations[0].change, owner == ours);
        // With another mint, or without one, the owner is unknown.
        for (accounts, data) in [
            (&[1, 5, 4, 0][..], tagged(&[12], 7, &[6])),
            (&[1, 4, 0], tagged(&[3], 7, &[])),
        ] {
            let decoded = decode(&message(&keys, &[(2, accounts, &data)])).unwrap();
            assert!(transaction(&decoded).owners.is_empty());
            assert!(!transaction(&decoded).destinations[0].change);
        }
    }
}

/// Native value in an account for wrapped SOL is its owner's.
#[test]
fn native_value_for_a_token_account_names_the_owner() {
    let owner = program("J3dxNj7nDRRqRRXuEMynDG57DkZK4jYRuv3Garmb1i99");
    let wrapped = program("So11111111111111111111111111111111111111112");
    let account = owners::associated_account(&owner, &wrapped, &program(TOKEN)).unwrap();
    let pay = message(
        &[program(SYSTEM), account, owner],
        &[(2, &[0, 3], &tagged(&[2, 0, 0, 0], 7, &[]))],
    );
    assert_eq!(
        transaction(&decode(&pay).unwrap()).owners,
        [(text(&account), text(&owner))].into()
    );
}

/// A created account counts from there on, until the account is handed over or closed.
#[test]
fn an_owner_is_only_shown_while_it_cannot_have_changed() {
    let account = 1;
    let mint = 4;
    let owner = 5;
    let keys = [
        program(TOKEN),
        program(ASSOCIATED_TOKEN),
        [0xaa; 32],
        [0xcc; 32],
        program(SYSTEM),
    ];
    let associated: (u8, &[u8], &[u8]) = (3, &[0, account, owner, mint, 6, 2], &[1]);
    let pay_data = tagged(&[12], 7, &[6]);
    let pay: (u8, &[u8], &[u8]) = (2, &[0, mint, account, 0], &pay_data);
    let unchecked_data = tagged(&[3], 7, &[]);
    let unchecked: (u8, &[u8], &[u8]) = (2, &[0, account, 0], &unchecked_data);
    let close: (u8, &[u8], &[u8]) = (2, &[account, 0, 0], &[9]);
    let hand_data = [&[6, 2, 1][..], &[0xdd; 32]].concat();
    let hand_over: (u8, &[u8], &[u8]) = (2, &[account, 0], &hand_data);
    let initialize_data = [&[18][..], &[0xdd; 32]].concat();
    let initialize: (u8, &[u8], &[u8]) = (2, &[account, mint], &initialize_data);
    for (instructions, known) in [
        (vec![associated, pay], Some([0xcc; 32])),
        (vec![associated, associated, unchecked], Some([0xcc; 32])),
        (vec![initialize, pay], Some([0xdd; 32])),
        (vec![pay, associated], None),
        (vec![associated, initialize, pay], None),
        (vec![associated, close, pay], None),
        (vec![associated, close, associated, pay], None),
        (vec![associated, hand_over, pay], None),
        (vec![associated, pay, hand_over, pay], None),
    ] {
        let decoded = decode(&message(&keys, &instructions)).unwrap();
        let found = transaction(&decoded)
            .owners
            .get(&text(&[0xbb; 32]))
            .cloned();
        assert_eq!(found, known.map(|owner| text(&owner)), "{instructions:?}");
        let asset = &transaction(&decoded)
            .destinations
            .iter()
            .find(|to| !to.asset.is_empty())
            .unwrap()
            .asset;
        assert!(asset.ends_with(&text(&[0xaa; 32])), "{asset}");
    }
}

#[test]
fn what_moves_nothing_is_named() {
    let authority = ed25519().root_public_key;
    let nonce = [&[6, 0, 0, 0][..], authority].concat();
    let others_nonce = [&[6, 0, 0, 0][..], &[0xdd; 32]].concat();
    for (by, accounts, data, method, field) in [
        (
            SYSTEM,
            &[1, 3, 0][..],
            &[4, 0, 0, 0][..],
            "AdvanceNonceAccount",
            ("nonce", text(&[0xbb; 32])),
        ),
        (
            SYSTEM,
            &[1, 3, 3],
            &nonce,
            "InitializeNonceAccount",
            ("authority", text(authority)),
        ),
        (
            MEMO,
            &[0],
            b"invoice 7",
            "Memo",
            ("text", "invoice 7".into()),
        ),
        (MEMO_1, &[], b"\xff", "Memo", ("text", "0xff".into())),
        (
            TOKEN,
            &[1, 0],
            &[5],
            "Revoke",
            ("account", text(&[0xbb; 32])),
        ),
        (
            TOKEN_2022,
            &[1],
            &[17],
            "SyncNative",
            ("account", text(&[0xbb; 32])),
        ),
        (
            TOKEN,
            &[1, 0, 0],
            &[9],
            "CloseAccount",
            ("account", text(&[0xbb; 32])),
        ),
    ] {
        let decoded = decode(&message(&[program(by), [0xcc; 32]], &[(2, accounts, data)])).unwrap();
        let seen = transaction(&decoded);
        assert_eq!(seen.calls[0].method.as_deref(), Some(method));
        assert_eq!(seen.calls[0].fields[0], field);
        assert!(
            seen.grants.is_empty() && seen.destinations.is_empty(),
            "{method}"
        );
    }
    let given = decode(&message(
        &[program(SYSTEM)],
        &[(2, &[1, 2, 2], &others_nonce)],
    ))
    .unwrap();
    assert_eq!(transaction(&given).grants[0].spender, text(&[0xdd; 32]));
}

#[test]
fn tokens_that_are_destroyed_have_left() {
    for tag in [8, 15] {
        let data = tagged(&[tag], 7, &[6]);
        let decoded = decode(&message(
            &[program(TOKEN), [0xcc; 32]],
            &[(2, &[1, 3, 0], &data)],
        ))
        .unwrap();
        let [burnt] = &transaction(&decoded).destinations[..] else {
            panic!()
        };
        assert_eq!(
            (&*burnt.address, &*burnt.amount, burnt.change),
            ("", "7", false)
        );
    }
}

#[test]
fn what_no_packet_holds_is_refused() {
    let of_length = |length: usize| {
        let data = vec![b'm'; length];
        let short = message(&[program(MEMO)], &[(2, &[], &[])]);
        let mut bytes = short[..short.len() - 1].to_vec();
        bytes.extend([length as u8 & 0x7f | 0x80, (length >> 7) as u8]);
        bytes.extend(data);
        (decode(&bytes), bytes.len() + 65)
    };
    let beside = of_length(500).1 - 500;
    assert!(of_length(1232 - beside).0.is_ok());
    let refused = of_length(1233 - beside).0.unwrap_err();
    assert!(refused.to_string().contains("1232"), "{refused}");
}

#[test]
fn calls_of_other_programs_stay_visible() {
    let data = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    let decoded = decode(&message(&[[0xdd; 32]], &[(2, &[0], &data), (2, &[], &[])])).unwrap();
    let calls = &transaction(&decoded).calls;
    assert_eq!((calls.len(), &calls[0].contract), (2, &text(&[0xdd; 32])));
    assert_eq!(
        (&calls[0].selector[..], &calls[0].data[..]),
        (&data[..8], &data[..])
    );
    assert!(calls[0].method.is_none() && transaction(&decoded).destinations.is_empty());
}

#[test]
fn accounts_of_lookup_tables_are_unknown() {
    // Index 3 is the first writable, index 5 the first read-only account that the table gives.
    let pay = |place| {
        let data = tagged(&[2, 0, 0, 0], 7, &[]);
        let table = [&[1][..], &[0xee; 32], &[2, 10, 11, 1, 12]].concat();
        let plain = message(&[program(SYSTEM)], &[(2, &[0, place], &data)]);
        decode(&[&[0x80], &plain[..], &table].concat())
    };
    for (place, index) in [(3, 10), (4, 11), (5, 12)] {
        let decoded = pay(place).unwrap();
        let to = &transaction(&decoded).destinations[0];
        assert_eq!(to.address, format!("unknown:{}/{index}", text(&[0xee; 32])));
    }
    assert!(pay(6).is_err());
}

#[test]
fn what_validators_refuse_is_refused() {
    let good = message(&[[0xdd; 32]], &[(2, &[0], &[1])]);
    assert!(decode(&good).is_ok());
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        decode(&bytes)
    };
    let instruction = good.len() - 5;
    for (what, result) in [
        ("no signer", with(0, 0)),
        ("more signers than accounts", with(0, 4)),
        ("a payer that cannot pay", with(1, 1)),
        ("more read-only accounts than there are", with(2, 3)),
        ("version 1", with(0, 0x81)),
        ("a program that is not there", with(instruction, 3)),
        ("the payer as program", with(instruction, 0)),
        ("an account that is not there", with(instruction + 2, 3)),
        ("bytes behind the end", decode(&[&good[..], &[0]].concat())),
        ("bytes missing", decode(&good[..good.len() - 1])),
        ("a length that is not in its shortest form", {
            decode(&[&good[..3], &[0x83, 0], &good[4..]].concat())
        }),
        (
            "an account twice",
            decode(&message(&[[0xbb; 32]], &[(2, &[0], &[1])])),
        ),
    ] {
        assert_eq!(result.unwrap_err().code(), "payload-malformed", "{what}");
    }
    let other = decode_as(&ecdsa(), PayloadKind::SolanaMessage, &good);
    assert_eq!(other.unwrap_err().code(), "payload-scheme");
}

/// Owners and mints that a table names stay unknown.
#[test]
fn what_a_table_names_is_neither_owner_nor_mint() {
    let keys = [
        program(TOKEN),
        program(ASSOCIATED_TOKEN),
        [0xaa; 32],
        program(SYSTEM),
    ];
    let pay = tagged(&[12], 7, &[6]);
    let lamports = tagged(&[2, 0, 0, 0], 7, &[]);
    let plain = message(
        &keys,
        &[
            (3, &[0, 1, 6, 4, 5, 2], &[1]),
            (2, &[0, 4, 1, 0], &pay),
            (2, &[0, 6, 1, 0], &pay),
            (5, &[0, 1], &lamports),
        ],
    );
    let table = [&[1][..], &[0xee; 32], &[2, 10, 11, 1, 12]].concat();
    let decoded = decode(&[&[0x80], &plain[..], &table].concat()).unwrap();
    let seen = transaction(&decoded);
    assert!(seen.owners.is_empty(), "{:?}", seen.owners);
    let assets: Vec<_> = seen
        .destinations
        .iter()
        .map(|to| to.asset.rsplit(':').next().unwrap())
        .collect();
    assert_eq!(assets, ["", &text(&[0xaa; 32]), "unknown", ""]);
    assert_eq!(
        seen.calls[0].fields[1],
        ("owner", format!("unknown:{}/10", text(&[0xee; 32])))
    );
}

/// Value paid into an account that the message creates for an owner in a table is not reported
/// as the account's own.
#[test]
fn native_value_for_an_account_of_somebody_in_a_table_says_so() {
    let keys = [
        program(TOKEN),
        program(ASSOCIATED_TOKEN),
        [0xaa; 32],
        program(SYSTEM),
    ];
    let lamports = tagged(&[2, 0, 0, 0], 7, &[]);
    let plain = message(
        &keys,
        &[(3, &[0, 1, 6, 4, 5, 2], &[1]), (5, &[0, 1], &lamports)],
    );
    let table = [&[1][..], &[0xee; 32], &[2, 10, 11, 1, 12]].concat();
    let decoded = decode(&[&[0x80], &plain[..], &table].concat()).unwrap();
    let owner = format!("unknown:{}/10", text(&[0xee; 32]));
    assert_eq!(
        transaction(&decoded).owners,
        [(text(&[0xbb; 32]), owner)].into()
    );
    assert!(
        transaction(&decoded)
            .destinations
            .iter()
            .all(|to| !to.change)
    );
}

/// An existing account may be a denied owner's. `SyncNative` shows that the value is not the
/// account's own, regardless of the order.
#[test]
fn native_value_for_an_account_of_wrapped_sol_says_that_its_owner_is_not_shown() {
    let lamports = tagged(&[2, 0, 0, 0], 7, &[]);
    for tokens in [TOKEN, TOKEN_2022] {
        let keys = [program(tokens), program(SYSTEM)];
        let decoded = decode(&message(
            &keys,
            &[(3, &[0, 1], &lamports), (2, &[1], &[17])],
        ))
        .unwrap();
        let account = text(&[0xbb; 32]);
        let owner = format!("unknown:{account}");
        assert_eq!(transaction(&decoded).owners, [(account, owner)].into());
    }
}
