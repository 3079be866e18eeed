//! One term's chunks, compact: ascending slots as varint differences, each with its count in the chunk.

/// The chunks that hold a term. About two bytes per chunk.
#[derive(Debug, Default)]
pub struct Postings {
    /// Per entry `(slot difference << 1) | (count == 1)` as a varint, then the count as a varint unless it is 1.
    bytes: Vec<u8>,
    /// Slot of the last entry plus one.
    next: u32,
}

impl Postings {
    /// Adds a chunk. Slots must ascend, which they do since chunks are numbered as they arrive.
    pub fn push(&mut self, slot: u32, count: u32) {
        let once = u64::from(count == 1);
        let gap = u64::from(slot - self.next);
        put_varint(&mut self.bytes, (gap << 1) | once);
        if count != 1 {
            put_varint(&mut self.bytes, u64::from(count));
        }
        self.next = slot + 1;
    }

    /// All entries as (slot, count), ascending by slot.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let mut rest = self.bytes.as_slice();
        let mut next = 0_u32;
        std::iter::from_fn(move || {
            let head = take_varint(&mut rest)?;
            let slot = next + u32::try_from(head >> 1).ok()?;
            next = slot + 1;
            let count = if head & 1 == 1 { 1 } else { u32::try_from(take_varint(&mut rest)?).ok()? };
            Some((slot, count))
        })
    }
}

/// Appends `value` in groups of seven bits, low first.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or_default());
}

/// Reads a varint from the front of `from`; `None` when it ends too early or is longer than 64 bits.
pub fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
