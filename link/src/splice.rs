//! Carries opaque bytes between the two ends of a pair until either end leaves.
//!
//! Nothing is parsed, stored or altered. Memory is bounded by flow control: a side that does not
//! read stops the other.

use std::io;
use std::time::Duration;

use quinn::{RecvStream, SendStream, VarInt};

use crate::hub::Recorder;
use crate::identity::PeerKey;
use crate::switchboard::{End, Match};

/// The hub's one byte on a pair stream: the other end is here, and everything after
/// this is the peer's.
pub(crate) const JOINED: u8 = 1;
/// Maximum number of bytes moved at once.
const CHUNK: usize = 64 * 1024;
/// The interval at which a recorder is asked again about a chunk that it withholds.
const WITHHELD: Duration = Duration::from_millis(20);
/// Stream error code: the other end went away.
pub(crate) const GONE: VarInt = VarInt::from_u32(2);

/// Both halves of a pair stream at the hub.
#[derive(Debug)]
pub(crate) struct Halves {
    pub(crate) send: SendStream,
    pub(crate) recv: RecvStream,
}

/// Runs until one end finishes, breaks or opens a newer stream; then both are over.
pub(crate) async fn splice(found: &mut Match<Halves>, recorder: Option<&Recorder>) {
    let [one, two] = &mut found.ends;
    if join(one, two).await.is_err() {
        return hang_up(one, two);
    }
    let a = one.owner;
    let b = two.owner;
    let forward = carry(
        &mut one.stream.recv,
        &mut two.stream.send,
        tap(recorder, a, b),
    );
    let backward = carry(
        &mut two.stream.recv,
        &mut one.stream.send,
        tap(recorder, b, a),
    );
    // Only the nodes care which side left, and how: both learn it from the end of
    // their stream.
    tokio::select! {
        _ = forward => {}
        _ = backward => {}
        () = found.replaced.cancelled() => {}
    }
    hang_up(one, two);
}

async fn join(one: &mut End<Halves>, two: &mut End<Halves>) -> io::Result<()> {
    one.stream.send.write_all(&[JOINED]).await?;
    two.stream.send.write_all(&[JOINED]).await?;
    Ok(())
}

/// Moves bytes one way. On a clean end everything already read is still delivered.
async fn carry(
    from: &mut RecvStream,
    to: &mut SendStream,
    tap: impl Fn(&[u8]) -> bool,
) -> io::Result<()> {
    while let Some(chunk) = from.read_chunk(CHUNK, true).await? {
        while !tap(&chunk.bytes) {
            tokio::time::sleep(WITHHELD).await;
        }
        to.write_chunk(chunk.bytes).await?;
    }
    // Already closed means the other side left first, which ends the splice as well.
    to.finish().map_err(io::Error::from)
}

fn tap<'a>(
    recorder: Option<&'a Recorder>,
    from: PeerKey,
    to: PeerKey,
) -> impl Fn(&[u8]) -> bool + 'a {
    move |bytes| recorder.is_none_or(|record| record(from, to, bytes))
}

/// Ends all four halves. Errors only say that a half is over already. A
/// finished half still delivers.
fn hang_up(one: &mut End<Halves>, two: &mut End<Halves>) {
    for end in [one, two] {
        let _ = end.stream.recv.stop(GONE);
        let _ = end.stream.send.finish();
    }
}
