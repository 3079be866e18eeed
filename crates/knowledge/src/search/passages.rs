//! From ranked chunks to readable passages: what says the same is folded, neighbours become one passage.

use super::{Found, fold::Fingerprint};

/// Characters of a passage that is put together from neighbours, at most.
const LONGEST: i64 = 2_400;

/// What a page of passages came to.
pub struct Page {
    /// The passages, best first. The text of one that was put together is that of its best chunk until it is read again for its range.
    pub passages: Vec<Found>,
    /// How many ranked chunks were looked at, the ones before the page included: where the next page begins.
    pub consumed: usize,
    /// Whether there are more behind it.
    pub more: bool,
}

/// A chunk that a later one may repeat.
struct Seen {
    hash: String,
    print: Fingerprint,
    /// Its passage on this page, if it is on this page.
    place: Option<usize>,
}

/// Walks ranked chunks and takes up to `limit` passages behind the first `from` chunks.
///
/// A chunk that says the same as a better one is folded into it and counted there. With `join`, a chunk that follows or precedes a better one of
/// the same section becomes part of its passage, up to 2,400 characters; sections stay apart, because each has a subject of its own.
pub fn page(ranked: Vec<Found>, from: usize, limit: usize, join: bool) -> Page {
    let mut seen: Vec<Seen> = Vec::new();
    // A passage that became part of another leaves its place empty, so that places stay what they are.
    let mut passages: Vec<Option<Found>> = Vec::new();
    let (mut count, mut consumed, mut more) = (0, 0, false);
    for (at, hit) in ranked.into_iter().enumerate() {
        let print = Fingerprint::of(&hit.text);
        let same = seen.iter().find(|s| s.hash == hit.text_hash || s.print.is_near(&print));
        if let Some(same) = same {
            // A repetition of what an earlier page has is counted nowhere: that page has been shown.
            if let Some(passage) = same.place.and_then(|place| passages.get_mut(place)).and_then(Option::as_mut) {
                passage.folded += 1;
            }
            consumed = at + 1;
            continue;
        }
        let hash = hit.text_hash.clone();
        let place = if at < from {
            None
        } else if let Some(place) = neighbour(&passages, &hit).filter(|_| join) {
            absorb(&mut passages, place, hit);
            Some(place)
        } else if count == limit {
            more = true;
            break;
        } else {
            passages.push(Some(hit));
            count += 1;
            Some(passages.len() - 1)
        };
        // A chunk between two passages joins them.
        if join
            && let Some(place) = place
            && let Some(grown) = passages[place].as_ref()
            && let Some(other) = neighbour(&passages, grown)
        {
            let (keep, gone) = (place.min(other), place.max(other));
            if let Some(part) = passages[gone].take() {
                absorb(&mut passages, keep, part);
                count -= 1;
                seen.iter_mut().filter(|s| s.place == Some(gone)).for_each(|s| s.place = Some(keep));
            }
            seen.push(Seen { hash, print, place: Some(keep) });
        } else {
            seen.push(Seen { hash, print, place });
        }
        consumed = at + 1;
    }
    Page { passages: passages.into_iter().flatten().collect(), consumed, more }
}

/// The place of a passage that `hit` follows or precedes.
fn neighbour(passages: &[Option<Found>], hit: &Found) -> Option<usize> {
    passages.iter().position(|p| p.as_ref().is_some_and(|p| follows(p, hit) || follows(hit, p)))
}

/// Whether `b` begins where `a` ends in the same section, and both together are not too long.
fn follows(a: &Found, b: &Found) -> bool {
    a.document_id == b.document_id && a.heading == b.heading && a.ordinals.1 + 1 == b.ordinals.0 && b.end - a.start <= LONGEST
}

/// Makes `part` part of the passage at `place`.
fn absorb(passages: &mut [Option<Found>], place: usize, part: Found) {
    let Some(passage) = passages[place].as_mut() else { return };
    let at = if part.ordinals.0 > passage.ordinals.1 { passage.chunk_ids.len() } else { 0 };
    passage.chunk_ids.splice(at..at, part.chunk_ids);
    passage.start = passage.start.min(part.start);
    passage.end = passage.end.max(part.end);
    passage.ordinals = (passage.ordinals.0.min(part.ordinals.0), passage.ordinals.1.max(part.ordinals.1));
    passage.folded += part.folded;
}
