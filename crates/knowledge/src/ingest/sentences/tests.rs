use super::*;

fn check(text: &str, expected: &[&str]) {
    let found: Vec<&str> = sentences(text).into_iter().map(|r| &text[r]).collect();
    assert_eq!(found, expected);
}

#[test]
fn plain_sentences_end_at_their_marks() {
    check("One. Two! Three? Four… Five", &["One.", "Two!", "Three?", "Four…", "Five"]);
    check("He said \"Stop.\" Then he left.", &["He said \"Stop.\"", "Then he left."]);
    check("Wait... what? Yes.", &["Wait... what?", "Yes."]);
}

#[test]
fn english_abbreviations_do_not_end_a_sentence() {
    check("Ask Mr. Brown, e.g. Monday, about No. 5. He knows.", &["Ask Mr. Brown, e.g. Monday, about No. 5.", "He knows."]);
    check("J. R. Smith works in the U.S. He likes it.", &["J. R. Smith works in the U.S.", "He likes it."]);
    check("Pens, paper, etc. Order them by 5 p.m. Late orders wait.", &["Pens, paper, etc.", "Order them by 5 p.m.", "Late orders wait."]);
}

#[test]
fn polish_abbreviations_do_not_end_a_sentence() {
    check(
        "Biuro mieści się przy ul. Długiej 5, tj. obok dworca. Zob. m.in. Regulamin oraz np. Instrukcję. Dr Nowak przyjmuje od godz. 8. Zapraszamy.",
        &[
            "Biuro mieści się przy ul. Długiej 5, tj. obok dworca.",
            "Zob. m.in. Regulamin oraz np. Instrukcję.",
            "Dr Nowak przyjmuje od godz. 8.",
            "Zapraszamy.",
        ],
    );
    check(
        "W 2016 r. Sejm uchwalił ustawę. Obowiązuje do dziś od 1 maja 2016 r. Zmian nie było.",
        &["W 2016 r. Sejm uchwalił ustawę.", "Obowiązuje do dziś od 1 maja 2016 r.", "Zmian nie było."],
    );
}

#[test]
fn russian_abbreviations_do_not_end_a_sentence() {
    check(
        "Офис находится на ул. Ленина, д. 5, т.е. рядом с метро. Цена 500 руб. Доставка бесплатная. См. Приложение 2.",
        &["Офис находится на ул. Ленина, д. 5, т.е. рядом с метро.", "Цена 500 руб.", "Доставка бесплатная.", "См. Приложение 2."],
    );
    check(
        "Роман написал А. С. Пушкин в г. Москва. Есть ручки, бумага и т. д. Спросите.",
        &["Роман написал А. С. Пушкин в г. Москва.", "Есть ручки, бумага и т. д.", "Спросите."],
    );
}

#[test]
fn numbers_versions_and_names_of_files_stay_whole() {
    check(
        "Version 1.2.3 costs 4.50 and lives at example.org/a.b today. See config.toml for 2.0 details.",
        &["Version 1.2.3 costs 4.50 and lives at example.org/a.b today.", "See config.toml for 2.0 details."],
    );
    check("It opened in 2016. The hall is new.", &["It opened in 2016.", "The hall is new."]);
}

#[test]
fn lines_items_and_table_rows_are_separate() {
    check(
        "Do this:\n1. Open the lid. Wait.\n2. Press A.\nName | Value. X\nB | 2",
        &["Do this:", "1. Open the lid.", "Wait.", "2. Press A.", "Name | Value. X", "B | 2"],
    );
}

#[test]
fn list_markers_are_told_from_text() {
    assert_eq!(list_marker("- one"), Some(2));
    assert_eq!(list_marker("  12. one"), Some(6));
    assert_eq!(list_marker("a) one"), Some(3));
    assert_eq!(list_marker("1.5 litres"), None);
    assert_eq!(list_marker("2016. one"), None);
    assert_eq!(list_marker("-5 degrees"), None);
}
