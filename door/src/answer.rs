//! An answer that is handed over in small pieces, so that it shows whether its caller takes it in.
//!
//! hyper asks for the next piece when there is room for it. With HTTP/2 a large piece would go into
//! the stream's queue as a whole, where nobody sees what becomes of it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::activity::Turn;

/// Size of a piece in bytes: one DATA frame of the default size.
const PIECE: usize = 16 * 1024;

/// The body of an answer.
pub struct Answer {
    body: Body,
    /// What the body has given and the caller has not been handed.
    rest: Bytes,
    begun: bool,
    turn: Turn,
}

impl Answer {
    /// The caller's turn ends with the answer.
    pub fn new(body: Body, mut turn: Turn) -> Self {
        // Room for the head must be made first.
        turn.hand_over(0, Instant::now());
        Self {
            body,
            rest: Bytes::new(),
            begun: false,
            turn,
        }
    }

    fn piece(&mut self) -> Frame<Bytes> {
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        self.begun = true;
        self.turn.hand_over(piece.len(), Instant::now());
        Frame::data(piece)
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

    /// Not before the last piece was taken in: hyper would drop the answer when it is queued.
    fn is_end_stream(&self) -> bool {
        !self.begun && self.body.is_end_stream()
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
