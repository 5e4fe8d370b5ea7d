//! Personal messages of EIP-191: `0x19 "Ethereum Signed Message:\n" <length in decimal> <message>`,
//! hashed by Keccak-256. The payload is the message alone. No transaction begins with the prefix,
//! so none can be passed off as a message.

use alloy_primitives::eip191_hash_message;
use countersign_protocol::{DerivationPath, PayloadKind};

use crate::{DecodeError, Decoded, Input, Intent, Key, must_be_ecdsa};

pub(crate) fn decode(
    key: &Key,
    path: &DerivationPath,
    bytes: &[u8],
) -> Result<Decoded, DecodeError> {
    must_be_ecdsa(key, PayloadKind::Eip191)?;
    let input = Input::new(path.clone(), eip191_hash_message(bytes).to_vec());
    Ok(Decoded {
        inputs: vec![input],
        intent: Intent::Message(bytes.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use crate::testkit::{decode_as, digest_of, ecdsa};
    use crate::{Intent, PayloadKind};

    #[test]
    fn the_published_digest_of_hello_world_is_computed() {
        // From the documentation of web3.eth.accounts.hashMessage.
        let decoded = decode_as(&ecdsa(), PayloadKind::Eip191, b"Hello World").unwrap();
        assert_eq!(
            digest_of(&decoded),
            "a1de988600a42c4b4ab089b619297c17d53cffae5d5120d82d8a92d0bb3b78f2"
        );
        assert_eq!(decoded.intent, Intent::Message(b"Hello World".to_vec()));
    }
}
