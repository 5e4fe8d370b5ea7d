//! Output descriptors (BIP-380): the text with which watch-only wallets find all addresses below a
//! key. No private key, no script, and no hardened step, which a public key cannot take.

use crate::DeriveError;
use crate::address::Network;
use crate::extended::ExtendedPublicKey;

const GENERATORS: [u64; 5] = [
    0xf5_dee5_1989,
    0xa9_fdca_3312,
    0x1b_ab10_e32d,
    0x37_06b1_677a,
    0x64_4d62_6ffd,
];
/// BIP-380's INPUT_CHARSET, 32 characters to a row.
const INPUT: &[u8; 95] = b"0123456789()[],'/*abcdefgh@:$%{}\
IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~\
ijklmnopqrstuvwxyzABCDEFGH`#\"\\ ";
/// The character set of Bech32.
const OUTPUT: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// The kind of outputs that a descriptor describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `pkh`: pay to public key hash (BIP-381).
    Pkh,
    /// `wpkh`: pay to witness public key hash (BIP-382).
    Wpkh,
    /// `sh(wpkh)`: the same inside a script hash.
    ShWpkh,
    /// `tr`: key path of Taproot without scripts (BIP-386).
    Tr,
}

/// The descriptor of all children `account / branch / *`, with the account's origin
/// (`[fingerprint/path]`) and the checksum. `account` leads from `root` to the account; both keys
/// are on secp256k1. `branch`: by convention 0 for receiving addresses, 1 for change.
pub fn ranged(
    form: Form,
    root: &ExtendedPublicKey,
    account: &[u32],
    branch: u32,
    network: Network,
) -> Result<String, DeriveError> {
    let key = root
        .derive(account)?
        .bitcoin_text(network)
        .ok_or(DeriveError::PublicKey)?;
    let fingerprint: String = root
        .fingerprint()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let steps: String = account.iter().map(|step| format!("/{step}")).collect();
    let key = format!("[{fingerprint}{steps}]{key}/{branch}/*");
    let text = match form {
        Form::Pkh => format!("pkh({key})"),
        Form::Wpkh => format!("wpkh({key})"),
        Form::ShWpkh => format!("sh(wpkh({key}))"),
        Form::Tr => format!("tr({key})"),
    };
    let sum = checksum(&text).ok_or(DeriveError::PublicKey)?;
    Ok(format!("{text}#{sum}"))
}

/// The eight characters after `#` (BIP-380, "Checksum"). `None` if the text has a character
/// that descriptors cannot have.
pub fn checksum(descriptor: &str) -> Option<String> {
    let mut sum = 1u64;
    let mut group = 0u64;
    let mut count = 0u32;
    for byte in descriptor.bytes() {
        let place = INPUT.iter().position(|known| *known == byte)? as u64;
        sum = step(sum, place & 31);
        group = group * 3 + (place >> 5);
        count += 1;
        if count == 3 {
            sum = step(sum, group);
            (group, count) = (0, 0);
        }
    }
    if count > 0 {
        sum = step(sum, group);
    }
    let sum = (0..8).fold(sum, |sum, _| step(sum, 0)) ^ 1;
    Some(
        (0..8)
            .map(|i| char::from(OUTPUT[(sum >> (5 * (7 - i)) & 31) as usize]))
            .collect(),
    )
}

/// Processes one symbol of the code over GF(32): a BCH code with these generators.
fn step(sum: u64, symbol: u64) -> u64 {
    let top = sum >> 35;
    let shifted = (sum & 0x7_ffff_ffff) << 5 ^ symbol;
    GENERATORS
        .iter()
        .enumerate()
        .fold(shifted, |sum, (bit, generator)| match top >> bit & 1 {
            1 => sum ^ generator,
            _ => sum,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_checksums() {
        for (text, sum) in [
            // BIP-380.
            ("raw(deadbeef)", "89f8spxm"),
            // Bitcoin Core, descriptor_tests.cpp.
            (
                "sh(multi(2,[00000000/111'/222]xpub6ERApfZwUNrhLCkDtcHTcxd75RbzS1ed54G1LkBUHQVHQKqhMkhgbmJbZRkrgZw4koxb5JaHWkY4ALHY2grBGRjaDMzQLcgJvLJuZZvRcEL,xpub68NZiKmJWnxxS6aaHmn81bvJeTESw724CRDs6HbuccFQN9Ku14VQrADWgqbhhTHBaohPX4CjNLf9fq9MYo6oDaPPLPxSb7gwQN3ih19Zm4Y/0))",
                "tjg09x5t",
            ),
        ] {
            assert_eq!(checksum(text).unwrap(), sum);
        }
        assert_eq!(checksum("raw(dé)"), None);
        assert_ne!(checksum("raw(deedbeef)").unwrap(), "89f8spxm");
    }

    /// BIP-32, test vector 2; descriptors and addresses by embit 0.8, which shares
    /// no code with this.
    #[test]
    fn a_descriptor_describes_the_addresses_that_are_shown() {
        let root: ExtendedPublicKey = "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY47LJhkJ8UB7WEGuduB".parse().unwrap();
        let main = "[bd16bee5/84/0/0]xpub6CuYYW1fmpk9nnRg3hJHVfKpWvY4jwTqDNgqbdNia24Fqkmo5cXXdjuqT9wgZARoMBRmknvjFzwzTDww2yKGWai2A9EQoPcFNEa9ypQ66bN/1/*";
        let test = "[bd16bee5/84/0/0]tpubDDHB4jqMV6hc4acXVtHNhafBr3dijKxtm1H8xBRruvp9b3SW9qNcnBafhC2U5fP395xgNNSbo6n39QSYRqAWQ2AKDjyiUvGUxCAZjsso7Jb/1/*";
        let child = root.derive(&[84, 0, 0, 1, 7]).unwrap();
        let child = child.public_key();
        for (form, network, expected, address, shown) in [
            (
                Form::Pkh,
                Network::Mainnet,
                format!("pkh({main})#6s9rwcdz"),
                "1JeuDEZPj9KCReQcqLoedQ6i4U23Vs31Wz",
                Network::Mainnet.p2pkh(child),
            ),
            (
                Form::Wpkh,
                Network::Mainnet,
                format!("wpkh({main})#zul7ztls"),
                "bc1qcxj3e3s582dekf2fu0yg68j8vvp3rvyr7surna",
                Network::Mainnet.p2wpkh(child),
            ),
            (
                Form::ShWpkh,
                Network::Mainnet,
                format!("sh(wpkh({main}))#d3tgxwck"),
                "37rnxQLDjGHxqsEoKKxPvCC8bASgS6yKmr",
                Network::Mainnet.p2sh_p2wpkh(child),
            ),
            (
                Form::Tr,
                Network::Mainnet,
                format!("tr({main})#ck6gygeu"),
                "bc1p8ffxzw5t5h7y94j55v5dlukuv6043gvmrdcg7srmst4wj3v7al9swjlux2",
                Network::Mainnet.p2tr(child, None),
            ),
            (
                Form::Wpkh,
                Network::Regtest,
                format!("wpkh({test})#578u9xls"),
                "bcrt1qcxj3e3s582dekf2fu0yg68j8vvp3rvyrkl7al8",
                Network::Regtest.p2wpkh(child),
            ),
            (
                Form::Tr,
                Network::Regtest,
                format!("tr({test})#lvpx2tvj"),
                "bcrt1p8ffxzw5t5h7y94j55v5dlukuv6043gvmrdcg7srmst4wj3v7al9s5rr4fl",
                Network::Regtest.p2tr(child, None),
            ),
        ] {
            assert_eq!(
                ranged(form, &root, &[84, 0, 0], 1, network).unwrap(),
                expected
            );
            assert_eq!(shown.unwrap(), address);
        }
        assert!(
            ranged(Form::Tr, &root, &[1 << 31], 0, Network::Mainnet).is_err(),
            "hardened"
        );
    }
}
