//! Lists of near vectors (an inverted file over the codes), so that a search among many scores few.
//!
//! Centres are found by k-means on a sample, in two levels: some coarse centres, and under each its share of the fine
//! ones (spherical k-means: Dhillon and Modha, "Concept Decompositions for Large Sparse Text Data Using Clustering",
//! 2001). A vector belongs to the nearest fine centre under the nearest few coarse ones. Everything is deterministic: the
//! same vectors in the same order give the same lists.
//!
//! A list is a chain of blocks of [`BLOCK`] places, so that vectors of a list lie side by side and adding one moves none.

use super::vectors::{CodedQuery, Codes};

/// Vectors below which there are no lists: all are scored within a millisecond.
pub const FROM: usize = 1 << 15;
/// Places of a block.
const BLOCK: u32 = 32;
/// Rounds of k-means; later rounds move a vector in hundreds.
const ROUNDS: usize = 6;
/// Rounds over all fine centres after that.
const SMOOTHING: usize = 3;
/// Vectors of the sample per list.
const SAMPLE: usize = 32;
/// Coarse centres under which a vector's list is looked for.
const COARSE: usize = 8;

/// How many of `count` allowed vectors are scored: all of a few thousand, then with the square root of their number.
pub fn enough(count: usize) -> usize {
    2048.max(count.isqrt() * 24)
}

/// Where vectors are, by nearness.
#[derive(Debug, Clone)]
pub struct Lists {
    centres: Centres,
    /// Blocks of each list; all are full but the last.
    blocks: Vec<Vec<u32>>,
    /// Vectors in each list.
    lens: Vec<u32>,
    /// The list of each block.
    list_of_block: Vec<u16>,
    /// How many vectors there were when the centres were found.
    trained: usize,
}

/// The centres of the lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Centres {
    pub fine: Codes,
    pub coarse: Codes,
    /// The first fine centre under each coarse one, and their number at the end.
    pub under: Vec<u32>,
}

impl Centres {
    /// Finds centres for the vectors at `places`.
    pub fn find(codes: &Codes, places: &[u32]) -> Self {
        // Four times the root: a search then looks at about as many centres as vectors of a list.
        let lists = (places.len().isqrt() * 4).clamp(1, usize::from(u16::MAX));
        let step = (places.len() / (lists * SAMPLE)).max(1);
        let sample: Vec<u32> = places.iter().copied().step_by(step).collect();
        let (coarse, nearest) = k_means(codes, &sample, lists.isqrt());
        let mut members = vec![Vec::new(); coarse.len()];
        for (place, centre) in sample.iter().zip(nearest) {
            members[centre as usize].push(*place);
        }
        let dims = codes.dims();
        let (mut fine, mut under) = (Codes::new(dims), vec![0]);
        for members in &members {
            let share = (lists * members.len()).div_ceil(sample.len()).max(1);
            fine.append(&k_means(codes, members, share).0);
            under.push(u32::try_from(fine.len()).unwrap_or(u32::MAX));
        }
        let mut centres = Self { fine, coarse, under };
        // The borders between coarse centres are only smoothed by rounds over all.
        for _ in 0..SMOOTHING {
            let nearest: Vec<u32> = sample.iter().map(|place| u32::from(centres.list_of(&codes.query(*place as usize)))).collect();
            centres.fine = moved(codes, &sample, &nearest, &centres.fine);
        }
        centres
    }

    /// Whether the parts fit each other.
    pub fn is_sound(&self) -> bool {
        let all = (self.under.first(), self.under.last().map(|last| *last as usize)) == (Some(&0), Some(self.fine.len()));
        all && self.under.is_sorted()
            && self.under.len() == self.coarse.len() + 1
            && self.fine.len() <= usize::from(u16::MAX)
            && self.fine.len() > 0
    }

    /// The list a vector belongs to.
    pub fn list_of(&self, vector: &CodedQuery) -> u16 {
        let mut coarse = scores(&self.coarse, 0..to_u32(self.coarse.len()), vector);
        let few = COARSE.min(coarse.len());
        if few < coarse.len() {
            coarse.select_nth_unstable_by(few, |a, b| b.1.total_cmp(&a.1));
        }
        let near = coarse[..few].iter().flat_map(|(c, _)| self.under[*c as usize]..self.under[*c as usize + 1]);
        let best = scores(&self.fine, near, vector).into_iter().reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.and_then(|(list, _)| u16::try_from(list).ok()).unwrap_or(0)
    }
}

impl Lists {
    /// Lists with nothing in them.
    pub fn new(centres: Centres, trained: usize) -> Self {
        let lists = centres.fine.len();
        Self { centres, blocks: vec![Vec::new(); lists], lens: vec![0; lists], list_of_block: Vec::new(), trained }
    }

    /// The centres.
    pub fn centres(&self) -> &Centres {
        &self.centres
    }

    /// How many vectors there were when the centres were found.
    pub fn trained(&self) -> usize {
        self.trained
    }

    /// The list a vector belongs to.
    pub fn list_of(&self, vector: &CodedQuery) -> u16 {
        self.centres.list_of(vector)
    }

    /// The list of a place.
    pub fn list_at(&self, place: u32) -> u16 {
        self.list_of_block[(place / BLOCK) as usize]
    }

    /// Adds a vector to a list and returns its place.
    pub fn add(&mut self, list: u16) -> u32 {
        let (blocks, len) = (&mut self.blocks[usize::from(list)], &mut self.lens[usize::from(list)]);
        let within = *len % BLOCK;
        if within == 0 {
            blocks.push(to_u32(self.list_of_block.len()));
            self.list_of_block.push(list);
        }
        *len += 1;
        blocks.last().map_or(0, |block| block * BLOCK + within)
    }

    /// Places in all blocks.
    pub fn places(&self) -> usize {
        self.list_of_block.len() * BLOCK as usize
    }

    /// The places of a list.
    pub fn places_of(&self, list: u32) -> impl Iterator<Item = u32> + '_ {
        let len = self.lens[list as usize] as usize;
        self.blocks[list as usize].iter().flat_map(|block| block * BLOCK..(block + 1) * BLOCK).take(len)
    }

    /// The lists, the nearest to the query first.
    pub fn nearest(&self, query: &CodedQuery) -> impl Iterator<Item = u32> {
        let mut near = scores(&self.centres.fine, 0..to_u32(self.centres.fine.len()), query);
        let mut next = 0;
        let mut sorted = 0;
        std::iter::from_fn(move || {
            if next == sorted && sorted < near.len() {
                // Most searches end within the first few.
                let rest = &mut near[sorted..];
                let few = rest.len().min(128.max(sorted));
                if few < rest.len() {
                    rest.select_nth_unstable_by(few, |a, b| b.1.total_cmp(&a.1));
                }
                rest[..few].sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                sorted += few;
            }
            let list = near.get(next)?.0;
            next += 1;
            Some(list)
        })
    }
}

fn scores(codes: &Codes, places: impl Iterator<Item = u32>, query: &CodedQuery) -> Vec<(u32, f32)> {
    let mut scores = Vec::with_capacity(codes.len());
    codes.score(query, places, |place, score| scores.push((place, score)));
    scores
}

/// At most `k` centres of the vectors at `places`, and the nearest of each.
fn k_means(codes: &Codes, places: &[u32], k: usize) -> (Codes, Vec<u32>) {
    let dims = codes.dims();
    let mut centres = Codes::new(dims);
    let step = places.len().div_ceil(k.max(1)).max(1);
    for place in places.iter().step_by(step) {
        centres.push(&unit(codes, *place));
    }
    let mut nearest = vec![0; places.len()];
    for round in 0..=ROUNDS {
        let all = 0..to_u32(centres.len());
        for (place, nearest) in places.iter().zip(&mut nearest) {
            let mut best = f32::NEG_INFINITY;
            centres.score(&codes.query(*place as usize), all.clone(), |centre, score| {
                if score > best {
                    (best, *nearest) = (score, centre);
                }
            });
        }
        if round == ROUNDS {
            break;
        }
        centres = moved(codes, places, &nearest, &centres);
    }
    (centres, nearest)
}

/// The centres, each moved to the middle of the vectors that it is the nearest of.
fn moved(codes: &Codes, places: &[u32], nearest: &[u32], centres: &Codes) -> Codes {
    let dims = codes.dims();
    let mut sums = vec![0.0_f32; centres.len() * dims];
    for (place, nearest) in places.iter().zip(nearest) {
        let (row, scale) = codes.get(*place as usize);
        let sum = &mut sums[*nearest as usize * dims..][..dims];
        sum.iter_mut().zip(row).for_each(|(sum, code)| *sum += f32::from(*code) * scale);
    }
    let mut moved = Codes::new(dims);
    for (i, sum) in sums.chunks(dims).enumerate() {
        match super::vectors::normalised(sum) {
            Some(centre) => moved.push(&centre),
            // Nobody's nearest: it stays where it is.
            None => moved.push(&unit(centres, to_u32(i))),
        }
    }
    moved
}

/// The vector at a place, of length 1.
fn unit(codes: &Codes, place: u32) -> Vec<f32> {
    let (row, scale) = codes.get(place as usize);
    let vector: Vec<f32> = row.iter().map(|code| f32::from(*code) * scale).collect();
    super::vectors::normalised(&vector).unwrap_or(vector)
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
