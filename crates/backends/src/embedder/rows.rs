//! What the forward pass does to the rows of a matrix besides multiplying: embedding, normalisation, GELU, 8-bit rounding, pooling.

use super::tiles::{GROUP, STRIPE, TILE, row_start};
use rten_simd::{
    Isa, Simd, SimdOp,
    ops::{BitOps, FloatOps, IntOps, NarrowSaturate, NumOps},
};

/// Layer normalisation of every row: `(x - mean) / sqrt(variance + eps) * scale + shift`. Columns beyond `width` are padding: they hold
/// zeros, and `scale` and `shift` are zero there, so they stay zero.
pub(super) struct Normalize<'a> {
    /// Tiled.
    pub x: &'a mut [f32],
    pub rows: usize,
    pub columns: usize,
    /// Columns that count.
    pub width: usize,
    pub eps: f32,
    pub scale: &'a [f32],
    pub shift: &'a [f32],
}

impl SimdOp for Normalize<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { x, rows, columns, width, eps, scale, shift } = self;
        let (ops, count) = (isa.f32(), width as f32);
        for row in 0..rows {
            let start = row_start(row, columns);
            let row = &mut x[start..][..(columns / GROUP - 1) * STRIPE + GROUP];
            let mut sum = ops.zero();
            for at in places::<I>(isa, columns) {
                sum = ops.add(sum, ops.load(&row[at.0..]));
            }
            let mean = ops.sum(sum) / count;
            let (center, mut squares) = (ops.splat(mean), ops.zero());
            for at in places::<I>(isa, columns) {
                let distance = ops.sub(ops.load(&row[at.0..]), center);
                squares = ops.mul_add(distance, distance, squares);
            }
            // Every padding column counted as `mean` squared.
            let variance = (ops.sum(squares) - (columns - width) as f32 * mean * mean) / count;
            let factor = ops.splat(1.0 / (variance + eps).sqrt());
            for at in places::<I>(isa, columns) {
                let distance = ops.mul(ops.sub(ops.load(&row[at.0..]), center), factor);
                let normal = ops.mul_add(distance, ops.load(&scale[at.1..]), ops.load(&shift[at.1..]));
                ops.store(normal, &mut row[at.0..]);
            }
        }
    }
}

/// Where the registers of a row are: from the row's start, and as columns.
#[inline(always)]
fn places<I: Isa>(isa: I, columns: usize) -> impl Iterator<Item = (usize, usize)> {
    let width = isa.f32().len();
    (0..columns).step_by(width).map(|column| (column / GROUP * STRIPE + column % GROUP, column))
}

/// GELU with the error function, `x / 2 · (1 + erf(x / √2))`, of all numbers, to 1.3e-6.
///
/// `erf(x / √2) = x · p(x²)` for `|x| ≤ 5`, and 1 to within 6e-7 beyond. `p` is a polynomial in `2x²/25 - 1`, which runs from -1 to 1, fitted
/// at 400 Chebyshev points with `|x|` as weight: no division and no exponential.
#[inline(always)]
pub(super) fn gelu<I: Isa>(isa: I, x: &mut [f32]) {
    const END: f32 = 5.0;
    const P: [f32; 13] = [
        0.282_727_57,
        -0.140_592_7,
        0.103_042_07,
        -0.080_881_864,
        0.062_870_674,
        -0.046_558_73,
        0.032_869_805,
        -0.022_273_636,
        0.012_681_076,
        -0.005_432_26,
        0.003_582_163_2,
        -0.003_202_105,
        0.001_167_881_5,
    ];
    let ops = isa.f32();
    let (end, below) = (ops.splat(END), ops.splat(-END));
    for part in x.chunks_exact_mut(ops.len()) {
        let x = ops.load(part);
        let near = ops.clamp(x, below, end);
        let place = ops.mul_add(ops.mul(near, near), ops.splat(2.0 / (END * END)), ops.splat(-1.0));
        let p = P.iter().rev().skip(1).fold(ops.splat(P[P.len() - 1]), |sum, next| ops.mul_add(sum, place, ops.splat(*next)));
        let half = ops.mul(x, ops.splat(0.5));
        ops.store(ops.mul_add(half, ops.mul(near, p), half), part);
    }
}

/// `exp(x)` of numbers that are not above zero, to 2e-7 of the value; below -87 it is 1.6e-38, which no sum notices.
///
/// Cody and Waite's reduction (1980), `x = k · ln 2 + r`, and the Taylor series of `exp(r)` for `|r| ≤ ln 2 / 2`.
#[inline(always)]
pub(super) fn exp_below_zero<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    /// `ln 2` in two parts: the first has so few digits that `k` times it is exact.
    const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
    let (ops, int) = (isa.f32(), isa.i32());
    let x = ops.max(x, ops.splat(-87.0));
    let k = ops.round_ties_even(ops.mul(x, ops.splat(std::f32::consts::LOG2_E)));
    let r = ops.mul_add(k, ops.splat(-LN_2.0), x);
    let r = ops.mul_add(k, ops.splat(-LN_2.1), r);
    let series = [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let value = series.iter().fold(ops.splat(1.0 / 720.0), |sum, next| ops.mul_add(sum, r, ops.splat(*next)));
    let power = int.shift_left::<23>(int.add(ops.to_int_trunc(k), int.splat(127)));
    ops.mul(value, power.reinterpret_cast::<I::F32>())
}

/// Rounds every row to 8 bits, `x ≈ scale · (q - zero)`: its range, zero included, is cut into 255 steps. So a row's outlier costs only its own
/// row, and zero is exact.
pub(super) struct Quantize<'a> {
    /// Tiled, `rows × columns`.
    pub x: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    /// `[tile][columns / 64][12][64]`.
    pub out: &'a mut [u8],
    /// `scale` and `scale · zero` of each row.
    pub scales: &'a mut [(f32, f32)],
}

impl SimdOp for Quantize<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { x, rows, columns, out, scales } = self;
        let (ops, int) = (isa.f32(), isa.i32());
        for (row, scales) in (0..rows).zip(scales) {
            let line = &x[row_start(row, columns)..][..(columns / GROUP - 1) * STRIPE + GROUP];
            let (mut low, mut high) = (ops.zero(), ops.zero());
            for (at, _) in places::<I>(isa, columns) {
                let x = ops.load(&line[at..]);
                (low, high) = (ops.min(low, x), ops.max(high, x));
            }
            let low = low.to_array().into_iter().fold(0.0, f32::min);
            let high = high.to_array().into_iter().fold(0.0, f32::max);
            // A row of zeros has no range; any step will do.
            let step = ((high - low) / 255.0).max(f32::MIN_POSITIVE);
            let zero = (-low / step).round_ties_even();
            *scales = (step, step * zero);
            let (factor, offset) = (ops.splat(1.0 / step), int.splat(zero as i32));
            let width = ops.len();
            let depth = astrolabe_int8::DEPTH;
            let start = row / TILE * TILE * columns + row % TILE * depth;
            for column in (0..columns).step_by(4 * width) {
                let quarter = |i: usize| {
                    let column = column + i * width;
                    let x = ops.load(&line[column / GROUP * STRIPE + column % GROUP..]);
                    int.add(ops.to_int_round(ops.mul(x, factor)), offset)
                };
                let (left, right) = (int.narrow_saturate(quarter(0), quarter(1)), int.narrow_saturate(quarter(2), quarter(3)));
                let bytes = isa.i16().narrow_saturate(left, right);
                isa.u8().store(bytes, &mut out[start + column / depth * depth * TILE + column % depth..]);
            }
        }
    }
}

/// Adds `rows` rows from `first` on to `sum`.
pub(super) fn add_rows(sum: &mut [f32], x: &[f32], first: usize, rows: usize) {
    for row in first..first + rows {
        let start = row_start(row, sum.len());
        for (sums, values) in sum.chunks_exact_mut(GROUP).zip(x[start..].chunks(STRIPE)) {
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
    }
}

/// The first `width` numbers of a sum of rows, scaled to length 1: the direction of the mean, because the number of rows is divided out.
pub(super) fn unit(mut sum: Vec<f32>, width: usize) -> Vec<f32> {
    sum.truncate(width);
    let length = sum.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-12);
    sum.iter_mut().for_each(|value| *value /= length);
    sum
}
