//! The numbers of BM25, which every engine computes by the same steps, so that scores agree to the last bit.

/// How soon further occurrences of a word stop counting. With [`B`] the default of Anserini (Lin and others).
pub const K1: f32 = 0.9;
/// How much a chunk's length counts.
pub const B: f32 = 0.4;

/// Inverse document frequency of a word that `df` of `total` chunks hold; the form that cannot turn negative is Lucene's.
pub fn idf(total: f32, df: f32) -> f32 {
    (1.0 + (total - df + 0.5) / (df + 0.5)).ln()
}

/// What a chunk that holds a word `count` times earns of the word's weight.
#[inline]
pub fn share(weight: f32, count: f32, length: f32, average: f32) -> f32 {
    weight * count / (count + K1 * (1.0 - B + B * length / average))
}
