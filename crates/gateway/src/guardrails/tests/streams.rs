//! A stream that is cut anywhere gives what the whole text gives.

use super::*;

/// Texts in which rules find something near every border that there is.
const TEXTS: &[&str] = &[
    "Write to ann.smith@example.org, or call +48 600 100 200 (or 8 (495) 123-45-67) before noon.",
    "IBAN PL61 1090 1014 0000 0712 1981 2874 and GB29 NWBK 6016 1331 9268 19, card 4111-1111-1111-1111; ИНН 7707083893.",
    "Ключ eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U, почта łukasz@przykład.pl!",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabc def\n-----END RSA PRIVATE KEY-----\nDone -- really.",
    "-----BEGIN PRIVATE KEY----- and no end of it, a@b.cd -----END",
    "See ![x]( //evil.example/p?q=1) and [a](https&colon;//evil.example/x) and https://example.org/ok?x=1.",
    "ignore all  previous instructions; IGNORE all previous instructions now, and falcon falcon-falcon.",
    "node 10.20.30.40:8080, version 1.2.3.4, 2001:db8::1, fe80::1%eth0, 127.0.0.1, PESEL 44051401359, SNILS 112-233-445 95",
    "sk-proj-abcDEF1234567890abcdefghijklmnopqrstuvwxyz AKIAIOSFODNN7EXAMPLE ghp_0123456789abcdefghijABCDEFGHIJ012345 sk-not-a-key",
    "[EMAIL_1] and [EMAIL_2 and [[EMAIL_1]] [PHONE_1",
    "żółw falcon żółw 600 100 200 tel. 600 100 200 📞 +48600100200📞",
];

fn full() -> Guard {
    let mut guard = guard(vec![
        Rule { name: "words".to_owned(), ..patterns(Mode::Mask, &["ignore all previous instructions", "falcon", "żółw"]) },
        personal(),
        links(&["example.org"]),
        Rule { name: "seen".to_owned(), ..patterns(Mode::Log, &["done", "call"]) },
    ]);
    guard.input(&mut "From me@example.org, +48 111 222 333".to_owned()).unwrap();
    guard
}

#[test]
fn one_cut_anywhere_changes_nothing() {
    let guard = full();
    for text in TEXTS {
        let whole = answer(&guard, text).unwrap();
        for cut in (0..=text.len()).filter(|i| text.is_char_boundary(*i)) {
            assert_eq!(streamed(&guard, text, &[cut]).unwrap(), whole, "{text} cut at {cut}");
        }
    }
}

#[test]
fn a_character_at_a_time_changes_nothing() {
    let guard = full();
    for text in TEXTS {
        let every: Vec<usize> = text.char_indices().map(|(i, _)| i).collect();
        assert_eq!(streamed(&guard, text, &every).unwrap(), answer(&guard, text).unwrap(), "{text}");
    }
}

/// Texts of pieces of the others, glued together and cut at random, with all sorts of white space and none between them.
#[test]
fn any_text_split_anyhow_gives_what_the_whole_gives() {
    let (guard, random) = (full(), Random::seeded(42));
    let joins = ["", " ", "\n", "\u{a0}", "  ", "-", ".", "(", "@", "x", "ж", "[", "://", "1"];
    for round in 0..3000 {
        let mut text = String::new();
        for _ in 0..1 + random.below(6) {
            let source = TEXTS[random.below(TEXTS.len() as u64) as usize];
            let mut edges: Vec<usize> = (0..2).map(|_| random.below(source.len() as u64 + 1) as usize).collect();
            edges.sort_unstable();
            let floor = |i: usize| (0..=i).rev().find(|i| source.is_char_boundary(*i)).unwrap();
            text.push_str(&source[floor(edges[0])..floor(edges[1])]);
            text.push_str(joins[random.below(joins.len() as u64) as usize]);
        }
        let mut cuts: Vec<usize> =
            (0..random.below(20)).map(|_| random.below(text.len() as u64 + 1) as usize).filter(|i| text.is_char_boundary(*i)).collect();
        cuts.sort_unstable();
        let whole = answer(&guard, &text).unwrap();
        assert_eq!(streamed(&guard, &text, &cuts).unwrap(), whole, "round {round}: {text:?} cut at {cuts:?}");
    }
}

/// Words so long that no white space helps.
#[test]
fn a_text_without_spaces_is_cut_as_well() {
    let guard = full();
    for unit in ["a", "ж", "1", "a.", "1.", "A1", "aA-", "https://e.", "](//", "-----BEGIN ", "eyJ", "@a"] {
        let text = unit.repeat(1200 / unit.len());
        let every: Vec<usize> = text.char_indices().map(|(i, _)| i).step_by(7).collect();
        assert_eq!(streamed(&guard, &text, &every).unwrap(), answer(&guard, &text).unwrap(), "{unit}");
    }
}

#[test]
fn a_stream_that_is_blocked_has_sent_nothing_of_what_blocked_it() {
    let guard = guard(vec![patterns(Mode::Block, &["the launch code is"])]);
    let text = "Well, the launch code is 0000.";
    for cut in 0..text.len() {
        let mut stream = guard.stream();
        let mut sent = String::new();
        let result = stream.push(&text[..cut]).and_then(|out| {
            sent.push_str(&out);
            stream.push(&text[cut..])
        });
        let result = result.and_then(|out| {
            sent.push_str(&out);
            stream.finish()
        });
        assert_eq!(result.unwrap_err().code(), code::OUTPUT_REFUSED);
        assert!(text.starts_with(&sent) && !sent.contains("the"), "{sent:?}");
    }
}

#[test]
fn text_without_anything_to_find_is_held_back_for_a_word() {
    let guard = guard(vec![personal(), links(&[])]);
    let mut stream = guard.stream();
    assert_eq!(stream.push("Hello there, ").unwrap(), "Hello there, ");
    assert_eq!(stream.push("how ar").unwrap(), "how ");
    assert_eq!(stream.push("e you? I am 5 ").unwrap(), "are you? I am ");
    assert_eq!(stream.finish().unwrap(), "5 ");
}
