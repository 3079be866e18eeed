//! What this processor can do at most, as the measure of the forward pass.

use std::time::{Duration, Instant};

use astrolabe_int8::Kernel;
use rten_simd::{
    Isa, SimdOp,
    ops::{BitOps, NumOps},
};

use super::{
    Precision,
    dense::{After, Buffers, Dense, Raw},
    tiles::{Buffer, tiled_len},
};

/// Operations per second (a multiplication and an addition are two) of one thread.
#[derive(Debug, Clone, Copy)]
pub struct Peak {
    /// Multiply-adds in registers that wait for nothing: the ceiling in 32 bits.
    pub registers: f64,
    /// A layer of 384 × 1536 in 32 bits for 288 rows, its weights in the cache.
    pub layer: f64,
    /// The 8-bit kernel on a tile in the first-level cache: the ceiling in 8 bits.
    pub tile8: f64,
    /// The same layer in 8 bits, rounding included.
    pub layer8: f64,
}

/// Measures for about a second.
pub fn peak() -> Peak {
    let (rows, depth, columns) = (288, 384, 1536);
    let layer = |precision| {
        let numbers = |count: usize| (0..count).map(|i| (i % 97) as f32 / 97.0 - 0.5).collect::<Vec<_>>();
        let dense = Dense::new(Raw { weights: numbers(depth * columns), depth, bias: numbers(columns) }, precision);
        let (mut x, mut out, mut buffers) = (Buffer::default(), Buffer::default(), Buffers::default());
        let x = x.take(tiled_len(rows, depth));
        x.copy_from_slice(&numbers(x.len()));
        let out = out.take(tiled_len(rows, columns));
        best(2.0 * (rows * depth * columns) as f64, || dense.apply(x, rows, out, After::Replace, &mut buffers))
    };
    let (a, b) = (vec![3_u8; astrolabe_int8::ROWS * depth], vec![5_i8; depth * astrolabe_int8::COLUMNS]);
    let (kernel, mut sums) = (Kernel::best(), [0; astrolabe_int8::ROWS * astrolabe_int8::COLUMNS]);
    let tile8 = best(2.0 * (sums.len() * depth * 100) as f64, || {
        for _ in 0..100 {
            kernel.tile(std::hint::black_box(&a), &b, astrolabe_int8::ROWS, &mut sums);
        }
    });
    let registers = best(Registers::OPERATIONS * Registers {}.dispatch() as f64, || {
        std::hint::black_box(Registers {}.dispatch());
    });
    Peak { registers, layer: layer(Precision::F32), tile8, layer8: layer(Precision::Int8) }
}

/// The best rate in a quarter of a second.
fn best(operations: f64, mut work: impl FnMut()) -> f64 {
    let (begin, mut shortest) = (Instant::now(), Duration::MAX);
    while begin.elapsed() < Duration::from_millis(250) {
        let start = Instant::now();
        work();
        shortest = shortest.min(start.elapsed());
    }
    operations / shortest.as_secs_f64()
}

/// 12 chains of multiply-adds, enough to keep two units of latency 4 to 6 busy. Returns the numbers in a register.
struct Registers {}

impl Registers {
    /// Operations per number in a register.
    const OPERATIONS: f64 = 2.0 * 12.0 * 10_000.0;
}

impl SimdOp for Registers {
    type Output = usize;

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> usize {
        let ops = isa.f32();
        let (factor, mut sums) = (ops.splat(std::hint::black_box(0.5)), [ops.splat(std::hint::black_box(1.0)); 12]);
        for _ in 0..10_000 {
            for sum in &mut sums {
                *sum = ops.mul_add(*sum, factor, factor);
            }
        }
        std::hint::black_box(sums.map(|sum| ops.sum(sum)));
        ops.len()
    }
}
