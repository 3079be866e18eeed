//! Where sentences begin and end in extracted text: English, Polish and Russian rules in one pass.
//!
//! A line end always separates, because extraction joins wrapped lines; table rows are one sentence each. Inside a line a full stop ends a sentence
//! unless it belongs to an abbreviation, an initial, a number or an ordinal.

use std::ops::Range;

/// Abbreviations that are followed by the thing they introduce, so a capital after them proves nothing. Lower-case, without the final stop.
const LEADING: &str = "mr mrs ms dr prof st no nos vol fig figs eq sec ch pp p ed eds vs cf e.g i.e approx ca gen \
    col sgt capt lt rev hon jr sr ext tel al dept art para min max incl viz op mt ft sen rep gov \
    pres np m.in tj tzn tzw hab inż mgr lic ul pl os św im nr str s rys tab ust pkt poz godz ok \
    ks płk mjr kpt por zob wg red wyd t ur zm woj pow gm pn pt śp bł hr ww jw dot ds kl lek dyr \
    kier wew ang niem łac ros fr т.е см ул просп пр пер пл наб им напр рис табл стр с п пп ст гл \
    д кв корп оф эт тел доб проф акад доц св о ср т.н т.к обл р-н пос дер зам зав ред изд ок \
    англ нем фр лат род ген кн гр г-н г-жа мин макс вып";

/// Abbreviations that may also end a sentence: a capital letter after them decides.
const CLOSING: &str = "etc inc ltd corp co a.m p.m am pm ad bc b.c a.d hrs hr sec lb lbs oz in itd itp r w zł gr \
    tys mln mld sp z.o.o o.o n.e p.n.e rż т.д т.п др пр г гг в вв руб коп тыс млн млрд н.э ч шт \
    экз чел";

/// Words that open a sentence rather than follow an acronym such as `U.S.`.
const OPENERS: &str = "the a an it in he she they this these that we you if when however but and for after there to \
    on at as";

fn listed(words: &str, word: &str) -> bool {
    words.split_ascii_whitespace().any(|w| w == word)
}

/// Byte ranges of the sentences of a text, in order, without surrounding white space; together they cover every non-white-space character.
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut offset = 0usize;
    for line in text.split_inclusive('\n') {
        split_line(line, offset, &mut found);
        offset += line.len();
    }
    found
}

/// The byte length of a line's list marker with its indentation and following space (`- `, `• `, `2. `, `b) `), or `None` when the line is no item.
pub fn list_marker(line: &str) -> Option<usize> {
    let body = line.trim_start_matches([' ', '\t']);
    let indent = line.len() - body.len();
    let mut chars = body.char_indices();
    let (_, first) = chars.next()?;
    let marker = match first {
        '-' | '*' | '+' | '•' | '‣' | '◦' | '–' | '—' | '▪' | '·' => first.len_utf8(),
        c if c.is_ascii_digit() => {
            let digits = body.bytes().take_while(u8::is_ascii_digit).count();
            (digits <= 3 && matches!(body.as_bytes().get(digits), Some(b'.' | b')'))).then_some(digits + 1)?
        }
        c if c.is_lowercase() && c.is_alphabetic() => match chars.next() {
            Some((at, ')')) => at + 1,
            _ => return None,
        },
        _ => return None,
    };
    let after = body.get(marker..)?;
    let space = after.len() - after.trim_start_matches(' ').len();
    (space > 0 && !after.trim().is_empty()).then_some(indent + marker + space)
}

/// A row of a table as extraction writes it: cells separated by ` | `.
pub fn is_table_row(line: &str) -> bool {
    line.contains(" | ")
}

fn split_line(line: &str, offset: usize, found: &mut Vec<Range<usize>>) {
    let mut push = |range: Range<usize>| {
        let piece = line.get(range.clone()).unwrap_or_default();
        let start = range.start + (piece.len() - piece.trim_start().len());
        let end = range.start + piece.trim_end().len();
        if start < end {
            found.push(offset + start..offset + end);
        }
    };
    if is_table_row(line) {
        push(0..line.len());
        return;
    }
    let mut start = 0usize;
    let text_start = list_marker(line).unwrap_or(0);
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if !matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？') || at < text_start {
            continue;
        }
        // The whole run of terminators and closing marks belongs to the sentence.
        let mut end = at + c.len_utf8();
        let mut strong = c != '.';
        let mut run = 1usize;
        while let Some((next_at, next)) = chars.peek().copied() {
            if matches!(next, '.' | '!' | '?' | '…') {
                strong |= next != '.';
                run += 1;
            } else if !matches!(next, '"' | '\'' | '”' | '’' | '»' | ')' | ']') {
                break;
            }
            end = next_at + next.len_utf8();
            chars.next();
        }
        let rest = line.get(end..).unwrap_or_default();
        if matches!(c, '。' | '！' | '？') || ends_sentence(line.get(start..at).unwrap_or_default(), rest, strong, run) {
            push(start..end);
            start = end;
        }
    }
    push(start..line.len());
}

/// Decides whether a terminator between `before` (the sentence so far) and `rest` ends the sentence.
fn ends_sentence(before: &str, rest: &str, strong: bool, run: usize) -> bool {
    if !rest.starts_with(char::is_whitespace) {
        return rest.is_empty();
    }
    let next = rest.trim_start();
    let Some(first) = next.chars().find(|c| !matches!(c, '"' | '\'' | '“' | '„' | '«' | '(' | '[' | '—' | '–' | '-' | ' ')) else {
        return true;
    };
    if first.is_lowercase() {
        return false;
    }
    if strong {
        return true;
    }
    if run >= 2 {
        return first.is_uppercase();
    }
    let word = before.rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '"' | '„' | '“' | '«')).next().unwrap_or_default();
    if word.is_empty() {
        return false;
    }
    let capital = first.is_uppercase();
    let lower = word.to_lowercase();
    let earlier_words = before.split_whitespace().count().saturating_sub(1);
    let mut letters = word.chars();
    if let (Some(only), None) = (letters.next(), letters.next()) {
        // An initial ("J. Smith"), unless the letter is a known unit or abbreviation below.
        if only.is_uppercase() && capital {
            return false;
        }
    }
    if word.bytes().all(|b| b.is_ascii_digit()) {
        // "2. Korpus" opens a sentence; "… in 2016. The" closes one.
        return earlier_words > 0 && (word.len() > 2 || capital);
    }
    if listed(CLOSING, &lower) {
        let year = matches!(lower.as_str(), "r" | "г" | "в");
        let after_number = before.trim_end_matches(word).trim_end().ends_with(|c: char| c.is_ascii_digit() || matches!(c, 'X' | 'V' | 'I'));
        if year && !after_number {
            return false;
        }
        // "W 2016 r. Sejm …": a time that opens the sentence does not end it.
        return capital && (!year || earlier_words >= 5);
    }
    if listed(LEADING, &lower) {
        // "и т. д.", "и т. п." written with a space close a list.
        return capital && matches!(lower.as_str(), "д" | "п") && before.trim_end_matches(word).trim_end().ends_with("т.");
    }
    if word.contains('.') && word.split('.').all(|part| part.chars().count() <= 1) {
        let following: String = next.chars().take_while(|c| c.is_alphabetic()).collect::<String>().to_lowercase();
        return listed(OPENERS, &following);
    }
    true
}

#[cfg(test)]
mod tests;
