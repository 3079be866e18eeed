//! One term's chunks: ascending slots, each with its count in the chunk, in blocks that a search can skip.
//!
//! Entries arrive in a short tail of varints. A full tail is packed into blocks of at most [`BLOCK`] entries of three
//! bytes: the slot's distance from the block's first, and the count. Each block knows the best an entry of it can earn,
//! so that a search passes over blocks that cannot reach its results (Ding and Suel, "Faster Top-k Document Retrieval
//! Using Block-Max Indexes", 2011). Rare terms, which are most of a vocabulary, stay in the tail: two to five bytes an
//! entry.

use super::bits::Bits;

/// Entries of a block.
const BLOCK: usize = 128;
/// Behind the last slot.
pub const END: u32 = u32::MAX;

/// The chunks that hold a term.
#[derive(Debug, Default)]
pub struct Postings {
    packed: Option<Box<Packed>>,
    /// Per entry `(slot difference << 1) | (count == 1)` as a varint, then the count as a varint unless it is 1.
    tail: Vec<u8>,
    /// Entries in the tail.
    entries: u16,
    /// Slot of the last packed entry plus one, and of the last entry plus one.
    packed_to: u32,
    next: u32,
}

/// Entries in blocks.
#[derive(Debug, Default)]
pub struct Packed {
    blocks: Vec<Block>,
    /// Distance of each slot from its block's first.
    offsets: Vec<u16>,
    counts: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    first: u32,
    last: u32,
    /// Its first entry in the arrays.
    start: u32,
    best: Best,
}

/// What the entries of a block can earn at most: BM25 grows with the count and falls with the length per count.
#[derive(Debug, Clone, Copy)]
pub struct Best {
    /// Largest count.
    pub count: u8,
    /// Least length of a chunk divided by its count.
    pub length: f32,
}

impl Best {
    fn of(count: u8, length: u32) -> Self {
        Self { count, length: length as f32 / f32::from(count.max(1)) }
    }

    fn or(self, other: Self) -> Self {
        Self { count: self.count.max(other.count), length: self.length.min(other.length) }
    }
}

impl Postings {
    /// Adds a chunk. Slots must ascend, which they do since chunks are numbered as they arrive; `lengths` are those of
    /// all chunks by slot. A count beyond 255 is kept as 255.
    pub fn push(&mut self, slot: u32, count: u32, lengths: &[u32]) {
        let count = count.clamp(1, 255);
        let once = u64::from(count == 1);
        let gap = u64::from(slot - self.next);
        put_varint(&mut self.tail, (gap << 1) | once);
        if count != 1 {
            put_varint(&mut self.tail, u64::from(count));
        }
        self.next = slot + 1;
        self.entries += 1;
        if usize::from(self.entries) == BLOCK {
            let mut packed = self.packed.take().unwrap_or_default();
            for (slot, count) in self.tail() {
                packed.push(slot, count, lengths);
            }
            self.packed = Some(packed);
            self.tail = Vec::new();
            self.entries = 0;
            self.packed_to = self.next;
        }
    }

    /// How many chunks hold the term, dead ones included.
    pub fn len(&self) -> usize {
        self.packed.as_ref().map_or(0, |p| p.offsets.len()) + usize::from(self.entries)
    }

    /// The entries in blocks, if there are enough for one.
    pub fn packed(&self) -> Option<&Packed> {
        self.packed.as_deref()
    }

    /// The entries that are in no block yet, put into blocks.
    pub fn pack_tail(&self, lengths: &[u32]) -> Packed {
        let mut packed = Packed::default();
        for (slot, count) in self.tail() {
            packed.push(slot, count, lengths);
        }
        packed
    }

    fn tail(&self) -> impl Iterator<Item = (u32, u8)> + '_ {
        let mut rest = self.tail.as_slice();
        let mut next = self.packed_to;
        std::iter::from_fn(move || {
            let head = take_varint(&mut rest)?;
            let slot = next + u32::try_from(head >> 1).ok()?;
            next = slot + 1;
            let count = if head & 1 == 1 { 1 } else { u8::try_from(take_varint(&mut rest)?).ok()? };
            Some((slot, count))
        })
    }

    /// All slots, ascending.
    pub fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.packed.iter().flat_map(|p| p.slots()).chain(self.tail().map(|(slot, _)| slot))
    }

    /// How many live chunks hold the term; `live` is `None` when all are.
    pub fn count(&self, live: Option<&Bits>) -> usize {
        live.map_or_else(|| self.len(), |live| self.slots().filter(|slot| live.contains(*slot)).count())
    }
}

impl Packed {
    fn push(&mut self, slot: u32, count: u8, lengths: &[u32]) {
        let best = Best::of(count, lengths.get(slot as usize).copied().unwrap_or(0));
        let entry = self.offsets.len();
        let open = self.blocks.last_mut().and_then(|block| {
            let offset = u16::try_from(slot - block.first).ok()?;
            (entry - (block.start as usize) < BLOCK).then_some((block, offset))
        });
        let offset = if let Some((block, offset)) = open {
            block.last = slot;
            block.best = block.best.or(best);
            offset
        } else {
            // A tenant has less than four billion entries of one term, since it has fewer slots.
            let start = u32::try_from(entry).unwrap_or(u32::MAX);
            self.blocks.push(Block { first: slot, last: slot, start, best });
            0
        };
        self.offsets.push(offset);
        self.counts.push(count);
    }

    fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.blocks.iter().enumerate().flat_map(|(i, block)| self.offsets[self.entries(i)].iter().map(|o| block.first + u32::from(*o)))
    }

    /// The entries of a block.
    fn entries(&self, block: usize) -> std::ops::Range<usize> {
        let end = self.blocks.get(block + 1).map_or(self.offsets.len(), |next| next.start as usize);
        self.blocks[block].start as usize..end
    }
}

/// What a term has in a range of slots.
#[derive(Debug, Clone, Copy)]
pub struct Ahead {
    /// What an entry can earn at most; `None` when there is none.
    pub best: Option<Best>,
    /// About how many entries there are.
    pub entries: usize,
    /// The slot up to which a later range of the same size has the same answer.
    pub holds: u32,
}

/// A place in a term's blocks that only moves forward.
#[derive(Debug)]
pub struct Cursor<'a> {
    packed: &'a Packed,
    block: usize,
    /// Entry in the arrays, and the one behind the block's last.
    entry: usize,
    end: usize,
    slot: u32,
}

impl<'a> Cursor<'a> {
    /// At the first entry.
    pub fn new(packed: &'a Packed) -> Self {
        let mut cursor = Self { packed, block: 0, entry: 0, end: 0, slot: END };
        cursor.enter(0);
        cursor
    }

    fn enter(&mut self, block: usize) {
        self.block = block;
        match self.packed.blocks.get(block) {
            Some(found) => {
                let entries = self.packed.entries(block);
                (self.entry, self.end, self.slot) = (entries.start, entries.end, found.first);
            }
            None => self.slot = END,
        }
    }

    /// The slot here; [`END`] behind the last entry.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// The count here.
    pub fn count(&self) -> u8 {
        self.packed.counts[self.entry]
    }

    /// Goes to the first entry whose slot is not below `target`.
    pub fn seek(&mut self, target: u32) {
        if self.slot >= target {
            return;
        }
        self.seek_block(target);
        if self.slot >= target {
            return;
        }
        // The block's last slot is not below the target, so there is an entry. Doubling steps: mostly it is near.
        let first = self.packed.blocks[self.block].first;
        let offset = u16::try_from(target - first).unwrap_or(u16::MAX);
        let offsets = &self.packed.offsets[self.entry..self.end];
        let (mut low, mut step) = (0, 1);
        while low + step < offsets.len() && offsets[low + step] < offset {
            low += step;
            step *= 2;
        }
        let high = (low + step + 1).min(offsets.len());
        let here = low + offsets[low..high].partition_point(|o| *o < offset);
        self.slot = first + u32::from(offsets[here]);
        self.entry += here;
    }

    /// Goes to the block that may hold `target`, not further.
    fn seek_block(&mut self, target: u32) {
        let blocks = &self.packed.blocks;
        if self.block >= blocks.len() || blocks[self.block].last >= target {
            return;
        }
        // Doubling steps, then halving: near targets are found at once, far ones in few steps.
        let (mut low, mut step) = (self.block + 1, 1);
        while low + step < blocks.len() && blocks[low + step].last < target {
            low += step;
            step *= 2;
        }
        let high = (low + step).min(blocks.len());
        let block = low + blocks[low..high].partition_point(|b| b.last < target);
        self.enter(block);
    }

    /// Looks at the blocks that may hold slots from `from` to before `until`. Goes to the block of `from`.
    pub fn ahead(&mut self, from: u32, until: u32) -> Ahead {
        self.seek_block(from);
        let blocks = self.packed.blocks.get(self.block..).unwrap_or_default();
        let within = blocks.partition_point(|b| b.first < until);
        let Some((first, others)) = blocks[..within].split_first() else {
            return Ahead { best: None, entries: 0, holds: blocks.first().map_or(END, |b| b.first) };
        };
        let best = others.iter().fold(first.best, |best, b| best.or(b.best));
        let last = others.last().unwrap_or(first);
        let all = self.packed.entries(self.block + within - 1).end - first.start as usize;
        // As if they were spread evenly.
        let (span, asked) = ((last.last - first.first) as usize + 1, (until - from) as usize);
        let entries = if span > asked { (all * asked).div_ceil(span) } else { all };
        Ahead { best: Some(best), entries, holds: if others.is_empty() { first.last + 1 } else { from } }
    }

    /// Calls `found` with the slot and count of each entry from `from` to before `until`, and goes behind them.
    #[inline]
    pub fn each(&mut self, from: u32, until: u32, mut found: impl FnMut(u32, u8)) {
        self.seek(from);
        while self.slot < until {
            let block = &self.packed.blocks[self.block];
            let offsets = &self.packed.offsets[self.entry..self.end];
            let whole = block.last < until;
            let here = if whole { offsets.len() } else { offsets.partition_point(|o| block.first + u32::from(*o) < until) };
            for (offset, count) in offsets[..here].iter().zip(&self.packed.counts[self.entry..]) {
                found(block.first + u32::from(*offset), *count);
            }
            if whole {
                self.enter(self.block + 1);
            } else {
                // The block's last slot is not below `until`, so there is an entry.
                self.slot = block.first + u32::from(offsets[here]);
                self.entry += here;
            }
        }
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
