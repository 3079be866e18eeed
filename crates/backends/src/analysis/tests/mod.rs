mod syntax;

use super::*;

fn terms(text: &str, lang: Lang) -> Vec<String> {
    analyse(text, lang).into_iter().map(|t| t.text).collect()
}

/// Whether a chunk with `text` earns anything for a word of `query`, and the best weight it earns.
fn match_weight(text: &str, text_lang: Lang, query: &str, query_lang: Lang) -> f32 {
    let terms = terms(text, text_lang);
    analyse_query(query, Some(query_lang))
        .terms
        .iter()
        .map(|group| {
            let best = group.alternatives.iter().filter(|a| terms.contains(&a.text)).map(|a| a.weight);
            best.fold(0.0, f32::max) * group.weight
        })
        .fold(0.0, f32::max)
}

#[test]
fn inflected_forms_of_a_word_share_a_stem() {
    let table = [
        (Lang::En, "connection", "connected"),
        (Lang::En, "policies", "policy"),
        (Lang::En, "user's", "users"),
        (Lang::Pl, "zgłoszenie", "zgłoszenia"),
        (Lang::Pl, "drukarka", "drukarki"),
        (Lang::Pl, "serwerami", "serwerach"),
        (Lang::Pl, "Peugeot'em", "Peugeot"),
        (Lang::Ru, "заявка", "заявки"),
        (Lang::Ru, "сервером", "сервера"),
        (Lang::Ru, "ёлка", "елки"),
    ];
    for (lang, one, other) in table {
        assert_eq!(terms(one, lang)[0], terms(other, lang)[0], "{one} and {other}");
    }
}

#[test]
fn letters_with_their_own_place_in_the_alphabet_stay_in_the_stem() {
    assert_eq!(terms("żółw", Lang::Pl)[0], "żółw");
    assert_eq!(terms("Чай", Lang::Ru), ["ча"], "the Russian stemmer cuts й, folding does not");
    assert_eq!(terms("йод", Lang::Ru), ["йод"]);
    assert_eq!(terms("за\u{301}мок", Lang::Ru), ["замок"], "a stress mark is no letter");
}

#[test]
fn a_query_without_diacritics_matches_at_a_lower_weight() {
    for (text, query) in [("żółw", "zolw"), ("łóżko", "lozko"), ("zgłoszenie awarii", "zgloszenia"), ("użytkowników", "uzytkownik")]
    {
        let plain = match_weight(text, Lang::Pl, query, Lang::Pl);
        assert!(plain > 0.0 && plain < 1.0, "{query} earns {plain} on {text}");
        let other = match_weight(text, Lang::Pl, query, Lang::En);
        assert!(other > 0.0, "{query} taken for English earns nothing on {text}");
    }
    assert!(match_weight("café", Lang::En, "cafe", Lang::En) > 0.0);
}

#[test]
fn a_query_with_diacritics_matches_a_document_typed_without() {
    for (text, query) in [("zolw", "żółw"), ("zgloszenie", "zgłoszenie"), ("cafe", "café")] {
        let weight = match_weight(text, Lang::Pl, query, Lang::Pl);
        assert!(weight > 0.0 && weight < 1.0, "{query} earns {weight} on {text}");
    }
}

#[test]
fn a_word_that_was_really_written_without_diacritics_is_worth_more() {
    assert!(match_weight("sad", Lang::Pl, "sad", Lang::Pl) > match_weight("sąd", Lang::Pl, "sad", Lang::Pl));
}

#[test]
fn identifiers_are_kept_whole_and_split() {
    let table: [(&str, &[&str]); 12] = [
        ("E-4012", &["e", "e-4012", "e4012", "4012"]),
        ("foo.bar_baz", &["foo", "foo.bar_baz", "bar", "baz"]),
        ("v1.2.3", &["v1", "v1.2.3", "1.2.3", "2", "3"]),
        ("src/index/mod.rs", &["src/index/mod.rs", "mod.rs", "mod", "rs"]),
        ("C:\\logs\\app.log", &["logs/app.log", "app.log"]),
        ("getUserName", &["getusername", "get", "user", "name"]),
        ("HTTPServer2", &["httpserver2", "http", "server"]),
        ("max_pool_size", &["max_pool_size", "maxpoolsize", "max", "pool", "size"]),
        ("10.0.0.1:8080", &["10.0.0.1:8080", "10.0.0.1", "8080"]),
        ("anna@example.org", &["anna@example.org", "example.org", "anna"]),
        ("std::fs::File", &["std:fs:file", "file"]),
        ("C++ and C#", &["c++", "c#", "c"]),
    ];
    for (text, expected) in table {
        let found = terms(text, Lang::Other);
        for term in expected {
            assert!(found.iter().any(|t| t == term), "{text} lacks {term}: {found:?}");
        }
    }
}

#[test]
fn spellings_of_one_identifier_find_each_other() {
    for (text, query) in [
        ("E-4012", "e4012"),
        ("E4012", "E-4012"),
        ("error E-4012 occurred", "E-4012"),
        ("max_pool_size", "maxPoolSize"),
        ("v1.2.3", "1.2.3"),
        ("1,000,000", "1000000"),
        ("1\u{a0}000", "1000"),
        ("e-mail", "email"),
        ("3,14", "3.14"),
        ("AT&T", "at&t"),
    ] {
        let weight = match_weight(text, Lang::En, query, Lang::En);
        assert!(weight >= 0.35, "{query} earns {weight} on {text}");
    }
}

#[test]
fn hyphen_compounds_are_found_by_their_words_and_as_one() {
    let found = terms("high-speed", Lang::En);
    assert_eq!(found, ["high", "highspe", "speed"].map(String::from).to_vec(), "{found:?}");
    assert!(match_weight("high speed", Lang::En, "high-speed", Lang::En) >= 1.0);
    assert!(match_weight("high-speed", Lang::En, "highspeed", Lang::En) >= 1.0);
}

#[test]
fn identifiers_match_across_languages() {
    for query_lang in [Lang::En, Lang::Pl, Lang::Ru, Lang::Other] {
        for text_lang in [Lang::En, Lang::Pl, Lang::Ru, Lang::Other] {
            for (text, query) in [("E-4012", "E-4012"), ("nginx.conf", "nginx.conf"), ("Kubernetes", "kubernetes"), ("servers", "servers")]
            {
                let weight = match_weight(text, text_lang, query, query_lang);
                assert!(weight >= 0.5, "{query} in {query_lang:?} earns {weight} on {text} in {text_lang:?}");
            }
        }
    }
}

#[test]
fn offsets_are_bytes_of_the_text_given_and_slice_it() {
    let text = "Żółw\u{feff} i E-4012 — «сеть»";
    let words: Vec<&str> = analyse(text, Lang::Pl).iter().map(|t| &text[t.start..t.end]).collect();
    for expected in ["Żółw", "i", "E-4012", "E", "4012", "сеть"] {
        assert!(words.contains(&expected), "{expected} is not among {words:?}");
    }
}

#[test]
fn positions_count_words_and_not_their_forms() {
    let terms = analyse("getUserName reads max_pool_size", Lang::En);
    let last = terms.iter().map(|t| t.position).max();
    assert_eq!(last, Some(4), "getUserName, reads, max, pool, size");
    assert!(terms.windows(2).all(|w| w[0].position <= w[1].position));
}

#[test]
fn function_words_leave_a_query_only_while_a_word_remains() {
    let words = |text: &str, lang| analyse_query(text, Some(lang)).terms.iter().map(|t| t.alternatives[0].text.clone()).collect::<Vec<_>>();
    assert_eq!(words("how do I reset the password", Lang::En), ["reset", "password"]);
    assert_eq!(words("what is it", Lang::En), ["what", "is", "it"]);
    assert_eq!(words("what does IT do", Lang::En), ["it"], "a name in capitals stays");
    assert_eq!(words("jak zgłosić awarię", Lang::Pl).len(), 2);
    assert_eq!(words("ktore drukarki", Lang::Pl).len(), 1, "known without diacritics too");
    assert_eq!(words("как открыть заявку", Lang::Ru).len(), 2);
}

#[test]
fn the_language_of_short_queries_is_told_by_letters_and_function_words() {
    let table = [
        (Lang::En, "How do I reset my password?"),
        (Lang::En, "network incident"),
        (Lang::En, "restart the billing service"),
        (Lang::Pl, "Utwórz ticket dla incydentu sieci"),
        (Lang::Pl, "jak zresetować hasło"),
        (Lang::Pl, "kto odpowiada za drukarki"),
        (Lang::Pl, "otworz zgloszenie"),
        (Lang::Pl, "Gdzie jest serwer?"),
        (Lang::Ru, "как сбросить пароль"),
        (Lang::Ru, "VPN не работает"),
        (Lang::Ru, "настройка Kubernetes ingress"),
        (Lang::En, "café opening hours"),
        (Lang::En, "Müller invoice overdue"),
        (Lang::En, "no internet connection"),
        (Lang::En, "one time password"),
        (Lang::En, "CI build failed"),
        (Lang::En, "NAS storage"),
        (Lang::Pl, "Jaki okres zapoczątkowały piosenki How Deep Is Your Love oraz Night Fever?"),
        (Lang::Ru, "Что такое Engineering News-Record?"),
        (Lang::Ru, "объём съёмных дисков"),
        (Lang::Other, "як скинути пароль і увійти"),
        (Lang::Other, "як скинути пароль"),
        (Lang::Other, "Как да сменя паролата си за достъп до системата?"),
        (Lang::Other, "Proč nefunguje síť v kanceláři?"),
        (Lang::Other, "Zaměstnanec má právo na dovolenou v délce pěti týdnů"),
        (Lang::Other, "Wie setze ich mein Passwort zurück?"),
        (Lang::Other, "Wo finde ich die Reisekostenabrechnung"),
        (Lang::Other, "¿Cómo puedo cambiar mi contraseña?"),
        (Lang::Other, "Comment réinitialiser mon mot de passe ?"),
        (Lang::Other, "パスワードを変更する"),
        (Lang::Other, "12345 !!!"),
        (Lang::Other, ""),
    ];
    for (lang, text) in table {
        assert_eq!(detect_language(text), lang, "{text}");
    }
}

#[test]
fn the_language_of_longer_texts_is_told_by_statistics() {
    let table = [
        (
            Lang::En,
            "The service restarts on its own after a failed health check, and the on-call engineer receives a message with the reason, the time and the last lines of the log, so nobody has to guess.",
        ),
        (
            Lang::Pl,
            "Usługa uruchamia się ponownie po nieudanej kontroli stanu, a inżynier dyżurny otrzymuje wiadomość z przyczyną, czasem oraz ostatnimi wierszami dziennika, więc nikt nie musi zgadywać.",
        ),
        (
            Lang::Ru,
            "Служба перезапускается сама после неудачной проверки, а дежурный инженер получает сообщение с причиной, временем и последними строками журнала, так что никому не нужно гадать.",
        ),
        (
            Lang::Other,
            "Der Dienst startet nach einer fehlgeschlagenen Prüfung von selbst neu, und der diensthabende Ingenieur erhält eine Nachricht mit dem Grund, der Uhrzeit und den letzten Zeilen des Protokolls.",
        ),
    ];
    for (lang, text) in table {
        assert_eq!(detect_language(text), lang, "{text}");
    }
}

#[test]
fn hostile_text_yields_bounded_terms() {
    let long = "x".repeat(100_000);
    assert!(terms(&long, Lang::En).iter().all(|t| t.chars().count() <= MAX_TERM_CHARS));
    let joined = "a.".repeat(50_000);
    assert!(terms(&joined, Lang::En).iter().all(|t| t.chars().count() <= MAX_TERM_CHARS));
    for odd in ["", "\0", "🙂🙂", "--..//", "\u{301}", "'", "a'", "~x", "\u{feff}", "½", "ﬁ", "שלום עולם", "a\u{ad}b", "İ", "\u{200f}x"]
    {
        for lang in [Lang::En, Lang::Pl, Lang::Ru, Lang::Other] {
            for term in analyse(odd, lang) {
                assert!(!term.text.is_empty() && odd.is_char_boundary(term.start) && odd.is_char_boundary(term.end), "{odd:?}");
            }
            assert!(analyse_query(odd, Some(lang)).terms.iter().all(|t| !t.alternatives.is_empty() && t.weight > 0.0), "{odd:?}");
        }
        assert_ne!(detect_language(odd), Lang::Pl, "{odd:?}");
    }
    let flood = (0..5_000).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" ");
    assert!(analyse_query(&flood, None).terms.len() <= 256);
}

#[test]
fn a_tilde_in_a_text_cannot_pass_for_a_folded_form() {
    assert!(terms("~zolw", Lang::Pl).iter().all(|t| !t.starts_with('~')));
}

#[test]
fn text_without_spaces_between_words_is_indexed_by_pairs() {
    assert_eq!(terms("東京都", Lang::Other), ["東京", "京都"]);
    assert!(match_weight("東京都庁", Lang::Other, "京都", Lang::Other) > 0.0);
}

#[test]
fn codes_name_languages_both_ways() {
    for lang in [Lang::En, Lang::Pl, Lang::Ru, Lang::Other] {
        assert_eq!(Lang::from_code(lang.code()), lang);
    }
    assert_eq!(Lang::from_code("pl-PL"), Lang::Pl);
    assert_eq!(Lang::from_code("tlh"), Lang::Other);
}
