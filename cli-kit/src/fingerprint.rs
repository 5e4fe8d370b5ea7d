//! The fingerprint of an id: six words that two people compare over the telephone.
//!
//! The words are a slow hash, so that making another key with the same six words takes 2^66
//! computations of scrypt with 64 MiB each. A short prefix of the id itself would be found in
//! seconds.

use std::sync::LazyLock;

/// The 2048 English words of BIP-39, one a line, in alphabetical order.
const WORDS: &str = include_str!("words.txt");
/// Number of words, of 11 bits each.
const COUNT: usize = 6;
/// Cost of the hash: scrypt (RFC 7914) with N = 2^16, r = 8, p = 1. It takes 64 MiB and about a
/// sixth of a second.
const LOG_N: u8 = 16;
const R: u32 = 8;
const P: u32 = 1;
/// Separates fingerprints from all other hashes.
const DOMAIN: &[u8] = b"countersign/1 six words";

/// The words in their order.
static LIST: LazyLock<Vec<&'static str>> = LazyLock::new(|| WORDS.lines().collect());

/// The six words of an id: the bytes of its key, and `kind`, which says what it is the key of
/// (`node`, `requester` or `coordinator`). 66 bits of scrypt, the most significant first.
pub fn six_words(kind: &str, key: &[u8]) -> String {
    let mut hash = [0; 32];
    let password = [kind.as_bytes(), &[0], key].concat();
    // The parameters are constants within the bounds of the function, as the tests show.
    if let Ok(cost) = scrypt::Params::new(LOG_N, R, P, hash.len())
        && scrypt::scrypt(&password, DOMAIN, &cost, &mut hash).is_ok()
    {
        let bits = hash[..9]
            .iter()
            .fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
        // 72 bits, of which the last 6 are not used.
        let word = |place: usize| LIST[(bits >> (72 - 11 * (place + 1)) & 0x7ff) as usize];
        return (0..COUNT).map(word).collect::<Vec<_>>().join(" ");
    }
    unreachable!("the parameters of scrypt are within its bounds")
}

/// True if a person's text has the same words, however they are spaced and capitalised.
pub fn same_words(typed: &str, words: &str) -> bool {
    let typed = typed.split_whitespace().map(str::to_lowercase);
    typed.eq(words.split_whitespace().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_that_of_bip_39() {
        assert_eq!(LIST.len(), 2048);
        assert!(LIST.is_sorted());
        assert_eq!(
            [LIST[0], LIST[1], LIST[2047]],
            ["abandon", "ability", "zoo"]
        );
    }

    /// Computed by Python's `hashlib.scrypt`.
    #[test]
    fn the_words_are_those_of_another_implementation() {
        assert_eq!(
            six_words("node", &[7; 32]),
            "unaware odor orchard brother phone toward"
        );
        assert_eq!(
            six_words("requester", &[7; 32]),
            "detect cause glance wink document honey"
        );
    }

    #[test]
    fn one_bit_of_the_key_changes_the_words() {
        let mut other = [7; 32];
        other[31] ^= 1;
        assert_ne!(six_words("node", &[7; 32]), six_words("node", &other));
    }

    #[test]
    fn words_are_compared_however_they_are_typed_and_none_may_be_missing() {
        let words = "zoo able about zero zone zebra";
        assert!(same_words(" Zoo able\tABOUT zero zone  zebra\n", words));
        for other in [
            "",
            "zoo able about zero zone",
            "zoo able about zero zebra zone",
            "zoo able about zero zone zebra zebra",
            "zoo able about zero zone zebr",
        ] {
            assert!(!same_words(other, words), "{other}");
        }
    }
}
