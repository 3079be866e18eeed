use super::*;

/// A small generator of repeatable pseudo-random numbers (Knuth's MMIX constants).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

/// Text in Latin, Cyrillic and Han with headings, items, rows, long words and odd white space.
fn random_document(seed: u64, blocks: usize) -> (String, Vec<Heading>) {
    let mut dice = Dice(seed);
    let words = [
        "dom",
        "łódź",
        "Wi-Fi",
        "сеть",
        "Ёлка",
        "網路",
        "a",
        "np.",
        "e.g.",
        "12.5",
        "Dr.",
        "т.е.",
        "printer",
        "zażółć",
        "x".repeat(90).leak() as &str,
    ];
    let mut text = String::new();
    let mut headings: Vec<Heading> = Vec::new();
    for _ in 0..blocks {
        let mut line = String::new();
        let style = dice.roll(8);
        for n in 0..=dice.roll(if style == 0 { 4 } else { 60 }) {
            if n > 0 {
                line.push_str(if style == 3 { " | " } else { " " });
            }
            line.push_str(words[dice.roll(words.len())]);
            if dice.roll(9) == 0 && style > 0 {
                line.push_str([".", "!", "?", ":", ","][dice.roll(5)]);
            }
        }
        if style == 0 {
            let start = text.chars().count();
            headings.push(Heading { level: 1 + dice.roll(4) as u8, title: line.clone(), start, end: 0 });
        }
        if style == 4 {
            line.insert_str(0, "- ");
        }
        text.push_str(&line);
        text.push_str(["\n", "\n\n", "\n\n", "\n\n\n"][dice.roll(4)]);
        if style == 0 && !text.ends_with("\n\n") {
            text.push('\n');
        }
    }
    (text, headings)
}

#[test]
fn every_character_is_in_a_chunk_and_no_chunk_is_too_long() {
    for seed in 0..300 {
        let (text, headings) = random_document(seed, 1 + seed as usize % 40);
        let chars: Vec<char> = text.chars().collect();
        for (size, overlap) in [(600, 80), (100, 30), (40, 0), (64, 1000)] {
            let chunks = chunk(&text, &headings, &[], size, overlap);
            let mut covered = vec![false; chars.len()];
            let mut end = 0;
            for (ordinal, piece) in chunks.iter().enumerate() {
                assert_eq!(piece.ordinal, ordinal);
                assert!(piece.end - piece.start <= size, "seed {seed}");
                assert!(piece.end > end, "seed {seed}: ends must increase");
                end = piece.end;
                assert_eq!(piece.text, chars[piece.start..piece.end].iter().collect::<String>(), "seed {seed}");
                assert_eq!(piece.text, piece.text.trim());
                covered[piece.start..piece.end].fill(true);
            }
            assert!(chars.iter().zip(covered).all(|(c, seen)| seen || c.is_whitespace()), "seed {seed}");
        }
    }
}

#[test]
fn no_chunk_crosses_a_heading_with_text() {
    for seed in 0..200 {
        let (text, headings) = random_document(seed, 30);
        let chars: Vec<char> = text.chars().collect();
        for piece in chunk(&text, &headings, &[], 300, 60) {
            for heading in &headings {
                if piece.start < heading.start && heading.start < piece.end {
                    // Only titles may stand before it in the chunk.
                    let before: String = chars[piece.start..heading.start].iter().collect();
                    assert!(
                        before.lines().all(|l| l.trim().is_empty() || headings.iter().any(|h| h.title == l)),
                        "seed {seed}: {before:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_heading_path_names_all_enclosing_sections() {
    let text = "Guide\n\nIntro text.\n\nNetwork\n\nVPN\n\nUse the client.\n\nMail\n\nUse the web.";
    let at = |title: &str| text.find(title).unwrap();
    let headings: Vec<Heading> = [(1, "Guide"), (2, "Network"), (3, "VPN"), (2, "Mail")]
        .into_iter()
        .map(|(level, title)| Heading { level, title: title.to_owned(), start: at(title), end: text.len() })
        .collect();
    let chunks = chunk(text, &headings, &[], 600, 80);
    let seen: Vec<(&str, &str)> = chunks.iter().map(|c| (c.heading.as_str(), c.text.as_str())).collect();
    assert_eq!(
        seen,
        [
            ("Guide", "Guide\n\nIntro text."),
            ("Guide > Network > VPN", "Network\n\nVPN\n\nUse the client."),
            ("Guide > Mail", "Mail\n\nUse the web."),
        ]
    );
}

#[test]
fn the_overlap_starts_at_a_sentence() {
    let text = "Sentence number one is here. ".repeat(40);
    let chunks = chunk(text.trim(), &[], &[], 200, 60);
    assert!(chunks.len() > 5);
    for pair in chunks.windows(2) {
        assert!(pair[1].start < pair[0].end && pair[0].end - pair[1].start <= 60);
        assert!(pair[1].text.starts_with("Sentence"));
    }
}

#[test]
fn rows_and_items_stay_whole_where_they_fit() {
    let rows: String = (0..60).map(|n| format!("Printer {n} | Room {n} | Ask the office. Second floor\n")).collect();
    for piece in chunk(&format!("Name | Place | Note\n{rows}"), &[], &[], 400, 80) {
        assert!(
            piece.text.lines().all(|l| l == "Name | Place | Note" || (l.starts_with("Printer") && l.ends_with("floor"))),
            "{}",
            piece.text
        );
    }
    let items: String =
        (0..20).map(|n| format!("- Item {n} has a first sentence. And it has a second one that is somewhat longer.\n")).collect();
    for piece in chunk(&items, &[], &[], 300, 80) {
        assert!(piece.text.lines().all(|l| l.starts_with("- Item") && l.ends_with("longer.")), "{}", piece.text);
    }
}

#[test]
fn a_section_slightly_too_long_is_shared_evenly() {
    let text = "Ten chars. ".repeat(57);
    let chunks = chunk(text.trim(), &[], &[], 600, 80);
    assert_eq!(chunks.len(), 2);
    assert!(chunks.iter().all(|c| c.text.len() > 250));
}

#[test]
fn endless_words_and_white_space_are_cut_hard() {
    let word = "ż".repeat(1000);
    let chunks = chunk(&word, &[], &[], 600, 80);
    assert_eq!(chunks.iter().map(|c| c.end).max(), Some(1000));
    let gap = format!("a{}b", " ".repeat(5000));
    assert_eq!(chunk(&gap, &[], &[], 600, 80).len(), 2);
    assert!(chunk(" \n\t ", &[], &[], 600, 80).is_empty());
    assert!(chunk("", &[], &[], 600, 80).is_empty());
}

#[test]
fn a_chunk_ends_with_its_page_unless_a_sentence_goes_on_over_it() {
    let pages = ["One page.", "Another one, whose sentence", "goes on over its end.", "The last."];
    let text = pages.join("\n\n");
    let mut starts = vec![0];
    for page in &pages[..3] {
        starts.push(starts.last().unwrap() + page.chars().count() + if starts.len() == 1 { 0 } else { 2 });
    }
    let chunks = chunk(&text, &[], &starts, 600, 80);
    let texts: Vec<&str> = chunks.iter().map(|c| c.text.as_str()).collect();
    assert_eq!(texts, ["One page.", "Another one, whose sentence\n\ngoes on over its end.", "The last."]);
}
