//! What the caller of a chat completion gets: the provider's bytes as they are, or our pieces in OpenAI's words.

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::{
    Answer, Surface,
    encode::{self, Envelope},
    errors::{self, told},
    forward::{Forward, Heard},
};
use crate::models::{Asked, Begun, Books, Live, Whole};
use astrolabe_kernel::{Error, Result};

impl Surface {
    /// Makes a call and gives what its caller is to get.
    ///
    /// # Errors
    /// What goes wrong before the first byte; what does later is the last event of the stream.
    pub(crate) async fn answer(&self, asked: Asked, stream: bool, envelope: Envelope) -> Result<Answer> {
        let models = &self.0.models;
        if !stream {
            return Ok(Answer::Whole(match models.whole(asked).await.map_err(told)? {
                Whole::Forward(body) => body,
                Whole::Typed(reply) => encode::whole(&envelope, &reply),
            }));
        }
        let schema = asked.schema.clone();
        match models.begin(asked, true).await.map_err(told)? {
            (Begun::Forward { first, forward }, books) => Ok(Answer::Stream(passed_on(first, forward, books))),
            (Begun::Typed(opened), books) => Ok(Answer::Stream(written(Live::new(*opened, books, schema), envelope))),
            _ => Err(Error::internal("a stream came as a whole")),
        }
    }
}

/// The events of a provider, as they are.
fn passed_on(first: Heard, forward: Forward, books: Books) -> stream::BoxStream<'static, Bytes> {
    struct Passing {
        first: Option<Heard>,
        forward: Forward,
        books: Books,
        over: bool,
    }
    let state = Passing { first: Some(first), forward, books, over: false };
    stream::unfold(state, |mut state| async move {
        if state.over {
            return None;
        }
        let next = match state.first.take() {
            Some(first) => Ok(Some(first)),
            None => state.forward.next().await,
        };
        match next {
            Ok(Some(heard)) => {
                state.books.wrote(&heard.text);
                // Written down before the caller has the last of it: what somebody got in full is never in the books as cut.
                if state.forward.is_done() {
                    state.books.finished(state.forward.usage());
                }
                Some((heard.bytes, state))
            }
            Ok(None) => None,
            Err(error) => {
                state.over = true;
                state.books.failed(&error);
                Some((errors::event(&told(error)), state))
            }
        }
    })
    .boxed()
}

/// The pieces of a reply as events.
fn written(live: Live, envelope: Envelope) -> stream::BoxStream<'static, Bytes> {
    stream::unfold((live, envelope, true), |(mut live, envelope, is_first)| async move {
        let bytes = match live.next().await? {
            Ok(piece) => envelope.events(&piece, is_first),
            Err(error) => errors::event(&told(error)),
        };
        Some((bytes, (live, envelope, false)))
    })
    .boxed()
}
