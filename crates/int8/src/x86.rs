//! The kernels of x86-64.

use std::arch::{
    is_x86_feature_detected,
    x86_64::{
        __m256i, __m512i, _mm256_dpbusd_avx_epi32, _mm256_loadu_si256, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_storeu_si256,
        _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_si512, _mm512_storeu_si512,
    },
};

use super::{COLUMNS, DEPTH, Kernel, QUAD, ROWS, portable};

/// The kernels of this file that the processor can run, fastest first.
pub(super) fn available() -> impl Iterator<Item = Kernel> {
    let found = [
        (Kernel::Avx512Vnni, is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")),
        (Kernel::AvxVnni, is_x86_feature_detected!("avx2") && is_x86_feature_detected!("avxvnni")),
        (Kernel::Avx2, is_x86_feature_detected!("avx2")),
    ];
    found.into_iter().filter_map(|(kernel, there)| there.then_some(kernel))
}

/// [`Kernel::tile`]; a kernel that the processor does not have gives way to the portable one.
pub(super) fn tile(kernel: Kernel, a: &[u8], b: &[i8], rows: usize, out: &mut [i32; ROWS * COLUMNS]) {
    // The macro reads one cached word, so asking each time costs nothing and nobody can call a kernel that is not there.
    match kernel {
        Kernel::Avx512Vnni if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") => {
            // SAFETY: the processor has both features.
            unsafe { avx512_vnni(a, b, rows, out) }
        }
        Kernel::AvxVnni if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("avxvnni") => {
            // SAFETY: the processor has both features.
            unsafe { avx_vnni(a, b, rows, out) }
        }
        Kernel::Avx2 if is_x86_feature_detected!("avx2") => {
            // SAFETY: the processor has the feature.
            unsafe { avx2(a, b, rows, out) }
        }
        _ => portable(a, b, rows, out),
    }
}

#[target_feature(enable = "avx2")]
fn avx2(a: &[u8], b: &[i8], rows: usize, out: &mut [i32; ROWS * COLUMNS]) {
    portable(a, b, rows, out);
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn avx512_vnni(a: &[u8], b: &[i8], rows: usize, out: &mut [i32; ROWS * COLUMNS]) {
    match rows {
        0 => {}
        1 => wide::<1>(a, b, out),
        2 => wide::<2>(a, b, out),
        3 => wide::<3>(a, b, out),
        4 => wide::<4>(a, b, out),
        5 => wide::<5>(a, b, out),
        6 => wide::<6>(a, b, out),
        7 => wide::<7>(a, b, out),
        8 => wide::<8>(a, b, out),
        9 => wide::<9>(a, b, out),
        10 => wide::<10>(a, b, out),
        11 => wide::<11>(a, b, out),
        _ => wide::<12>(a, b, out),
    }
}

/// `N` rows of a tile: 2 × `N` sums in registers.
#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
fn wide<const N: usize>(a: &[u8], b: &[i8], out: &mut [i32; ROWS * COLUMNS]) {
    let mut sums = [[_mm512_setzero_si512(); 2]; N];
    for (a, b) in a.as_chunks::<{ ROWS * DEPTH }>().0.iter().zip(b.as_chunks::<{ DEPTH * COLUMNS }>().0) {
        let rows = a.as_chunks::<DEPTH>().0;
        for (k, b) in b.as_chunks::<{ COLUMNS * QUAD }>().0.iter().enumerate() {
            let halves = b.as_chunks::<64>().0;
            let (left, right) = (load512(&halves[0]), load512(&halves[1]));
            for (row, sums) in rows.iter().zip(&mut sums) {
                let quad = _mm512_set1_epi32(quad(row, k));
                sums[0] = _mm512_dpbusd_epi32(sums[0], quad, left);
                sums[1] = _mm512_dpbusd_epi32(sums[1], quad, right);
            }
        }
    }
    let out = out.as_chunks_mut::<16>().0;
    for (row, sums) in sums.iter().enumerate() {
        for (half, sums) in sums.iter().enumerate() {
            let to: &mut [i32; 16] = &mut out[half * ROWS + row];
            // SAFETY: `to` is 64 bytes that are ours; the store asks for no alignment.
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), *sums) };
        }
    }
}

#[target_feature(enable = "avx2,avxvnni")]
fn avx_vnni(a: &[u8], b: &[i8], rows: usize, out: &mut [i32; ROWS * COLUMNS]) {
    // 16 registers hold 3 rows × 4 sums and what they are made of.
    for first in (0..rows.min(ROWS)).step_by(3) {
        match rows - first {
            1 => narrow::<1>(a, b, first, out),
            2 => narrow::<2>(a, b, first, out),
            _ => narrow::<3>(a, b, first, out),
        }
    }
}

/// `N` rows of a tile from row `first` on.
#[target_feature(enable = "avx2,avxvnni")]
#[inline]
fn narrow<const N: usize>(a: &[u8], b: &[i8], first: usize, out: &mut [i32; ROWS * COLUMNS]) {
    let mut sums = [[_mm256_setzero_si256(); 4]; N];
    for (a, b) in a.as_chunks::<{ ROWS * DEPTH }>().0.iter().zip(b.as_chunks::<{ DEPTH * COLUMNS }>().0) {
        let rows = &a.as_chunks::<DEPTH>().0[first..];
        for (k, b) in b.as_chunks::<{ COLUMNS * QUAD }>().0.iter().enumerate() {
            let b = b.as_chunks::<32>().0;
            for (row, sums) in rows.iter().zip(&mut sums) {
                let quad = _mm256_set1_epi32(quad(row, k));
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = _mm256_dpbusd_avx_epi32(*sum, quad, load256(b));
                }
            }
        }
    }
    let out = out.as_chunks_mut::<8>().0;
    for (row, sums) in sums.iter().enumerate() {
        for (quarter, sums) in sums.iter().enumerate() {
            let to: &mut [i32; 8] = &mut out[(quarter / 2 * ROWS + first + row) * 2 + quarter % 2];
            // SAFETY: `to` is 32 bytes that are ours; the store asks for no alignment.
            unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), *sums) };
        }
    }
}

/// Four neighbouring bytes of a row as one lane.
#[inline(always)]
fn quad(row: &[u8; DEPTH], k: usize) -> i32 {
    i32::from_le_bytes(row.as_chunks::<QUAD>().0[k])
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load512(bytes: &[i8; 64]) -> __m512i {
    // SAFETY: 64 bytes are there; the load asks for no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load256(bytes: &[i8; 32]) -> __m256i {
    // SAFETY: 32 bytes are there; the load asks for no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}
