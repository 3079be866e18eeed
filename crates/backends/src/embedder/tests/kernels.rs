//! The numeric parts against their definitions in 64 bits.

use rten_simd::{Isa, SimdOp, ops::BitOps};

use super::super::{
    Precision,
    dense::{After, Buffers, Dense, Raw},
    rows::{Normalize, exp_below_zero, gelu},
    tiles::{GROUP, STRIPE, row_start, tiled_len},
};

fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        // A linear congruential generator (Numerical Recipes): the values only have to differ.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn at(row: usize, column: usize, columns: usize) -> usize {
    row_start(row, columns) + column / GROUP * STRIPE + column % GROUP
}

fn tiled(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; tiled_len(rows, columns)];
    for row in 0..rows {
        for column in 0..columns {
            out[at(row, column, columns)] = values[row * columns + column];
        }
    }
    out
}

#[test]
fn a_dense_layer_gives_the_product_for_every_number_of_rows_and_adds_when_asked() {
    for (depth, columns) in [(64, 64), (384, 128), (448, 64)] {
        let (weights, bias) = (numbers(depth * columns, 1), numbers(columns, 2));
        for (precision, bound) in [(Precision::F32, 1e-4), (Precision::Int8, 0.6)] {
            let layer = Dense::new(Raw { weights: weights.clone(), depth, bias: bias.clone() }, precision);
            for rows in [1, 2, 5, 11, 12, 13, 30, 100] {
                let x = numbers(rows * depth, 3);
                let mut out = tiled(&vec![0.5; rows * columns], rows, columns);
                layer.apply(&tiled(&x, rows, depth), rows, &mut out, After::Add, &mut Buffers::default());
                for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
                    let products = (0..depth).map(|k| f64::from(x[row * depth + k]) * f64::from(weights[column * depth + k]));
                    let expected = products.sum::<f64>() + f64::from(bias[column]) + 0.5;
                    let found = f64::from(out[at(row, column, columns)]);
                    assert!((found - expected).abs() < bound, "{precision:?}, {rows} x {depth} x {columns}: {found}, not {expected}");
                }
            }
        }
    }
}

#[test]
fn normalised_rows_have_mean_0_and_variance_1_over_the_columns_that_count() {
    let (rows, columns, width) = (14, 64, 40);
    let mut values = numbers(rows * columns, 4);
    for row in values.chunks_exact_mut(columns) {
        row[width..].fill(0.0);
    }
    let mut x = tiled(&values, rows, columns);
    let (mut scale, shift) = (vec![1.0; columns], vec![0.0; columns]);
    scale[width..].fill(0.0);
    Normalize { x: &mut x, rows, columns, width, eps: 0.0, scale: &scale, shift: &shift }.dispatch();
    for row in 0..rows {
        let row: Vec<f64> = (0..columns).map(|column| f64::from(x[at(row, column, columns)])).collect();
        let mean = row.iter().sum::<f64>() / width as f64;
        let variance = row.iter().map(|value| value * value).sum::<f64>() / width as f64;
        assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-5, "mean {mean}, variance {variance}");
        assert!(row[width..].iter().all(|value| *value == 0.0));
    }
}

struct Exp<'a>(&'a mut [f32]);

impl SimdOp for Exp<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        for part in self.0.chunks_exact_mut(isa.f32().len()) {
            isa.f32().store(exp_below_zero(isa, isa.f32().load(part)), part);
        }
    }
}

struct Activate<'a>(&'a mut [f32]);

impl SimdOp for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        gelu(isa, self.0);
    }
}

#[test]
fn exponentials_and_gelu_keep_the_error_that_they_promise() {
    let xs: Vec<f32> = (0..16_000).map(|i| -87.0 * i as f32 / 16_000.0).collect();
    let mut found = xs.clone();
    Exp(&mut found).dispatch();
    for (x, found) in xs.iter().zip(found) {
        let expected = f64::from(*x).exp();
        assert!((f64::from(found) / expected - 1.0).abs() < 3e-7, "exp({x}) = {found}, not {expected}");
    }
    // Reference values of the normal distribution's integral, times x: 0.5 x (1 + erf(x / sqrt 2)).
    let known = [
        (0.0, 0.0),
        (0.5, 0.345_731_23),
        (1.0, 0.841_344_75),
        (-1.0, -0.158_655_25),
        (2.0, 1.954_499_7),
        (-2.0, -0.045_500_26),
        (3.0, 2.995_950_3),
        (-3.0, -0.004_049_694),
        (5.0, 4.999_998_6),
        (9.0, 9.0),
        (-9.0, 0.0),
    ];
    let mut found: Vec<f32> = known.iter().map(|(x, _)| *x as f32).collect();
    found.resize(16, 0.0);
    Activate(&mut found).dispatch();
    for ((x, expected), found) in known.into_iter().zip(found) {
        assert!((f64::from(found) - expected).abs() < 3e-6, "gelu({x}) = {found}, not {expected}");
    }
}
