//! The forms in which people have payloads at hand, converted to the bytes that tasks carry: text
//! in several encodings, in one or more lines, and transactions around the part that is signed.
//! Nothing is judged here: the result is decoded like any payload.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::solana_message::Message;

/// The reason an input could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// Neither PSBT bytes nor a text of them.
    #[error(
        "this is not a PSBT; give its bytes in a file, or as text in Base64 or hexadecimal (`psbt` at the front)"
    )]
    Psbt,
    /// A bare transaction without the PSBT's additional data.
    #[error(
        "this is a Bitcoin transaction, not a PSBT; give the PSBT, which names the keys and the amounts"
    )]
    BareTransaction,
    /// Neither message bytes nor a text of them.
    #[error(
        "this is not a Solana message; give a message (legacy or version 0), or a transaction without signatures, \
         in hexadecimal, Base58 or Base64, or its bytes in a file"
    )]
    Solana,
    /// A signed transaction: the other signers would lose their signatures.
    #[error(
        "this Solana transaction is signed already ({signed} of {signers} signatures); \
         give its message, or the transaction with zeros in the place of signatures"
    )]
    SolanaSigned {
        /// Number of non-zero signatures.
        signed: usize,
        /// Number of signature slots.
        signers: usize,
    },
    /// Not two hexadecimal digits for each byte.
    #[error("this is not hexadecimal text; give two digits for each byte")]
    Hex,
}

/// Reads a PSBT of any version: its bytes, or Base64 (also the variant for URLs, with or without
/// `=`) or hexadecimal digits, in any number of lines.
pub fn read_psbt(given: &[u8]) -> Result<Vec<u8>, FormError> {
    const MAGIC: &[u8] = b"psbt\xff";
    if given.starts_with(MAGIC) {
        return Ok(given.to_vec());
    }
    let text = text_of(given).ok_or(FormError::Psbt)?;
    let read = [digits(&text), from_base64(&text)];
    let mut candidates = read.into_iter().flatten();
    if let Some(psbt) = candidates.clone().find(|bytes| bytes.starts_with(MAGIC)) {
        return Ok(psbt);
    }
    let is_transaction =
        |bytes: Vec<u8>| bitcoin::consensus::deserialize::<bitcoin::Transaction>(&bytes).is_ok();
    if candidates.any(is_transaction) {
        Err(FormError::BareTransaction)
    } else {
        Err(FormError::Psbt)
    }
}

/// Reads a message of a Solana transaction, or the message in an unsigned transaction: bytes, or
/// hexadecimal digits, Base58 or Base64.
pub fn read_solana(given: &[u8]) -> Result<Vec<u8>, FormError> {
    let text = text_of(given);
    let text = text.as_deref();
    // Base58 takes quadratic time. A transaction has at most 1232 bytes.
    let base58 = text
        .filter(|text| text.len() <= 2048)
        .and_then(|text| bs58::decode(text).into_vec().ok());
    let candidates = [
        Some(given.to_vec()),
        text.and_then(digits),
        base58,
        text.and_then(from_base64),
    ];
    let mut refused = FormError::Solana;
    for bytes in candidates.into_iter().flatten() {
        match solana_message_of(&bytes) {
            Ok(message) => return Ok(message.to_vec()),
            Err(FormError::Solana) => {}
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// Reads two digits for each byte, with or without `0x`, in any number of lines.
pub fn read_hex(given: &[u8]) -> Result<Vec<u8>, FormError> {
    text_of(given)
        .and_then(|text| digits(&text))
        .ok_or(FormError::Hex)
}

/// The text of a file or an argument, without a byte order mark, white space and quotation marks,
/// which belong to none of the encodings.
fn text_of(given: &[u8]) -> Option<String> {
    let wide = |rest: &[u8], read: fn([u8; 2]) -> u16| {
        let (units, odd) = rest.as_chunks::<2>();
        let units: Vec<u16> = units.iter().map(|unit| read(*unit)).collect();
        String::from_utf16(&units).ok().filter(|_| odd.is_empty())
    };
    let text = match given {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes)?,
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok()?,
        rest => String::from_utf8(rest.to_vec()).ok()?,
    };
    Some(
        text.chars()
            .filter(|char| !char.is_whitespace() && !matches!(char, '"' | '\''))
            .collect(),
    )
}

fn digits(text: &str) -> Option<Vec<u8>> {
    hex::decode(
        text.strip_prefix("0x")
            .or_else(|| text.strip_prefix("0X"))
            .unwrap_or(text),
    )
    .ok()
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&STANDARD, config)
        .decode(text.replace('-', "+").replace('_', "/"))
        .ok()
}

fn solana_message_of(bytes: &[u8]) -> Result<&[u8], FormError> {
    if is_message(bytes) {
        return Ok(bytes);
    }
    let (signers, rest) = signature_count(bytes).ok_or(FormError::Solana)?;
    let (signatures, message) = rest
        .split_at_checked(64 * signers)
        .ok_or(FormError::Solana)?;
    let (signatures, _) = signatures.as_chunks::<64>();
    let fits =
        Message::read(message).is_some_and(|read| usize::from(read.required_signatures) == signers);
    if !fits {
        return Err(FormError::Solana);
    }
    match signatures
        .iter()
        .filter(|signature| **signature != [0; 64])
        .count()
    {
        0 => Ok(message),
        signed => Err(FormError::SolanaSigned { signed, signers }),
    }
}

fn is_message(bytes: &[u8]) -> bool {
    Message::read(bytes).is_some_and(|message| message.check().is_ok())
}

/// Splits a transaction into its number of signatures (`shortvec`; there are at most
/// 255) and the rest.
pub(crate) fn signature_count(transaction: &[u8]) -> Option<(usize, &[u8])> {
    match transaction {
        [count @ 1..=0x7f, rest @ ..] => Some((usize::from(*count), rest)),
        [low @ 0x80..=0xff, 1, rest @ ..] => Some((usize::from(*low & 0x7f) | 0x80, rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};

    use super::*;

    const COLUMNS: &[u8] = include_bytes!("../fixtures/psbt-base64-76-columns.txt");
    const BINARY: &[u8] = include_bytes!("../fixtures/psbt-p2wsh-2of3.psbt");
    const WIRE: &[u8] = include_bytes!("../fixtures/solana-wire-transaction.b64");

    fn utf16(text: &str) -> Vec<u8> {
        [0xfeff]
            .into_iter()
            .chain(text.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect()
    }

    #[test]
    fn a_psbt_is_read_in_every_form() {
        let one_line: Vec<u8> = COLUMNS
            .iter()
            .filter(|byte| !byte.is_ascii_whitespace())
            .copied()
            .collect();
        let expected = BASE64.decode(&one_line).unwrap();
        assert_eq!(read_psbt(COLUMNS).unwrap(), expected);
        assert!(crate::psbt::parse(&expected).is_ok());
        assert_eq!(read_psbt(BINARY).unwrap(), BINARY);
        let text = BASE64.encode(BINARY);
        for given in [
            text.clone().into_bytes(),
            text.trim_end_matches('=').into(),
            URL_SAFE_NO_PAD.encode(BINARY).into_bytes(),
            hex::encode(BINARY).into_bytes(),
            format!("0x{}\r\n", hex::encode_upper(BINARY)).into_bytes(),
            format!("\u{feff}{text}\r\n").into_bytes(),
            format!("\"{text}\"").into_bytes(),
            utf16(&text),
        ] {
            assert_eq!(
                read_psbt(&given).unwrap(),
                BINARY,
                "{}",
                String::from_utf8_lossy(&given)
            );
        }
    }

    #[test]
    fn an_invalid_psbt_is_reported_as_such() {
        let bare = bitcoin::consensus::serialize(&crate::psbt::parse(BINARY).unwrap().unsigned_tx);
        assert_eq!(
            read_psbt(hex::encode(bare).as_bytes()),
            Err(FormError::BareTransaction)
        );
        for wrong in [
            &b""[..],
            b"?",
            b"\xff\xfe\x00",
            b"cHNid",
            b"70736274",
            &[0xff; 40],
        ] {
            assert_eq!(read_psbt(wrong), Err(FormError::Psbt), "{wrong:02x?}");
        }
    }

    #[test]
    fn a_solana_transaction_without_signatures_is_read_as_its_message() {
        let wire = BASE64.decode(WIRE.trim_ascii()).unwrap();
        let message = &wire[65..];
        assert_eq!(read_solana(WIRE).unwrap(), message);
        for given in [
            wire.clone(),
            message.to_vec(),
            hex::encode(&wire).into_bytes(),
            hex::encode(message).into_bytes(),
            bs58::encode(&wire).into_vec(),
            bs58::encode(message).into_vec(),
            BASE64.encode(message).into_bytes(),
            utf16(&BASE64.encode(&wire)),
        ] {
            assert_eq!(read_solana(&given).unwrap(), message);
        }
    }

    #[test]
    fn a_solana_transaction_with_signatures_is_refused() {
        let mut wire = BASE64.decode(WIRE.trim_ascii()).unwrap();
        wire[20] = 7;
        let refused = read_solana(BASE64.encode(&wire).as_bytes());
        assert_eq!(
            refused,
            Err(FormError::SolanaSigned {
                signed: 1,
                signers: 1
            })
        );
        // Another number of signatures than the message asks for.
        let fewer = [&[2][..], &[0; 128], &wire[65..]].concat();
        assert_eq!(read_solana(&fewer), Err(FormError::Solana));
        for wrong in [&b""[..], b"?", b"00", &[0x80; 70]] {
            assert_eq!(read_solana(wrong), Err(FormError::Solana), "{wrong:02x?}");
        }
    }

    #[test]
    fn digits_are_read_in_lines() {
        assert_eq!(read_hex(b"\xef\xbb\xbf0x0a\n0B\r\n").unwrap(), [10, 11]);
        assert_eq!(read_hex(b"0a0"), Err(FormError::Hex));
    }
}
