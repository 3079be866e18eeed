//! Products of 8-bit matrices, exact, in tiles of 12 rows and 32 columns.
//!
//! The only crate with `unsafe`: it calls functions that were compiled for AVX-512 VNNI, AVX-VNNI or AVX2 after asking the processor whether it
//! has them. Everything is integer arithmetic without saturation, so every processor gives the same numbers.
//!
//! `docs/adr/0007-embedder.md` says what it is for and what it brings.

#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Rows of a tile.
pub const ROWS: usize = 12;
/// Columns of a tile.
pub const COLUMNS: usize = 32;
/// Bytes of one row that lie together in a packed left side; its depth is a multiple of this.
pub const DEPTH: usize = 64;
/// Bytes of depth that one 32-bit lane multiplies at a time.
const QUAD: usize = 4;

/// How this processor computes a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// AVX-512 VNNI: 64 products an instruction.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// AVX-VNNI: 32 products an instruction.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// The portable loop, compiled for AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// The portable loop.
    Portable,
}

impl Kernel {
    /// The kernels that this processor can run, fastest first; never empty.
    pub fn available() -> Vec<Self> {
        let mut kernels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            kernels.extend(x86::available());
        }
        kernels.push(Self::Portable);
        kernels
    }

    /// The fastest kernel of this processor.
    pub fn best() -> Self {
        Self::available().first().copied().unwrap_or(Self::Portable)
    }

    /// Whether 8-bit products are faster than 32-bit ones on this processor.
    pub fn is_fast(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni | Self::AvxVnni => true,
            _ => false,
        }
    }

    /// One tile: `out[column / 16][row][column % 16] = sum over k of a[row][k] * b[k][column]`, the sums as `i32`.
    ///
    /// `a` is packed as `[depth / 64][12 rows][64]`, `b` as `[depth / 4][32 columns][4]`; both cover the same depth. Rows from `rows` on are
    /// not computed and keep what they have in `out`. Sums are exact while `depth` stays below 66,000 (`255 * 128 * depth < 2^31`).
    pub fn tile(self, a: &[u8], b: &[i8], rows: usize, out: &mut [i32; ROWS * COLUMNS]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni | Self::AvxVnni | Self::Avx2 => x86::tile(self, a, b, rows, out),
            Self::Portable => portable(a, b, rows, out),
        }
    }
}

/// Packs the right side: `weights` is `columns × depth` row by row (as a dense layer keeps it); both are padded with zeros, the columns to a
/// multiple of 32 and the depth to one of 64. The result is a panel of `depth × 32` for every 32 columns, as [`Kernel::tile`] reads it.
pub fn pack(weights: &[i8], columns: usize, depth: usize) -> Vec<i8> {
    let (wide, deep) = (columns.next_multiple_of(COLUMNS), depth.next_multiple_of(DEPTH));
    let mut packed = vec![0; wide * deep];
    for (column, row) in weights.chunks_exact(depth).take(columns).enumerate() {
        let panel = &mut packed[column / COLUMNS * COLUMNS * deep..][..COLUMNS * deep];
        for (k, weight) in row.iter().enumerate() {
            panel[(k / QUAD * COLUMNS + column % COLUMNS) * QUAD + k % QUAD] = *weight;
        }
    }
    packed
}

/// The plain loop; the compiler makes of it what the enclosing function's target allows.
#[inline(always)]
fn portable(a: &[u8], b: &[i8], rows: usize, out: &mut [i32; ROWS * COLUMNS]) {
    for row in 0..rows.min(ROWS) {
        let mut sums = [0_i32; COLUMNS];
        for (a, b) in a.chunks_exact(ROWS * DEPTH).zip(b.chunks_exact(DEPTH * COLUMNS)) {
            let quads = a[row * DEPTH..][..DEPTH].as_chunks::<QUAD>().0;
            for (quad, columns) in quads.iter().zip(b.as_chunks::<{ COLUMNS * QUAD }>().0) {
                for (sum, weights) in sums.iter_mut().zip(columns.as_chunks::<QUAD>().0) {
                    *sum += (0..QUAD).map(|i| i32::from(quad[i]) * i32::from(weights[i])).sum::<i32>();
                }
            }
        }
        for (half, sums) in sums.as_chunks::<16>().0.iter().enumerate() {
            out[(half * ROWS + row) * 16..][..16].copy_from_slice(sums);
        }
    }
}
