use super::*;
use crate::PayloadKind;
use crate::testkit::{decode_as, ecdsa, ed25519, transaction};
use base64::Engine as _;

fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    decode_as(&ed25519(), PayloadKind::SolanaMessage, bytes)
}

/// A message of the key that signs and account 0xbb, writable, then `more`, read-only; each instruction is program,
/// accounts and data.
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
    bs58::decode(address).into_vec().unwrap().try_into().unwrap()
}

fn text(bytes: &[u8]) -> String {
    bs58::encode(bytes).into_string()
}

fn tagged(tag: &[u8], number: u64, rest: &[u8]) -> Vec<u8> {
    [tag, &number.to_le_bytes(), rest].concat()
}

/// A published transaction, of the tests of web3.js: signature and all.
#[test]
fn a_published_transaction_is_read_and_its_signature_fits_the_signed_bytes() {
    let wire = "AVuErQHaXv0SG0/PchunfxHKt8wMRfMZzqV0tkC5qO6owYxWU2v871AoWywGoFQr4z+q/7mE8lIufNl/kxj+nQ0BAAEDE5j2LG0aRXxRumpLXz29L2n8qTIWIY3ImX5Ba9F9k8r9Q5/Mtmcn8onFxt47xKj+XdXXd3C8j/FcPu7csUrz/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAxJrndgN4IFTxep3s6kO0ROug7bEsbx0xxuDkqEvwUusBAgIAAQwCAAAAMQAAAAAAAAA=";
    let wire = base64::engine::general_purpose::STANDARD.decode(wire).unwrap();
    let (signature, bytes) = (&wire[1..65], &wire[65..]);
    let signer = &bytes[4..36];
    let key = Key { root_public_key: signer, ..ed25519() };
    let decoded = decode_as(&key, PayloadKind::SolanaMessage, bytes).unwrap();
    let signed = &decoded.inputs[0].signed_bytes;
    countersign_verify::ChildKey::new(Scheme::Ed25519, signer).verify(signed, signature).unwrap();
    let seen = transaction(&decoded);
    assert_eq!(seen.sources, [text(signer)]);
    let [to] = &seen.destinations[..] else { panic!() };
    assert_eq!((&*to.address, &*to.amount), ("J3dxNj7nDRRqRRXuEMynDG57DkZK4jYRuv3Garmb1i99", "49"));
    assert_eq!((&*seen.calls[0].contract, seen.calls[0].method.as_deref()), (SYSTEM, Some("Transfer")));
    assert_eq!(decode(bytes).unwrap_err().code(), "payload-malformed", "another signer");
    let payload = countersign_protocol::Payload::new(PayloadKind::SolanaMessage, bytes.to_vec());
    let form = crate::BitcoinForm::Transaction;
    let put_back =
        crate::finish(&key, &DerivationPath::default(), &payload, &Networks::default(), &[signature], form);
    assert_eq!(put_back, Ok(crate::Finished { bytes: wire, missing: 0 }));
}

#[test]
fn value_of_the_system_program_names_its_recipient() {
    let seed = [&2u64.to_le_bytes()[..], b"ab"].concat();
    for (accounts, data) in [
        (&[0, 1][..], tagged(&[2, 0, 0, 0], 7, &[])),
        (&[0, 1], tagged(&[0, 0, 0, 0], 7, &[0; 40])),
        (&[0, 1, 0], [&[3, 0, 0, 0][..], &[5; 32], &seed, &7u64.to_le_bytes(), &[0; 40]].concat()),
        (&[0, 1, 0, 0, 0], tagged(&[5, 0, 0, 0], 7, &[])),
        (&[0, 0, 1], tagged(&[11, 0, 0, 0], 7, &[0; 40])),
        (&[1, 0], tagged(&[13, 0, 0, 0], 7, &[0; 40])),
    ] {
        let decoded = decode(&message(&[program(SYSTEM)], &[(2, accounts, &data)])).unwrap();
        let [to] = &transaction(&decoded).destinations[..] else { panic!("{data:?}") };
        assert_eq!((&to.address, &*to.asset, &*to.amount), (&text(&[0xbb; 32]), "", "7"));
        assert_eq!(transaction(&decoded).calls[0].selector, data[..4]);
        for (accounts, data) in [(&accounts[..0], &data[..]), (accounts, &data[..8])] {
            assert!(decode(&message(&[program(SYSTEM)], &[(2, accounts, data)])).is_err(), "{data:?}");
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
            let [to] = &transaction(&decoded).destinations[..] else { panic!() };
            assert_eq!((&to.address, &*to.amount), (&text(&[0xbb; 32]), "7"));
            assert_eq!(to.asset, format!("{}/token:{mint}", Networks::default().solana));
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
        let decoded = decode(&message(&[program(by), [0xcc; 32]], &[(2, accounts, &data)])).unwrap();
        let [grant] = &transaction(&decoded).grants[..] else { panic!("{data:?}") };
        assert_eq!((&grant.spender, grant.amount.as_deref()), (&text(&owner), amount), "{data:?}");
    }
    let home = decode(&message(&[program(TOKEN)], &[(2, &[1, 0, 0], &[9])])).unwrap();
    assert!(transaction(&home).grants.is_empty(), "an account that is closed to the signer");
    let batch = decode(&message(&[program(TOKEN)], &[(2, &[0, 1, 0], &[255, 0])]));
    assert_eq!(batch.unwrap_err().code(), "payload-malformed");
}

#[test]
fn calls_of_other_programs_stay_visible() {
    let data = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    let decoded = decode(&message(&[[0xdd; 32]], &[(2, &[0], &data), (2, &[], &[])])).unwrap();
    let calls = &transaction(&decoded).calls;
    assert_eq!((calls.len(), &calls[0].contract), (2, &text(&[0xdd; 32])));
    assert_eq!((&calls[0].selector[..], &calls[0].data[..]), (&data[..8], &data[..]));
    assert!(calls[0].method.is_none() && transaction(&decoded).destinations.is_empty());
}

#[test]
fn accounts_of_lookup_tables_are_unknown() {
    // Place 3 is the first writable, place 5 the first read-only account that the table gives.
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
        ("an account twice", decode(&message(&[[0xbb; 32]], &[(2, &[0], &[1])]))),
    ] {
        assert_eq!(result.unwrap_err().code(), "payload-malformed", "{what}");
    }
    let other = decode_as(&ecdsa(), PayloadKind::SolanaMessage, &good);
    assert_eq!(other.unwrap_err().code(), "payload-scheme");
}
