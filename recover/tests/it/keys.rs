//! Extended private keys: published vectors, leading zeros, and agreement with the libraries
//! that derive public keys.

use countersign_recover::{
    Curve, DeriveKeyError, ExtendedPrivateKey, KeyPath, ParseKeyError, Secret,
};
use countersign_verify::ExtendedPublicKey;

use crate::reference;

/// BIP-32, test vectors 1 to 4: a root and its descendants, each with private and public text.
const BIP_32: [&[(&str, &str, &str)]; 4] = [
    &[
        (
            "m",
            "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi",
            "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8",
        ),
        (
            "m/0H",
            "xprv9uHRZZhk6KAJC1avXpDAp4MDc3sQKNxDiPvvkX8Br5ngLNv1TxvUxt4cV1rGL5hj6KCesnDYUhd7oWgT11eZG7XnxHrnYeSvkzY7d2bhkJ7",
            "xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEjWgP6LHhwBZeNK1VTsfTFUHCdrfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw",
        ),
        (
            "m/0H/1",
            "xprv9wTYmMFdV23N2TdNG573QoEsfRrWKQgWeibmLntzniatZvR9BmLnvSxqu53Kw1UmYPxLgboyZQaXwTCg8MSY3H2EU4pWcQDnRnrVA1xe8fs",
            "xpub6ASuArnXKPbfEwhqN6e3mwBcDTgzisQN1wXN9BJcM47sSikHjJf3UFHKkNAWbWMiGj7Wf5uMash7SyYq527Hqck2AxYysAA7xmALppuCkwQ",
        ),
        (
            "m/0H/1/2H",
            "xprv9z4pot5VBttmtdRTWfWQmoH1taj2axGVzFqSb8C9xaxKymcFzXBDptWmT7FwuEzG3ryjH4ktypQSAewRiNMjANTtpgP4mLTj34bhnZX7UiM",
            "xpub6D4BDPcP2GT577Vvch3R8wDkScZWzQzMMUm3PWbmWvVJrZwQY4VUNgqFJPMM3No2dFDFGTsxxpG5uJh7n7epu4trkrX7x7DogT5Uv6fcLW5",
        ),
        (
            "m/0H/1/2H/2",
            "xprvA2JDeKCSNNZky6uBCviVfJSKyQ1mDYahRjijr5idH2WwLsEd4Hsb2Tyh8RfQMuPh7f7RtyzTtdrbdqqsunu5Mm3wDvUAKRHSC34sJ7in334",
            "xpub6FHa3pjLCk84BayeJxFW2SP4XRrFd1JYnxeLeU8EqN3vDfZmbqBqaGJAyiLjTAwm6ZLRQUMv1ZACTj37sR62cfN7fe5JnJ7dh8zL4fiyLHV",
        ),
        (
            "m/0H/1/2H/2/1000000000",
            "xprvA41z7zogVVwxVSgdKUHDy1SKmdb533PjDz7J6N6mV6uS3ze1ai8FHa8kmHScGpWmj4WggLyQjgPie1rFSruoUihUZREPSL39UNdE3BBDu76",
            "xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSVqNTEcYFgJS2UaFcxupHiYkro49S8yGasTvXEYBVPamhGW6cFJodrTHy",
        ),
    ],
    &[
        (
            "m",
            "xprv9s21ZrQH143K31xYSDQpPDxsXRTUcvj2iNHm5NUtrGiGG5e2DtALGdso3pGz6ssrdK4PFmM8NSpSBHNqPqm55Qn3LqFtT2emdEXVYsCzC2U",
            "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY47LJhkJ8UB7WEGuduB",
        ),
        (
            "m/0",
            "xprv9vHkqa6EV4sPZHYqZznhT2NPtPCjKuDKGY38FBWLvgaDx45zo9WQRUT3dKYnjwih2yJD9mkrocEZXo1ex8G81dwSM1fwqWpWkeS3v86pgKt",
            "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH",
        ),
        (
            "m/0/2147483647H",
            "xprv9wSp6B7kry3Vj9m1zSnLvN3xH8RdsPP1Mh7fAaR7aRLcQMKTR2vidYEeEg2mUCTAwCd6vnxVrcjfy2kRgVsFawNzmjuHc2YmYRmagcEPdU9",
            "xpub6ASAVgeehLbnwdqV6UKMHVzgqAG8Gr6riv3Fxxpj8ksbH9ebxaEyBLZ85ySDhKiLDBrQSARLq1uNRts8RuJiHjaDMBU4Zn9h8LZNnBC5y4a",
        ),
        (
            "m/0/2147483647H/1",
            "xprv9zFnWC6h2cLgpmSA46vutJzBcfJ8yaJGg8cX1e5StJh45BBciYTRXSd25UEPVuesF9yog62tGAQtHjXajPPdbRCHuWS6T8XA2ECKADdw4Ef",
            "xpub6DF8uhdarytz3FWdA8TvFSvvAh8dP3283MY7p2V4SeE2wyWmG5mg5EwVvmdMVCQcoNJxGoWaU9DCWh89LojfZ537wTfunKau47EL2dhHKon",
        ),
        (
            "m/0/2147483647H/1/2147483646H",
            "xprvA1RpRA33e1JQ7ifknakTFpgNXPmW2YvmhqLQYMmrj4xJXXWYpDPS3xz7iAxn8L39njGVyuoseXzU6rcxFLJ8HFsTjSyQbLYnMpCqE2VbFWc",
            "xpub6ERApfZwUNrhLCkDtcHTcxd75RbzS1ed54G1LkBUHQVHQKqhMkhgbmJbZRkrgZw4koxb5JaHWkY4ALHY2grBGRjaDMzQLcgJvLJuZZvRcEL",
        ),
        (
            "m/0/2147483647H/1/2147483646H/2",
            "xprvA2nrNbFZABcdryreWet9Ea4LvTJcGsqrMzxHx98MMrotbir7yrKCEXw7nadnHM8Dq38EGfSh6dqA9QWTyefMLEcBYJUuekgW4BYPJcr9E7j",
            "xpub6FnCn6nSzZAw5Tw7cgR9bi15UV96gLZhjDstkXXxvCLsUXBGXPdSnLFbdpq8p9HmGsApME5hQTZ3emM2rnY5agb9rXpVGyy3bdW6EEgAtqt",
        ),
    ],
    // Leading zeros must be kept: in the root, and below in a child that is the parent of a
    // hardened one.
    &[
        (
            "m",
            "xprv9s21ZrQH143K25QhxbucbDDuQ4naNntJRi4KUfWT7xo4EKsHt2QJDu7KXp1A3u7Bi1j8ph3EGsZ9Xvz9dGuVrtHHs7pXeTzjuxBrCmmhgC6",
            "xpub661MyMwAqRbcEZVB4dScxMAdx6d4nFc9nvyvH3v4gJL378CSRZiYmhRoP7mBy6gSPSCYk6SzXPTf3ND1cZAceL7SfJ1Z3GC8vBgp2epUt13",
        ),
        (
            "m/0H",
            "xprv9uPDJpEQgRQfDcW7BkF7eTya6RPxXeJCqCJGHuCJ4GiRVLzkTXBAJMu2qaMWPrS7AANYqdq6vcBcBUdJCVVFceUvJFjaPdGZ2y9WACViL4L",
            "xpub68NZiKmJWnxxS6aaHmn81bvJeTESw724CRDs6HbuccFQN9Ku14VQrADWgqbhhTHBaohPX4CjNLf9fq9MYo6oDaPPLPxSb7gwQN3ih19Zm4Y",
        ),
    ],
    &[
        (
            "m",
            "xprv9s21ZrQH143K48vGoLGRPxgo2JNkJ3J3fqkirQC2zVdk5Dgd5w14S7fRDyHH4dWNHUgkvsvNDCkvAwcSHNAQwhwgNMgZhLtQC63zxwhQmRv",
            "xpub661MyMwAqRbcGczjuMoRm6dXaLDEhW1u34gKenbeYqAix21mdUKJyuyu5F1rzYGVxyL6tmgBUAEPrEz92mBXjByMRiJdba9wpnN37RLLAXa",
        ),
        (
            "m/0H",
            "xprv9vB7xEWwNp9kh1wQRfCCQMnZUEG21LpbR9NPCNN1dwhiZkjjeGRnaALmPXCX7SgjFTiCTT6bXes17boXtjq3xLpcDjzEuGLQBM5ohqkao9G",
            "xpub69AUMk3qDBi3uW1sXgjCmVjJ2G6WQoYSnNHyzkmdCHEhSZ4tBok37xfFEqHd2AddP56Tqp4o56AePAgCjYdvpW2PU2jbUPFKsav5ut6Ch1m",
        ),
        (
            "m/0H/1H",
            "xprv9xJocDuwtYCMNAo3Zw76WENQeAS6WGXQ55RCy7tDJ8oALr4FWkuVoHJeHVAcAqiZLE7Je3vZJHxspZdFHfnBEjHqU5hG1Jaj32dVoS6XLT1",
            "xpub6BJA1jSqiukeaesWfxe6sNK9CCGaujFFSJLomWHprUL9DePQ4JDkM5d88n49sMGJxrhpjazuXYWdMf17C9T5XnxkopaeS7jGk1GyyVziaMt",
        ),
    ],
];
/// From the recovery tool that the files come from: root scalar, root public text, path, child
/// scalar, child public text.
const TOOL: [(Curve, &str, &str, &str, &str, &str); 2] = [
    (
        Curve::Ed25519,
        "07c10e6a265c14dbedb2bd994a58c8ee40a8645b4db9379b1b5cb42a387e4206",
        "cpubGCmTMqXYTnzkaj8hg72SuLci9q6DaK9atzpcbgjTmHkgXm1VyYPEh1W2njoEWGx7cpioxFBGSk7nD3bQd2BSwPYNHEmEW94oWXnGmRJFP3G",
        "m/44/501/0/0/0",
        "0648c6faeb3994799e9ac31009872ea559e960f1977cf1c71989634d62bcf41d",
        "cpubGPd6REiRhwmwfDbwpjd1mxKbhzoygEy2KaaG8s4dcN4ubHK4kqw3uxhnV6BwHw18Qwqomdh5ijf6ygfh8qkCveuekSqmxuQ5zwqjfHH7uGW",
    ),
    (
        Curve::Secp256k1,
        "953d86aa142b3a42eaddff0ee50eb466a350930694c2ef4e49d768e7c784024a",
        "xpub661MyMwAqRbcFS7KEDcTyCJPymrPtXLLuQ4Q9HmfSs6MoDQN4JUHisRL3ZWUtn8JjumsaQibtZBALcXkzRHpjsCS4obQaGCGG5qt4anbphu",
        "44/60/0/0/0",
        "a27fd146e2d13b3ca482cd8703da541b637ff4fb1224cbb6bc94df2e6764e3bf",
        "",
    ),
];

fn path(text: &str) -> KeyPath {
    text.parse().unwrap()
}

#[test]
fn bip_32_vectors_1_to_4() {
    for chain in BIP_32 {
        let root = ExtendedPrivateKey::parse(chain[0].1).unwrap();
        for (steps, private, public) in chain {
            let key = root.derive(&path(steps)).unwrap();
            assert_eq!(
                (key.to_text().as_str(), key.public_text().as_str()),
                (*private, *public),
                "{steps}"
            );
            assert_eq!(
                ExtendedPrivateKey::parse(private)
                    .unwrap()
                    .to_text()
                    .as_str(),
                *private
            );
        }
    }
    let small = ExtendedPrivateKey::parse(BIP_32[2][0].1).unwrap();
    assert_eq!(
        hex::encode(small.secret().expose()),
        "00ddb80b067e0d4993197fe10f2657a844a384589847602d56f0c629c81aae32"
    );
    let small = ExtendedPrivateKey::parse(BIP_32[3][1].1).unwrap();
    assert_eq!(
        hex::encode(small.secret().expose()),
        "00d948e9261e41362a688b916f297121ba6bfb2274a3575ac0e456551dfd7f7e"
    );
}

#[test]
fn vectors_of_the_incumbent_tool() {
    for (curve, scalar, root_text, steps, child_scalar, child_text) in TOOL {
        let public: ExtendedPublicKey = root_text.parse().unwrap();
        let secret = Secret::from_be_bytes(curve, &hex::decode(scalar).unwrap()).unwrap();
        let root = ExtendedPrivateKey::root(secret, *public.chain_code());
        assert_eq!(root.public_text(), root_text);
        let child = root.derive(&path(steps)).unwrap();
        assert_eq!(hex::encode(child.secret().expose()), child_scalar);
        assert!(child_text.is_empty() || child.public_text() == child_text);
        let text = root.to_text();
        assert_eq!(ExtendedPrivateKey::parse(&text).unwrap().to_text(), text);
    }
}

/// A root with this number of leading zero bytes.
fn root(curve: Curve, zeros: usize, fill: u8) -> ExtendedPrivateKey {
    ExtendedPrivateKey::root(
        Secret::from_be_bytes(curve, &vec![fill; 32 - zeros]).unwrap(),
        [fill; 32],
    )
}

#[test]
fn private_and_public_derivation_agree_with_other_libraries_and_the_reference() {
    for (curve, hardened) in [(Curve::Secp256k1, true), (Curve::Ed25519, false)] {
        for zeros in [0, 1, 2, 31] {
            let root = root(curve, zeros, 0x0d);
            for steps in ["m", "m/0", "m/44/60/0/0/2147483647", "m/9'/1"] {
                if steps.contains('\'') && !hardened {
                    continue;
                }
                let child = root.derive(&path(steps)).unwrap();
                if !steps.contains('\'') {
                    let public: ExtendedPublicKey = root.public_text().parse().unwrap();
                    assert_eq!(
                        public.derive(path(steps).steps()).unwrap().to_string(),
                        child.public_text()
                    );
                }
                let seen = reference(&["derive", &root.to_text(), steps]);
                assert_eq!(
                    seen["private_key"],
                    format!("0x{}", hex::encode(child.secret().expose()))
                );
                assert_eq!(seen["extended_private_key"], child.to_text().as_str());
                assert_eq!(seen["extended_public_key"], child.public_text());
            }
        }
    }
}

#[test]
fn every_root_of_few_bytes_has_a_text_of_its_kind() {
    for (curve, start) in [(Curve::Secp256k1, "xprv"), (Curve::Ed25519, "cprv")] {
        for zeros in 0..32 {
            let root = root(curve, zeros, 0x0e);
            let text = root.to_text();
            assert!(text.starts_with(start), "{zeros} {}", text.len());
            let parsed = ExtendedPrivateKey::parse(&text).unwrap();
            assert_eq!(parsed.secret().expose(), root.secret().expose());
        }
    }
}

#[test]
fn paths_that_lead_nowhere_are_refused() {
    let derive = |curve, steps: &str| root(curve, 0, 1).derive(&path(steps)).map(|_| ());
    assert_eq!(
        derive(Curve::Ed25519, "m/0/1H"),
        Err(DeriveKeyError::Hardened)
    );
    let deep = root(Curve::Secp256k1, 0, 1)
        .derive(&path(&["0"; 255].join("/")))
        .unwrap();
    assert_eq!(
        deep.derive(&path("0")).map(|_| ()),
        Err(DeriveKeyError::TooDeep)
    );
}

#[test]
fn texts_that_are_not_an_extended_private_key_are_refused() {
    let good = BIP_32[0][0].1;
    let bytes = bs58::decode(good).with_check(None).into_vec().unwrap();
    let with = |at: usize, value: &[u8]| {
        let mut changed = bytes.clone();
        changed[at..at + value.len()].copy_from_slice(value);
        ExtendedPrivateKey::parse(&bs58::encode(changed).with_check().into_string()).map(|_| ())
    };
    let parse = |text: &str| ExtendedPrivateKey::parse(text).map(|_| ());
    assert_eq!(
        parse(&good.replace("PHi", "PHj")),
        Err(ParseKeyError::Encoding)
    );
    assert_eq!(parse(&"x".repeat(1 << 20)), Err(ParseKeyError::Encoding));
    assert_eq!(parse(BIP_32[0][0].2), Err(ParseKeyError::Version));
    // BIP-32, test vector 5: a root with a parent or an index, a number that starts with 1, zero,
    // and the order.
    assert_eq!(with(5, &[1]), Err(ParseKeyError::Contents));
    assert_eq!(with(12, &[1]), Err(ParseKeyError::Contents));
    assert_eq!(with(45, &[1]), Err(ParseKeyError::Contents));
    assert_eq!(with(45, &[0; 33]), Err(ParseKeyError::Contents));
    assert_eq!(with(46, &[0xff; 32]), Err(ParseKeyError::Contents));
    assert_eq!(
        with(0, &[0x02, 0xe8, 0xda, 0x54]),
        Err(ParseKeyError::Contents),
        "above the order of Ed25519"
    );
}
