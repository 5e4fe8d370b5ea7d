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

    fn order() -> ToChild {
        ToChild::Order(Order {
            cpu_seconds: 9,
            session: [7; 32],
            me: 1,
            parties: 3,
            primes: Some(Secret(Zeroizing::new(vec![8; 100]))),
        })
    }

    fn is_refused(content: &impl Serialize) -> bool {
        let bytes = frame(content).unwrap();
        read::<ToChild>(&mut &bytes[..]).is_err()
    }

    #[test]
    fn a_frame_that_is_cut_anywhere_is_refused() {
        let bytes = frame(&order()).unwrap();
        for end in 0..bytes.len() {
            assert!(read::<ToChild>(&mut &bytes[..end]).is_err(), "{end}");
        }
        assert!(read::<ToChild>(&mut &bytes[..]).is_ok());
    }

    #[test]
    fn a_length_that_is_wrong_is_refused_whether_too_short_or_too_long() {
        let bytes = frame(&order()).unwrap().to_vec();
        let length = (bytes.len() - 4) as u32;
        for wrong in [0, 1, length - 1, length + 1] {
            let wrong = [&wrong.to_be_bytes()[..], &bytes[4..], &[0]].concat();
            assert!(read::<ToChild>(&mut &wrong[..]).is_err());
        }
    }

    #[test]
    fn frames_are_read_one_after_the_other() {
        let body = Secret(Zeroizing::new(vec![1, 2, 3]));
        let message = ToChild::Message {
            from: 2,
            broadcast: true,
            body,
        };
        let mut stream = frame(&order()).unwrap().to_vec();
        stream.extend_from_slice(&frame(&message).unwrap());
        let mut rest = &stream[..];
        assert!(matches!(read(&mut rest), Ok(ToChild::Order(_))));
        let Ok(ToChild::Message {
            from,
            broadcast,
            body,
        }) = read(&mut rest)
        else {
            panic!("a message")
        };
        assert_eq!((from, broadcast, &body.0[..]), (2, true, &[1, 2, 3][..]));
        assert!(rest.is_empty());
    }

    #[test]
    fn the_longest_frame_is_taken_on_both_sides_and_one_byte_more_on_neither() {
        let done = |length| FromChild::Done(Secret(Zeroizing::new(vec![0; length])));
        let around = frame(&done(MAX_BODY)).unwrap().len() - 4 - MAX_BODY;
        let longest = frame(&done(MAX_FRAME - around)).unwrap();
        assert_eq!(longest.len() - 4, MAX_FRAME);
        let ahead = *longest.first_chunk().unwrap();
        assert_eq!(length(ahead).unwrap(), MAX_FRAME);
        assert!(frame(&done(MAX_FRAME - around + 1)).is_err());
    }

    /// Engines may send bodies of that length, and the node passes them on.
    #[test]
    fn a_message_with_the_longest_body_of_an_engine_fits_into_a_frame() {
        let body = || Secret(Zeroizing::new(vec![0xff; MAX_BODY]));
        let message = ToChild::Message {
            from: u16::MAX,
            broadcast: false,
            body: body(),
        };
        assert!(frame(&message).is_ok());
        let to = Some(u16::MAX);
        assert!(frame(&FromChild::Send { to, body: body() }).is_ok());
    }

    #[test]
    fn what_is_not_cbor_of_this_protocol_is_refused() {
        for garbage in [&[][..], &[0xff], &[0xf6], &[0x9f, 0x9f, 0x9f], b"{}"] {
            assert!(content::<FromChild>(garbage).is_err(), "{garbage:?}");
        }
        assert!(is_refused(&"Reboot"), "an unknown kind of frame");
    }

    #[test]
    fn an_order_with_a_session_id_of_another_length_is_refused() {
        #[derive(Serialize)]
        struct Shaped<'a> {
            cpu_seconds: u64,
            #[serde(with = "serde_bytes")]
            session: &'a [u8],
            me: u16,
            parties: u16,
            primes: Option<()>,
        }
        #[derive(Serialize)]
        enum Sent<'a> {
            Order(Shaped<'a>),
        }
        let sent = |session| {
            Sent::Order(Shaped {
                cpu_seconds: 9,
                session,
                me: 1,
                parties: 3,
                primes: None,
            })
        };
        assert!(!is_refused(&sent(&[7; 32])));
        assert!(is_refused(&sent(&[7; 31])) && is_refused(&sent(&[7; 33])));
    }
}
