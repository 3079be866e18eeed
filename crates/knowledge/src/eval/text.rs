//! Whether a text holds an expected string, in the two ways that are usual for answers, and the way of the example questions.

use unicode_normalization::UnicodeNormalization;

/// Folds compatibility forms (NFKC), letter case and white space, so that a line break inside a sentence or a no-break space inside a number does
/// not make two equal strings differ.
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.nfkc().collect::<String>().to_lowercase().split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// Whether a gold string stands in the text after [`fold`], not counting one that begins or ends inside a longer number: `5 days` is not found in
/// `15 days`. An empty gold string stands nowhere.
pub fn holds(text: &str, gold: &str) -> bool {
    let (text, gold) = (fold(text), fold(gold));
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let (open, close) = (digit(gold.chars().next()), digit(gold.chars().next_back()));
    !gold.is_empty()
        && text.match_indices(&gold).any(|(at, _)| {
            let before = text.get(..at).and_then(|t| t.chars().next_back());
            let after = text.get(at + gold.len()..).and_then(|t| t.chars().next());
            !(open && digit(before) || close && digit(after))
        })
}

/// The words of a text as SQuAD's evaluation normalises it: lower case, without punctuation, without the articles a, an and the.
pub fn squad_words(text: &str) -> Vec<String> {
    let plain: String = text.to_lowercase().chars().filter(|c| c.is_alphanumeric() || c.is_whitespace()).collect();
    plain.split_whitespace().filter(|w| !matches!(*w, "a" | "an" | "the")).map(str::to_owned).collect()
}

/// Whether the words of a gold string stand in the text one after another, both as [`squad_words`]. A gold string without words stands nowhere.
pub fn holds_words(text: &str, gold: &str) -> bool {
    let (text, gold) = (squad_words(text), squad_words(gold));
    !gold.is_empty() && text.windows(gold.len()).any(|window| window == gold)
}

/// An answer without its citation marks, `[1]` or `[1, 2]`.
pub fn without_marks(answer: &str) -> String {
    let mut out = String::with_capacity(answer.len());
    let mut rest = answer;
    while let Some(open) = rest.find('[') {
        let (before, from) = rest.split_at(open);
        out.push_str(before);
        match from.find(']').map(|close| from.split_at(close + 1)) {
            Some((mark, after))
                if mark.chars().any(|c| c.is_ascii_digit()) && mark.chars().all(|c| c.is_ascii_digit() || "[], ".contains(c)) =>
            {
                rest = after;
            }
            _ => {
                out.push('[');
                rest = from.get(1..).unwrap_or("");
            }
        }
    }
    out.push_str(rest);
    out
}
