//! Values as the text that PostgreSQL reads: lists, vectors. One statement then takes any number of them as one argument.

/// A `text[]` literal. Text with a NUL cannot be in the database, so it is left out: it matches nothing.
pub fn texts<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let mut out = String::from("{");
    for item in items.into_iter().filter(|item| !item.contains('\0')) {
        if out.len() > 1 {
            out.push(',');
        }
        out.push('"');
        for c in item.chars() {
            if matches!(c, '"' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
        out.push('"');
    }
    out.push('}');
    out
}

/// A `bigint[]` literal.
pub fn numbers(items: impl IntoIterator<Item = i64>) -> String {
    let mut out = String::from("{");
    for item in items {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&item.to_string());
    }
    out.push('}');
    out
}

/// A vector literal.
pub fn vector(components: &[f32]) -> String {
    let mut out = String::with_capacity(components.len() * 12);
    for component in components {
        out.push(if out.is_empty() { '[' } else { ',' });
        out.push_str(&component.to_string());
    }
    out.push(']');
    out
}

/// Reads a vector literal; `None` for text that is none.
pub fn parse_vector(text: &str) -> Option<Vec<f32>> {
    text.strip_prefix('[')?.strip_suffix(']')?.split(',').map(|x| x.parse().ok()).collect()
}

/// Reads the bytes of `array_send` of a `bigint[]` without NULLs: dimensions, flags, type, then length and start of the one
/// dimension, then each item behind its length (PostgreSQL, `src/backend/utils/adt/arrayfuncs.c`).
pub fn parse_numbers(bytes: &[u8]) -> Vec<i64> {
    let items = bytes.get(20..).unwrap_or_default();
    items
        .as_chunks::<12>()
        .0
        .iter()
        .map(|item| i64::from_be_bytes([item[4], item[5], item[6], item[7], item[8], item[9], item[10], item[11]]))
        .collect()
}
