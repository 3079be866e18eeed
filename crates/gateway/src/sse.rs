//! Server-sent events as the WHATWG HTML standard (section 9.2) defines them, read from pieces that may be cut anywhere.

use std::collections::VecDeque;

/// Bytes that one event, or one line, may have.
pub const MAX_EVENT: usize = 1024 * 1024;

/// One event; of its fields only the two that providers use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The `event` field; empty when there is none.
    pub name: String,
    /// The `data` lines, joined by `\n`.
    pub data: String,
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SseError {
    /// An event is longer than [`MAX_EVENT`].
    TooLong,
    /// A line is not UTF-8.
    NotUtf8,
}

impl SseError {
    /// In words, for a log.
    pub fn text(self) -> &'static str {
        match self {
            Self::TooLong => "an event of the stream is longer than 1 MiB",
            Self::NotUtf8 => "the stream is not UTF-8",
        }
    }
}

/// Reads events. Feed it bytes with [`Parser::push`], take events with [`Parser::next_event`].
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    /// The last byte was a carriage return, so that a line feed now belongs to it.
    after_cr: bool,
    past_first_line: bool,
    name: String,
    data: Option<String>,
    ready: VecDeque<Event>,
}

impl Parser {
    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// When the stream cannot be read on. Events completed before stay readable.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), SseError> {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = bytes.iter().position(|b| matches!(b, b'\n' | b'\r')) {
            self.extend(&bytes[..end])?;
            self.line_ended()?;
            let rest = &bytes[end + 1..];
            bytes = match (bytes[end], rest) {
                (b'\r', [b'\n', rest @ ..]) => rest,
                (b'\r', []) => {
                    self.after_cr = true;
                    rest
                }
                _ => rest,
            };
        }
        self.extend(bytes)
    }

    /// The next complete event.
    pub fn next_event(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    /// Ends the stream. The standard drops an event that no empty line has closed; providers that forget the last empty line exist, so
    /// it is kept, and what is cut shows when its data is read.
    ///
    /// # Errors
    /// As [`Parser::push`].
    pub fn finish(&mut self) -> Result<(), SseError> {
        if !self.line.is_empty() {
            self.line_ended()?;
        }
        self.dispatch();
        Ok(())
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        if self.line.len() + bytes.len() > MAX_EVENT {
            return Err(SseError::TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn line_ended(&mut self) -> Result<(), SseError> {
        let bytes = std::mem::take(&mut self.line);
        let mut line = std::str::from_utf8(&bytes).map_err(|_| SseError::NotUtf8)?;
        if !self.past_first_line {
            self.past_first_line = true;
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            self.dispatch();
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut self.data {
                None => self.data = Some(value.to_owned()),
                Some(data) if data.len() + value.len() < MAX_EVENT => {
                    data.push('\n');
                    data.push_str(value);
                }
                Some(_) => return Err(SseError::TooLong),
            },
            "event" => value.clone_into(&mut self.name),
            // A comment (an empty field name), `id`, `retry` and what the standard does not know.
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self) {
        let name = std::mem::take(&mut self.name);
        if let Some(data) = self.data.take() {
            self.ready.push_back(Event { name, data });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<Vec<Event>, SseError> {
        let mut parser = Parser::default();
        let mut out = Vec::new();
        for piece in pieces {
            parser.push(piece)?;
            out.extend(std::iter::from_fn(|| parser.next_event()));
        }
        parser.finish()?;
        out.extend(std::iter::from_fn(|| parser.next_event()));
        Ok(out)
    }

    fn data(events: &[Event]) -> Vec<&str> {
        events.iter().map(|e| e.data.as_str()).collect()
    }

    #[test]
    fn a_stream_reads_the_same_wherever_it_is_cut() {
        let text = "\u{feff}: hello\r\nevent: note\r\ndata: zażółć\r\ndata:  gęślą 日本\r\n\r\ndata\n\nid: 7\rretry: 3\rdata:🚀\r\rdata: [DONE]\n\n".as_bytes();
        let whole = read(&[text]).unwrap();
        assert_eq!(data(&whole), ["zażółć\n gęślą 日本", "", "🚀", "[DONE]"]);
        assert_eq!(whole[0].name, "note");
        for first in 0..=text.len() {
            for second in first..=text.len() {
                assert_eq!(read(&[&text[..first], &text[first..second], &text[second..]]).unwrap(), whole, "{first} {second}");
            }
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(read(&bytes).unwrap(), whole);
    }

    #[test]
    fn comments_and_events_without_data_give_nothing() {
        assert!(read(&[b": ping\n\n:\n\nevent: x\n\nunknown: y\n\n\n\n"]).unwrap().is_empty());
    }

    #[test]
    fn an_event_without_its_last_empty_line_is_kept() {
        assert_eq!(data(&read(&[b"data: a\n\ndata: b"]).unwrap()), ["a", "b"]);
    }

    #[test]
    fn a_line_without_end_is_refused_instead_of_kept() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; 64 * 1024];
        let error = (0..64).find_map(|_| parser.push(&piece).err());
        assert_eq!(error, Some(SseError::TooLong));
    }

    #[test]
    fn an_event_of_endless_lines_is_refused_instead_of_kept() {
        let mut parser = Parser::default();
        let piece = [b"data: ".as_slice(), &vec![b'x'; 64 * 1024], b"\n"].concat();
        let error = (0..64).find_map(|_| parser.push(&piece).err());
        assert_eq!(error, Some(SseError::TooLong));
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_refused() {
        assert_eq!(read(&[b"data: \xff\xfe\n\n"]), Err(SseError::NotUtf8));
    }
}
