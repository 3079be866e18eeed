use super::{COLUMNS, DEPTH, Kernel, ROWS, pack};

/// A linear congruential generator (Numerical Recipes): the values only have to differ.
struct Numbers(u32);

impl Numbers {
    fn byte(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 24) as u8
    }
}

/// The product by its definition, from unpacked sides.
fn expected(a: &[Vec<u8>], weights: &[i8], depth: usize, row: usize, column: usize) -> i32 {
    (0..depth).map(|k| i32::from(a[row][k]) * i32::from(weights[column * depth + k])).sum()
}

fn packed_rows(a: &[Vec<u8>], deep: usize) -> Vec<u8> {
    let mut packed = vec![0; ROWS * deep];
    for (row, values) in a.iter().enumerate() {
        for (k, value) in values.iter().enumerate() {
            packed[(k / DEPTH * ROWS + row) * DEPTH + k % DEPTH] = *value;
        }
    }
    packed
}

#[test]
fn every_kernel_of_this_processor_gives_the_exact_product_for_every_number_of_rows() {
    let mut numbers = Numbers(1);
    for depth in [64, 100, 384] {
        let weights: Vec<i8> = (0..COLUMNS * depth).map(|_| numbers.byte() as i8).collect();
        let b = pack(&weights, COLUMNS, depth);
        for rows in 0..=ROWS {
            let a: Vec<Vec<u8>> = (0..rows).map(|_| (0..depth).map(|_| numbers.byte()).collect()).collect();
            let packed = packed_rows(&a, depth.next_multiple_of(DEPTH));
            for kernel in Kernel::available() {
                let mut out = [7; ROWS * COLUMNS];
                kernel.tile(&packed, &b, rows, &mut out);
                for (row, column) in (0..ROWS).flat_map(|row| (0..COLUMNS).map(move |column| (row, column))) {
                    let found = out[(column / 16 * ROWS + row) * 16 + column % 16];
                    let expected = if row < rows { expected(&a, &weights, depth, row, column) } else { 7 };
                    assert_eq!(found, expected, "{kernel:?}, depth {depth}, {rows} rows, row {row}, column {column}");
                }
            }
        }
    }
}

#[test]
fn the_largest_values_do_not_saturate() {
    for (value, weight) in [(255_u8, -128_i8), (255, 127)] {
        let b = pack(&vec![weight; COLUMNS * 1536], COLUMNS, 1536);
        for kernel in Kernel::available() {
            let mut out = [0; ROWS * COLUMNS];
            kernel.tile(&vec![value; ROWS * 1536], &b, ROWS, &mut out);
            assert_eq!(out, [i32::from(value) * i32::from(weight) * 1536; ROWS * COLUMNS], "{kernel:?}");
        }
    }
}

#[test]
fn columns_and_depth_that_do_not_fill_a_panel_are_padded_with_zeros() {
    let packed = pack(&[1, 2, 3], 1, 3);
    assert_eq!((packed.len(), &packed[..4]), (COLUMNS * DEPTH, &[1, 2, 3, 0][..]));
    assert!(packed[4..].iter().all(|weight| *weight == 0));
}
