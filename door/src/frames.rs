//! A bound on HTTP/2 frames that cost the caller next to nothing, such as PING, RST_STREAM or empty
//! DATA (RFC 9113, section 10.5): they draw on an allowance that time, requests and what we write
//! restore.
//!
//! hyper bounds the memory that such frames take. This bounds the work.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The bytes with which a client begins (RFC 9113, section 3.4).
const PREFACE: usize = 24;
const HEAD: usize = 9;
/// The whole allowance, in frames.
const WHOLE: f64 = 1024.0;
/// Frames a second by which it grows.
const GROWTH: f64 = 128.0;
/// A request that is withdrawn has begun to cost something.
const RESET: f64 = 8.0;
/// What a request brings with it: updates of its windows and the end of its body.
const REQUEST: f64 = 2.0;
/// A caller acknowledges this many written bytes with a frame, at the most.
const ACKNOWLEDGED: f64 = 4096.0;
/// DATA of fewer bytes counts, unless it ends its stream.
const SMALL: usize = 1024;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;

/// A connection whose frames are counted.
pub struct Metered<S> {
    stream: S,
    meter: Meter,
}

impl<S> Metered<S> {
    /// Counts from the preface on.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            meter: Meter::new(Instant::now()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, into))?;
        let read = into.filled().get(before..).unwrap_or_default();
        if this.meter.read(read, Instant::now()) {
            Poll::Ready(Ok(()))
        } else {
            Poll::Ready(Err(io::Error::other("too many frames without a request")))
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes))?;
        this.meter.earn(written as f64 / ACKNOWLEDGED);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, slices))?;
        this.meter.earn(written as f64 / ACKNOWLEDGED);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Finds the frames in what is read, and keeps the allowance.
#[derive(Debug)]
struct Meter {
    left: f64,
    since: Instant,
    /// Bytes to pass over before the next frame's head.
    skip: usize,
    head: [u8; HEAD],
    /// Bytes of `head` that have come.
    known: usize,
}

impl Meter {
    fn new(now: Instant) -> Self {
        Self {
            left: WHOLE,
            since: now,
            skip: PREFACE,
            head: [0; HEAD],
            known: 0,
        }
    }

    /// Counts the frames in `bytes`; false once the allowance is used up.
    fn read(&mut self, mut bytes: &[u8], now: Instant) -> bool {
        self.earn(now.saturating_duration_since(self.since).as_secs_f64() * GROWTH);
        self.since = now;
        while !bytes.is_empty() {
            let passed = self.skip.min(bytes.len());
            self.skip -= passed;
            bytes = bytes.get(passed..).unwrap_or_default();
            if let (0, Some((first, rest))) = (self.skip, bytes.split_first()) {
                self.head[self.known] = *first;
                self.known += 1;
                bytes = rest;
                if self.known == HEAD {
                    self.frame();
                }
            }
        }
        self.left > 0.0
    }

    /// Accounts for the frame of which the head is complete.
    fn frame(&mut self) {
        let [a, b, c, kind, flags, ..] = self.head;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.skip = length;
        self.known = 0;
        let ends = flags & END_STREAM != 0;
        match kind {
            DATA if length >= SMALL || ends => {}
            HEADERS => self.earn(REQUEST),
            RST_STREAM => self.left -= RESET,
            _ => self.left -= 1.0,
        }
    }

    fn earn(&mut self, frames: f64) {
        self.left = (self.left + frames).min(WHOLE);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![0, (length >> 8) as u8, length as u8, kind, flags];
        frame.extend([0, 0, 0, 1]);
        frame.resize(HEAD + length, kind);
        frame
    }

    /// The number of times that the frames are read before they are too many.
    fn endured(frames: &[u8]) -> usize {
        let now = Instant::now();
        let mut meter = Meter::new(now);
        assert!(meter.read(&[b'x'; PREFACE], now));
        (0..10_000).take_while(|_| meter.read(frames, now)).count()
    }

    #[test]
    fn floods_are_found_and_requests_are_none() {
        const PING: u8 = 6;
        const CONTINUATION: u8 = 9;
        assert!(endured(&frame(PING, 0, 8)) < 1100);
        assert!(endured(&frame(CONTINUATION, 0, 0)) < 1100);
        assert!(endured(&frame(DATA, 0, 0)) < 1100);
        let withdrawn = [frame(HEADERS, 5, 40), frame(RST_STREAM, 0, 4)].concat();
        assert!(endured(&withdrawn) < 200);
        let asked = [
            frame(HEADERS, 4, 40),
            frame(DATA, 0, 2000),
            frame(DATA, 1, 3),
        ]
        .concat();
        assert_eq!(endured(&asked), 10_000);
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let now = Instant::now();
        let mut whole = Meter::new(now);
        let mut cut = Meter::new(now);
        let mut bytes = vec![0; PREFACE];
        for kind in 0..10 {
            bytes.extend(frame(kind, 0, usize::from(kind) * 100));
        }
        assert!(whole.read(&bytes, now));
        for byte in &bytes {
            assert!(cut.read(std::slice::from_ref(byte), now));
        }
        assert_eq!(whole.left, cut.left);
        assert!(whole.left < WHOLE);
    }

    #[test]
    fn time_restores_the_allowance() {
        let now = Instant::now();
        let mut meter = Meter::new(now);
        assert!(meter.read(&[0; PREFACE], now));
        assert!(!meter.read(&frame(RST_STREAM, 0, 4).repeat(200), now));
        assert!(meter.read(&frame(RST_STREAM, 0, 4), now + Duration::from_secs(60)));
    }
}
