use super::super::*;

fn words(terms: &[QueryTerm]) -> Vec<String> {
    terms.iter().map(|t| t.alternatives[0].text.clone()).collect()
}

/// Whether a query has nothing but plain words in it.
fn is_literal(text: &str) -> bool {
    let query = analyse_query(text, None);
    query.required.is_empty()
        && query.excluded.is_empty()
        && query.phrases.is_empty()
        && query.excluded_phrases.is_empty()
        && query.beginnings.is_empty()
        && query == analyse_question(text, None)
}

#[test]
fn operators_of_people_who_type_them_are_understood() {
    let query = analyse_query("printer +toner -laser -ink", Some(Lang::En));
    assert_eq!(words(&query.terms), ["printer", "toner"]);
    assert_eq!((words(&query.required), words(&query.excluded)), (vec!["toner".to_owned()], vec!["laser".to_owned(), "ink".to_owned()]));
    let query = analyse_query("-лазерный принтер", Some(Lang::Ru));
    assert_eq!((query.terms.len(), query.excluded.len()), (1, 1));
    let query = analyse_query("+nginx.conf -E-mail", Some(Lang::En));
    assert_eq!((words(&query.required), words(&query.excluded)), (vec!["nginx.conf".to_owned()], vec!["email".to_owned()]));
    let query = analyse_query("konfig* serwera", Some(Lang::Pl));
    assert_eq!(query.beginnings, [Beginning { term: 0, text: "konfig".to_owned() }]);
    let starts: Vec<String> = query.lookups()[0].patterns(false).flat_map(Pattern::starts).collect();
    assert_eq!(starts, ["konfig", "~konfig"]);
    let query = analyse_query("the net*", Some(Lang::En));
    assert_eq!(query.beginnings, [Beginning { term: 0, text: "net".to_owned() }], "a dropped function word moves it");
}

#[test]
fn quotes_of_three_languages_make_a_phrase() {
    for text in [r#""annual leave" days"#, "„annual leave” days", "„annual leave“ days", "“annual leave” days", "«annual leave» days"]
    {
        let query = analyse_query(text, Some(Lang::En));
        assert_eq!(query.phrases.len(), 1, "{text}");
        let phrase = &query.phrases[0];
        assert_eq!((&text[phrase.start..phrase.end], phrase.words.len()), ("annual leave", 2), "{text}");
        assert_eq!(words(&query.required), ["annual", "leav"], "{text}");
        assert_eq!(words(&query.terms), ["annual", "leav", "day"], "{text}");
    }
    let query = analyse_query(r#"leave -"unpaid leave""#, Some(Lang::En));
    assert_eq!((words(&query.terms), query.excluded_phrases.len()), (vec!["leav".to_owned()], 1));
}

#[test]
fn what_is_no_operator_for_sure_is_plain_text() {
    for text in [
        "jet interference with supersonic flow  -dash experimental papers .",
        "what methods -dash exact or approximate -dash are available",
        "C++",
        "C++ +",
        "temperature -5 °C",
        "-5",
        "+48 123 456 789",
        "tar -xzf archive.gz",
        "ls -la",
        "rm -rf",
        "a - b",
        "Paris – Dakar",
        "word -- another",
        "-",
        "+",
        "*",
        "\"",
        "\"unbalanced quote",
        "unbalanced\" quote",
        "\"\"",
        "\" \"",
        "say \"hello\"world",
        "5\" disk and 3\" disk",
        "anna@example.org",
        "SELECT * FROM users",
        "*emphasis*",
        "a*b",
        "ab*",
        ".*\\.(txt|md)$",
        "[a-z]+ (foo|bar){2,}",
        "foo AND bar OR NOT baz",
        "title:secret ~2 ^3",
        "-only -exclusions",
        "first line\n-second line",
        "Who wrote \"Pan Tadeusz\"?",
        "Kto napisał „Pana Tadeusza”?",
        "Кто написал «Войну и мир»?",
        "It failed. Then it said -nothing",
        "x-ray e-mail",
        "1-2",
    ] {
        assert!(is_literal(text), "{text}: {:?}", analyse_query(text, None));
    }
}

#[test]
fn a_phrase_is_words_next_to_each_other_in_any_inflection() {
    let phrase = |text: &str, lang| analyse_query(text, Some(lang)).phrases.remove(0);
    let english = phrase("\"annual leave\"", Lang::En);
    assert!(phrase_in(&english, "The annual leave is 26 days.", Lang::En));
    assert!(phrase_in(&english, "Annual leaves", Lang::En));
    assert!(!phrase_in(&english, "leave, annual", Lang::En));
    assert!(!phrase_in(&english, "annual paid leave", Lang::En));
    assert!(!phrase_in(&english, "annual", Lang::En));
    let polish = phrase("„zgłoszenie awarii”", Lang::Pl);
    assert!(phrase_in(&polish, "Po zgłoszeniu awarii czekaj.", Lang::Pl));
    assert!(!phrase_in(&polish, "Awarii zgłoszenie", Lang::Pl));
    let code = phrase("\"error E-4012\"", Lang::En);
    assert!(phrase_in(&code, "an error E-4012 occurred", Lang::En) && !phrase_in(&code, "error 17, then E-4012", Lang::En));
    assert!(phrase_in(&phrase("\"go to\"", Lang::En), "Go to settings", Lang::En), "function words count in a phrase");
}

#[test]
fn numbers_are_one_however_their_digits_are_grouped() {
    for (text, query) in [
        ("10 000 zł", "10000"),
        ("10000", "10 000"),
        ("10,000", "10 000"),
        ("10.000", "10 000"),
        ("1 234 567,50", "1234567.5"),
        ("1,234,567.50", "1234567,5"),
        ("2,50 zł", "2.5"),
        ("3.14", "3,14"),
        ("12\u{202f}500", "12500"),
    ] {
        assert!(super::match_weight(text, Lang::Pl, query, Lang::Pl) >= 0.7, "{query} on {text}");
    }
    assert!(super::terms("w latach 2015 2016", Lang::Pl).iter().all(|t| t != "20152016"));
    assert!(super::terms("version 1.10", Lang::En).iter().all(|t| t != "1.1"), "1.10 is another version than 1.1");
    assert!(super::terms("room 007 500", Lang::En).iter().all(|t| t != "007500"), "a number does not begin with zero");
}

#[test]
fn dates_are_one_however_they_are_written() {
    let written = [
        (Lang::En, "2026-11-21"),
        (Lang::En, "2026-11-21T10:30:00Z"),
        (Lang::Pl, "21.11.2026"),
        (Lang::Pl, "21.11.26"),
        (Lang::En, "21/11/2026"),
        (Lang::En, "11/21/2026"),
        (Lang::Pl, "21 listopada 2026 r."),
        (Lang::Pl, "21 XI 2026"),
        (Lang::En, "21 November 2026"),
        (Lang::En, "the 21st of November 2026"),
        (Lang::En, "November 21, 2026"),
        (Lang::Ru, "21 ноября 2026 года"),
        (Lang::Ru, "21-го ноября 2026"),
    ];
    for (text_lang, text) in written {
        assert!(super::terms(text, text_lang).iter().any(|t| t == "2026-11-21"), "{text}");
        for (query_lang, query) in written {
            let found = analyse_query(query, Some(query_lang));
            assert!(found.terms.iter().any(|t| t.alternatives[0].text == "2026-11-21"), "{query}: {found:?}");
        }
        for (lang, less) in [(Lang::En, "November 2026"), (Lang::Pl, "listopad 2026"), (Lang::Ru, "21 ноября"), (Lang::En, "2026-11")]
        {
            assert!(super::match_weight(text, text_lang, less, lang) >= 1.0, "{less} on {text}");
        }
    }
    let both = super::terms("03/04/2026", Lang::En);
    assert!(both.contains(&"2026-04-03".to_owned()) && both.contains(&"2026-03-04".to_owned()));
    for none in ["31.13.2026", "10.0.0.1", "1.2.3", "we may 5", "2010-11-12-13", "32 listopada 2026"] {
        let found = super::terms(none, Lang::En);
        assert!(found.iter().all(|t| t.len() != 10 || !t.starts_with("2026-")), "{none}: {found:?}");
    }
}

#[test]
fn near_terms_are_one_mistake_away_or_two_in_long_words() {
    let worth = |typed: &str, term: &str| Pattern::typo(typed).and_then(|pattern| pattern.worth(term));
    assert_eq!(worth("printr", "printer"), worth("pritner", "printer"));
    assert!(worth("kuberntes", "kubernetes") > worth("kuberntse", "kubernetes"));
    assert!(worth("rpinter", "printer").is_some(), "the first two letters swapped");
    assert!(worth("~zglszen", "~zgloszen").is_some());
    for (typed, term) in [
        ("printer", "printer"),
        ("printr", "sprintr"),
        ("pirntre", "printer"),
        ("cat", "car"),
        ("e4012", "e4013"),
        ("abcd", "abc1"),
        ("zgloszen", "~zgloszen"),
        ("sieć", "sień2"),
        ("", "a"),
    ] {
        assert_eq!(worth(typed, term), None, "{typed} and {term}");
    }
    let long = "a".repeat(64);
    assert!(Pattern::typo(&long).is_none() && worth("aaaaaaaaaaaa", &long).is_none());
}

#[test]
fn a_beginning_and_a_family_fit_the_terms_that_share_their_first_letters() {
    let begins = |start: &str, term: &str| Pattern::beginning(start).and_then(|pattern| pattern.worth(term)).is_some();
    assert!(begins("konf", "konfiguracj") && !begins("konf", "konf") && !begins("konf", "komfort") && begins("~zol", "~zolw"));
    let related = |stem: &str, term: &str| Pattern::family(stem).and_then(|pattern| pattern.worth(term)).is_some();
    for (stem, term) in
        [("krytyk", "krytyc"), ("szczepien", "szczepionk"), ("książk", "książeczk"), ("посла", "послан"), ("walk", "walkow")]
    {
        assert!(related(stem, term), "{stem} and {term}");
    }
    for (stem, term) in [("krytyk", "krytyk"), ("kot", "kotk"), ("walk", "walc"), ("serwer", "serwerownia2"), ("sieci", "siedzib")] {
        assert!(!related(stem, term), "{stem} and {term}");
    }
    let wide = Pattern::beginning("a").unwrap();
    let terms: Vec<String> = (0..5_000).map(|n| format!("a{n}")).collect();
    let candidates = wide.candidates(terms.iter().map(String::as_str));
    let best = wide.best(candidates, |term| usize::from(term != "a0"));
    assert_eq!((best.len(), best[0].text.as_str()), (64, "a1"), "bounded, without what is gone, in one order");
}

#[test]
fn a_query_of_any_length_and_any_signs_is_read_in_bounds() {
    let long = "слово ".repeat(20_000);
    assert!(analyse_query(&long, None).terms.len() <= 256);
    let flood: String = (0..9_000).map(|n| format!("+w{n} -x{n} \"p{n} q\" ")).collect();
    let query = analyse_query(&flood, None);
    assert!(query.terms.len() <= 256 && query.required.len() <= 256 && query.excluded.len() <= 256);
    for odd in [
        "a",
        "ż",
        "ё",
        "的",
        "🙂",
        "\0",
        "\u{200b}",
        "+\u{200b}\u{200b}",
        "-\u{301}\u{301}\u{301}",
        "\"\u{200b}\"",
        "«»",
        "„”",
        "שלום עולם",
        "\u{202e}abc",
    ] {
        let query = analyse_query(odd, None);
        let all = query.terms.iter().chain(&query.required).chain(&query.excluded);
        assert!(all.flat_map(|t| &t.alternatives).all(|a| !a.text.is_empty() && a.weight > 0.0), "{odd:?}: {query:?}");
        assert!(query.terms.iter().all(|t| odd.get(t.start..t.end).is_some()), "{odd:?}");
    }
}
