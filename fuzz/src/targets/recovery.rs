//! Recovery files, the tokens and texts that go with them, and lists of addresses.

use countersign_recover::{
    AddressList, ExportedShare, ExtendedPrivateKey, KeyPath, Password, Shape, ShareId, read, write,
};
use countersign_verify::ExtendedPublicKey;
use serde_json::Value;

use crate::check;

pub(super) fn run(input: &[u8]) -> bool {
    let mut was_read = AddressList::read(input).is_ok();
    if let Ok(text) = std::str::from_utf8(input) {
        check::text::<ShareId>(text);
        check::text::<KeyPath>(text);
        if let Ok(key) = ExtendedPrivateKey::parse(text) {
            assert_eq!(*key.to_text(), text, "a key has one text");
            key.public_text()
                .parse::<ExtendedPublicKey>()
                .expect("its public half is one of ours");
        }
    }
    // The id in the fixtures, and one that an alteration may have made of it.
    for id in ["OoQGkknsPdPjLCmSuuSf"]
        .into_iter()
        .chain(id(input).as_deref())
    {
        let Ok(share) = read(input, id) else { continue };
        assert_eq!(share.group().info().id, id);
        let _ = share.group().check_root();
        for shape in [Shape::Groups, Shape::List, Shape::Bare] {
            let written = write(std::slice::from_ref(&share), shape);
            assert_eq!(read(&written, id).expect("what was written is read"), share);
        }
        is_not_opened(&share);
        was_read = true;
    }
    was_read
}

/// With a password that nobody chose. Files whose derivation takes long are left closed.
fn is_not_opened(share: &ExportedShare) {
    let written: Value =
        serde_json::from_slice(&write(std::slice::from_ref(share), Shape::Bare)).expect("JSON");
    let iterations = written["share_info"][0]["kdf"]["iterations"].as_u64();
    if iterations.is_some_and(|count| count <= 1000) {
        let password = Password::new("nobody chose this password").expect("a password");
        assert!(share.open(&password).is_err(), "nobody chose this password");
    }
}

/// The first id in a file.
fn id(input: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(input).ok()?;
    let (_, behind) = text.split_once("\"id\"")?;
    Some(behind.split('"').nth(1)?.to_owned())
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    macro_rules! fixtures {
        ($($name:literal)*) => {
            vec![$(include_bytes!(concat!("../../../recover/tests/fixtures/", $name)).to_vec()),*]
        };
    }
    let mut seeds = fixtures!(
        "ed25519-v1-0.json" "ed25519-v2-1.json" "ed25519-v3-0.json"
        "secp256k1-v1-1.json" "secp256k1-v2-0.json" "secp256k1-v3-1.json"
    );
    let quick = |file: &Vec<u8>| {
        String::from_utf8_lossy(file)
            .replace("10000", "1")
            .into_bytes()
    };
    seeds.extend(seeds.iter().map(quick).collect::<Vec<_>>());
    seeds.extend([
        b"m/44'/60'/0'/0/7".to_vec(),
        b"path,address\nm/0/1,0xabc\n".to_vec(),
        b"1234567890".to_vec(),
    ]);
    seeds
}
