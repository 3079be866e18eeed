//! AWS event streams (`application/vnd.amazon.eventstream`): binary messages, each with a length, headers, a payload and two checksums.
//!
//! A message is: total length (u32), length of the headers (u32), CRC-32 of these eight bytes; the headers; the payload; CRC-32 of all
//! before. Numbers are big-endian. A header is: length of its name (u8), name, type (u8), value.

use bytes::{Buf, BytesMut};

/// Bytes that one message may have. The format allows 24 MiB; providers send a few words at a time.
pub const MAX_MESSAGE: usize = 1024 * 1024;

/// Bytes of a message that are not headers or payload.
const AROUND: usize = 16;

/// One message; of its headers only the texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Names and values of the headers that are text.
    pub headers: Vec<(String, String)>,
    /// The payload, usually JSON.
    pub payload: Vec<u8>,
}

impl Message {
    /// The value of a header; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// A message is longer than [`MAX_MESSAGE`].
    TooLong,
    /// A checksum does not fit.
    Checksum,
    /// Lengths or headers contradict each other.
    Malformed,
    /// The stream ended within a message.
    Truncated,
}

impl FrameError {
    /// In words, for a log.
    pub fn text(self) -> &'static str {
        match self {
            Self::TooLong => "a message of the event stream is longer than 1 MiB",
            Self::Checksum => "a checksum of the event stream is wrong",
            Self::Malformed => "a message of the event stream contradicts itself",
            Self::Truncated => "the event stream ended within a message",
        }
    }
}

/// Reads messages. Feed it bytes with [`Parser::push`], take messages with [`Parser::next_message`].
#[derive(Debug, Default)]
pub struct Parser {
    held: BytesMut,
}

impl Parser {
    /// Takes the next bytes of the stream. What it holds is bounded when every message is taken before the next bytes come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next complete message.
    ///
    /// # Errors
    /// When the stream cannot be read on.
    pub fn next_message(&mut self) -> Result<Option<Message>, FrameError> {
        let Some(prelude) = self.held.get(..12) else {
            return Ok(None);
        };
        let (total, headers) = (number(&prelude[..4]), number(&prelude[4..8]));
        if crc32fast::hash(&prelude[..8]) as usize != number(&prelude[8..]) {
            return Err(FrameError::Checksum);
        }
        if total > MAX_MESSAGE {
            return Err(FrameError::TooLong);
        }
        if total < AROUND || headers > total - AROUND {
            return Err(FrameError::Malformed);
        }
        if self.held.len() < total {
            return Ok(None);
        }
        let message = self.held.split_to(total);
        let (body, crc) = message.split_at(total - 4);
        if crc32fast::hash(body) as usize != number(crc) {
            return Err(FrameError::Checksum);
        }
        let (headers, payload) = body[12..].split_at(headers);
        Ok(Some(Message { headers: read_headers(headers)?, payload: payload.to_vec() }))
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// `Truncated` when a message has begun and not ended.
    pub fn finish(&self) -> Result<(), FrameError> {
        if self.held.is_empty() { Ok(()) } else { Err(FrameError::Truncated) }
    }
}

fn number(mut bytes: &[u8]) -> usize {
    bytes.try_get_u32().map_or(0, |n| n as usize)
}

fn read_headers(mut bytes: &[u8]) -> Result<Vec<(String, String)>, FrameError> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let length = usize::from(bytes.get_u8());
        let name = take(&mut bytes, length)?;
        let kind = bytes.try_get_u8().map_err(|_| FrameError::Malformed)?;
        let length = match kind {
            0 | 1 => 0,
            2 => 1,
            3 => 2,
            4 => 4,
            5 | 8 => 8,
            9 => 16,
            6 | 7 => usize::from(bytes.try_get_u16().map_err(|_| FrameError::Malformed)?),
            _ => return Err(FrameError::Malformed),
        };
        let value = take(&mut bytes, length)?;
        if kind == 7 {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| FrameError::Malformed);
            out.push((text(name)?, text(value)?));
        }
    }
    Ok(out)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], FrameError> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or(FrameError::Malformed)?;
    *bytes = rest;
    Ok(taken)
}

/// Writes a message whose headers are texts of less than 256 (names) and 65,536 bytes (values).
pub fn write(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        head.extend_from_slice(name.as_bytes());
        head.push(7);
        head.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        head.extend_from_slice(value.as_bytes());
    }
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    let mut out = Vec::with_capacity(head.len() + payload.len() + AROUND);
    out.extend_from_slice(&number(head.len() + payload.len() + AROUND));
    out.extend_from_slice(&number(head.len()));
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(payload);
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<Vec<Message>, FrameError> {
        let (mut parser, mut out) = (Parser::default(), Vec::new());
        for piece in pieces {
            parser.push(piece);
            while let Some(message) = parser.next_message()? {
                out.push(message);
            }
        }
        parser.finish().map(|()| out)
    }

    fn recorded() -> Vec<u8> {
        let one = write(&[(":event-type", "messageStart"), (":message-type", "event")], br#"{"role":"assistant"}"#);
        [one, write(&[], b""), write(&[("a", "")], "zażółć".as_bytes())].concat()
    }

    #[test]
    fn the_empty_message_of_the_specification_is_written_byte_for_byte() {
        assert_eq!(hex(&write(&[], b"")), "000000100000000005c248eb7d98c8ff");
        // The example with a payload and no headers, from the same collection.
        assert_eq!(hex(&write(&[], b"{'foo':'bar'}")), "0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936");
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn a_stream_reads_the_same_wherever_it_is_cut() {
        let bytes = recorded();
        let whole = read(&[&bytes]).unwrap();
        assert_eq!((whole.len(), whole[0].header(":event-type"), whole[0].header("none")), (3, "messageStart", ""));
        for at in 0..=bytes.len() {
            assert_eq!(read(&[&bytes[..at], &bytes[at..]]).unwrap(), whole);
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single).unwrap(), whole);
    }

    #[test]
    fn a_stream_that_ends_within_a_message_says_so() {
        let bytes = recorded();
        let (first, second) =
            (write(&[(":event-type", "messageStart"), (":message-type", "event")], br#"{"role":"assistant"}"#).len(), AROUND);
        for end in 0..=bytes.len() {
            let whole_messages = [0, first, first + second, bytes.len()].contains(&end);
            assert_eq!(read(&[&bytes[..end]]).is_ok(), whole_messages, "{end}");
        }
    }

    #[test]
    fn a_changed_byte_is_noticed_wherever_it_is() {
        let bytes = recorded();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert!(read(&[&changed]).is_err(), "{at}");
        }
    }

    #[test]
    fn lengths_that_lie_are_refused_before_anything_is_kept() {
        let prelude = |total: u32, headers: u32| {
            let mut out = [total.to_be_bytes(), headers.to_be_bytes()].concat();
            out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
            out
        };
        assert_eq!(read(&[&prelude(u32::MAX, 0)]), Err(FrameError::TooLong));
        assert_eq!(read(&[&prelude(15, 0)]), Err(FrameError::Malformed));
        assert_eq!(read(&[&prelude(20, 5)]), Err(FrameError::Malformed));
        for headers in [&b"\x05ab"[..], b"\x01a\x07\x00", b"\x01a\x07\x00\x09b", b"\x01a\x63", b"\x01\xff\x07\x00\x00", b"\x01a\x04\x00"] {
            assert_eq!(read_headers(headers), Err(FrameError::Malformed), "{headers:?}");
        }
        assert_eq!(read_headers(b"\x01a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01b\x00"), Ok(Vec::new()));
    }
}
