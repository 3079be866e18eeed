//! WordPiece as BERT was trained with it: text to token ids, with the character range of every token.
//!
//! The rules are those of `tokenizer.json` with a `BertNormalizer`, a `BertPreTokenizer` and a `WordPiece` model: control
//! characters go, white space separates, every CJK ideograph is a word, accents are stripped after canonical decomposition,
//! letters become lower case, punctuation stands alone, and a word is cut greedily into the longest pieces that the
//! vocabulary has. A file that asks for other rules is refused, because its vectors would be wrong without anyone noticing.

use std::collections::HashMap;

use serde::Deserialize;
use unicode_normalization::char::decompose_canonical;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use super::EmbedderError;

/// One token and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Row of the vocabulary.
    pub id: u32,
    /// First character (Unicode scalar value, from 0) of the text that the token covers.
    pub start: usize,
    /// One past the last character.
    pub end: usize,
}

/// Turns text into tokens. Immutable after loading and free to share between threads.
pub struct Tokenizer {
    /// Pieces that start a word.
    initial: HashMap<Box<str>, u32>,
    /// Pieces that continue a word, without their `##`.
    continuing: HashMap<Box<str>, u32>,
    /// The longest piece in bytes: candidates of more characters than that are not worth a look-up.
    longest_piece: usize,
    /// Words with more characters than this are unknown as a whole.
    max_word_chars: usize,
    /// Control words such as `[SEP]`, recognised in the raw text as the reference implementation does.
    added: Vec<(Box<str>, u32)>,
    lowercase: bool,
    strip_accents: bool,
    clean_text: bool,
    split_cjk: bool,
    unknown: u32,
    first: u32,
    last: u32,
}

#[derive(Deserialize)]
struct File {
    normalizer: Normalizer,
    pre_tokenizer: Kind,
    model: Model,
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Normalizer {
    #[serde(rename = "type")]
    kind: String,
    clean_text: bool,
    handle_chinese_chars: bool,
    strip_accents: Option<bool>,
    lowercase: bool,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: String,
    unk_token: String,
    continuing_subword_prefix: String,
    max_input_chars_per_word: usize,
    vocab: HashMap<String, u32>,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
}

impl Tokenizer {
    /// Reads the contents of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`EmbedderError::Unsupported`] when it is no WordPiece tokenizer of BERT's kind, [`EmbedderError::Corrupt`] when it
    /// is not JSON or lacks one of the tokens `[CLS]`, `[SEP]`, `[UNK]`.
    pub fn from_json(json: &[u8]) -> Result<Self, EmbedderError> {
        // The kinds are looked at first: another kind of tokenizer has other fields, and "unsupported" helps more than "missing field".
        let kinds: serde_json::Value = serde_json::from_slice(json).map_err(corrupt)?;
        for (field, expected) in [("normalizer", "BertNormalizer"), ("pre_tokenizer", "BertPreTokenizer"), ("model", "WordPiece")] {
            let found = kinds[field]["type"].as_str().unwrap_or("none");
            if found != expected {
                return Err(EmbedderError::Unsupported(format!("tokenizer.json: {field} is {found}, only {expected} can be used")));
            }
        }
        let file: File = serde_json::from_value(kinds).map_err(corrupt)?;
        debug_assert_eq!((file.normalizer.kind.as_str(), file.pre_tokenizer.kind.as_str()), ("BertNormalizer", "BertPreTokenizer"));
        debug_assert_eq!(file.model.kind, "WordPiece");
        let special = |token: &str| {
            file.model
                .vocab
                .get(token)
                .copied()
                .ok_or_else(|| EmbedderError::Corrupt(format!("tokenizer.json: the vocabulary has no {token}")))
        };
        let (unknown, first, last) = (special(&file.model.unk_token)?, special("[CLS]")?, special("[SEP]")?);
        let prefix = file.model.continuing_subword_prefix.as_str();
        let mut initial = HashMap::new();
        let mut continuing = HashMap::new();
        let mut longest_piece = 1;
        for (piece, id) in &file.model.vocab {
            longest_piece = longest_piece.max(piece.len());
            // The prefix is punctuation, so no word of a text can begin with it.
            match piece.strip_prefix(prefix).filter(|rest| !rest.is_empty()) {
                Some(rest) => continuing.insert(rest.into(), *id),
                None => initial.insert(piece.as_str().into(), *id),
            };
        }
        Ok(Self {
            initial,
            continuing,
            longest_piece,
            max_word_chars: file.model.max_input_chars_per_word,
            added: file
                .added_tokens
                .into_iter()
                .filter(|token| !token.content.is_empty())
                .map(|token| (token.content.into(), token.id))
                .collect(),
            lowercase: file.normalizer.lowercase,
            strip_accents: file.normalizer.strip_accents.unwrap_or(file.normalizer.lowercase),
            clean_text: file.normalizer.clean_text,
            split_cjk: file.normalizer.handle_chinese_chars,
            unknown,
            first,
            last,
        })
    }

    /// The largest id that [`ids`](Self::ids) can return, plus one: the model's table needs that many rows.
    pub fn vocabulary_size(&self) -> usize {
        let ids = self.initial.values().chain(self.continuing.values()).chain(self.added.iter().map(|(_, id)| id));
        ids.max().map_or(0, |largest| *largest as usize + 1)
    }

    /// The ids that the model reads: `[CLS]`, at most `max_tokens - 2` tokens of the text, `[SEP]`.
    ///
    /// Work stops where the model stops reading, so a huge text costs no more than a long one.
    pub fn ids(&self, text: &str, max_tokens: usize) -> Vec<u32> {
        let room = max_tokens.saturating_sub(2);
        let mut ids = Vec::with_capacity(max_tokens.min(text.len() + 2));
        ids.push(self.first);
        ids.extend(self.limited(text, room).iter().map(|token| token.id));
        ids.push(self.last);
        ids
    }

    /// Every token of the text in order, without `[CLS]` and `[SEP]` and without a limit.
    pub fn tokens(&self, text: &str) -> Vec<Token> {
        self.limited(text, usize::MAX)
    }

    fn limited(&self, text: &str, limit: usize) -> Vec<Token> {
        let mut run = Run { tokenizer: self, tokens: Vec::new(), word: String::new(), origins: Vec::new() };
        let mut skip_until = 0;
        for (index, (byte, c)) in text.char_indices().enumerate() {
            if run.tokens.len() >= limit {
                break;
            }
            if byte < skip_until {
                continue;
            }
            if let Some((content, id)) = self.added_at(&text[byte..]) {
                run.end_word();
                run.tokens.push(Token { id, start: index, end: index + content.chars().count() });
                skip_until = byte + content.len();
            } else {
                run.character(c, index);
            }
        }
        run.end_word();
        run.tokens.truncate(limit);
        run.tokens
    }

    /// The longest control word that `rest` starts with.
    fn added_at(&self, rest: &str) -> Option<(&str, u32)> {
        let found = self.added.iter().filter(|(content, _)| rest.starts_with(&**content));
        found.max_by_key(|(content, _)| content.len()).map(|(content, id)| (&**content, *id))
    }
}

/// One pass over one text.
struct Run<'a> {
    tokenizer: &'a Tokenizer,
    tokens: Vec<Token>,
    /// The word being read, normalised.
    word: String,
    /// For every character of `word`: the byte where it starts there, and the character of the text it comes from.
    origins: Vec<(usize, usize)>,
}

impl Run<'_> {
    fn character(&mut self, c: char, index: usize) {
        if c.is_ascii_lowercase() {
            self.push(c, index);
            return;
        }
        if self.tokenizer.clean_text && is_dropped(c) {
            return;
        }
        if c.is_whitespace() {
            self.end_word();
            return;
        }
        let alone = self.tokenizer.split_cjk && is_cjk(c);
        if alone {
            self.end_word();
        }
        if self.tokenizer.strip_accents {
            decompose_canonical(c, |part| {
                if part.general_category() != GeneralCategory::NonspacingMark {
                    self.folded(part, index);
                }
            });
        } else {
            self.folded(c, index);
        }
        if alone {
            self.end_word();
        }
    }

    fn folded(&mut self, c: char, index: usize) {
        if self.tokenizer.lowercase {
            for lower in c.to_lowercase() {
                self.separated(lower, index);
            }
        } else {
            self.separated(c, index);
        }
    }

    fn separated(&mut self, c: char, index: usize) {
        if is_punctuation(c) {
            self.end_word();
            self.push(c, index);
            self.end_word();
        } else {
            self.push(c, index);
        }
    }

    fn push(&mut self, c: char, index: usize) {
        self.origins.push((self.word.len(), index));
        self.word.push(c);
    }

    /// Cuts the word into pieces, or calls it unknown as a whole, and starts the next one.
    fn end_word(&mut self) {
        let (Some(&(_, first)), Some(&(_, last))) = (self.origins.first(), self.origins.last()) else { return };
        let before = self.tokens.len();
        if self.origins.len() > self.tokenizer.max_word_chars || !self.pieces() {
            self.tokens.truncate(before);
            self.tokens.push(Token { id: self.tokenizer.unknown, start: first, end: last + 1 });
        }
        self.word.clear();
        self.origins.clear();
    }

    /// Greedy longest match from the left; false when some part of the word is in no piece.
    fn pieces(&mut self) -> bool {
        let mut from = 0;
        while from < self.origins.len() {
            let table = if from == 0 { &self.tokenizer.initial } else { &self.tokenizer.continuing };
            let start = self.origins[from].0;
            let farthest = self.origins.len().min(from.saturating_add(self.tokenizer.longest_piece));
            let found = (from + 1..=farthest).rev().find_map(|to| {
                let end = self.origins.get(to).map_or(self.word.len(), |origin| origin.0);
                table.get(self.word.get(start..end)?).map(|id| (*id, to))
            });
            let Some((id, to)) = found else { return false };
            self.tokens.push(Token { id, start: self.origins[from].1, end: self.origins[to - 1].1 + 1 });
            from = to;
        }
        true
    }
}

/// What BERT's cleaning removes: NUL, the replacement character, controls, formats and private use, but not tab and line ends.
fn is_dropped(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => false,
        '\0' | '\u{fffd}' => true,
        _ => matches!(c.general_category(), GeneralCategory::Control | GeneralCategory::Format | GeneralCategory::PrivateUse),
    }
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || (!c.is_ascii() && c.general_category_group() == GeneralCategoryGroup::Punctuation)
}

/// The ideographs that BERT reads one by one; the ranges are those of its published tokenizer.
fn is_cjk(c: char) -> bool {
    matches!(u32::from(c),
        0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x20000..=0x2A6DF | 0x2A700..=0x2B73F | 0x2B740..=0x2B81F
        | 0x2B920..=0x2CEAF | 0xF900..=0xFAFF | 0x2F800..=0x2FA1F)
}

fn corrupt(error: serde_json::Error) -> EmbedderError {
    EmbedderError::Corrupt(format!("tokenizer.json: {error}"))
}
