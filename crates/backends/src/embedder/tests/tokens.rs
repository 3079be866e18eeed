use super::{
    super::{EmbedderError, Token, tokenizer::Tokenizer},
    tiny,
};

fn tokenizer() -> Tokenizer {
    Tokenizer::from_json(tiny::tokenizer_json().as_bytes()).unwrap()
}

fn pieces(text: &str) -> Vec<(&'static str, usize, usize)> {
    tokenizer().tokens(text).iter().map(|Token { id, start, end }| (tiny::WORDS[*id as usize], *start, *end)).collect()
}

#[test]
fn case_and_accents_do_not_change_the_tokens() {
    assert_eq!(tokenizer().ids("Café ROUTER", 32), tokenizer().ids("cafe router", 32));
    assert_eq!(tokenizer().ids("cafe\u{301}", 32), tokenizer().ids("cafe", 32));
}

#[test]
fn every_token_knows_which_characters_it_covers() {
    assert_eq!(pieces("Routers!"), [("router", 0, 6), ("##s", 6, 7), ("!", 7, 8)]);
    assert_eq!(pieces("🙂 лес"), [("[UNK]", 0, 1), ("лес", 2, 5)]);
}

#[test]
fn an_ideograph_is_a_word_of_its_own() {
    assert_eq!(pieces("cafe路the"), [("cafe", 0, 4), ("路", 4, 5), ("the", 5, 8)]);
}

#[test]
fn control_characters_vanish_and_white_space_separates() {
    assert_eq!(pieces("ca\u{200b}fe\u{3000}the\0"), [("cafe", 0, 5), ("the", 6, 9)]);
}

#[test]
fn a_word_with_an_unknown_part_is_unknown_as_a_whole() {
    assert_eq!(pieces("routerx the"), [("[UNK]", 0, 7), ("the", 8, 11)]);
}

#[test]
fn a_word_of_more_than_a_hundred_characters_is_unknown() {
    assert_eq!(pieces(&"a".repeat(100)).len(), 100);
    assert_eq!(pieces(&"a".repeat(101)), [("[UNK]", 0, 101)]);
}

#[test]
fn the_model_reads_no_more_tokens_than_its_limit() {
    let ids = tokenizer().ids(&"the ".repeat(1_000), 16);
    assert_eq!((ids.len(), ids[0], ids[15]), (16, 2, 3));
}

#[test]
fn the_empty_text_is_only_its_two_marks() {
    assert_eq!(tokenizer().ids("", 32), [2, 3]);
}

#[test]
fn another_kind_of_tokenizer_is_refused() {
    let json = tiny::tokenizer_json().replace("\"WordPiece\"", "\"BPE\"");
    let error = Tokenizer::from_json(json.as_bytes()).err().unwrap();
    assert_eq!(error, EmbedderError::Unsupported("tokenizer.json: model is BPE, only WordPiece can be used".to_owned()));
}
