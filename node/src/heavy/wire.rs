//! What a node and its child process say to each other: CBOR behind its length, four bytes, big
//! endian.

use std::io::{self, Read};

use countersign_engine::MAX_BODY;
use countersign_protocol::Cause;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

/// Most bytes of one frame: the longest body, and what stands around it.
pub(super) const MAX_FRAME: usize = MAX_BODY + 1024;

/// To the child.
#[derive(Serialize, Deserialize)]
pub(super) enum ToChild {
    /// The first frame, once: what is to be made.
    Order(Order),
    /// A message of another party. The child reads it when it has said that it waits.
    Message {
        /// Position of the sender among the parties.
        from: u16,
        /// How it travelled.
        broadcast: bool,
        /// The engine's bytes.
        body: Secret,
    },
}

/// An order of auxiliary information.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    /// Limit of processor time, in seconds.
    pub cpu_seconds: u64,
    /// The run's id.
    #[serde(with = "serde_bytes")]
    pub session: [u8; 32],
    /// Position of this party.
    pub me: u16,
    /// How many there are.
    pub parties: u16,
    /// Four safe primes, as the engine writes them; absent: the child searches them.
    pub primes: Option<Secret>,
}

/// From the child.
#[derive(Serialize, Deserialize)]
pub(super) enum FromChild {
    /// The primes that it found, once, for the next try.
    Primes(Secret),
    /// A message of the engine.
    Send {
        /// For whom; absent: for all.
        to: Option<u16>,
        /// The engine's bytes.
        body: Secret,
    },
    /// It computes nothing before another message comes.
    Waits,
    /// Finished: auxiliary information as the engine writes it. Last frame.
    Done(Secret),
    /// The protocol failed. Last frame.
    Failed {
        /// Who has to act.
        cause: Cause,
        /// One sentence.
        text: String,
        /// Who did it.
        culprits: Vec<u16>,
    },
}

/// Bytes that are wiped when they are dropped, and shown to nobody.
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

/// A frame with its length.
pub(super) fn frame(content: &impl Serialize) -> io::Result<Zeroizing<Vec<u8>>> {
    // Reserved at once, so that growing leaves no copy behind; the allocator would wipe one
    // besides.
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

/// The length that stands ahead of a frame; an error if no frame is so long.
pub(super) fn length(ahead: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_be_bytes(ahead) as usize;
    if length > MAX_FRAME {
        Err(io::Error::other("a frame is too long"))
    } else {
        Ok(length)
    }
}

/// What a frame says, to its last byte.
pub(super) fn content<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    let mut rest = bytes;
    let content = ciborium::from_reader(&mut rest).map_err(io::Error::other)?;
    if rest.is_empty() {
        Ok(content)
    } else {
        Err(io::Error::other("a frame goes on behind its end"))
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
            "bytes behind the end"
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
