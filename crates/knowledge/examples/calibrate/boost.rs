//! Gradient boosting of small trees for the logistic loss: what tells whether the best sentence answers.

use astrolabe_knowledge::answers::extractive::{ANSWER_FEATURES, Tree};

/// Trees of a model.
const TREES: usize = 80;
/// What each tree adds of what it found.
const RATE: f32 = 0.1;
/// Cuts tried per feature.
const CUTS: usize = 32;
/// Least weight of either side of a split, in rows of mean weight.
const LEAST: f32 = 15.0;
/// Added to each leaf's weight, in rows of mean weight.
const SHRINK: f32 = 2.0;

/// The evidence of one question, whether its answer is right, and its weight.
pub type Example = ([f32; ANSWER_FEATURES], bool, f32);

#[derive(Default, Clone, Copy)]
struct Sums {
    gradient: f32,
    curvature: f32,
    weight: f32,
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.gradient += other.gradient;
        self.curvature += other.curvature;
        self.weight += other.weight;
    }

    fn gain(self) -> f32 {
        self.gradient * self.gradient / (self.curvature + SHRINK)
    }
}

/// Values at which a feature is cut, each in the middle between two that occur.
fn cuts(examples: &[Example], feature: usize) -> Vec<f32> {
    let mut values: Vec<f32> = examples.iter().map(|(f, ..)| f[feature]).collect();
    values.sort_by(f32::total_cmp);
    values.dedup();
    let step = values.len().div_ceil(CUTS);
    values.windows(2).step_by(step.max(1)).map(|pair| f32::midpoint(pair[0], pair[1])).collect()
}

/// Grows the trees, whose sum is the log-odds.
pub fn grow(examples: &[Example]) -> Vec<Tree> {
    let scale = examples.len() as f32 / examples.iter().map(|e| e.2).sum::<f32>();
    let cuts: Vec<Vec<f32>> = (0..ANSWER_FEATURES).map(|feature| cuts(examples, feature)).collect();
    let bins: Vec<Vec<usize>> =
        examples.iter().map(|(f, ..)| cuts.iter().zip(f).map(|(cuts, value)| cuts.partition_point(|cut| cut < value)).collect()).collect();
    let right: f32 = examples.iter().filter(|e| e.1).map(|e| e.2 * scale).sum();
    let base = (right / (examples.len() as f32 - right)).ln();
    let mut odds = vec![base; examples.len()];
    let mut trees: Vec<Tree> = Vec::new();
    for number in 0..TREES {
        let sums: Vec<Sums> = examples
            .iter()
            .zip(&odds)
            .map(|((_, right, weight), odds)| {
                let p = 1.0 / (1.0 + (-odds).exp());
                let weight = weight * scale;
                Sums { gradient: weight * (f32::from(u8::from(*right)) - p), curvature: weight * p * (1.0 - p), weight }
            })
            .collect();
        // A node that is not split sends everything to the left: the bias is 1.
        let mut tree = Tree { features: [0; 7], cuts: [2.0; 7], leaves: [0.0; 8] };
        let mut at = vec![0usize; examples.len()];
        for node in 0..7 {
            if let Some((feature, bin)) = best_split(&cuts, &bins, &sums, &at, node) {
                (tree.features[node], tree.cuts[node]) = (u8::try_from(feature).unwrap_or(0), cuts[feature][bin]);
            }
            for (place, (f, ..)) in at.iter_mut().zip(examples).filter(|(place, _)| **place == node) {
                *place = 2 * node + 1 + usize::from(f[tree.features[node] as usize] > tree.cuts[node]);
            }
        }
        let mut leaves = [Sums::default(); 8];
        at.iter().zip(&sums).for_each(|(place, one)| leaves[place - 7].add(*one));
        for (value, leaf) in tree.leaves.iter_mut().zip(leaves) {
            *value = RATE * leaf.gradient / (leaf.curvature + SHRINK);
        }
        odds.iter_mut().zip(&at).for_each(|(odds, place)| *odds += tree.leaves[place - 7]);
        if number == 0 {
            tree.leaves.iter_mut().for_each(|leaf| *leaf += base);
        }
        trees.push(tree);
    }
    trees
}

/// The feature and the cut that part the examples of a node best.
fn best_split(cuts: &[Vec<f32>], bins: &[Vec<usize>], sums: &[Sums], at: &[usize], node: usize) -> Option<(usize, usize)> {
    let mut best = (1e-3f32, None);
    for (feature, cuts) in cuts.iter().enumerate().filter(|(_, cuts)| !cuts.is_empty()) {
        let mut histogram = vec![Sums::default(); cuts.len() + 1];
        for ((bin, one), _) in bins.iter().zip(sums).zip(at).filter(|(_, place)| **place == node) {
            histogram[bin[feature]].add(*one);
        }
        let mut all = Sums::default();
        histogram.iter().for_each(|one| all.add(*one));
        let mut left = Sums::default();
        for (bin, one) in histogram.iter().enumerate().take(cuts.len()) {
            left.add(*one);
            let right = Sums {
                gradient: all.gradient - left.gradient,
                curvature: all.curvature - left.curvature,
                weight: all.weight - left.weight,
            };
            let gain = left.gain() + right.gain() - all.gain();
            if left.weight >= LEAST && right.weight >= LEAST && gain > best.0 {
                best = (gain, Some((feature, bin)));
            }
        }
    }
    best.1
}
