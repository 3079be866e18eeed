//! Vectors in memory as 8-bit codes, and the exact scan over them.
//!
//! A code is a quarter of the vector's size, so memory and the time of a scan shrink by four. The codes only choose
//! candidates; their score is computed from the full vector in the log. The error of one code is at most half a step
//! of 1/127 of the vector's largest component, which for embeddings moves a score by about 0.001.

use rten_simd::{Isa, SimdOp};

/// Codes of the chunks that have a vector, row after row.
#[derive(Debug, Default)]
pub struct Vectors {
    dims: usize,
    codes: Vec<i8>,
    /// Factor that turns a row's codes back into components.
    scales: Vec<f32>,
    /// Chunk slot of each row, ascending.
    slots: Vec<u32>,
    /// Byte of the log where each row's full vector starts.
    offsets: Vec<u64>,
}

/// A query, coded like the rows.
pub struct CodedQuery {
    codes: Vec<i8>,
    scale: f32,
}

/// Rows scored in one go: small enough for the first-level cache to hold rows and scores.
const BLOCK: usize = 512;

impl Vectors {
    /// An empty store of vectors of `dims` components.
    pub fn new(dims: usize) -> Self {
        Self { dims, ..Self::default() }
    }

    /// Adds the vector of a chunk; `offset` is where the log holds it.
    pub fn push(&mut self, slot: u32, offset: u64, vector: &[f32]) {
        let scale = quantise(vector, &mut self.codes);
        self.scales.push(scale);
        self.slots.push(slot);
        self.offsets.push(offset);
    }

    /// Where the log holds the vector of `slot`, if it has one.
    pub fn offset_of(&self, slot: u32) -> Option<u64> {
        self.slots.binary_search(&slot).ok().map(|row| self.offsets[row])
    }

    /// Codes a query vector.
    pub fn code(vector: &[f32]) -> CodedQuery {
        let mut codes = Vec::with_capacity(vector.len());
        let scale = quantise(vector, &mut codes);
        CodedQuery { codes, scale }
    }

    /// Calls `found` with the slot and approximate score of every row whose slot is allowed.
    pub fn scan(&self, query: &CodedQuery, allowed: impl Fn(u32) -> bool, mut found: impl FnMut(u32, f32)) {
        let mut rows = Vec::with_capacity(BLOCK);
        let mut dots = [0_i32; BLOCK];
        for first in (0..self.slots.len()).step_by(BLOCK) {
            let last = (first + BLOCK).min(self.slots.len());
            rows.clear();
            rows.extend((first..last).filter(|row| allowed(self.slots[*row])));
            DotRows { codes: &self.codes, query: &query.codes, dims: self.dims, rows: &rows, dots: &mut dots }.dispatch();
            for (row, dot) in rows.iter().zip(dots) {
                let score = dot as f32 * self.scales[*row] * query.scale;
                found(self.slots[*row], score);
            }
        }
    }
}

/// Inner products of some rows with the query.
struct DotRows<'a> {
    codes: &'a [i8],
    query: &'a [i8],
    dims: usize,
    rows: &'a [usize],
    dots: &'a mut [i32],
}

impl SimdOp for DotRows<'_> {
    type Output = ();

    /// Plain loops: the dispatcher inlines them into a function per instruction set, where the compiler vectorises
    /// them, and picks one of these at run time. Integer sums are the same whatever it picks.
    #[inline(always)]
    fn eval<I: Isa>(self, _isa: I) {
        for (row, out) in self.rows.iter().zip(self.dots) {
            let row = &self.codes[row * self.dims..(row + 1) * self.dims];
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
