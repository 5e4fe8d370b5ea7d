//! Key descriptors, in both of their forms.

use countersign_protocol::{GenerationProof, KeyDescriptor, decode, encode};

use super::people;
use crate::check;

pub(super) fn run(input: &[u8]) -> bool {
    let read = [
        check::postcard::<KeyDescriptor>(input),
        check::json::<KeyDescriptor>(input),
    ];
    let proof = check::postcard::<GenerationProof>(input).map(|proof| proof.descriptor);
    read.into_iter()
        .chain([proof])
        .flatten()
        .map(|descriptor| judge(&descriptor))
        .count()
        > 0
}

/// Checks that every recipient of a descriptor makes.
fn judge(descriptor: &KeyDescriptor) {
    // The two forms are equivalent.
    let text = serde_json::to_vec(descriptor).expect("plain data");
    let by_text: KeyDescriptor = serde_json::from_slice(&text).expect("what was written is read");
    assert_eq!(&by_text, descriptor);
    if descriptor.generation <= KeyDescriptor::MAX_GENERATION {
        let by_bytes: KeyDescriptor =
            decode(&encode(descriptor)).expect("what was written is read");
        assert_eq!(
            (&by_bytes, by_bytes.digest()),
            (descriptor, descriptor.digest())
        );
    }
    assert!(
        !descriptor.succeeds(descriptor),
        "a generation follows the one before it, not itself"
    );
    if descriptor.has_all_acks() {
        let mut altered = descriptor.clone();
        altered.chain_code.0[0] ^= 1;
        assert!(!altered.has_all_acks(), "acknowledgements are for one key");
    }
}

/// A descriptor that lists parties, as after a reshare.
pub(super) fn sample() -> KeyDescriptor {
    let listed = KeyDescriptor {
        parties: people::nodes(),
        generation: 3,
        ..people::descriptor()
    };
    people::signed(listed)
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let fixture = hex::decode(
        include_str!("../../../protocol/src/fixtures/announcement-unlisted.hex").trim(),
    );
    let both = [people::descriptor(), sample()];
    let proof = GenerationProof {
        descriptor: sample(),
        in_force: sample().acks,
    };
    let text = |it: &KeyDescriptor| serde_json::to_vec(it).expect("plain data");
    both.iter()
        .map(encode)
        .chain(both.iter().map(text))
        .chain([encode(&proof)])
        .chain(fixture)
        .collect()
}
