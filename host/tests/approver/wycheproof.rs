//! The published Wycheproof cases for RS256 (RSASSA-PKCS1-v1_5 with SHA-256), for every size of key
//! that may be pinned.
//!
//! "Acceptable" cases are signatures whose hash identifier lacks its NULL (`MissingNull`): legacy,
//! and invalid by RFC 8017 section 9.2. We refuse them.

use countersign_host::rs256::VerifyingKey;
use wycheproof::TestResult;
use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};

/// Runs a set and returns how many cases it has: all, valid ones.
fn run(name: TestName) -> (usize, usize) {
    let set = TestSet::load(name).unwrap();
    let mut all = 0;
    let mut valid = 0;
    for group in &set.test_groups {
        let key = VerifyingKey::from_spki(group.der.as_ref()).unwrap();
        for test in &group.tests {
            let expected = test.result == TestResult::Valid;
            let found = key.verify(test.msg.as_ref(), test.sig.as_ref());
            assert_eq!(
                found, expected,
                "case {}: {} {:?}",
                test.tc_id, test.comment, test.flags
            );
            all += 1;
            valid += usize::from(expected);
        }
    }
    assert_eq!(all, set.number_of_tests);
    (all, valid)
}

#[test]
fn keys_of_2048_bits() {
    assert_eq!(run(TestName::Rsa2048Sha256), (259, 9));
}

#[test]
fn larger_keys() {
    for name in [
        TestName::Rsa3072Sha256,
        TestName::Rsa4096Sha256,
        TestName::Rsa8192Sha256,
    ] {
        let (all, valid) = run(name);
        assert!(all > 200 && valid > 0, "{name:?}");
    }
}
