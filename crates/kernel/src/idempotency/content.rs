//! What an upload holds, as a fingerprint that is taken while it is read. Clients choose a new boundary for every attempt, so the fingerprint
//! is one of the parts and not of the bytes between them.

use axum::http::{HeaderMap, header};
use memchr::memmem;
use sha2::{Digest, Sha256};

/// The boundary of a multipart body (RFC 2046, section 5.1.1), or nothing when the body is none.
pub(super) fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let mut parts = kind.split(';').map(str::trim);
    if !parts.next()?.to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    let value = parts.filter_map(|p| p.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?.1;
    let value = value.trim().trim_matches('"');
    (1..=200).contains(&value.len()).then(|| value.to_owned())
}

/// Reads a multipart body piece by piece. Memory: one piece and one delimiter.
pub(super) struct Fingerprint {
    delimiter: Vec<u8>,
    held: Vec<u8>,
    part: Sha256,
    whole: Sha256,
    size: u64,
    complete: bool,
}

impl Fingerprint {
    pub fn new(boundary: &str) -> Self {
        // The first delimiter may stand at the very beginning, where no line ends before it.
        let held = b"\r\n".to_vec();
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        Self { delimiter, held, part: Sha256::new(), whole: Sha256::new(), size: 0, complete: false }
    }

    /// Takes the next bytes. What follows the closing delimiter does not count.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.complete {
            return;
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let mut from = 0;
        loop {
            let rest = &held[from..];
            match memmem::find(rest, &self.delimiter) {
                // Two more bytes tell whether it is the closing one.
                Some(at) if at + self.delimiter.len() + 2 <= rest.len() => {
                    self.add(&rest[..at]);
                    self.whole.update(self.part.finalize_reset());
                    from += at + self.delimiter.len();
                    if held[from..].starts_with(b"--") {
                        self.complete = true;
                        return;
                    }
                }
                Some(at) => {
                    self.add(&rest[..at]);
                    from += at;
                    break;
                }
                None => {
                    let sure = rest.len().saturating_sub(self.delimiter.len() - 1);
                    self.add(&rest[..sure]);
                    from += sure;
                    break;
                }
            }
        }
        held.drain(..from);
        self.held = held;
    }

    fn add(&mut self, bytes: &[u8]) {
        self.part.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// Bytes of the parts so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// `size-hash` of a body that was read to its closing delimiter.
    pub fn finish(&self) -> Option<String> {
        self.complete.then(|| format!("{}-{}", self.size, hex::encode(self.whole.clone().finalize())))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(boundary: &str, body: &str, piece: usize) -> Option<String> {
        let mut fingerprint = Fingerprint::new(boundary);
        body.as_bytes().chunks(piece).for_each(|c| fingerprint.feed(c));
        fingerprint.finish()
    }

    fn form(boundary: &str, parts: &[&str]) -> String {
        let parts: String =
            parts.iter().map(|p| format!("--{boundary}\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\n{p}\r\n")).collect();
        format!("{parts}--{boundary}--\r\n")
    }

    #[test]
    fn the_same_parts_have_one_fingerprint_whatever_their_boundary_and_their_pieces() {
        let parts = &["a--b", "", "\r\n--x", "text\r\n"];
        let first = of("b", &form("b", parts), 1).unwrap();
        for piece in [2, 3, 7, 1000] {
            assert_eq!(of("another-Boundary_9", &form("another-Boundary_9", parts), piece).unwrap(), first, "{piece}");
        }
    }

    #[test]
    fn other_parts_have_another_fingerprint() {
        let all = [&["a", "b"][..], &["b", "a"], &["ab"], &["a", "b", ""], &["a", "c"], &["a"]];
        let mut seen: Vec<_> = all.iter().map(|parts| of("b", &form("b", parts), 5).unwrap()).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), all.len());
    }

    #[test]
    fn a_body_that_breaks_off_has_none_and_what_follows_the_end_does_not_count() {
        let whole = form("b", &["a"]);
        assert_eq!(of("b", &whole[..whole.len() - 4], 3), None);
        assert_eq!(of("b", &format!("{whole}epilogue"), 3), of("b", &whole, 3));
    }

    #[test]
    fn the_boundary_is_read_as_clients_write_it() {
        let of = |kind: &'static str| boundary(&HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]));
        assert_eq!(of("multipart/form-data; boundary=abc").as_deref(), Some("abc"));
        assert_eq!(of("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"").as_deref(), Some("a b"));
        assert_eq!((of("application/json"), of("multipart/form-data"), of("multipart/form-data; boundary=")), (None, None, None));
    }
}
