//! A reply that is read in pieces.

use std::{collections::VecDeque, sync::Arc};

use super::Books;
use crate::{
    chat::{ChatDelta, ChatEnd, FinishReason, ToolCallDelta, Usage},
    error::ModelGatewayError,
    guardrails::{Guard, schema::Schema, stream::StreamGuard},
    provider::ReplyStream,
};

/// A reply in pieces: texts and calls, then one end, then nothing; or an error, then nothing.
pub struct Live {
    opened: Opened,
    books: Books,
    /// What the text has to keep to, with the text so far.
    schema: Option<(Arc<Schema>, String)>,
    over: bool,
}

/// A reply of which there is something to give.
pub(crate) struct Opened {
    reply: ReplyStream,
    guarded: Option<Guarded>,
    /// Pieces that are given before the reply is read on.
    ready: VecDeque<ChatDelta>,
    /// What it cost, when its end is there.
    cost: Option<Usage>,
}

/// What holds pieces back until the rules have seen enough of them.
struct Guarded {
    guard: Guard,
    stream: StreamGuard,
    /// Calls are given whole: what was masked in the request is put back into JSON.
    calls: Vec<ToolCallDelta>,
}

impl Guarded {
    /// Takes a piece; what may go on is put behind `ready`.
    fn take(&mut self, delta: ChatDelta, ready: &mut VecDeque<ChatDelta>) -> Result<(), ModelGatewayError> {
        let text = match &delta {
            ChatDelta::Text(text) => self.stream.push(text),
            ChatDelta::ToolCall(piece) => {
                match self.calls.iter_mut().find(|call| call.index == piece.index) {
                    Some(call) => call.arguments.push_str(&piece.arguments),
                    None => self.calls.push(piece.clone()),
                }
                return Ok(());
            }
            ChatDelta::End(_) => self.stream.finish(),
        };
        let text = text.map_err(ModelGatewayError::Blocked)?;
        ready.extend((!text.is_empty()).then_some(ChatDelta::Text(text)));
        if let ChatDelta::End(_) = delta {
            for mut call in self.calls.drain(..) {
                self.guard.arguments(&mut call.arguments);
                ready.push_back(ChatDelta::ToolCall(call));
            }
            ready.push_back(delta);
        }
        Ok(())
    }
}

impl Opened {
    pub(super) fn new(reply: ReplyStream, guard: Option<Guard>) -> Self {
        let guarded = guard.map(|guard| Guarded { stream: guard.stream(), guard, calls: Vec::new() });
        Self { reply, guarded, ready: VecDeque::new(), cost: None }
    }

    /// Reads until there is something to give, and tells `wrote` what the model wrote; false at the end.
    pub(super) async fn read(&mut self, mut wrote: impl FnMut(&str)) -> Result<bool, ModelGatewayError> {
        while self.ready.is_empty() {
            let Some(delta) = self.reply.next().await? else { return Ok(false) };
            match &delta {
                ChatDelta::Text(text) => wrote(text),
                ChatDelta::ToolCall(piece) => wrote(&piece.arguments),
                ChatDelta::End(end) => self.cost = Some(end.usage),
            }
            match &mut self.guarded {
                Some(guarded) => {
                    if let Err(error) = guarded.take(delta, &mut self.ready) {
                        self.ready.clear();
                        return Err(error);
                    }
                }
                None => self.ready.push_back(delta),
            }
        }
        Ok(true)
    }
}

impl Live {
    pub(crate) fn new(opened: Opened, mut books: Books, schema: Option<Arc<Schema>>) -> Self {
        if opened.cost.is_some() {
            books.finished(opened.cost);
        }
        Self { opened, books, schema: schema.map(|schema| (schema, String::new())), over: false }
    }

    /// The next piece; nothing after the end or an error.
    pub async fn next(&mut self) -> Option<Result<ChatDelta, ModelGatewayError>> {
        if self.over {
            return None;
        }
        if self.opened.ready.is_empty() {
            let ended = self.opened.cost.is_some();
            let books = &mut self.books;
            match self.opened.read(|text| books.wrote(text)).await {
                Ok(true) => {}
                Ok(false) => {
                    self.over = true;
                    return None;
                }
                Err(error) => {
                    self.over = true;
                    self.books.failed(&error);
                    return Some(Err(error));
                }
            }
            if !ended && self.opened.cost.is_some() {
                self.books.finished(self.opened.cost);
            }
        }
        let delta = self.opened.ready.pop_front()?;
        if let Err(error) = self.check(&delta) {
            self.over = true;
            return Some(Err(error));
        }
        Some(Ok(delta))
    }

    /// Holds the text to its schema when the reply is over. What was said cannot be taken back, so nothing is asked for again.
    fn check(&mut self, delta: &ChatDelta) -> Result<(), ModelGatewayError> {
        match (&mut self.schema, delta) {
            (Some((_, said)), ChatDelta::Text(text)) => said.push_str(text),
            // It wants a tool first; the text comes later.
            (schema @ Some(_), ChatDelta::ToolCall(_)) => *schema = None,
            (Some((schema, said)), ChatDelta::End(ChatEnd { finish_reason: FinishReason::Stop | FinishReason::Other, .. })) => {
                if let Some(fault) = schema.faults(said).into_iter().next() {
                    return Err(ModelGatewayError::Broken { fault });
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("over", &self.over).finish_non_exhaustive()
    }
}
