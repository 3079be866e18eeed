//! A dense layer, `x · Wᵀ + b`, in 32 or in 8 bits.

use astrolabe_int8::Kernel;
use rten_simd::{
    Isa, SimdOp,
    ops::{BitOps, NumOps, ToFloat},
};

use super::{
    Precision,
    rows::{Quantize, gelu},
    tiles::{GROUP, PANEL, Panels, Product, STRIPE, TILE, tiled_len},
};

/// Tiles that go through the 8-bit kernel together: their left sides fit the second-level cache, and each panel of weights serves them all.
const TILES: usize = 8;

/// The weights of a layer as they come from the file, rows and columns brought into the padded order.
pub(super) struct Raw {
    /// `columns × depth`, padding included.
    pub weights: Vec<f32>,
    pub depth: usize,
    pub bias: Vec<f32>,
}

/// A dense layer, ready for use.
pub(super) struct Dense {
    weights: Weights,
    bias: Vec<f32>,
    depth: usize,
}

enum Weights {
    F32(Panels),
    Int8(Int8),
}

struct Int8 {
    kernel: Kernel,
    /// `[columns / 32][depth / 4][32][4]`.
    panels: Vec<i8>,
    /// What one step of each column is worth.
    steps: Vec<f32>,
    /// The sum of each column's weights, in its steps, times the step.
    sums: Vec<f32>,
}

/// What a worker reuses from product to product.
#[derive(Default)]
pub(super) struct Buffers {
    bytes: Vec<u8>,
    scales: Vec<(f32, f32)>,
}

/// What is done with the result of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// It replaces what is in `out`.
    Replace,
    /// It replaces what is in `out`, and goes through GELU.
    Gelu,
    /// It is added to what is in `out`.
    Add,
}

impl Dense {
    /// Brings the weights into the kernels' layout.
    pub fn new(raw: Raw, precision: Precision) -> Self {
        let Raw { weights, depth, bias } = raw;
        let columns = bias.len();
        let weights = match precision {
            Precision::F32 => Weights::F32(Panels::pack(&weights, depth, columns)),
            Precision::Int8 => Weights::Int8(Int8::new(&weights, depth, columns)),
        };
        Self { weights, bias, depth }
    }

    /// Numbers in a row of the result.
    pub fn columns(&self) -> usize {
        self.bias.len()
    }

    /// Numbers in a row of what it reads.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Computes the layer for `rows` tiled rows of `x` into the tiled `out`.
    pub fn apply(&self, x: &[f32], rows: usize, out: &mut [f32], after: After, buffers: &mut Buffers) {
        let (add, gelu) = (after == After::Add, after == After::Gelu);
        match &self.weights {
            Weights::F32(weights) => Product { a: x, rows, weights, bias: &self.bias, out, add, gelu }.dispatch(),
            Weights::Int8(weights) => {
                Product8 { x, rows, depth: self.depth, weights, bias: &self.bias, out, add, gelu, buffers }.dispatch();
            }
        }
    }
}

impl Int8 {
    /// Rounds each column to steps of its own, `largest / 127`.
    fn new(weights: &[f32], depth: usize, columns: usize) -> Self {
        let steps: Vec<f32> = weights
            .chunks_exact(depth)
            .map(|column| (column.iter().fold(0.0_f32, |largest, w| largest.max(w.abs())) / 127.0).max(f32::MIN_POSITIVE))
            .collect();
        let rounded: Vec<i8> = weights
            .chunks_exact(depth)
            .zip(&steps)
            .flat_map(|(column, step)| column.iter().map(move |w| (w / step).round_ties_even() as i8))
            .collect();
        let sums = rounded.chunks_exact(depth).zip(&steps).map(|(column, step)| column.iter().map(|w| f32::from(*w)).sum::<f32>() * step);
        let sums = sums.collect();
        Self { kernel: Kernel::best(), panels: astrolabe_int8::pack(&rounded, columns, depth), steps, sums }
    }
}

struct Product8<'a> {
    x: &'a [f32],
    rows: usize,
    depth: usize,
    weights: &'a Int8,
    bias: &'a [f32],
    out: &'a mut [f32],
    add: bool,
    gelu: bool,
    buffers: &'a mut Buffers,
}

impl SimdOp for Product8<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { x, rows, depth, weights, bias, out, add, gelu: activate, buffers } = self;
        let columns = bias.len();
        let mut sums = [0_i32; STRIPE * PANEL / GROUP];
        for start in (0..rows).step_by(TILES * TILE) {
            let count = (rows - start).min(TILES * TILE);
            buffers.bytes.resize(buffers.bytes.len().max(tiled_len(count, depth)), 0);
            buffers.scales.resize(buffers.scales.len().max(count), (0.0, 0.0));
            let (bytes, scales) = (&mut buffers.bytes[..], &mut buffers.scales[..]);
            Quantize { x: &x[start * depth..], rows: count, columns: depth, out: bytes, scales }.eval(isa);
            for (panel, b) in weights.panels.chunks_exact(PANEL * depth).enumerate() {
                let column = panel * PANEL;
                for tile in 0..count.div_ceil(TILE) {
                    let rows = (count - tile * TILE).min(TILE);
                    weights.kernel.tile(&bytes[tile * TILE * depth..][..TILE * depth], b, rows, &mut sums);
                    let out = &mut out[(start + tile * TILE) * columns + column * TILE..][..PANEL * TILE];
                    let side = Side {
                        steps: &weights.steps[column..][..PANEL],
                        sums: &weights.sums[column..][..PANEL],
                        bias: &bias[column..][..PANEL],
                        scales: &scales[tile * TILE..][..rows],
                    };
                    to_float(isa, &sums, &side, add, out);
                    if activate {
                        gelu(isa, out);
                    }
                }
            }
        }
    }
}

/// What turns the sums of a tile back into numbers: one of the first three for each column, one of the last for each row.
struct Side<'a> {
    steps: &'a [f32],
    sums: &'a [f32],
    bias: &'a [f32],
    scales: &'a [(f32, f32)],
}

/// With `x = scale · (q - zero)` and `w = step · p`: `Σ x·w = scale · step · Σ q·p - (scale · zero) · (step · Σ p)`.
#[inline(always)]
fn to_float<I: Isa>(isa: I, sums: &[i32], side: &Side, add: bool, out: &mut [f32]) {
    let (ops, int) = (isa.f32(), isa.i32());
    let width = ops.len();
    for column in (0..PANEL).step_by(width) {
        let (step, sum, bias) = (ops.load(&side.steps[column..]), ops.load(&side.sums[column..]), ops.load(&side.bias[column..]));
        for (row, (scale, offset)) in side.scales.iter().enumerate() {
            let at = column / GROUP * STRIPE + row * GROUP + column % GROUP;
            let start = ops.mul_add(sum, ops.splat(-offset), bias);
            let start = if add { ops.add(start, ops.load(&out[at..])) } else { start };
            let product = ops.mul(int.to_float(int.load(&sums[at..])), step);
            ops.store(ops.mul_add(product, ops.splat(*scale), start), &mut out[at..]);
        }
    }
}
