//! Announcements of keys, in both of their forms.

use countersign_protocol::{Announcement, GenerationProof, decode, encode};

use super::people;
use crate::check;

pub(super) fn run(input: &[u8]) -> bool {
    let read = [
        check::postcard::<Announcement>(input),
        check::json::<Announcement>(input),
    ];
    let proof = check::postcard::<GenerationProof>(input).map(|proof| proof.announcement);
    read.into_iter()
        .chain([proof])
        .flatten()
        .map(|announcement| judge(&announcement))
        .count()
        > 0
}

/// What anybody asks of an announcement that somebody sent.
fn judge(announcement: &Announcement) {
    // The two forms say the same.
    let text = serde_json::to_vec(announcement).expect("plain data");
    let by_text: Announcement = serde_json::from_slice(&text).expect("what was written is read");
    assert_eq!(&by_text, announcement);
    if announcement.generation <= Announcement::MAX_GENERATION {
        let by_bytes: Announcement =
            decode(&encode(announcement)).expect("what was written is read");
        assert_eq!(
            (&by_bytes, by_bytes.digest()),
            (announcement, announcement.digest())
        );
    }
    assert!(
        !announcement.succeeds(announcement),
        "a generation follows the one before it, not itself"
    );
    if announcement.is_complete() {
        let mut altered = announcement.clone();
        altered.chain_code.0[0] ^= 1;
        assert!(!altered.is_complete(), "marks are for one key");
    }
}

/// One that lists parties, as after a reshare.
pub(super) fn sample() -> Announcement {
    let listed = Announcement {
        parties: people::nodes(),
        generation: 3,
        ..people::announcement()
    };
    people::signed(listed)
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let fixture = hex::decode(
        include_str!("../../../protocol/src/fixtures/announcement-unlisted.hex").trim(),
    );
    let both = [people::announcement(), sample()];
    let proof = GenerationProof {
        announcement: sample(),
        in_force: sample().stored,
    };
    let text = |it: &Announcement| serde_json::to_vec(it).expect("plain data");
    both.iter()
        .map(encode)
        .chain(both.iter().map(text))
        .chain([encode(&proof)])
        .chain(fixture)
        .collect()
}
