//! Files made by the programs that people use (`fixtures/make.py`), and broken ones.

use std::io::{Cursor, Write};

use zip::{ZipWriter, write::SimpleFileOptions};

use super::*;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/src/ingest/extract/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn of(name: &str) -> Extracted {
    let extracted = extract(&fixture(name), name, None).unwrap_or_else(|e| panic!("{name}: {e}"));
    super::check_offsets(&extracted);
    extracted
}

/// The page that a text stands on.
fn page_of(extracted: &Extracted, text: &str) -> usize {
    let at = extracted.text.find(text).unwrap_or_else(|| panic!("{text:?} is not in {:?}", extracted.text));
    let place = extracted.text[..at].chars().count();
    extracted.pages.partition_point(|begin| *begin <= place)
}

fn headings(extracted: &Extracted) -> Vec<(u8, &str)> {
    extracted.headings.iter().map(|h| (h.level, h.title.as_str())).collect()
}

fn refusal(bytes: &[u8], name: &str) -> (&'static str, String) {
    let error = extract(bytes, name, None).map(|e| e.text).unwrap_err();
    (error.code(), error.to_string())
}

fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_word_document_keeps_headings_lists_and_tables() {
    let extracted = of("regulations.docx");
    assert_eq!(
        extracted.text,
        "Regulamin pracy zdalnej\n\nPracownik zgłasza pracę zdalną przełożonemu do godziny dziewiątej.\n\nSprzęt\n\n- laptop\n- słuchawki\n\n\
         Rzecz | Kwota\nBiurko | 900 zł\nKrzesło | 650 zł\n\nОтпуск\n\nЗаявление на отпуск подают за четырнадцать дней."
    );
    assert_eq!(headings(&extracted), [(1, "Regulamin pracy zdalnej"), (2, "Sprzęt"), (2, "Отпуск")]);
    assert_eq!(extracted.title.as_deref(), Some("Regulamin pracy zdalnej"));
}

#[test]
fn slides_are_pages_with_their_tables_and_notes() {
    let extracted = of("upgrade.pptx");
    assert_eq!(
        extracted.text,
        "Network upgrade\n\nPlan for the depot\n\nSteps\n\nReplace the switches\n\nTest the backup line\n\nSite | Day\nGdynia | Tuesday\n\n\
         The carrier must be told two weeks before."
    );
    assert_eq!((extracted.title.as_deref(), page_of(&extracted, "Gdynia"), page_of(&extracted, "depot")), (Some("Network upgrade"), 2, 1));
}

#[test]
fn sheets_are_tables_with_dates_that_people_read_and_hidden_ones_are_left_out() {
    let extracted = of("stock.xlsx");
    assert_eq!(
        extracted.text,
        "Stock\n\nPart | Count | Checked\nŁożysko 6204 | 12 | 2026-03-02\nПодшипник | 7.5 | 2026-03-03 14:30\n\nPrices\n\nPart | Price\nŁożysko 6204"
    );
    assert_eq!((page_of(&extracted, "Price"), extracted.warnings.len()), (2, 1));
    assert_eq!(of("contacts.xls").text, "Контакты\n\nИмя | Телефон\nАнна | 112");
    assert_eq!(of("duties.ods").text, "Dyżury\n\nDzień | Osoba\nSobota | Marek");
}

#[test]
fn an_open_document_keeps_headings_lists_and_tables() {
    let extracted = of("manual.odt");
    assert_eq!(
        extracted.text,
        "Instrukcja\n\nWyłącz zasilanie przed otwarciem obudowy.\n\n- śrubokręt\n- miernik\n\nKod | Opis\nE-17 | Przegrzanie"
    );
    assert_eq!(headings(&extracted), [(1, "Instrukcja")]);
}

#[test]
fn a_book_is_its_chapters_in_order() {
    let extracted = of("handbook.epub");
    assert_eq!(extracted.text, "Gates\n\nThe north gate closes at 22:00.\n\nKeys\n\nKeys are kept in the guard's cabinet.");
    assert_eq!((extracted.title.as_deref(), extracted.lang.as_deref()), (Some("Depot handbook"), Some("en")));
}

#[test]
fn a_pdf_is_its_pages_without_what_stands_on_all_of_them() {
    let extracted = of("report.pdf");
    assert_eq!(
        extracted.text,
        "The boiler was inspected in March.\n\nThe valve on line four leaks.\n\nA new pump costs 1,200 euro.\n\nWork begins on Monday.\n\n\
         The contractor is Nordtec."
    );
    assert_eq!((page_of(&extracted, "A new pump"), page_of(&extracted, "Nordtec")), (3, 5));
    assert_eq!(of("no-printing.pdf").text, extracted.text, "what is only locked against printing may be read");
}

#[test]
fn words_of_a_printed_page_are_whole_in_polish_and_russian() {
    let extracted = of("letter.pdf");
    assert_eq!(
        extracted.text,
        "Wniosek o urlop\n\nWniosek składa się najpóźniej siedem dni przed urlopem. Zatwierdza go bezpośredni przełożony, a w jego zastępstwie kierownik \
         działu kadr, który odpowiada w ciągu dwóch dni roboczych.\n\nКомандировка\n\nОтчёт о командировке сдают в бухгалтерию в течение пяти дней."
    );
    assert_eq!(headings(&extracted), [(1, "Wniosek o urlop"), (1, "Командировка")]);
    assert_eq!(page_of(&extracted, "Отчёт"), 2);
}

#[test]
fn a_message_tells_who_wrote_what_and_what_was_attached() {
    let extracted = of("pump.eml");
    assert_eq!(
        extracted.text,
        "Awaria pompy w hali B\nFrom: Anna Nowak <anna@example.com>\nTo: dyzur@example.com\nDate: 2026-03-02T09:30:00Z\n\n\
         Pompa numer trzy zatrzymała się o ósmej.\nProszę o pilną naprawę.\n\nobjawy.csv\n\nObjaw | Kod\nPrzegrzanie | E-17"
    );
}

#[test]
fn rich_text_is_read_in_its_code_page_and_in_unicode() {
    let source = b"{\\rtf1\\ansi\\ansicpg1251\\deff0{\\fonttbl{\\f0 Arial;}}{\\*\\generator X;}\\pard\\b \\'cf\\'f0\\'e8\\'ea\\'e0\\'e7\\b0\\par\r\n\
        Za\\u380?\\u243 o\\u322\\'b3\\u263 ? \\{nawias\\}\\par \\trowd A\\cell B\\cell\\row 1\\cell 2\\cell\\row\\pard end \\u-10179?\\u-8703?}";
    let text = extract(source, "a.rtf", None).unwrap().text;
    assert_eq!(text, "Приказ\n\nZażółć {nawias}\n\nA | B\n1 | 2\n\nend 😁");
}

#[test]
fn tables_of_separated_values_are_rows_whatever_separates_them() {
    let rows = "Kod | Opis\nE-17 | Pompa, stara";
    assert_eq!(text("a.csv", "Kod;Opis\nE-17;Pompa, stara\n"), rows);
    assert_eq!(text("a.csv", "Kod,Opis\r\nE-17,\"Pompa, stara\"\r\n"), rows);
    assert_eq!(text("a.tsv", "Kod\tOpis\nE-17\tPompa, stara\n"), rows);
}

#[test]
fn each_value_of_json_stands_with_its_path() {
    let source = r#"{"title":"Depot","open":true,"tags":["a","b"],"people":[{"name":"Ana","age":4},{"name":"Bo"}],"empty":null}"#;
    let extracted = extract(source.as_bytes(), "a.json", None).unwrap();
    let lines: std::collections::BTreeSet<&str> = extracted.text.lines().filter(|l| !l.is_empty()).collect();
    let expected = ["title: Depot", "open: true", "tags: a, b", "people.name: Ana", "people.age: 4", "people.name: Bo"];
    assert_eq!(lines, expected.into_iter().collect());
    assert_eq!(extracted.title.as_deref(), Some("Depot"));
    assert_eq!(text("a.jsonl", "{\"a\":1}\n{\"a\":2}\n"), "a: 1\n\na: 2");
    assert_eq!(refusal(b"{\"a\":", "a.json").0, "damaged_document");
    assert_eq!(refusal(&[b"[".repeat(100_000), b"1".to_vec()].concat(), "a.json").0, "damaged_document");
}

#[test]
fn source_code_keeps_its_lines() {
    assert_eq!(text("a.py", "def f():\n\treturn 1\n"), "def f():\n    return 1");
    assert_eq!(text("a.xml", "<html>\n  <b>x</b>\n</html>\n"), "<html>\n  <b>x</b>\n</html>");
}

#[test]
fn an_archive_is_its_documents_and_names_what_it_left_out() {
    let word = fixture("regulations.docx");
    let inner = zipped(&[("deep/note.txt", b"the inner note")]);
    let archive = zipped(&[
        ("a/readme.md", b"# Read me\n\nfirst"),
        ("../../b.docx", &word),
        ("c.png", b"\x89PNG\r\n\x1a\n"),
        (".hidden", b"x"),
        ("d.zip", &inner),
    ]);
    let extracted = extract(&archive, "all.zip", None).unwrap();
    super::check_offsets(&extracted);
    assert!(extracted.text.starts_with("a/readme.md\n\nRead me\n\nfirst\n\n../../b.docx\n\nRegulamin"), "{}", extracted.text);
    assert!(extracted.text.ends_with("d.zip\n\ndeep/note.txt\n\nthe inner note"), "{}", extracted.text);
    assert_eq!(extracted.warnings.len(), 1);
    assert!(extracted.warnings[0].starts_with("c.png was left out: "));
}

#[test]
fn archives_that_swell_or_have_no_end_are_refused() {
    let zeros = vec![b'a'; 1 << 20];
    let many: Vec<(String, &[u8])> = (0..300).map(|i| (format!("{i}.txt"), zeros.as_slice())).collect();
    let bomb = zipped(&many.iter().map(|(n, b)| (n.as_str(), *b)).collect::<Vec<_>>());
    assert!(bomb.len() < 2 << 20, "it is small until it is opened");
    assert_eq!(refusal(&bomb, "bomb.zip").0, "document_too_large");
    let files: Vec<(String, &[u8])> = (0..1_100).map(|i| (format!("{i}.txt"), b"x".as_slice())).collect();
    assert_eq!(refusal(&zipped(&files.iter().map(|(n, b)| (n.as_str(), *b)).collect::<Vec<_>>()), "many.zip").0, "document_too_large");
    let mut nested = zipped(&[("a.txt", b"bottom")]);
    for _ in 0..5 {
        nested = zipped(&[("a.zip", &nested)]);
    }
    assert!(refusal(&nested, "nested.zip").1.contains("archives deep"));
}

#[test]
fn protected_documents_are_told_apart_from_broken_ones() {
    assert_eq!(refusal(&fixture("locked.pdf"), "locked.pdf").0, "encrypted_document");
    let wide: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let office = [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec(), vec![0; 600], wide].concat();
    let (code, message) = refusal(&office, "plan.xlsx");
    assert_eq!(
        (code, message.as_str()),
        ("encrypted_document", "the spreadsheet is protected by a password; save it without one and upload it again")
    );
    let odt = zipped(&[
        ("mimetype", b"application/vnd.oasis.opendocument.text"),
        ("META-INF/manifest.xml", b"<m><encryption-data/></m>"),
        ("content.xml", b"x"),
    ]);
    assert_eq!(refusal(&odt, "a.odt").0, "encrypted_document");
}

#[test]
fn a_scan_is_said_to_be_one() {
    let (code, message) = refusal(&fixture("scan.pdf"), "scan.pdf");
    assert_eq!(code, "empty_document");
    assert!(message.contains("OCR"));
}

#[test]
fn the_content_of_a_file_counts_and_not_its_name() {
    assert_eq!(extract(&fixture("regulations.docx"), "a.pdf", None).unwrap().title.as_deref(), Some("Regulamin pracy zdalnej"));
    assert_eq!(extract(&fixture("report.pdf"), "report.txt", None).unwrap().mime, "application/pdf");
    for name in ["a.pdf", "a.docx", "a.xlsx", "a.epub", "a.rtf", "a.zip"] {
        let (code, message) = refusal(b"only words", name);
        assert_eq!(code, "damaged_document", "{name}");
        assert!(message.contains("its content is of another kind"), "{message}");
    }
    assert_eq!(refusal(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 WordDocument", "a.doc").0, "unsupported_kind");
}

#[test]
fn files_that_are_cut_off_anywhere_end_with_a_reason_and_never_with_a_panic() {
    for name in [
        "regulations.docx",
        "upgrade.pptx",
        "stock.xlsx",
        "contacts.xls",
        "manual.odt",
        "duties.ods",
        "handbook.epub",
        "report.pdf",
        "letter.pdf",
        "pump.eml",
    ] {
        let bytes = fixture(name);
        for part in 1..12 {
            let cut = &bytes[..bytes.len() * part / 12];
            if let Err(error) = extract(cut, name, None) {
                assert!(error.to_string().chars().count() < 500, "{error}");
            }
        }
    }
}

#[test]
fn damaged_bytes_inside_end_with_a_reason_and_never_with_a_panic() {
    for name in ["regulations.docx", "stock.xlsx", "contacts.xls", "manual.odt", "handbook.epub", "report.pdf", "letter.pdf"] {
        let sound = fixture(name);
        for seed in 0..40_usize {
            let mut bytes = sound.clone();
            for i in 0..8 {
                let at = (seed * 7919 + i * 104_729) % bytes.len();
                bytes[at] ^= u8::try_from((seed + i * 37) % 255 + 1).unwrap();
            }
            let _ = extract(&bytes, name, None);
        }
    }
}

#[test]
fn xml_that_grows_or_goes_deep_takes_nothing_with_it() {
    let lol = r#"<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]><d><body><p><r><t>one &c; &lt;two&gt; &#x142;</t></r></p></body></d>"#;
    let word = |document: &str| zipped(&[("[Content_Types].xml", b"<Types/>"), ("word/document.xml", document.as_bytes())]);
    assert_eq!(extract(&word(lol), "a.docx", None).unwrap().text, "one  <two> ł");
    let deep = format!("{}<t>bottom</t>{}", "<p>".repeat(100_000), "</p>".repeat(100_000));
    assert_eq!(extract(&word(&deep), "a.docx", None).unwrap().text, "bottom");
    assert_eq!(refusal(&word("<d><p>"), "a.docx").0, "empty_document");
    assert_eq!(refusal(&word("<d><p></d>"), "a.docx").0, "damaged_document");
    assert_eq!(refusal(&zipped(&[("[Content_Types].xml", b""), ("word/document.xml", b"")]), "a.docx").0, "empty_document");
}
