//! The layout of all matrices of the forward pass, and the 32-bit matrix product on it.
//!
//! A matrix lies in tiles of 12 rows; a tile is a sequence of groups of 16 columns, and in a group the 16 numbers of a row lie together. So
//! the result of a product (16 columns of a row in a register) is stored as it comes, and is read as the left side of the next product
//! without being packed: the kernel goes through both sides front to back. The right side, the weights, lies in panels of 32 columns.
//!
//! Every sum runs over the depth in one order, whatever the number of rows, so a row's result does not depend on its neighbours.

use rten_simd::{
    Isa, SimdOp,
    ops::{BitOps, NumOps},
};

use super::rows::gelu;

/// Rows of a tile.
pub(super) const TILE: usize = astrolabe_int8::ROWS;
/// Columns that lie together.
pub(super) const GROUP: usize = 16;
/// Columns of a panel.
pub(super) const PANEL: usize = astrolabe_int8::COLUMNS;
/// Numbers of one group of a tile.
pub(super) const STRIPE: usize = TILE * GROUP;
/// Columns of every matrix are padded with zeros to a multiple of this, which serves the 32-bit and the 8-bit kernels.
pub(super) const PAD: usize = astrolabe_int8::DEPTH;
/// Depth of a block: 192 × 32 weights are 24 kB, which stay in the first-level cache while all rows pass.
const BLOCK: usize = 192;

/// A buffer on a cache-line boundary, so that no vector crosses a line. Grows, never shrinks; what is new in it is zero.
#[derive(Default)]
pub(super) struct Buffer {
    values: Vec<f32>,
    start: usize,
}

impl Buffer {
    /// The first `length` numbers, with whatever they held.
    pub fn take(&mut self, length: usize) -> &mut [f32] {
        if self.values.len() < self.start + length {
            self.values = vec![0.0; length + GROUP];
            self.start = self.values.as_ptr().align_offset(64).min(GROUP);
        }
        &mut self.values[self.start..][..length]
    }

    /// All that there is.
    pub fn all(&self) -> &[f32] {
        &self.values[self.start..]
    }
}

/// Numbers of a tiled matrix.
pub(super) fn tiled_len(rows: usize, columns: usize) -> usize {
    rows.div_ceil(TILE) * TILE * columns
}

/// Where row `row` of a tiled matrix begins; its groups follow every [`STRIPE`] numbers.
#[inline(always)]
pub(super) fn row_start(row: usize, columns: usize) -> usize {
    row / TILE * TILE * columns + row % TILE * GROUP
}

/// The right side of a product, in panels.
pub(super) struct Panels {
    /// `[depth / BLOCK][columns / 32][BLOCK][32]`, on a cache-line boundary.
    buffer: Buffer,
    depth: usize,
    columns: usize,
}

impl Panels {
    /// Packs `weights`: `columns × depth`, row by row, as a dense layer keeps it, both padded already.
    pub fn pack(weights: &[f32], depth: usize, columns: usize) -> Self {
        let mut buffer = Buffer::default();
        let values = buffer.take(depth * columns);
        let mut at = 0;
        for from in (0..depth).step_by(BLOCK) {
            for first in (0..columns).step_by(PANEL) {
                for k in from..(from + BLOCK).min(depth) {
                    for column in first..first + PANEL {
                        values[at] = weights[column * depth + k];
                        at += 1;
                    }
                }
            }
        }
        Self { buffer, depth, columns }
    }

    fn values(&self) -> &[f32] {
        &self.buffer.values[self.buffer.start..][..self.depth * self.columns]
    }
}

/// `out = a · weights + bias`, or `out += …`; then GELU when asked.
pub(super) struct Product<'a> {
    /// Tiled, `rows × depth`.
    pub a: &'a [f32],
    pub rows: usize,
    pub weights: &'a Panels,
    /// One number a column.
    pub bias: &'a [f32],
    /// Tiled, `rows × columns`.
    pub out: &'a mut [f32],
    /// Whether the product is added to what is in `out`: the residual connection.
    pub add: bool,
    pub gelu: bool,
}

impl SimdOp for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { a, rows, weights, bias, out, add, gelu: activate } = self;
        let (depth, columns) = (weights.depth, weights.columns);
        let mut rest = weights.values();
        for from in (0..depth).step_by(BLOCK) {
            let block = BLOCK.min(depth - from);
            let (first, last) = (from == 0, from + block == depth);
            for panel in 0..columns / PANEL {
                let (b, after) = rest.split_at(block * PANEL);
                rest = after;
                for tile in 0..rows.div_ceil(TILE) {
                    let a = &a[tile * TILE * depth + from * TILE..][..block * TILE];
                    let out = &mut out[tile * TILE * columns + panel * PANEL * TILE..][..PANEL * TILE];
                    let start = if first { Some(&bias[panel * PANEL..][..PANEL]) } else { None };
                    multiply(isa, a, b, (rows - tile * TILE).min(TILE), start, add || !first, out);
                    if activate && last {
                        gelu(isa, out);
                    }
                }
            }
        }
    }
}

/// One tile by one panel. The sums start from `bias` (zero without) and, with `add`, from what is in `out` as well.
#[inline(always)]
pub(super) fn multiply<I: Isa>(isa: I, a: &[f32], b: &[f32], rows: usize, bias: Option<&[f32]>, add: bool, out: &mut [f32]) {
    let width = isa.f32().len();
    if width == GROUP {
        // 32 registers of 16 numbers: 24 sums, 2 of the panel, 1 of the tile.
        match rows {
            0 => {}
            1 => sums::<I, 1>(isa, a, b, 0, 0, bias, add, out),
            2 => sums::<I, 2>(isa, a, b, 0, 0, bias, add, out),
            3 => sums::<I, 3>(isa, a, b, 0, 0, bias, add, out),
            4 => sums::<I, 4>(isa, a, b, 0, 0, bias, add, out),
            5 => sums::<I, 5>(isa, a, b, 0, 0, bias, add, out),
            6 => sums::<I, 6>(isa, a, b, 0, 0, bias, add, out),
            7 => sums::<I, 7>(isa, a, b, 0, 0, bias, add, out),
            8 => sums::<I, 8>(isa, a, b, 0, 0, bias, add, out),
            9 => sums::<I, 9>(isa, a, b, 0, 0, bias, add, out),
            10 => sums::<I, 10>(isa, a, b, 0, 0, bias, add, out),
            11 => sums::<I, 11>(isa, a, b, 0, 0, bias, add, out),
            _ => sums::<I, 12>(isa, a, b, 0, 0, bias, add, out),
        }
        return;
    }
    // 16 registers: half of the rows, and as many columns as two registers hold.
    for column in (0..PANEL).step_by(2 * width) {
        for first in (0..rows).step_by(6) {
            match rows - first {
                1 => sums::<I, 1>(isa, a, b, first, column, bias, add, out),
                2 => sums::<I, 2>(isa, a, b, first, column, bias, add, out),
                3 => sums::<I, 3>(isa, a, b, first, column, bias, add, out),
                4 => sums::<I, 4>(isa, a, b, first, column, bias, add, out),
                5 => sums::<I, 5>(isa, a, b, first, column, bias, add, out),
                _ => sums::<I, 6>(isa, a, b, first, column, bias, add, out),
            }
        }
    }
}

/// `N` rows from `first` on, by the two registers of columns from `column` on.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "inlined everywhere: a struct would only be taken apart again")]
fn sums<I: Isa, const N: usize>(
    isa: I,
    a: &[f32],
    b: &[f32],
    first: usize,
    column: usize,
    bias: Option<&[f32]>,
    add: bool,
    out: &mut [f32],
) {
    let ops = isa.f32();
    let width = ops.len();
    let place = |row: usize, half: usize| {
        let column = column + half * width;
        column / GROUP * STRIPE + (first + row) * GROUP + column % GROUP
    };
    let start = bias.map_or([ops.zero(); 2], |bias| ops.load_many::<2>(&bias[column..]));
    let mut sums = [start; N];
    if add {
        for (row, sums) in sums.iter_mut().enumerate() {
            for (half, sum) in sums.iter_mut().enumerate() {
                *sum = ops.add(*sum, ops.load(&out[place(row, half)..]));
            }
        }
    }
    for (a, b) in a.chunks_exact(STRIPE).zip(b.chunks_exact(GROUP * PANEL)) {
        let lines = &a.as_chunks::<GROUP>().0[first..first + N];
        for (k, b) in b.as_chunks::<PANEL>().0.iter().enumerate() {
            let b = ops.load_many::<2>(&b[column..column + 2 * width]);
            for (line, sums) in lines.iter().zip(&mut sums) {
                let factor = ops.splat(line[k]);
                sums[0] = ops.mul_add(factor, b[0], sums[0]);
                sums[1] = ops.mul_add(factor, b[1], sums[1]);
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        for (half, sum) in sums.iter().enumerate() {
            ops.store(*sum, &mut out[place(row, half)..]);
        }
    }
}
