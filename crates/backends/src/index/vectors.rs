//! Vectors in memory as 8-bit codes, and the search over them.
//!
//! A code is a quarter of the vector's size, so memory and the time of a scan shrink by four. The codes only choose
//! candidates; their score is computed from the full vector in the log. The error of one code is at most half a step
//! of 1/127 of the vector's largest component, which for embeddings moves a score by about 0.001.
//!
//! Few vectors, or the few that a filter leaves, are all scored. Many lie in [`Lists`], and the lists nearest to the query
//! are scored until enough allowed vectors were seen: so a filter that leaves fewer looks into more lists.

use rten_simd::{Isa, SimdOp};

use super::lists::{Centres, FROM, Lists, enough};
use super::tenant::Allowed;

/// Vectors of the chunks that have one. Rows are numbered as they arrive; a row's codes are at its place.
#[derive(Debug)]
pub struct Vectors {
    /// Chunk slot of each row, ascending.
    slots: Vec<u32>,
    /// Byte of the log where each row's full vector starts.
    offsets: Vec<u64>,
    layout: Layout,
}

/// Where codes are.
#[derive(Debug)]
pub struct Layout {
    /// By place. Without lists, places are rows.
    codes: Codes,
    /// Slot at each place; [`EMPTY`] where there is none.
    slot_at: Vec<u32>,
    /// Place of each row, where there are lists.
    place_of: Vec<u32>,
    lists: Option<Lists>,
}

/// No slot.
const EMPTY: u32 = u32::MAX;

/// Coded vectors.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Codes {
    dims: usize,
    codes: Vec<i8>,
    /// Factor that turns codes back into components.
    scales: Vec<f32>,
}

/// A query, coded like the rows.
pub struct CodedQuery {
    codes: Vec<i8>,
    scale: f32,
}

/// Rows scored in one go: small enough for the first-level cache to hold numbers and scores.
const BLOCK: usize = 512;

impl Codes {
    /// No vectors, of `dims` components.
    pub fn new(dims: usize) -> Self {
        Self { dims, ..Self::default() }
    }

    /// Vectors from their parts; `None` when these do not fit each other.
    pub fn from_parts(dims: usize, codes: Vec<i8>, scales: Vec<f32>) -> Option<Self> {
        (scales.len().checked_mul(dims) == Some(codes.len())).then_some(Self { dims, codes, scales })
    }

    /// All codes one after the other, and the factors.
    pub fn parts(&self) -> (&[i8], &[f32]) {
        (&self.codes, &self.scales)
    }

    /// Adds a vector.
    pub fn push(&mut self, vector: &[f32]) {
        let scale = quantise(vector, &mut self.codes);
        self.scales.push(scale);
    }

    /// Makes room for vectors up to `len`.
    pub fn resize(&mut self, len: usize) {
        self.codes.resize(len * self.dims, 0);
        self.scales.resize(len, 0.0);
    }

    /// Puts one in its place.
    pub fn put(&mut self, at: usize, query: &CodedQuery) {
        self.codes[at * self.dims..(at + 1) * self.dims].copy_from_slice(&query.codes);
        self.scales[at] = query.scale;
    }

    /// Components of each.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Adds all of another.
    pub fn append(&mut self, other: &Self) {
        self.codes.extend_from_slice(&other.codes);
        self.scales.extend_from_slice(&other.scales);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.scales.len()
    }

    /// The codes and the factor of one of them.
    pub fn get(&self, at: usize) -> (&[i8], f32) {
        (&self.codes[at * self.dims..(at + 1) * self.dims], self.scales[at])
    }

    /// One of them, to be compared with others.
    pub fn query(&self, at: usize) -> CodedQuery {
        let (codes, scale) = self.get(at);
        CodedQuery { codes: codes.to_vec(), scale }
    }

    /// Calls `found` with the place and approximate score of each of `places`.
    pub fn score(&self, query: &CodedQuery, mut places: impl Iterator<Item = u32>, mut found: impl FnMut(u32, f32)) {
        let mut block = Vec::with_capacity(BLOCK);
        let mut dots = [0_i32; BLOCK];
        loop {
            block.clear();
            block.extend(places.by_ref().take(BLOCK));
            if block.is_empty() {
                return;
            }
            Dots { codes: &self.codes, query: &query.codes, dims: self.dims, places: &block, dots: &mut dots }.dispatch();
            for (place, dot) in block.iter().zip(dots) {
                found(*place, dot as f32 * self.scales[*place as usize] * query.scale);
            }
        }
    }
}

impl CodedQuery {
    /// Codes a vector.
    pub fn new(vector: &[f32]) -> Self {
        let mut codes = Vec::with_capacity(vector.len());
        let scale = quantise(vector, &mut codes);
        Self { codes, scale }
    }
}

impl Vectors {
    /// An empty store of vectors of `dims` components.
    pub fn new(dims: usize) -> Self {
        let codes = Codes::new(dims);
        let layout = Layout { codes, slot_at: Vec::new(), place_of: Vec::new(), lists: None };
        Self { slots: Vec::new(), offsets: Vec::new(), layout }
    }

    /// Adds the vector of a chunk; `offset` is where the log holds it.
    pub fn push(&mut self, slot: u32, offset: u64, vector: &[f32]) {
        self.slots.push(slot);
        self.offsets.push(offset);
        let Layout { codes, slot_at, place_of, lists } = &mut self.layout;
        match lists {
            None => {
                codes.push(vector);
                slot_at.push(slot);
            }
            Some(lists) => {
                let coded = CodedQuery::new(vector);
                let place = lists.add(lists.list_of(&coded));
                if place as usize >= slot_at.len() {
                    codes.resize(lists.places());
                    slot_at.resize(lists.places(), EMPTY);
                }
                codes.put(place as usize, &coded);
                slot_at[place as usize] = slot;
                place_of.push(place);
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Where the log holds the vector of `slot`, if it has one.
    pub fn offset_of(&self, slot: u32) -> Option<u64> {
        self.row_of(slot).map(|row| self.offsets[row])
    }

    fn row_of(&self, slot: u32) -> Option<usize> {
        // Where every chunk has a vector, rows are slots.
        let row = slot as usize;
        if self.slots.get(row) == Some(&slot) { Some(row) } else { self.slots.binary_search(&slot).ok() }
    }

    /// The lists, where there are any.
    pub fn lists(&self) -> Option<&Lists> {
        self.layout.lists.as_ref()
    }

    /// Whether there are so many that they need lists, or so many more than when these were made that they need new ones.
    pub fn wants_lists(&self) -> bool {
        self.len() >= self.lists().map_or(FROM, |lists| lists.trained() * 2)
    }

    /// The vectors in new lists.
    pub fn in_new_lists(&self) -> Layout {
        let places: Vec<u32> = (0..self.len()).map(|row| self.place_of(row)).collect();
        let centres = Centres::find(&self.layout.codes, &places);
        self.in_lists(Lists::new(centres, self.len()), &[])
    }

    /// The vectors in these lists, which are empty: the first rows in those of `assigned`, the others where they belong.
    pub fn in_lists(&self, mut lists: Lists, assigned: &[u16]) -> Layout {
        let coded = |row: usize| self.layout.codes.query(self.place_of(row) as usize);
        let assigned = (0..self.len()).map(|row| assigned.get(row).copied().unwrap_or_else(|| lists.list_of(&coded(row))));
        let assigned: Vec<u16> = assigned.collect();
        // List by list, so that the blocks of a list lie side by side.
        let mut order: Vec<u32> = (0..to_u32(self.len())).collect();
        order.sort_by_key(|row| assigned[*row as usize]);
        let mut place_of = vec![0; self.len()];
        for row in order {
            place_of[row as usize] = lists.add(assigned[row as usize]);
        }
        let mut codes = Codes::new(self.layout.codes.dims());
        codes.resize(lists.places());
        let mut slot_at = vec![EMPTY; lists.places()];
        for (row, place) in place_of.iter().enumerate() {
            codes.put(*place as usize, &coded(row));
            slot_at[*place as usize] = self.slots[row];
        }
        Layout { codes, slot_at, place_of, lists: Some(lists) }
    }

    /// Puts the vectors where a layout of theirs says.
    pub fn rearrange(&mut self, layout: Layout) {
        self.layout = layout;
    }

    /// The slot and, where there are lists, the list of each row.
    pub fn rows(&self) -> impl Iterator<Item = (u32, Option<u16>)> + '_ {
        self.slots.iter().enumerate().map(|(row, slot)| (*slot, self.lists().map(|lists| lists.list_at(self.place_of(row)))))
    }

    /// A checksum of the first `rows` vectors and of where the log holds them.
    pub fn checksum(&self, rows: usize) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        for row in 0..rows.min(self.len()) {
            crc.update(&self.offsets[row].to_le_bytes());
            crc.update(&self.layout.codes.get(self.place_of(row) as usize).1.to_le_bytes());
        }
        crc.finalize()
    }

    fn place_of(&self, row: usize) -> u32 {
        self.layout.place_of.get(row).copied().unwrap_or(to_u32(row))
    }

    /// Calls `found` with the slot and approximate score of the allowed rows: of all of them, or of those in the lists
    /// nearest to the query where there are many.
    pub fn scan(&self, query: &CodedQuery, allowed: &Allowed, mut found: impl FnMut(u32, f32)) {
        let Layout { codes, slot_at, place_of, lists } = &self.layout;
        let mut found = |place: u32, score: f32| found(slot_at[place as usize], score);
        let enough = enough(allowed.count());
        match (lists, allowed.slots()) {
            (Some(lists), slots) if allowed.count() > enough => {
                let mut left = enough;
                for list in lists.nearest(query) {
                    let allows = |place: &u32| slots.is_none_or(|slots| slots.contains(slot_at[*place as usize]));
                    codes.score(query, lists.places_of(list).filter(allows).inspect(|_| left = left.saturating_sub(1)), &mut found);
                    if left == 0 {
                        return;
                    }
                }
            }
            (None, None) => codes.score(query, 0..to_u32(self.slots.len()), found),
            (_, None) => codes.score(query, place_of.iter().copied(), found),
            (_, Some(slots)) => {
                let places = slots.iter().filter_map(|slot| self.row_of(slot)).map(|row| self.place_of(row));
                codes.score(query, places, found);
            }
        }
    }
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Inner products of some places with the query.
struct Dots<'a> {
    codes: &'a [i8],
    query: &'a [i8],
    dims: usize,
    places: &'a [u32],
    dots: &'a mut [i32],
}

impl SimdOp for Dots<'_> {
    type Output = ();

    /// Plain loops: the dispatcher inlines them into a function per instruction set, where the compiler vectorises
    /// them, and picks one of these at run time. Integer sums are the same whatever it picks.
    #[inline(always)]
    fn eval<I: Isa>(self, _isa: I) {
        for (place, out) in self.places.iter().zip(self.dots) {
            let place = *place as usize;
            let row = &self.codes[place * self.dims..(place + 1) * self.dims];
            *out = row.iter().zip(self.query).map(|(a, b)| i32::from(i16::from(*a) * i16::from(*b))).sum();
        }
    }
}

/// Appends the codes of `vector` and returns their factor.
fn quantise(vector: &[f32], codes: &mut Vec<i8>) -> f32 {
    let largest = vector.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
    if largest == 0.0 {
        codes.extend(std::iter::repeat_n(0, vector.len()));
        return 0.0;
    }
    let inverse = 127.0 / largest;
    codes.extend(vector.iter().map(|x| (x * inverse).round() as i8));
    largest / 127.0
}

/// Inner product of two full vectors, summed in a fixed order of eight lanes, so that it is the same on every machine.
pub fn inner_product(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes.iter().sum()
}

/// Scales `vector` to length 1. `None` when it has no direction or a component is not finite.
pub fn normalised(vector: &[f32]) -> Option<Vec<f32>> {
    let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    if !length.is_finite() || length <= f64::from(f32::MIN_POSITIVE) {
        return None;
    }
    // A vector that is already of length 1 stays as it is, bit for bit.
    if (length - 1.0).abs() < 1e-6 {
        return Some(vector.to_vec());
    }
    Some(vector.iter().map(|x| (f64::from(*x) / length) as f32).collect())
}
