//! An answer that is handed over in small pieces, so that it shows whether its caller takes it in.
//!
//! hyper keeps a piece until there is room for its first byte. With HTTP/2 the rest of it then
//! waits in the stream's queue, where nobody sees what becomes of it. So pieces are small, and the
//! last byte goes alone: once there is room for it, there is room for all.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use crate::activity::Turn;

/// Size of a piece in bytes: one DATA frame of the default size.
const PIECE: usize = 16 * 1024;

/// The body of an answer.
pub struct Answer {
    body: Body,
    /// What the body has given and the caller has not been handed.
    rest: Bytes,
    turn: Turn,
}

impl Answer {
    /// The turn ends with the answer.
    pub fn new(body: Body, turn: Turn) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            turn,
        }
    }

    fn piece(&mut self) -> Frame<Bytes> {
        let ends = self.rest.len() <= PIECE && self.body.is_end_stream();
        let length = if ends && self.rest.len() > 1 {
            self.rest.len() - 1
        } else {
            self.rest.len().min(PIECE)
        };
        self.turn.hand_over(length, Instant::now());
        Frame::data(self.rest.split_to(length))
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        this.turn.take_back(Instant::now());
        if !this.rest.is_empty() {
            return Poll::Ready(Some(Ok(this.piece())));
        }
        let frame = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other),
        };
        match frame.into_data() {
            Ok(data) => {
                this.rest = data;
                Poll::Ready(Some(Ok(this.piece())))
            }
            Err(trailers) => Poll::Ready(Some(Ok(trailers))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let of_body = self.body.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(of_body.lower() + rest);
        hint
    }
}
