//! The protocol between a node and its child process: CBOR after its length, which is four bytes,
//! big endian.

use std::io::{self, Read};

use countersign_engine::MAX_BODY;
use countersign_protocol::Cause;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

/// The most bytes of one frame: the longest body and its envelope.
pub(super) const MAX_FRAME: usize = MAX_BODY + 1024;

#[derive(Serialize, Deserialize)]
pub(super) enum ToChild {
    /// The first frame, once: the job.
    Order(Order),
    /// A message of another party. The child reads it when it has said that it waits.
    Message {
        from: u16,
        broadcast: bool,
        body: Secret,
    },
}

/// A job for the child: to make auxiliary information.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    /// The limit of processor time, in seconds.
    pub cpu_seconds: u64,
    #[serde(with = "serde_bytes")]
    pub session: [u8; 32],
    pub me: u16,
    pub parties: u16,
    /// Four safe primes, as the engine writes them; if absent, the child searches for them.
    pub primes: Option<Secret>,
}

#[derive(Serialize, Deserialize)]
pub(super) enum FromChild {
    /// The primes that it found, once, for the next attempt.
    Primes(Secret),
    /// A message of the engine.
    Send {
        /// The receiver's position among the parties; if absent, all of them.
        to: Option<u16>,
        body: Secret,
    },
    /// The child computes nothing before another message comes.
    Waits,
    /// The last frame: auxiliary information as the engine writes it.
    Done(Secret),
    /// The last frame: the protocol failed.
    Failed {
        cause: Cause,
        text: String,
        culprits: Vec<u16>,
    },
}

/// Bytes that are wiped when they are dropped, and never shown.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Secret(#[serde(with = "zeroizing_bytes")] pub Zeroizing<Vec<u8>>);

mod zeroizing_bytes {
    use serde::{Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(
        bytes: &Zeroizing<Vec<u8>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        serde_bytes::serialize(bytes.as_slice(), to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Zeroizing<Vec<u8>>, D::Error> {
        serde_bytes::deserialize::<Vec<u8>, D>(from).map(Zeroizing::new)
    }
}

/// Encodes a frame with its length.
pub(super) fn frame(content: &impl Serialize) -> io::Result<Zeroizing<Vec<u8>>> {
    // Reserved at once, so that growing leaves no copy behind; the allocator would wipe one anyway.
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    bytes.extend_from_slice(&[0; 4]);
    ciborium::into_writer(content, &mut *bytes).map_err(io::Error::other)?;
    let length = bytes.len() - 4;
    if length > MAX_FRAME {
        return Err(io::Error::other("a frame is too long"));
    }
    bytes[..4].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(bytes)
}

/// Decodes the length ahead of a frame. Fails if no frame is that long.
pub(super) fn length(ahead: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_be_bytes(ahead) as usize;
    if length > MAX_FRAME {
        Err(io::Error::other("a frame is too long"))
    } else {
        Ok(length)
    }
}

/// Decodes a frame, which must have nothing after its content.
pub(super) fn content<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    let mut rest = bytes;
    let content = ciborium::from_reader(&mut rest).map_err(io::Error::other)?;
    if rest.is_empty() {
        Ok(content)
    } else {
        Err(io::Error::other("a frame has bytes after its end"))
    }
}

/// Reads one frame.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut ahead = [0; 4];
    from.read_exact(&mut ahead)?;
    let mut bytes = Zeroizing::new(vec![0; length(ahead)?]);
    from.read_exact(&mut bytes)?;
    content(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits() -> Vec<u8> {
        frame(&FromChild::Waits).unwrap().to_vec()
    }

    #[test]
    fn a_frame_is_what_was_written_and_nothing_else() {
        let order = Order {
            cpu_seconds: 9,
            session: [7; 32],
            me: 1,
            parties: 3,
            primes: None,
        };
        let bytes = frame(&ToChild::Order(order)).unwrap();
        let Ok(ToChild::Order(read)) = read(&mut &bytes[..]) else {
            panic!("an order")
        };
        assert_eq!(
            (read.cpu_seconds, read.session, read.me, read.parties),
            (9, [7; 32], 1, 3)
        );
        assert!(
            content::<FromChild>(&[&waits()[4..], &[0]].concat()).is_err(),
            "bytes after the end"
        );
        assert!(self::read::<FromChild>(&mut &waits()[..3]).is_err(), "cut");
        assert!(
            self::read::<FromChild>(&mut &bytes[..]).is_err(),
            "of the other side"
        );
    }

    #[test]
    fn nobody_reserves_memory_for_a_frame_that_is_too_long() {
        let ahead = u32::try_from(MAX_FRAME + 1).unwrap().to_be_bytes();
        assert!(length(ahead).is_err());
        let body = Secret(Zeroizing::new(vec![0; MAX_FRAME]));
        assert!(frame(&FromChild::Done(body)).is_err());
    }
}
