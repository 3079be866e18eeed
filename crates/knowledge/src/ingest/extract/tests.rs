mod formats;

use super::*;

fn read(name: &str, source: &str) -> Extracted {
    extract(source.as_bytes(), name, None).unwrap()
}

fn check_offsets(extracted: &Extracted) {
    let chars: Vec<char> = extracted.text.chars().collect();
    for heading in &extracted.headings {
        let line: String = chars[heading.start..heading.start + heading.title.chars().count()].iter().collect();
        assert_eq!(line, heading.title, "the title stands at its offset");
        assert!(heading.end <= chars.len() && heading.end > heading.start);
    }
}

fn text(name: &str, source: &str) -> String {
    let extracted = read(name, source);
    check_offsets(&extracted);
    extracted.text
}

#[test]
fn markdown_loses_its_marks_and_keeps_its_words() {
    let source = "# Guide\n\nPlug *it* **in** and see [the manual](https://x.example/a).\nSecond ![a lamp](l.png) `code`.\n\n- one\n- two\n  - deep\n\n1. first\n2. second\n\n```sh\nls -l\n  cd x\n```\n\n> quoted\n\n| A | B |\n|---|---|\n| 1 | `2` |\n";
    assert_eq!(
        text("a.md", source),
        "Guide\n\nPlug it in and see the manual. Second a lamp code.\n\n- one\n- two\n  - deep\n\n1. first\n2. second\n\nls -l\n  cd x\n\nquoted\n\nA | B\n1 | 2"
    );
}

#[test]
fn a_section_ends_at_the_next_heading_of_the_same_or_a_higher_rank() {
    let extracted = read("a.md", "# A\n\nx\n\n## B\n\ny\n\n### Ć\n\nz\n\n## D\n\nw\n");
    let chars: Vec<char> = extracted.text.chars().collect();
    let sections: Vec<String> =
        extracted.headings.iter().map(|h| chars[h.start..h.end].iter().collect::<String>().replace('\n', "")).collect();
    assert_eq!(sections, ["AxByĆzDw", "ByĆz", "Ćz", "Dw"]);
    assert_eq!(extracted.title.as_deref(), Some("A"));
}

#[test]
fn front_matter_gives_title_language_and_tags_and_is_removed() {
    let extracted =
        read("a.md", "---\ntitle: \"Praca zdalna\"\nlang: pl-PL\ntags:\n  - kadry\n  - dom\nauthor: X\n---\n# Inny\n\nTekst.\n");
    assert_eq!(extracted.title.as_deref(), Some("Praca zdalna"));
    assert_eq!(extracted.lang.as_deref(), Some("pl"));
    assert_eq!(extracted.tags, ["kadry", "dom"]);
    assert_eq!(extracted.text, "Inny\n\nTekst.");
    assert_eq!(read("b.md", "---\ntags: [a, b]\n---\nx").tags, ["a", "b"]);
    assert_eq!(text("c.md", "---\n\nNot front matter: really\n"), "Not front matter: really");
}

#[test]
fn html_keeps_the_article_and_drops_the_furniture() {
    let source = "<!DOCTYPE html><html lang=ru-RU><head><title>VPN | Портал</title><style>p{}</style></head><body>\
        <nav><a href=/>Главная</a></nav><div class=\"cookie-banner\">Мы используем cookie</div>\
        <main><h1>VPN</h1><p>Нажмите&nbsp;<b>Пуск</b> &amp; ждите.<p>Второй&#8212;абзац<br>строка</p>\
        <ul><li>раз<li>два<ul><li>глубже</ul></ul><table><tr><th>Имя<th>Цена<tr><td>А<td>5</table><pre>a\n  b</pre></main>\
        <aside>Реклама</aside><footer>© 2026</footer><script>alert('<p>x</p>')</script></body></html>";
    let extracted = read("a.html", source);
    assert_eq!(
        extracted.text,
        "VPN\n\nНажмите Пуск & ждите.\n\nВторой—абзац\nстрока\n\n- раз\n- два\n  - глубже\n\nИмя | Цена\nА | 5\n\na\n  b"
    );
    assert_eq!(extracted.title.as_deref(), Some("VPN"));
    assert_eq!(extracted.lang.as_deref(), Some("ru"));
    assert_eq!(extracted.mime, "text/html");
    text("a.html", source);
}

#[test]
fn hidden_elements_are_not_text() {
    assert_eq!(text("a.html", "<p>seen<p hidden>no<p style='display: none'>no<p aria-hidden=true>no<template>no</template>"), "seen");
}

#[test]
fn a_page_that_is_all_furniture_is_read_with_a_warning() {
    let extracted = read("a.html", "<html><body><nav>Only this</nav></body></html>");
    assert_eq!(extracted.text, "Only this");
    assert_eq!(extracted.warnings.len(), 1);
}

#[test]
fn broken_html_still_gives_its_text() {
    assert_eq!(
        text("a.html", "<div><p>One <b>two</div> three < four &bogus; &lt;<p>five</span></p></p><td>six"),
        "One two\n\nthree < four &bogus; <\n\nfive\n\nsix"
    );
    assert_eq!(text("a.html", "text only, no tags"), "text only, no tags");
    assert_eq!(text("a.html", "<p>a<!-- c --><!--> d<!-- never closed <p>gone"), "a d");
}

#[test]
fn html_is_recognised_under_another_name() {
    let extracted = read("page.txt", "<!doctype html><p>Hello");
    assert_eq!((extracted.mime, extracted.text.as_str()), ("text/html", "Hello"));
    assert_eq!(read("README", "# Title\n\nText").mime, "text/markdown");
    assert_eq!(extract(b"x", "upload", Some("text/markdown; charset=utf-8")).unwrap().mime, "text/markdown");
}

#[test]
fn wrapped_lines_and_hyphenated_words_of_plain_text_are_joined() {
    let source = "TITLE\n=====\n\nThe network was installed in the year 2020 and it has been run-\nning ever since then without any interruption of service; the\nsecond line goes on.\n\n- item one\n- item two\n\nshort\nlines\n";
    assert_eq!(
        text("a.txt", source),
        "TITLE\n\nThe network was installed in the year 2020 and it has been running ever since then without any interruption of service; the second line goes on.\n\n- item one\n- item two\n\nshort\nlines"
    );
}

#[test]
fn headings_of_plain_text_are_found_by_the_habits_of_writers() {
    let source = "ERROR CODES\nFor engineers.\n\n1. Purpose\n\nThis text says why.\n\n1. first\n2. second\n\n§ 2. Scope\nAll sites.\n\nE-4012\n  The session is lost.\n  Call the carrier.\n\nNot a heading\nbut two lines.\n";
    let extracted = read("a.txt", source);
    let seen: Vec<(u8, &str)> = extracted.headings.iter().map(|h| (h.level, h.title.as_str())).collect();
    assert_eq!(seen, [(1, "ERROR CODES"), (2, "1. Purpose"), (2, "§ 2. Scope"), (3, "E-4012")]);
    assert_eq!(extracted.title.as_deref(), Some("ERROR CODES"));
    assert!(text("a.txt", source).contains("1. first\n2. second"));
}

#[test]
fn characters_are_normalised() {
    let source = "\u{feff}Cafe\u{301}\u{a0}a\u{200b}b so\u{ad}ft\r\nx\u{7}\u{0b}y\u{202e}z\r\r\r\r\rend  \n";
    assert_eq!(text("a.txt", source), "Café ab soft\nx\nyz\n\nend");
    assert_eq!(text("a.md", "a\u{200d}b 👩\u{200d}💻"), "ab 👩\u{200d}💻");
}

#[test]
fn legacy_encodings_are_told_by_their_letters() {
    let polish = "Zażółć gęślą jaźń. Pracownik składa wniosek o urlop u swojego przełożonego najpóźniej siedem dni wcześniej, a księgowość go potwierdza.";
    let russian = "Сотрудник подаёт заявление на отпуск своему руководителю не позднее чем за две недели, а бухгалтерия его подтверждает. Ещё вопросы?";
    for (encoding, sample) in [
        ("windows-1250", polish),
        ("ISO-8859-2", polish),
        ("windows-1251", russian),
        ("KOI8-R", russian),
        ("UTF-16LE", russian),
        ("UTF-16BE", polish),
    ] {
        let label = encoding_rs::Encoding::for_label(encoding.as_bytes()).unwrap();
        let bytes: Vec<u8> = match encoding {
            "UTF-16LE" => sample.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            "UTF-16BE" => sample.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            _ => label.encode(sample).0.into_owned(),
        };
        let extracted = extract(&bytes, "a.txt", None).unwrap();
        assert_eq!(extracted.text, sample, "{encoding} was read as {}", extracted.encoding);
        let page = encoding_rs::Encoding::for_label(encoding.as_bytes()).unwrap();
        if !encoding.starts_with("UTF-16") {
            let html = format!("<html><head><meta charset=\"{encoding}\"></head><body><p>{sample}</body></html>");
            let extracted = extract(&page.encode(&html).0, "a.html", None).unwrap();
            assert_eq!((extracted.text.as_str(), extracted.encoding.as_str()), (sample, page.name()));
        }
    }
    let marked = [b"\xff\xfe".as_slice(), &"Ż".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()].concat();
    assert_eq!(extract(&marked, "a.txt", None).unwrap().text, "Ż");
}

#[test]
fn a_wrongly_declared_charset_loses_against_valid_utf8() {
    let extracted = extract("<meta charset=windows-1251><p>Привет".as_bytes(), "a.html", None).unwrap();
    assert_eq!((extracted.text.as_str(), extracted.encoding.as_str(), extracted.warnings.len()), ("Привет", "UTF-8", 1));
}

#[test]
fn damaged_utf8_is_refused_with_the_place() {
    let mut bytes = "Zażółć gęślą jaźń".as_bytes().to_vec();
    bytes.insert(5, 0xff);
    let error = extract(&bytes, "a.txt", None).unwrap_err();
    assert_eq!(error.code(), "undecodable_text");
    assert!(error.to_string().contains("byte ") && error.to_string().contains("UTF-8"), "{error}");
    let noise: Vec<u8> = (0..600u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 | 0x80).collect();
    assert_eq!(extract(&noise, "a.txt", None).unwrap_err().code(), "undecodable_text");
}

#[test]
fn binary_files_are_refused_by_name_of_their_kind() {
    for (bytes, name, words) in [
        (b"\x89PNG\r\n\x1a\n\x00".as_slice(), "a.md", "a PNG image"),
        (b"\x7fELF\x02\x01\x01\x00", "tool", "an ELF program"),
        (b"abc\x00def\x01\x02xyz\x00\x00q", "a.txt", "binary data"),
        (b"words", "t.doc", "a word-processor document of an old or closed format (.doc)"),
        (b"words", "t.svg", "an image (.svg)"),
    ] {
        let error = extract(bytes, name, None).unwrap_err();
        assert_eq!(error.code(), "unsupported_kind");
        assert!(error.to_string().contains(words) && error.to_string().contains("Markdown"), "{error}");
    }
    assert!(extract(b"ID3 tags hold the title of a song.", "a.txt", None).is_ok());
}

#[test]
fn nothing_to_read_is_said_so() {
    for (bytes, name) in [
        ("", "a.md"),
        (" \n\t\u{feff}", "a.txt"),
        ("<p> </p><script>x</script>", "a.html"),
        ("---\ntitle: x\n---\n", "a.md"),
        ("***", "a.md"),
    ] {
        assert_eq!(extract(bytes.as_bytes(), name, None), Err(ExtractError::Empty), "{bytes:?}");
    }
}

#[test]
fn files_over_the_limits_are_refused() {
    let error = extract(&vec![b'a'; MAX_INPUT_BYTES + 1], "a.txt", None).unwrap_err();
    assert_eq!(error.code(), "document_too_large");
    let long = "word ".repeat(MAX_TEXT_CHARS / 5 + 10);
    assert_eq!(extract(long.as_bytes(), "a.txt", None).unwrap_err().code(), "document_too_large");
}

#[test]
fn deep_and_huge_markup_neither_overflows_nor_stalls() {
    let deep = format!("{}text{}", "<div>".repeat(100_000), "</div>".repeat(100_000));
    assert_eq!(text("a.html", &deep), "text");
    assert_eq!(text("a.html", &format!("{}text", "<b><p>".repeat(100_000))), "text");
    assert_eq!(text("a.html", &format!("<p title=\"{}\">text", "x".repeat(1 << 20))), "text");
    let attributes: String = (0..200_000).map(|n| format!(" a{n}")).collect();
    assert_eq!(text("a.html", &format!("<p{attributes}>text")), "text");
    assert_eq!(text("a.html", &format!("text{}", "<!--".repeat(200_000))), "text");
    assert_eq!(text("a.html", &format!("text{}", "</".repeat(200_000))), "text");
    assert!(text("a.html", &"<table><tr><td>x".repeat(20_000)).starts_with('x'));
    for unit in ["[", "> ", "*a ", "- ", "`", "![](", "<a ", "|a", "a\n|-|\n", "\\[", "[^1]: ", "1. "] {
        let _ = extract(unit.repeat(60_000 / unit.len()).as_bytes(), "a.md", None);
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut state = 7u64;
    let pieces: &[&[u8]] = &[
        b"<p>",
        b"</",
        b"<!--",
        b"-->",
        b"<table>",
        b"<td",
        b" a='",
        b"&#x",
        b"&amp",
        b"# ",
        b"---\n",
        b"| a | b |\n",
        b"|---|\n",
        b"```",
        b"- ",
        b"\n",
        b"\r",
        b"\xc5\xbc",
        b"\xd0",
        b"\xff",
        b"[x](",
        b"<script>",
        b"</script",
        b"<title>",
        b">",
        b"\"",
        b"\xe2\x80\x8d",
        b"1. ",
        b"\xcc\x81",
        b" ",
    ];
    for round in 0..4000 {
        let mut bytes = Vec::new();
        for _ in 0..(round % 90) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = (state >> 33) as usize;
            if value.is_multiple_of(11) {
                bytes.push((value >> 8) as u8);
            } else {
                bytes.extend_from_slice(pieces[value % pieces.len()]);
            }
        }
        for name in ["a.md", "a.html", "a.txt", "a"] {
            if let Ok(extracted) = extract(&bytes, name, None) {
                let length = extracted.text.chars().count();
                assert!(extracted.headings.iter().all(|h| h.start < h.end && h.end <= length));
                crate::ingest::chunk::chunk(&extracted.text, &extracted.headings, &extracted.pages, 100, 20);
            }
        }
    }
}
