//! Length-delimited frames (4-byte big-endian length, then the bytes) over any byte stream. Control
//! streams and tunnels each have their own bound.
//!
//! The content is never parsed here. Each frame is flushed separately: latency first.

use std::io;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec, LengthDelimitedCodecError};

/// The maximum frame in the tunnel, in bytes.
pub const MAX_FRAME: usize = 1024 * 1024;

/// The maximum frame on the control stream, in bytes, which must hold a task.
pub const MAX_CONTROL_FRAME: usize = 3 * 1024 * 1024;

/// The maximum frame that a guest may send, in bytes.
pub const MAX_GUEST_FRAME: usize = 1024;

/// The reason a frame was not carried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Our own frame is over the bound. Nothing was sent and the stream stays usable.
    #[error("frame of {len} bytes is over the bound of {bound}: send less at a time")]
    TooLarge {
        /// Size of the refused frame in bytes.
        len: usize,
        /// The maximum size here, in bytes.
        bound: usize,
    },
    /// The other side announced a frame over the bound. The stream is lost.
    #[error("the other side announced a frame over the bound: drop it and check its version")]
    PeerTooLarge,
    /// The stream under the frames broke, was truncated, or carried altered bytes.
    #[error("the stream broke ({0}): reconnect")]
    Broken(#[source] io::Error),
}

/// The control stream of a link, framed, in both directions.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields are named for what they hold")]
pub struct Control {
    pub sender: ControlSender,
    pub receiver: ControlReceiver,
}

/// Sends frames on the control stream.
pub type ControlSender = FrameSender<quinn::SendStream>;
/// Receives frames from the control stream.
pub type ControlReceiver = FrameReceiver<quinn::RecvStream>;

impl Control {
    pub(crate) fn new((send, recv): (quinn::SendStream, quinn::RecvStream)) -> Self {
        Self {
            sender: FrameSender::new(send, MAX_CONTROL_FRAME),
            receiver: FrameReceiver::new(recv, MAX_CONTROL_FRAME),
        }
    }

    pub(crate) fn of_guest((send, recv): (quinn::SendStream, quinn::RecvStream)) -> Self {
        Self {
            sender: FrameSender::new(send, MAX_CONTROL_FRAME),
            receiver: FrameReceiver::new(recv, MAX_GUEST_FRAME),
        }
    }
}

/// Writes frames to a byte stream.
#[derive(Debug)]
pub struct FrameSender<W>(FramedWrite<W, LengthDelimitedCodec>);

impl<W: AsyncWrite + Unpin> FrameSender<W> {
    pub(crate) fn new(stream: W, bound: usize) -> Self {
        Self(FramedWrite::new(stream, codec(bound)))
    }

    /// Sends one frame within the bound and flushes it. Waits while the other side is slow.
    pub async fn send(&mut self, frame: &[u8]) -> Result<(), FrameError> {
        let len = frame.len();
        let bound = self.0.encoder().max_frame_length();
        if len > bound {
            return Err(FrameError::TooLarge { len, bound });
        }
        self.0
            .send(Bytes::copy_from_slice(frame))
            .await
            .map_err(FrameError::Broken)
    }

    /// Tells the other side that no more frames follow.
    pub async fn close(&mut self) -> Result<(), FrameError> {
        SinkExt::<Bytes>::close(&mut self.0)
            .await
            .map_err(FrameError::Broken)
    }
}

/// Reads frames from a byte stream.
#[derive(Debug)]
pub struct FrameReceiver<R>(FramedRead<R, LengthDelimitedCodec>);

impl<R: AsyncRead + Unpin> FrameReceiver<R> {
    pub(crate) fn new(stream: R, bound: usize) -> Self {
        Self(FramedRead::new(stream, codec(bound)))
    }

    /// The next frame, or `None` once the other side closed cleanly
    /// between two frames. Cancel-safe.
    pub async fn recv(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        match self.0.next().await {
            None => Ok(None),
            Some(Ok(frame)) => Ok(Some(frame.into())),
            Some(Err(error)) => Err(receive_error(error)),
        }
    }
}

fn receive_error(error: io::Error) -> FrameError {
    if error
        .get_ref()
        .is_some_and(|inner| inner.is::<LengthDelimitedCodecError>())
    {
        FrameError::PeerTooLarge
    } else {
        FrameError::Broken(error)
    }
}

fn codec(bound: usize) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .max_frame_length(bound)
        .new_codec()
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn bound_is_exact_and_refusal_leaves_the_stream_good() {
        let (a, b) = tokio::io::duplex(2 * MAX_FRAME);
        let mut sender = FrameSender::new(a, MAX_FRAME);
        let mut receiver = FrameReceiver::new(b, MAX_FRAME);
        let refused = sender.send(&vec![0; MAX_FRAME + 1]).await;
        assert!(
            matches!(refused, Err(FrameError::TooLarge { len, bound: MAX_FRAME }) if len == MAX_FRAME + 1)
        );
        sender.send(&vec![7; MAX_FRAME]).await.unwrap();
        assert_eq!(receiver.recv().await.unwrap().unwrap(), vec![7; MAX_FRAME]);
    }

    #[tokio::test]
    async fn announced_frame_over_the_bound_is_refused_before_its_bytes() {
        let (mut a, b) = tokio::io::duplex(64);
        a.write_all(&(MAX_FRAME as u32 + 1).to_be_bytes())
            .await
            .unwrap();
        assert!(matches!(
            FrameReceiver::new(b, MAX_FRAME).recv().await,
            Err(FrameError::PeerTooLarge)
        ));
    }

    #[tokio::test]
    async fn clean_end_and_cut_frame_differ() {
        let (mut a, b) = tokio::io::duplex(64);
        a.write_all(&[0, 0, 0, 9, 1]).await.unwrap();
        drop(a);
        assert!(matches!(
            FrameReceiver::new(b, MAX_FRAME).recv().await,
            Err(FrameError::Broken(_))
        ));
        let (a, b) = tokio::io::duplex(64);
        drop(a);
        assert!(matches!(
            FrameReceiver::new(b, MAX_FRAME).recv().await,
            Ok(None)
        ));
    }
}
