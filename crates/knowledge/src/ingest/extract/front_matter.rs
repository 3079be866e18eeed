//! YAML front matter of Markdown files: the three keys that matter to search, read without a YAML parser.

/// What front matter said, and the text after it.
pub(super) struct FrontMatter<'a> {
    pub title: Option<String>,
    pub lang: Option<String>,
    pub tags: Vec<String>,
    pub body: &'a str,
}

/// Longest front matter that is looked for, in lines; beyond it a leading `---` is a thematic break.
const MAX_LINES: usize = 200;

/// Splits front matter (`---` … `---` or `...` at the very start, every line a key, a list entry, a continuation, a comment or empty) from the body.
pub(super) fn split(text: &str) -> FrontMatter<'_> {
    parse(text).unwrap_or(FrontMatter { title: None, lang: None, tags: Vec::new(), body: text })
}

fn parse(text: &str) -> Option<FrontMatter<'_>> {
    let rest = text.trim_start_matches('\u{feff}').strip_prefix("---")?;
    let rest = rest.trim_start_matches([' ', '\t', '\r']).strip_prefix('\n')?;
    let mut found = FrontMatter { title: None, lang: None, tags: Vec::new(), body: "" };
    let mut list_key = String::new();
    let mut keys = 0usize;
    let mut offset = 0usize;
    for line in rest.split_inclusive('\n').take(MAX_LINES) {
        offset += line.len();
        let line = line.trim_end();
        if line == "---" || line == "..." {
            found.body = rest.get(offset..)?;
            return (keys > 0 || offset <= 4).then_some(found);
        }
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        if let Some(entry) = content.strip_prefix("- ") {
            if list_key == "tags" || list_key == "keywords" {
                push_tag(&mut found.tags, entry);
            }
            continue;
        }
        if line.starts_with([' ', '\t']) {
            continue;
        }
        let (key, value) = content.split_once(':')?;
        if !key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ')) || key.len() > 60 {
            return None;
        }
        keys += 1;
        list_key = key.trim().to_lowercase();
        let value = value.trim();
        match list_key.as_str() {
            "title" => found.title = scalar(value),
            "lang" | "language" | "locale" => found.lang = scalar(value).as_deref().and_then(primary_subtag),
            "tags" | "keywords" => {
                for tag in value.trim_start_matches('[').trim_end_matches(']').split(',') {
                    push_tag(&mut found.tags, tag);
                }
            }
            _ => {}
        }
    }
    None
}

/// `pl-PL` → `pl`; `None` when it is no language tag.
pub(super) fn primary_subtag(tag: &str) -> Option<String> {
    let primary = tag.trim().split(['-', '_']).next()?.to_ascii_lowercase();
    ((2..=3).contains(&primary.len()) && primary.bytes().all(|b| b.is_ascii_lowercase())).then_some(primary)
}

fn scalar(value: &str) -> Option<String> {
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap_or_default(),
        None => match value.strip_prefix('\'') {
            Some(quoted) => quoted.split('\'').next().unwrap_or_default(),
            None => value.split(" #").next().unwrap_or_default(),
        },
    };
    let value = super::text::one_line(value);
    (!value.is_empty() && value != "|" && value != ">").then_some(value)
}

fn push_tag(tags: &mut Vec<String>, raw: &str) {
    if let Some(tag) = scalar(raw.trim())
        && tags.len() < 64
        && tag.chars().count() <= 100
        && !tags.contains(&tag)
    {
        tags.push(tag);
    }
}
