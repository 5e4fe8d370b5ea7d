//! Files of the reference read here, and files written here read by the reference.

use countersign_recover::{
    Curve, ExportedShare, Group, GroupInfo, ITERATIONS, OpenedShare, Participant, Recovery, Secret,
    Shape, ShareId, Version, read, write,
};

use crate::*;

const CURVES: [Curve; 2] = [Curve::Secp256k1, Curve::Ed25519];

fn opened(shares: &[ExportedShare]) -> Vec<OpenedShare> {
    shares
        .iter()
        .map(|share| share.open(&password()).unwrap())
        .collect()
}

/// The root key of a wallet from files `chosen`, after all checks.
fn root(shares: &[ExportedShare], chosen: &[usize]) -> String {
    let recovery = Recovery::new(chosen.iter().map(|i| shares[*i].clone()).collect()).unwrap();
    recovery.group().check_root().unwrap();
    let root = recovery.combine(&opened(recovery.files())).unwrap();
    assert_eq!(root.public_text(), recovery.group().root().to_string());
    hex::encode(root.secret().expose())
}

#[test]
fn every_version_shape_curve_and_hash_is_read() {
    for curve in CURVES {
        for (version, shape) in
            (1..=3).flat_map(|version| ["groups", "list", "bare"].map(|shape| (version, shape)))
        {
            let hash_type = if version == 2 { 7 } else { 5 };
            let long_keys = shape == "list";
            let shares = Wallet {
                version,
                shape,
                hash_type,
                long_keys,
                ..Wallet::new(curve)
            }
            .shares();
            assert_eq!(root(&shares, &[2, 0]), ROOT, "{curve} {version} {shape}");
            assert_eq!(root(&shares, &[0, 1, 2]), ROOT, "{curve} {version} {shape}");
        }
    }
}

#[test]
fn every_version_shape_and_curve_is_written() {
    let shapes = [Shape::Groups, Shape::List, Shape::Bare];
    for curve in CURVES {
        let shares = Wallet::new(curve).shares();
        let secrets = opened(&shares);
        for (version, shape) in Version::ALL
            .into_iter()
            .flat_map(|version| shapes.map(|shape| (version, shape)))
        {
            let folder = tempfile::tempdir().unwrap();
            let paths = ["a", "b"].map(|name| folder.path().join(name));
            for (path, i) in paths.iter().zip([1, 2]) {
                let group = shares[i].group().clone();
                let node_id = &shares[i].participant().node_id;
                let sealed = ExportedShare::seal_as(
                    version,
                    group,
                    node_id,
                    secrets[i].secret(),
                    &password(),
                    10,
                );
                let bytes = write(&[sealed.unwrap()], shape);
                assert_eq!(read(&bytes, GROUP).unwrap().version(), version);
                std::fs::write(path, bytes).unwrap();
            }
            let combined =
                reference(&["combine", GROUP, PASSWORD, text(&paths[0]), text(&paths[1])]);
            assert_eq!(
                combined["private_key"],
                format!("0x{ROOT}"),
                "{curve} {version:?} {shape:?}"
            );
        }
    }
}

/// As a node does it: share ids from indices in the committee, everything else
/// from its key descriptor.
#[test]
fn a_node_writes_what_the_reference_reads() {
    for curve in CURVES {
        let made = Wallet {
            share_ids: ["1", "2", "3"].map(str::to_owned).to_vec(),
            ..Wallet::new(curve)
        }
        .shares();
        let info = made[0].group().info();
        let participant = |(i, it): (usize, &Participant)| Participant {
            node_id: it.node_id.clone(),
            share_id: ShareId::from_keygen_index(i as u16),
            public_key: it.public_key.clone(),
        };
        let group = GroupInfo {
            id: GROUP.into(),
            created_time: "2024-02-29T12:00:00Z".into(),
            curve,
            threshold: 2,
            root_public_key: info.root_public_key.clone(),
            chain_code: info.chain_code,
            participants: info
                .participants
                .iter()
                .enumerate()
                .map(participant)
                .collect(),
        };
        let share = opened(&made).remove(1);
        let secret = Secret::from_be_bytes(curve, share.secret().expose()).unwrap();
        let group = Group::new(group).unwrap();
        let sealed =
            ExportedShare::seal(group, "node-1", &secret, &password(), ITERATIONS).unwrap();

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node-1.json");
        std::fs::write(&path, write(&[sealed], Shape::Groups)).unwrap();
        let seen = reference(&["read", text(&path), GROUP, PASSWORD]);
        assert_eq!(
            (&seen["version"], &seen["share_id"]),
            (&json!(3), &json!(2))
        );
        assert_eq!(seen["info"]["created_time"], "2024-02-29T12:00:00Z");
        assert_eq!(
            seen["info"]["type"],
            if curve == Curve::Ed25519 { 2 } else { 1 }
        );
    }
}

#[test]
fn a_root_key_with_leading_zeros_keeps_them() {
    for curve in CURVES {
        let coefficients = vec![SMALL_ROOT.to_owned(), "06".repeat(31)];
        let wallet = Wallet {
            coefficients,
            ..Wallet::new(curve)
        };
        let folder = tempfile::tempdir().unwrap();
        let paths = wallet.write(folder.path());
        let recovery = Recovery::new(paths[..2].iter().map(|path| load(path)).collect()).unwrap();
        let root = recovery.combine(&opened(recovery.files())).unwrap();
        assert_eq!(hex::encode(root.secret().expose()), SMALL_ROOT);
        let combined = reference(&["combine", GROUP, PASSWORD, text(&paths[0]), text(&paths[1])]);
        assert_eq!(combined["extended_private_key"], root.to_text().as_str());
        assert!(root.to_text().starts_with(if curve == Curve::Ed25519 {
            "cprv"
        } else {
            "xprv"
        }));
    }
}

#[test]
fn shares_without_their_leading_zeros_are_read() {
    // Small coefficients at small places make small shares, of 8 bytes here.
    for curve in CURVES {
        let coefficients = vec!["00".repeat(24) + "0102030405060708", "02".into()];
        let share_ids = ["1", "2"].map(str::to_owned).to_vec();
        let wallet = Wallet {
            version: 1,
            strip: true,
            coefficients: coefficients.clone(),
            share_ids,
            ..Wallet::new(curve)
        };
        assert_eq!(root(&wallet.shares(), &[0, 1]), coefficients[0]);
        let wallet = Wallet {
            version: 3,
            ..wallet
        };
        assert_eq!(root(&wallet.shares(), &[0, 1]), coefficients[0]);
    }
}

#[test]
fn thresholds_of_one_and_of_all_work() {
    for curve in CURVES {
        let coefficients = [ROOT.to_owned(), "05".repeat(31), "03".repeat(31)].to_vec();
        assert_eq!(
            root(
                &Wallet {
                    coefficients,
                    ..Wallet::new(curve)
                }
                .shares(),
                &[2, 0, 1]
            ),
            ROOT
        );
        let one = Wallet {
            coefficients: vec![ROOT.to_owned()],
            share_ids: vec!["5".into()],
            ..Wallet::new(curve)
        };
        assert_eq!(root(&one.shares(), &[0]), ROOT);
    }
}

/// Written once by the reference, and to stay readable for ever.
#[test]
fn fixtures_are_read() {
    for (name, curve) in [("secp256k1", Curve::Secp256k1), ("ed25519", Curve::Ed25519)] {
        for version in 1..=3 {
            let path = |i| {
                format!(
                    "{}/tests/fixtures/{name}-v{version}-{i}.json",
                    env!("CARGO_MANIFEST_DIR")
                )
            };
            let shares = [0, 1].map(|i| load(path(i).as_ref()));
            assert_eq!(shares[0].group().info().curve, curve);
            assert_eq!(root(&shares, &[0, 1]), ROOT);
        }
    }
}
