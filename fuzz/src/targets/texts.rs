//! Short texts: ids, paths, names, amounts, extended keys.

use bitcoin::bip32::Xpub;
use countersign_protocol::{
    CoordinatorId, DerivationPath, Hash, KeyId, NodeId, PayloadKind, RequesterId, Scheme, TaskId,
};
use countersign_sdk::{AddressSet, Amount, Selector, same_address};
use countersign_verify::ExtendedPublicKey;

use super::people;
use crate::check;

pub(super) fn run(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let words = [
        check::text::<NodeId>(text).is_some(),
        check::text::<CoordinatorId>(text).is_some(),
        check::text::<RequesterId>(text).is_some(),
        check::text::<KeyId>(text).is_some(),
        check::text::<TaskId>(text).is_some(),
        check::text::<Hash>(text).is_some(),
        check::text::<PayloadKind>(text).is_some(),
        check::text::<Scheme>(text).is_some(),
        text.parse::<Selector>().is_ok(),
    ];
    if let Some(path) = check::text::<DerivationPath>(text) {
        assert!(
            path.steps().iter().all(|index| *index < 1 << 31),
            "children are not hardened"
        );
    }
    extended_key(text);
    amount(text);
    address(text);
    words.contains(&true)
}

/// Another library reads the same keys of main networks, and no others.
fn extended_key(text: &str) {
    let Some(ours) = check::text::<ExtendedPublicKey>(text) else {
        return;
    };
    if !ours.fits(Scheme::EcdsaSecp256k1) {
        return;
    }
    let theirs: Xpub = text
        .parse()
        .expect("a key that is read here is one of BIP-32");
    assert_eq!(theirs.to_string(), text);
    assert_eq!(
        (theirs.depth, &theirs.public_key.serialize()[..]),
        (ours.depth(), ours.public_key())
    );
    assert_eq!(theirs.chain_code.to_bytes(), *ours.chain_code());
}

fn amount(text: &str) {
    let Ok(amount) = text.parse::<Amount>() else {
        return;
    };
    let shown = amount.to_string();
    assert_eq!(shown.parse::<Amount>().as_ref(), Ok(&amount));
}

/// An address in a list is found as it was written.
fn address(text: &str) {
    let Ok(list) = AddressSet::new([(text, None)]) else {
        return;
    };
    if !text.contains(':') {
        assert!(
            list.contains("eip155:1", text),
            "`{text}` is listed and not found"
        );
        assert!(same_address(text, text));
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let node = people::nodes()[0].to_string();
    let texts = [
        node.as_str(),
        &people::requester().to_string(),
        &KeyId::of_task(&Hash([6; 32])).to_string(),
        "05050505050505050505050505050505",
        "m/0/7",
        "m",
        "m/2147483647",
        "eip191",
        "taproot",
        "1000000000000000000.000000000000000001",
        "115792089237316195423570985008687907853269984665640564039457584007913129639935",
        "0xa9059cbb",
        "transfer(address,uint256)",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "eip155:1:0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}
