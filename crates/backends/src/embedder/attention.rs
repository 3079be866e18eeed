//! Scaled dot-product attention of one text, head by head and 12 questions at a time, so that a tile of scores never leaves the first-level
//! cache. The factor `1 / √width` is in the query weights already.

use std::ops::Range;

use rten_simd::{
    Isa, Simd, SimdOp,
    ops::{BitOps, NumOps},
};

use super::{
    rows::exp_below_zero,
    tiles::{Buffer, GROUP, PANEL, STRIPE, TILE, multiply, row_start},
};

/// A score that `exp` makes zero: those of the columns that only fill a panel.
const NOTHING: f32 = -1e30;

/// What a worker reuses from text to text.
#[derive(Default)]
pub(super) struct Buffers {
    keys: Buffer,
    values: Buffer,
    mask: Buffer,
    query: Buffer,
    scores: Buffer,
    part: Buffer,
}

pub(super) struct Attention<'a> {
    /// Tiled, `rows × columns`: the heads' queries, then their keys, then their values, `width` columns each. The text's tokens from `cut` on
    /// are in the second one, from its first row on.
    pub qkv: [&'a [f32]; 2],
    pub columns: usize,
    /// The row of the text's first token in the first of `qkv`.
    pub first: usize,
    pub tokens: usize,
    pub cut: usize,
    /// The tokens whose context is wanted, and the row of the first of them in `out`.
    pub queries: Range<usize>,
    pub out_first: usize,
    pub heads: usize,
    /// Columns of a head, a multiple of 32.
    pub width: usize,
    /// Tiled, `rows × out_columns`; head by head.
    pub out: &'a mut [f32],
    pub out_columns: usize,
    pub buffers: &'a mut Buffers,
}

impl SimdOp for Attention<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { qkv, columns, first, tokens, cut, queries, out_first, heads, width, out, out_columns, buffers } = self;
        let ops = isa.f32();
        let (wide, deep) = (tokens.next_multiple_of(PANEL), tokens.next_multiple_of(GROUP));
        let keys = buffers.keys.take(wide * width);
        let values = buffers.values.take(deep * width);
        let mask = buffers.mask.take(wide);
        mask.fill(0.0);
        mask[tokens..].fill(NOTHING);
        let query = buffers.query.take(TILE * width);
        let scores = buffers.scores.take(TILE * wide);
        let part = buffers.part.take(TILE * PANEL);
        // Where group `group` of a head's part (0 query, 1 key, 2 value) of a row is.
        let group_of = |token: usize, part: usize, head: usize, group: usize| -> &[f32] {
            let column = (part * heads + head) * width;
            let (qkv, row) = if token < cut { (qkv[0], first + token) } else { (qkv[1], token - cut) };
            &qkv[row_start(row, columns) + (column / GROUP + group) * STRIPE..][..GROUP]
        };
        for head in 0..heads {
            // What fills the last panel of keys is masked and the last values meet zeros, so both only have to be finite.
            keys[(wide - PANEL) * width..].fill(0.0);
            values.fill(0.0);
            for token in 0..tokens {
                for group in 0..width / GROUP {
                    let key = group_of(token, 1, head, group);
                    let column = token / PANEL * PANEL * width + group * GROUP * PANEL + token % PANEL;
                    for (to, value) in keys[column..].iter_mut().step_by(PANEL).zip(key) {
                        *to = *value;
                    }
                    let at = group * GROUP / PANEL * PANEL * deep + token * PANEL + group * GROUP % PANEL;
                    values[at..at + GROUP].copy_from_slice(group_of(token, 2, head, group));
                }
            }
            for start in queries.clone().step_by(TILE) {
                let rows = (queries.end - start).min(TILE);
                for group in 0..width / GROUP {
                    for row in 0..rows {
                        query[group * STRIPE + row * GROUP..][..GROUP].copy_from_slice(group_of(start + row, 0, head, group));
                    }
                }
                for ((keys, mask), scores) in
                    keys.chunks_exact(PANEL * width).zip(mask.chunks_exact(PANEL)).zip(scores.chunks_exact_mut(PANEL * TILE))
                {
                    multiply(isa, query, keys, rows, Some(mask), false, scores);
                }
                let mut shares = [0.0; TILE];
                for (row, share) in shares.iter_mut().enumerate().take(rows) {
                    *share = 1.0 / exponentials(isa, &mut scores[row * GROUP..], deep / GROUP);
                }
                for (panel, values) in values.chunks_exact(PANEL * deep).enumerate() {
                    multiply(isa, &scores[..deep * TILE], values, rows, None, false, part);
                    for (row, share) in shares.iter().enumerate().take(rows) {
                        let share = ops.splat(*share);
                        let to = row_start(out_first + start - queries.start + row, out_columns)
                            + (head * width + panel * PANEL) / GROUP * STRIPE;
                        for half in 0..PANEL / GROUP {
                            let from = &part[half * STRIPE + row * GROUP..][..GROUP];
                            let to = &mut out[to + half * STRIPE..][..GROUP];
                            for (from, to) in from.chunks_exact(ops.len()).zip(to.chunks_exact_mut(ops.len())) {
                                ops.store(ops.mul(ops.load(from), share), to);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Replaces the scores of a row by `exp(score - largest)` and returns their sum. The row's groups follow every [`STRIPE`] numbers.
#[inline(always)]
fn exponentials<I: Isa>(isa: I, row: &mut [f32], groups: usize) -> f32 {
    let ops = isa.f32();
    let places = || (0..groups).flat_map(|group| (0..GROUP).step_by(ops.len()).map(move |column| group * STRIPE + column));
    let mut largest = ops.splat(NOTHING);
    for at in places() {
        largest = ops.max(largest, ops.load(&row[at..]));
    }
    let largest = ops.splat(largest.to_array().into_iter().fold(NOTHING, f32::max));
    let mut sum = ops.zero();
    for at in places() {
        let value = exp_below_zero(isa, ops.sub(ops.load(&row[at..]), largest));
        ops.store(value, &mut row[at..]);
        sum = ops.add(sum, value);
    }
    ops.sum(sum)
}
