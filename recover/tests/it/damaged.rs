//! Damaged, foreign and contradictory files: each has an error of its own.

use std::sync::OnceLock;

use countersign_recover::{
    CombineError, Curve, ExportedShare, GroupError, MAX_FILE, MatchError, OpenError, OpenedShare,
    Password, ReadError, Recovery, RootError, SealError, SealShareError, Shape, read, write,
};

use crate::*;

/// A sound file, as JSON of one group. Written once for each curve.
fn sound(curve: Curve) -> Value {
    static WRITTEN: [OnceLock<Value>; 2] = [OnceLock::new(), OnceLock::new()];
    let write = || {
        let folder = tempfile::tempdir().unwrap();
        let paths = Wallet {
            shape: "bare",
            ..Wallet::new(curve)
        }
        .write(folder.path());
        serde_json::from_slice(&std::fs::read(&paths[0]).unwrap()).unwrap()
    };
    WRITTEN[curve as usize].get_or_init(write).clone()
}

fn reread(json: &Value) -> Result<ExportedShare, ReadError> {
    read(json.to_string().as_bytes(), GROUP)
}

/// The error for a sound file of `curve` with one value changed.
fn refused_on(curve: Curve, pointer: &str, value: Value) -> ReadError {
    let mut json = sound(curve);
    assert!(reread(&json).is_ok());
    *json.pointer_mut(pointer).unwrap() = value;
    reread(&json).expect_err(pointer)
}

fn refused(pointer: &str, value: Value) -> ReadError {
    refused_on(Curve::Secp256k1, pointer, value)
}

fn group_error(pointer: &str, value: Value) -> GroupError {
    match refused(pointer, value) {
        ReadError::Group(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn anything_but_a_recovery_file_is_refused() {
    let bytes = sound(Curve::Ed25519).to_string();
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        assert!(
            matches!(
                read(&bytes.as_bytes()[..cut], GROUP),
                Err(ReadError::Json(_))
            ),
            "{cut}"
        );
    }
    for other in [
        "[1]",
        "7",
        "{}",
        "\"text\"",
        "{\"recovery_groups\": 7}",
        "{\"recovery_groups\": null}",
    ] {
        assert!(
            matches!(read(other.as_bytes(), GROUP), Err(ReadError::Json(_))),
            "{other}"
        );
    }
    let refused = read(&vec![b' '; MAX_FILE + 1], GROUP).unwrap_err();
    assert!(matches!(refused, ReadError::TooLarge(_)));
    for empty in ["[]", "{\"recovery_groups\": []}"] {
        assert!(matches!(
            read(empty.as_bytes(), GROUP),
            Err(ReadError::NoGroup { .. })
        ));
    }
}

#[test]
fn a_member_that_stands_there_twice_is_refused() {
    let bytes = sound(Curve::Secp256k1).to_string();
    for (once, twice) in [
        ("\"threshold\":2", "\"threshold\":2,\"threshold\":1"),
        ("\"version\":3", "\"version\":3,\"version\":3"),
        ("\"length\":32", "\"length\":32,\"length\":32"),
    ] {
        assert_eq!(bytes.matches(once).count(), 1);
        let refused = read(bytes.replace(once, twice).as_bytes(), GROUP).unwrap_err();
        assert!(refused.to_string().contains("duplicate field"), "{refused}");
    }
    let group = sound(Curve::Secp256k1);
    let refused = read(json!([group, group]).to_string().as_bytes(), GROUP).unwrap_err();
    assert!(matches!(refused, ReadError::DuplicateGroup(_)));
}

#[test]
fn a_wallet_is_found_among_others_and_named_if_it_is_not() {
    let mut other = sound(Curve::Ed25519);
    other["group_info"]["id"] = "Another\u{1b}[2J".into();
    let bytes =
        json!({ "recovery_groups": [other, sound(Curve::Secp256k1)], "more": 1 }).to_string();
    assert_eq!(
        read(bytes.as_bytes(), GROUP).unwrap().group().info().curve,
        Curve::Secp256k1
    );
    let refused = read(bytes.as_bytes(), "Missing").unwrap_err().to_string();
    assert!(
        refused.contains("`Another\\u{1b}[2J`")
            && refused.contains(GROUP)
            && !refused.contains('\u{1b}'),
        "{refused}"
    );
}

#[test]
fn numbers_out_of_range_are_refused() {
    assert!(matches!(
        refused("/version", json!(0)),
        ReadError::Version(0)
    ));
    assert!(matches!(
        refused("/version", json!(4)),
        ReadError::Version(4)
    ));
    for threshold in [0_u64, 4, 65_536, u64::MAX] {
        let error = group_error("/group_info/threshold", json!(threshold));
        assert_eq!(
            error,
            GroupError::Threshold {
                threshold,
                participants: 3
            }
        );
    }
    assert!(matches!(
        refused("/group_info/type", json!(2)),
        ReadError::Type {
            kind: 2,
            curve: Curve::Secp256k1
        }
    ));
    assert!(matches!(
        refused("/group_info/type", json!(3)),
        ReadError::Type { kind: 3, .. }
    ));
    assert!(matches!(
        refused("/group_info/curve", json!("p256")),
        ReadError::Json(_)
    ));
    assert!(matches!(
        refused("/group_info/curve", json!("ed25519")),
        ReadError::Type { .. }
    ));
    assert_eq!(
        group_error("/group_info/participants", json!([])),
        GroupError::Participants(0)
    );
    let participant = sound(Curve::Secp256k1)["group_info"]["participants"][0].clone();
    let error = group_error("/group_info/participants", vec![participant; 1001].into());
    assert_eq!(error, GroupError::Participants(1001));
    assert_eq!(
        group_error("/group_info/created_time", json!("\u{7}")),
        GroupError::Text("created time")
    );
    assert_eq!(
        group_error("/group_info/participants/1/node_id", json!("")),
        GroupError::Text("node id")
    );
}

#[test]
fn two_participants_differ_in_everything() {
    let first = sound(Curve::Secp256k1)["group_info"]["participants"][0].clone();
    let twin = |member: &str| {
        group_error(
            &format!("/group_info/participants/1/{member}"),
            first[member].clone(),
        )
    };
    assert_eq!(twin("node_id"), GroupError::DuplicateNode("node-0".into()));
    assert!(matches!(twin("share_id"), GroupError::DuplicateShareId(_)));
    assert!(matches!(
        twin("share_public_key"),
        GroupError::DuplicatePublicKey(_)
    ));
}

#[test]
fn ids_and_keys_are_numbers_and_points_of_the_curve() {
    let id = "/group_info/participants/1/share_id";
    for wrong in ["0", "007", "-3", "0x7", "x"] {
        assert!(
            matches!(refused(id, json!(wrong)), ReadError::ShareId(_)),
            "{wrong}"
        );
    }
    // The order of Ed25519, which is below the one of secp256k1.
    let order =
        json!("7237005577332262213973186563042994240857116359379907606001950938285454250989");
    let on_ed25519 = refused_on(Curve::Ed25519, id, order);
    assert!(
        matches!(on_ed25519, ReadError::Group(GroupError::ShareIdRange(_))),
        "{on_ed25519}"
    );
    let key = "/group_info/participants/1/share_public_key";
    let off = json!(format!("0x02{}", "ff".repeat(32)));
    assert_eq!(
        group_error(key, off),
        GroupError::PublicKey("node-1".into())
    );
    for wrong in ["", "0x1", "02aa", "0xzz"] {
        assert!(
            matches!(
                refused(key, json!(wrong)),
                ReadError::Encoding("share_public_key")
            ),
            "{wrong}"
        );
    }
}

#[test]
fn the_root_key_is_a_root_and_has_the_chain_code() {
    let root = "/group_info/root_extended_public_key";
    let other = |curve| sound(curve).pointer(root).unwrap().clone();
    assert!(matches!(
        refused(root, other(Curve::Ed25519)),
        ReadError::Root
    ));
    assert!(matches!(refused(root, json!("xpub")), ReadError::Root));
    let child: countersign_verify::ExtendedPublicKey =
        other(Curve::Secp256k1).as_str().unwrap().parse().unwrap();
    let child = child.derive(&[0]).unwrap().to_string();
    assert!(matches!(refused(root, json!(child)), ReadError::Root));
    let code = "/group_info/chaincode";
    assert!(matches!(
        refused(code, json!(format!("0x{}", "0d".repeat(32)))),
        ReadError::ChainCode
    ));
    assert!(
        matches!(
            refused(code, json!("0c".repeat(32))),
            ReadError::Encoding("chaincode")
        ),
        "without 0x"
    );
}

#[test]
fn the_owner_of_the_share_is_a_participant_with_that_share() {
    for member in ["node_id", "share_id", "share_public_key"] {
        let other = sound(Curve::Secp256k1)["group_info"]["participants"][1][member].clone();
        let refused = refused(&format!("/share_info/{member}"), other);
        assert!(matches!(refused, ReadError::Owner(_)), "{member}");
    }
    assert!(matches!(
        refused("/share_info/node_id", json!("stranger")),
        ReadError::Owner(_)
    ));
}

#[test]
fn key_derivations_are_bounded() {
    for (member, value, what) in [
        ("length", json!(16), "length"),
        ("hash_type", json!(3), "hash"),
        ("iterations", json!(0), "number of iterations"),
        ("iterations", json!(10_000_001), "number of iterations"),
        ("salt", json!("0x"), "salt"),
        ("salt", json!(format!("0x{}", "00".repeat(1025))), "salt"),
    ] {
        let refused = refused(&format!("/share_info/kdf/{member}"), value);
        assert!(
            matches!(refused, ReadError::Kdf(found) if found == what),
            "{member} {refused}"
        );
    }
    assert!(matches!(
        refused("/share_info/kdf", Value::Null),
        ReadError::Json(_)
    ));
    assert!(matches!(
        refused("/share_info/encrypted_share", json!("*")),
        ReadError::Encoding("encrypted_share")
    ));
}

#[test]
fn a_share_opens_with_its_password_alone_and_makes_its_public_key() {
    let open = |json: &Value, text: &str| {
        reread(json)
            .unwrap()
            .open(&Password::new(text).unwrap())
            .map(|_| ())
    };
    for curve in [Curve::Secp256k1, Curve::Ed25519] {
        let json = sound(curve);
        assert_eq!(open(&json, PASSWORD), Ok(()));
        assert_eq!(open(&json, "wrong horse"), Err(OpenError::Password));
        let with = |member: &str, value: Value| {
            let mut changed = json.clone();
            *changed.pointer_mut(member).unwrap() = value;
            open(&changed, PASSWORD)
        };
        let share = json["share_info"]["encrypted_share"].as_str().unwrap();
        let flipped = if share.starts_with('A') { "B" } else { "A" }.to_owned() + &share[1..];
        assert_eq!(
            with("/share_info/encrypted_share", flipped.into()),
            Err(OpenError::Password)
        );
        assert_eq!(
            with("/share_info/encrypted_share", share[..36].into()),
            Err(OpenError::Short)
        );
        assert_eq!(
            with("/version", json!(2)),
            Ok(()),
            "2 and 3 are the same here"
        );
        assert!(matches!(
            with("/version", json!(1)),
            Err(OpenError::Secret(_))
        ));
        // The share of another node with the same password, in place of this one's.
        let folder = tempfile::tempdir().unwrap();
        let other = Wallet {
            shape: "bare",
            ..Wallet::new(curve)
        }
        .write(folder.path())
        .remove(1);
        let other: Value = serde_json::from_slice(&std::fs::read(other).unwrap()).unwrap();
        let mut mixed = json.clone();
        for member in ["encrypted_share", "kdf"] {
            mixed["share_info"][member] = other["share_info"][member].clone();
        }
        assert_eq!(open(&mixed, PASSWORD), Err(OpenError::PublicKey));
    }
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let shares = Wallet::new(Curve::Secp256k1).shares();
    let matched = |shares: &[&ExportedShare]| {
        Recovery::new(shares.iter().map(|it| (*it).clone()).collect()).map(|_| ())
    };
    assert_eq!(matched(&[]), Err(MatchError::Empty));
    assert_eq!(matched(&[&shares[0], &shares[2]]), Ok(()));
    let same = MatchError::SameNode {
        file: 3,
        earlier: 1,
        node_id: "node-0".into(),
    };
    assert_eq!(matched(&[&shares[0], &shares[2], &shares[0]]), Err(same));
    let other_wallet = |wallet: Wallet, what| {
        let other = wallet.shares().remove(1);
        assert_eq!(
            matched(&[&shares[0], &other]),
            Err(MatchError::OtherWallet { file: 2, what })
        );
    };
    let wallet = Wallet::new(Curve::Secp256k1);
    other_wallet(Wallet::new(Curve::Ed25519), "curve");
    other_wallet(
        Wallet {
            coefficients: vec![SMALL_ROOT.into(), "02".into()],
            ..wallet.clone()
        },
        "root public key",
    );
    // After a reshare: the same root, other shares.
    other_wallet(
        Wallet {
            coefficients: vec![ROOT.into(), "07".into()],
            ..wallet.clone()
        },
        "participants",
    );
    let three = vec![ROOT.into(), "05".repeat(31), "03".into()];
    other_wallet(
        Wallet {
            coefficients: three,
            ..wallet
        },
        "threshold",
    );
    let tampered = |pointer: &str, value: Value| {
        let mut json = sound(Curve::Secp256k1);
        *json.pointer_mut(pointer).unwrap() = value;
        matched(&[&shares[1], &reread(&json).unwrap()])
    };
    let what = |what| Err(MatchError::OtherWallet { file: 2, what });
    assert_eq!(
        tampered("/group_info/threshold", json!(1)),
        what("threshold")
    );
    assert_eq!(
        tampered("/group_info/created_time", json!("later")),
        what("created time")
    );
    assert_eq!(
        tampered("/group_info/participants/2/node_id", json!("mallory")),
        what("participants")
    );
    assert_eq!(
        tampered("/group_info/participants/2/share_id", json!("8")),
        what("participants")
    );
}

#[test]
fn the_order_of_participants_does_not_matter() {
    let mut json = sound(Curve::Ed25519);
    json["group_info"]["participants"]
        .as_array_mut()
        .unwrap()
        .reverse();
    let shares = Wallet::new(Curve::Ed25519).shares();
    assert!(Recovery::new(vec![shares[2].clone(), reread(&json).unwrap()]).is_ok());
}

/// Tampered with in all files in the same way, so that they agree.
#[test]
fn public_shares_that_do_not_make_the_root_key_are_refused() {
    let tampered = |pointer: &str, value: Value| {
        let mut json = sound(Curve::Secp256k1);
        *json.pointer_mut(pointer).unwrap() = value;
        reread(&json).unwrap()
    };
    // The subset checked first is of the two smallest share ids, of which 8 is one.
    let moved = tampered("/group_info/participants/2/share_id", json!("8"));
    assert_eq!(moved.group().check_root().unwrap_err().node_id, "node-0");
    let raised = tampered("/group_info/threshold", json!(3));
    assert_eq!(
        raised.group().check_root(),
        Ok(()),
        "three points of a line are on a parabola, too"
    );
    let lowered = tampered("/group_info/threshold", json!(1));
    let root = RootError {
        node_id: "node-0".into(),
    };
    assert_eq!(lowered.group().check_root(), Err(root.clone()));
    let opened = lowered.open(&password()).unwrap();
    let refused = Recovery::new(vec![lowered])
        .unwrap()
        .combine(&[opened])
        .map(|_| ());
    assert_eq!(refused, Err(CombineError::Root(root)));
}

#[test]
fn too_few_shares_make_nothing() {
    let shares = Wallet::new(Curve::Ed25519).shares();
    let recovery = Recovery::new(shares[..1].to_vec()).unwrap();
    let too_few = CombineError::TooFew { have: 1, need: 2 };
    assert_eq!(recovery.check_enough(), Err(too_few.clone()));
    assert!(too_few.to_string().contains("1 more"), "{too_few}");
    let open = |i: usize| shares[i].open(&password()).unwrap();
    let combine = |opened: &[OpenedShare]| recovery.combine(opened).map(|_| ());
    assert_eq!(combine(&[open(0)]), Err(too_few.clone()));
    assert_eq!(
        combine(&[open(0), open(0)]),
        Err(too_few),
        "one share twice"
    );
}

#[test]
fn shares_of_another_wallet_do_not_make_the_key() {
    let wallet = Wallet::new(Curve::Secp256k1);
    let shares = wallet.shares();
    let other = Wallet {
        coefficients: vec![ROOT.into(), "07".into()],
        ..wallet
    }
    .shares();
    let recovery = Recovery::new(shares[..2].to_vec()).unwrap();
    let open = |share: &ExportedShare| share.open(&password()).unwrap();
    let refused = recovery
        .combine(&[open(&shares[0]), open(&other[1])])
        .map(|_| ());
    assert_eq!(refused, Err(CombineError::OtherKey));
    let elsewhere = Wallet::new(Curve::Ed25519).shares();
    let refused = recovery
        .combine(&[open(&shares[0]), open(&elsewhere[1])])
        .map(|_| ());
    assert_eq!(refused, Err(CombineError::OtherKey));
}

#[test]
fn nothing_is_written_that_could_not_be_read() {
    let shares = Wallet::new(Curve::Secp256k1).shares();
    let group = || shares[0].group().clone();
    let opened = shares[0].open(&password()).unwrap();
    let seal = |group, node: &str, iterations| {
        ExportedShare::seal(group, node, opened.secret(), &password(), iterations).map(|_| ())
    };
    assert_eq!(seal(group(), "node-0", 1), Ok(()));
    assert_eq!(
        seal(group(), "node-9", 1),
        Err(SealShareError::Owner("node-9".into()))
    );
    assert_eq!(
        seal(group(), "node-1", 1),
        Err(SealShareError::PublicKey("node-1".into()))
    );
    assert_eq!(
        seal(group(), "node-0", 0),
        Err(SealShareError::Seal(SealError::Iterations(0)))
    );
    let mut json = sound(Curve::Secp256k1);
    json["group_info"]["participants"][2]["share_id"] = json!("9".repeat(38));
    let tampered = reread(&json).unwrap().group().clone();
    assert!(matches!(
        seal(tampered, "node-0", 1),
        Err(SealShareError::Root(RootError { .. }))
    ));
    let written = write(&shares[..1], Shape::Groups);
    assert_eq!(read(&written, GROUP).unwrap(), shares[0]);
}

#[test]
fn errors_end_with_what_to_do() {
    for error in [
        refused("/version", json!(9)).to_string(),
        refused("/share_info/kdf/length", json!(1)).to_string(),
        OpenError::Password.to_string(),
        MatchError::Empty.to_string(),
        CombineError::TooFew { have: 1, need: 3 }.to_string(),
        CombineError::OtherKey.to_string(),
    ] {
        let (_, advice) = error.rsplit_once(": ").unwrap();
        assert!(
            ["take", "use", "type", "give"]
                .iter()
                .any(|verb| advice.starts_with(verb)),
            "{error}"
        );
    }
}
