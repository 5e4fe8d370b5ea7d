//! Files that differ from those that the node wrote: none opens, and none makes the program panic.

use std::path::{Path, PathBuf};

use countersign_store::secrets::{IDENTITY_FILE, SECRETS_FILE};
use countersign_store::{OpenError, Secrets, Section};
use rand::{Rng, SeedableRng};

use crate::support::*;

/// A store with some content, and the bytes of one of its files.
fn store(name: &str) -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let dir = temporary();
    create(dir.path())
        .commit(vec![put(Section::Share, "a", &[7; 70_000])])
        .unwrap();
    let path = dir.path().join(name);
    let bytes = std::fs::read(&path).unwrap();
    (dir, path, bytes)
}

fn refused(dir: &Path, what: &str) {
    let error = Secrets::open(dir, &passphrase(WORDS), &[]).expect_err(what);
    assert!(
        matches!(
            error,
            OpenError::Damaged { .. } | OpenError::WrongPassphrase { .. }
        ),
        "{what}: {error}"
    );
}

#[test]
fn no_bit_can_be_flipped() {
    let mut random = rand::rngs::StdRng::seed_from_u64(1);
    for name in [SECRETS_FILE, IDENTITY_FILE] {
        let (dir, path, bytes) = store(name);
        // Random places, and every byte of the header.
        let random = (0..200).map(|_| random.gen_range(0..bytes.len()));
        for at in random
            .chain((0..bytes.len().min(400)).step_by(3))
            .collect::<Vec<_>>()
        {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            std::fs::write(&path, flipped).unwrap();
            refused(dir.path(), &format!("{name}, bit {} of byte {at}", at % 8));
        }
        std::fs::write(&path, bytes).unwrap();
        drop(open(dir.path()));
    }
}

#[test]
fn nothing_can_be_cut_off_or_added() {
    for name in [SECRETS_FILE, IDENTITY_FILE] {
        let (dir, path, bytes) = store(name);
        let chunk = 64 * 1024 + 16;
        let cuts = [
            0,
            1,
            100,
            200,
            bytes.len() / 2,
            bytes.len() - 1,
            bytes.len().saturating_sub(4096),
            bytes.len() % chunk,
        ];
        for len in cuts.into_iter().filter(|len| *len < bytes.len()) {
            std::fs::write(&path, &bytes[..len]).unwrap();
            refused(dir.path(), &format!("{name} cut to {len}"));
        }
        for tail in [&b"\0"[..], &[0; 4096], &bytes] {
            std::fs::write(&path, [&bytes, tail].concat()).unwrap();
            refused(
                dir.path(),
                &format!("{name} with {} bytes more", tail.len()),
            );
        }
    }
}

#[test]
fn who_knows_only_the_recipient_cannot_forge_a_store() {
    let (dir, path, _) = store(SECRETS_FILE);
    let recipient = identity(dir.path(), WORDS).to_public();
    let plaintext =
        age::decrypt(&identity(dir.path(), WORDS), &std::fs::read(&path).unwrap()).unwrap();
    // With a trailer of another key, with the true trailer of another image, and without any.
    let mut forged = plaintext.clone();
    forged[0x2000] ^= 1;
    let at = plaintext.len() - 4096;
    for forged in [forged, plaintext[..at].to_vec(), vec![0; 8192], Vec::new()] {
        std::fs::write(&path, age::encrypt(&recipient, &forged).unwrap()).unwrap();
        refused(dir.path(), "forged");
    }
    // Control: the same path opens when the plaintext is the node's own.
    std::fs::write(&path, age::encrypt(&recipient, &plaintext).unwrap()).unwrap();
    drop(open(dir.path()));
}

#[test]
fn the_store_of_another_node_is_not_ours() {
    let (dir, path, _) = store(SECRETS_FILE);
    let (_other, theirs, _) = store(SECRETS_FILE);
    std::fs::copy(theirs, path).unwrap();
    refused(dir.path(), "store of another node");
}

/// The work factor is in the header in digits, before anything that is verified.
#[test]
fn no_work_factor_is_too_large_to_be_refused() {
    let (dir, path, bytes) = store(IDENTITY_FILE);
    let header = b"-> scrypt ";
    let at = bytes
        .windows(header.len())
        .position(|window| window == header)
        .unwrap()
        + header.len()
        + 23;
    assert_eq!(&bytes[at - 1..at + 2], b" 1\n", "salt, then the factor");
    for factor in [
        "0",
        "21",
        "22",
        "30",
        "63",
        "64",
        "99",
        "255",
        "256",
        "18446744073709551616",
    ] {
        std::fs::write(
            &path,
            [&bytes[..at], factor.as_bytes(), &bytes[at + 1..]].concat(),
        )
        .unwrap();
        refused(dir.path(), factor);
    }
}
