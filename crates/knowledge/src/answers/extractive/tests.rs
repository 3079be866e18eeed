use astrolabe_backends::analysis::detect_language;

use super::*;

/// Documents of one paragraph or more, asked with an index of exactly these passages.
fn ask_of(question: &str, texts: &[(&str, &str)]) -> (Extract, String) {
    let passages: Vec<Passage<'_>> = texts
        .iter()
        .enumerate()
        .map(|(rank, (heading, text))| Passage {
            text,
            heading,
            title: heading.split(" > ").next().unwrap_or_default(),
            document_start: text,
            lang: detect_language(text),
            rank,
            dense_score: None,
        })
        .collect();
    let bags: Vec<candidates::Bag> = passages.iter().map(|p| candidates::Bag::of(&format!("{}\n{}", p.heading, p.text), p.lang)).collect();
    let idf = |term: &str| {
        let n = bags.len() as f32;
        let df = bags.iter().filter(|b| b.positions.contains_key(term)).count() as f32;
        (1.0 + (n - df + 0.5) / (df + 0.5)).ln()
    };
    let extract = extract_answer(&Request { question, lang: None, passages: &passages, idf: &idf, embedder: None });
    let (text, _) = render(&extract);
    (extract, text)
}

const OFFICE: &[(&str, &str)] = &[
    (
        "Handbook > Parking",
        "The car park opens at 6:00 and closes at 22:00. Visitors register at the reception desk. A monthly parking permit costs 40 EUR.",
    ),
    (
        "Handbook > Canteen",
        "Lunch is served between 12:00 and 14:00. The canteen is on the second floor. Vegetarian meals are marked green.",
    ),
    (
        "Handbook > Library",
        "The library lends books for four weeks. Anna Lindholm looks after the collection. Returns go into the grey box.",
    ),
    (
        "Handbook > Printers",
        "When a printer jams, do the following:\n\n1. Open the rear door.\n2. Pull the paper out slowly.\n3. Close the door.\n\nPrinter | Room | Contact\nOslo | 101 | Ingrid Dahl\nBergen | 202 | Erik Moe",
    ),
];

#[test]
fn the_sentence_that_answers_is_picked_and_cited() {
    let (extract, text) = ask_of("How much does a monthly parking permit cost?", OFFICE);
    assert!(extract.answered, "{}", extract.confidence);
    assert!(text.contains("A monthly parking permit costs 40 EUR. [1]"), "{text}");
    assert_eq!(extract.picked[0].passage, 0);
}

#[test]
fn a_question_about_something_else_is_not_answered() {
    for question in [
        "Who won the chess tournament?",
        "What is the boiling point of mercury?",
        "Kiedy odbędzie się koncert?",
        "Сколько стоит билет на поезд?",
    ] {
        let (extract, text) = ask_of(question, OFFICE);
        assert!(!extract.answered && text.is_empty() && extract.picked.is_empty(), "{question}: {text}");
    }
}

#[test]
fn the_same_words_without_the_fact_are_not_an_answer() {
    let (extract, text) = ask_of("How many books does the library own in Norwegian?", OFFICE);
    assert!(!extract.answered, "{text}");
}

#[test]
fn a_name_without_the_role_asked_for_is_not_an_answer() {
    let texts: &[(&str, &str)] = &[
        ("Pool", "The head coach is Roman Vetrov. The school has two pools."),
        ("School", "The swimming school is open all year. Lessons take 45 minutes."),
        ("Fees", "A ticket costs 40 EUR."),
    ];
    let (extract, text) = ask_of("Who is the director of the swimming school?", texts);
    assert!(!extract.answered, "{text}");
    let (_, text) = ask_of("Who is the head coach?", texts);
    assert!(text.contains("Roman Vetrov"), "{text}");
}

#[test]
fn a_row_is_answered_with_its_column_names() {
    let (extract, text) = ask_of("Who is the contact for printer Bergen?", OFFICE);
    assert!(extract.answered, "{}", extract.confidence);
    assert!(text.contains("Printer: Bergen; Room: 202; Contact: Erik Moe [1]"), "{text}");
}

#[test]
fn a_lead_in_brings_its_list() {
    let (_, text) = ask_of("What do I do when a printer jams?", OFFICE);
    assert!(
        text.contains("When a printer jams, do the following:\n1. Open the rear door.\n2. Pull the paper out slowly.\n3. Close the door."),
        "{text}"
    );
}

const SCHOOL: &[(&str, &str)] = &[
    (
        "Trips > This year",
        "Class | Destination | Cost\nYear 4 | Roman fort | 18 pounds\nYear 6 | Farm in the hills | 240 pounds\nYear 9 | Ypres, Belgium | 410 pounds",
    ),
    ("Lunch", "A hot lunch costs 2.60 pounds in years 1 to 6 and 3.10 pounds in years 7 to 11. Lunch is booked until Thursday noon."),
    ("Parking", "Car park B is free for visitors. The gate closes at 18:00."),
    ("Escalation", "Time without answer | Who is called\n15 minutes | secondary\n30 minutes | head of operations, Marta Kilian"),
];

#[test]
fn which_one_of_several_numbered_things_is_meant_matters() {
    let (extract, text) = ask_of("How much does the trip of year 9 cost?", SCHOOL);
    assert!(extract.answered && text.contains("410 pounds"), "{text}");
    let (extract, text) = ask_of("How much does the trip of year 12 cost?", SCHOOL);
    assert!(!extract.answered, "{text}");
    let (extract, text) = ask_of("Is car park A free?", SCHOOL);
    assert!(!extract.answered, "{text}");
}

#[test]
fn a_length_of_time_in_other_units_is_the_same() {
    let (_, text) = ask_of("Who is called after half an hour without answer?", SCHOOL);
    assert!(text.contains("Marta Kilian"), "{text}");
}

#[test]
fn what_stands_behind_a_code_on_its_line_comes_along() {
    let texts: &[(&str, &str)] = &[
        (
            "Коды",
            "Ошибка Б-07: билет заблокирован. Снять блокировку может старший смены.\nОшибка Б-11: принтер этикеток не отвечает. Выключить его на десять секунд.",
        ),
        ("Прочее", "Библиотека открыта с десяти утра. Книги выдают на месяц."),
    ];
    let (extract, text) = ask_of("Б-11 что делать", texts);
    assert!(extract.answered && text.contains("Выключить его на десять секунд") && !text.contains("Снять блокировку"), "{text}");
}

#[test]
fn a_rule_for_one_is_not_a_rule_for_another() {
    let texts: &[(&str, &str)] = &[
        ("Parkowanie > Abonament mieszkańca", "Mieszkaniec płaci 15 zł miesięcznie za pierwszy samochód."),
        ("Odpady", "Firma zabiera odpady raz w tygodniu. Reklamację składa się w urzędzie."),
        ("Paszporty", "Paszport dla studenta kosztuje 70 zł."),
    ];
    let (extract, text) = ask_of("Ile kosztuje abonament dla firmy?", texts);
    assert!(!extract.answered, "{text}");
    let (extract, text) = ask_of("Ile kosztuje paszport dla studenta?", texts);
    assert!(extract.answered && text.contains("70 zł"), "{text}");
}

#[test]
fn the_rear_is_not_answered_with_the_front() {
    let texts: &[(&str, &str)] = &[
        ("Workshop > Prices", "Work | Price\nFront brake pads | 118 EUR\nOil change | 60 EUR"),
        ("Opening", "The workshop is open from Monday to Friday, 8:00 to 17:00. On Sunday it is closed."),
        ("Canteen", "Soup costs 3 EUR."),
    ];
    let (extract, text) = ask_of("How much do rear brake pads cost?", texts);
    assert!(!extract.answered, "{text}");
    let (extract, text) = ask_of("How much do front brake pads cost?", texts);
    assert!(extract.answered && text.contains("118 EUR"), "{text}");
}

#[test]
fn one_of_several_options_excludes_the_others_but_a_range_does_not() {
    let contradicts = |question: &str, sentence: &str| {
        let bag = candidates::Bag::of(sentence, Lang::En);
        contrasts::contrasts(question, Lang::En).iter().any(|c| c.contradicts(&bag, &[]))
    };
    assert!(contradicts("What does a small box cost?", "A medium box costs 2 EUR, a large one 3 EUR."));
    assert!(!contradicts("What does a small box cost?", "A small box costs 1 EUR, a large one 3 EUR."));
    assert!(contradicts("Is it open on Tuesday?", "On Sunday it is closed."));
    assert!(!contradicts("Is it open on Tuesday?", "Open from Monday to Friday."));
}

#[test]
fn opening_hours_are_no_telephone_number() {
    let held = |sentence: &str| holdings::holdings(sentence, &|_| false).match_of(Kind::Phone);
    for sentence in ["Open from 9:00 to 12:00.", "The fee is 10 000 EUR.", "Write to office@example.org."] {
        assert!(held(sentence) < 0.5, "{sentence}");
    }
    for sentence in ["Ring 5107.", "Telefon: 61 555 70 10.", "Вахта: 21-20."] {
        assert!(held(sentence) > 0.5, "{sentence}");
    }
}

#[test]
fn two_questions_in_one_are_answered_each() {
    let (extract, text) =
        ask_of("Is there something green for people who never touch steak or fish at noon, and when does the car park close?", OFFICE);
    assert!(extract.answered && text.contains("closes at 22:00"), "{text}");
}

#[test]
fn offsets_are_characters_of_the_passage() {
    let (extract, _) = ask_of(
        "Kto wydaje klucze?",
        &[("Regulamin", "Łódź. Żółte klucze wydaje portier. Źródło: regulamin."), ("Inne", "Pogoda jest ładna. Śnieg pada.")],
    );
    let chars: Vec<char> = "Łódź. Żółte klucze wydaje portier. Źródło: regulamin.".chars().collect();
    let piece = extract.picked.iter().find(|p| p.passage == 0).unwrap();
    assert!(chars[piece.start..piece.end].iter().collect::<String>().contains("Żółte klucze wydaje portier."));
}

#[test]
fn the_document_in_force_beats_the_superseded_one() {
    let texts: &[(&str, &str)] = &[
        ("Remote access 2022", "SUPERSEDED by the new policy. A VPN session lasts 8 hours."),
        ("Remote access", "In force since March. A VPN session lasts 12 hours."),
        ("Lunch", "Lunch is at noon."),
        ("Parking", "Parking is free."),
    ];
    let (extract, _) = ask_of("How long does a VPN session last?", texts);
    let best = extract.picked.iter().max_by(|a, b| a.score.total_cmp(&b.score)).unwrap();
    assert_eq!(best.passage, 1);
}

#[test]
fn overlapping_chunks_do_not_repeat_a_sentence() {
    let texts: &[(&str, &str)] = &[
        ("Pool", "The pool opens at seven. Towels are at the desk."),
        ("Pool", "Towels are at the desk. Lockers need a coin."),
        ("Gym", "The gym is closed on Mondays."),
    ];
    let (_, text) = ask_of("Where are the towels?", texts);
    assert_eq!(text.matches("Towels are at the desk").count(), 1, "{text}");
}

#[test]
fn citation_numbers_follow_the_order_of_mention() {
    let piece = |passage, text: &str| Picked { passage, start: 0, end: 1, text: text.to_owned(), score: 0.0 };
    let extract =
        Extract { answered: true, confidence: 1.0, picked: vec![piece(4, "One."), piece(2, "Two."), piece(4, "Three.")], lang: Lang::En };
    assert_eq!(render(&extract), ("One. [1] Two. [2] Three. [1]".to_owned(), vec![4, 2]));
}

#[test]
fn empty_and_odd_questions_are_refused_quietly() {
    for question in ["", "?", "   ", "\u{0}", "the of and", "🙂🙂", &"word ".repeat(5000)] {
        let (extract, _) = ask_of(question, OFFICE);
        assert!(!extract.answered, "{question:.20}");
    }
    assert!(!extract_answer(&Request { question: "Anything?", lang: None, passages: &[], idf: &|_| 1.0, embedder: None }).answered);
}

#[test]
fn a_season_says_when() {
    for text in ["The pump is serviced every spring.", "Pompę serwisuje się zimą.", "Насос обслуживают летом."] {
        let held = holdings::holdings(text, &|_| false).match_of(Kind::Time);
        assert!(held > 0.9, "{text}: {held}");
    }
}

#[test]
fn the_kind_of_answer_is_told_from_the_question() {
    for (question, kind) in [
        ("How much does it cost?", Kind::Money),
        ("Ile kosztuje bilet?", Kind::Money),
        ("Сколько стоит билет?", Kind::Money),
        ("How long is the warranty?", Kind::Duration),
        ("How often is the filter cleaned?", Kind::Often),
        ("Jak szybko przyjedzie serwis?", Kind::Soon),
        ("По какому телефону вызвать мастера?", Kind::Phone),
        ("What is Anna Berg's extension?", Kind::Phone),
        ("Jaki adres e-mail ma dziekanat?", Kind::Contact),
        ("Why is the gate shut?", Kind::Reason),
        ("Dlaczego brama jest zamknięta?", Kind::Reason),
        ("Почему закрыты ворота?", Kind::Reason),
        ("How old must a driver be?", Kind::Age),
        ("Со скольки лет выдают карту?", Kind::Age),
        ("Jakiego koloru jest kask?", Kind::Colour),
        ("В каком кабинете принимает врач?", Kind::Room),
        ("Во сколько обойдётся справка?", Kind::Money),
        ("Do której czynne jest biuro?", Kind::Time),
        ("VPN session length", Kind::Amount),
        ("godziny otwarcia biura", Kind::Time),
        ("срок гарантии", Kind::Duration),
        ("Jak długo trwa urlop?", Kind::Duration),
        ("Сколько дней отпуска положено?", Kind::Duration),
        ("When does the shop open?", Kind::Time),
        ("O której zaczyna się zmiana?", Kind::Time),
        ("Во сколько начинается смена?", Kind::Time),
        ("Who approves expenses?", Kind::Person),
        ("Kto jest kierownikiem działu?", Kind::PersonName),
        ("Как зовут директора?", Kind::PersonName),
        ("How many people work here?", Kind::Count),
        ("Ile kilometrów ma szlak?", Kind::Distance),
        ("How many litres does the barrel hold?", Kind::Amount),
        ("Ile kilogramów udźwignie regał?", Kind::Amount),
        ("Сколько литров вмещает бочка?", Kind::Amount),
        ("I lost my badge. How long do I have to report it?", Kind::Duration),
        ("Сколько мы храним копии?", Kind::Duration),
        ("Где находится склад?", Kind::Place),
        ("Która firma dostarcza wodę?", Kind::Name),
        ("When was the theatre opened?", Kind::Year),
        ("Kiedy zbudowano szkołę?", Kind::Year),
        ("В каком году основана школа?", Kind::Year),
        ("Ile wolnego mi przysługuje?", Kind::Amount),
        ("Ile ofert trzeba zebrać?", Kind::Count),
        ("Na ile pożycza się książki?", Kind::Duration),
        ("На сколько могут отключить воду?", Kind::Duration),
        ("Describe the process", Kind::Any),
    ] {
        assert_eq!(expected_kind(question), kind, "{question}");
    }
}

#[test]
fn forms_of_one_word_that_the_stemmer_parts_share_their_kin() {
    for (lang, stems) in [
        (Lang::Pl, &["hiszpan", "hiszpani"][..]),
        (Lang::Pl, &["polsk", "polsc"]),
        (Lang::Pl, &["wypożycz", "wypożyczyc", "wypożyczen"]),
        (Lang::Pl, &["nauczyciel", "nauczycielk"]),
        (Lang::Ru, &["прививк", "прививок"]),
        (Lang::Ru, &["хранен", "храни"]),
    ] {
        let kin: std::collections::HashSet<_> = stems.iter().map(|stem| families::kin(stem, lang)).collect();
        assert!(kin.len() == 1 && !kin.contains(&None), "{stems:?}: {kin:?}");
    }
    assert_ne!(families::kin("podstaw", Lang::Pl), families::kin("podstęp", Lang::Pl));
    assert_eq!((families::kin("dom", Lang::Pl), families::kin("house", Lang::En)), (None, None));
}

#[test]
fn words_of_one_family_are_told_by_their_root_behind_a_prefix() {
    for (lang, asked, term) in
        [(Lang::Pl, "pożycz", "wypożycz"), (Lang::Pl, "zapłac", "płac"), (Lang::Pl, "karm", "dokarm"), (Lang::Ru, "выплат", "плат")]
    {
        assert!(families::related(term, &families::roots(asked, lang), lang), "{asked} {term}");
    }
    for (asked, term) in [("wystaw", "podstaw"), ("lot", "samolot"), ("karm", "karm"), ("wniosek", "donos")] {
        assert!(!families::related(term, &families::roots(asked, Lang::Pl), Lang::Pl), "{asked} {term}");
    }
}

#[test]
fn an_inflected_word_finds_its_synonyms_and_a_compound_lends_none_of_its_parts() {
    let terms = |word: &str, lang| {
        let mut found = Vec::new();
        lexicon::expand(word, lang, &mut found);
        found.into_iter().map(|a| a.text).collect::<Vec<_>>()
    };
    assert!(terms("hiszpanii", Lang::Pl).contains(&"europejsk".to_owned()), "{:?}", terms("hiszpanii", Lang::Pl));
    assert!(!terms("unemployed", Lang::En).contains(&"of".to_owned()), "{:?}", terms("unemployed", Lang::En));
}

#[test]
fn how_many_one_may_borrow_is_not_how_many_there_are() {
    let texts: &[(&str, &str)] = &[
        ("Library > Lending", "Readers borrow up to 7 books at a time. Books are lent for three weeks."),
        ("Library > Hall", "The hall of the library seats 80 guests."),
        ("Café", "Coffee costs 2 EUR."),
    ];
    let (extract, text) = ask_of("How many books does the library have?", texts);
    assert!(!extract.answered, "{text}");
    let (_, text) = ask_of("How many books may I borrow?", texts);
    assert!(text.contains("up to 7 books"), "{text}");
}

#[test]
fn opening_hours_do_not_say_when_something_was_built() {
    let held = |text: &str| holdings::holdings(text, &|_| false).match_of(Kind::Year);
    assert!(held("The box office opens at 12:00 on Mondays.") < 0.1);
    assert!(held("It was opened in 1923.") > 0.9 && held("Zbudowano ją w 1998 roku.") > 0.9);
    assert!((held("It dates from the 12th century.") - 0.5).abs() < 0.1);
}

#[test]
fn the_head_of_something_else_is_not_the_head_asked_for() {
    let texts: &[(&str, &str)] = &[
        ("Rejony > Elbląg", "Rejon Elbląg obejmuje trzy powiaty. Zatwierdził Andrzej Dębski, kierownik magazynów."),
        ("Rejony > Kaszuby", "Rejonem Kaszuby kieruje Ewa Lis."),
        ("Biuro", "Biuro jest czynne do 16:00."),
    ];
    let (extract, text) = ask_of("Kto jest kierownikiem rejonu Elbląg?", texts);
    assert!(!extract.answered, "{text}");
    let (_, text) = ask_of("Kto jest kierownikiem magazynów?", texts);
    assert!(text.contains("Andrzej Dębski"), "{text}");
}

#[test]
fn a_unit_counts_nothing_across_a_cell_or_a_comma() {
    let held = |text: &str, kind| holdings::holdings(text, &|_| false).match_of(kind);
    assert!(held("10 000–100 000 zł | trzy oferty", Kind::Count) > 0.9);
    assert!(held("Call the desk on extension 4400, day or night.", Kind::Phone) > 0.9);
    assert!(held("Number of the slot, 45 minutes.", Kind::Phone) < 0.1);
}

#[test]
fn what_leads_up_to_the_question_counts_less() {
    let weight = |text: &str| {
        let question = question::Question::read(text, Some(Lang::En), &|_| 1.0);
        question.concepts.iter().find(|c| c.surface == "badge").map(|c| c.weight).unwrap_or_default()
    };
    assert!(weight("I found a badge. Where is the porter?") < weight("Where is the badge of the porter?"));
}
