//! Text that goes to a log without the secrets and personal data in it.

use std::borrow::Cow;

use serde_json::{Value, json};

/// Cuts a text that a person wrote down to its length, so that a log line says that there was one and how long it was.
pub struct Personal<'a>(pub &'a str);

impl std::fmt::Display for Personal<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} characters]", self.0.chars().count())
    }
}

impl std::fmt::Debug for Personal<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// Masks the e-mail addresses in a text: of the name before the `@` the first character is left, so that an operator who knows the person
/// recognises it and nobody else does. Every log line goes through here.
pub fn emails(text: &str) -> Cow<'_, str> {
    if !text.contains('@') {
        return Cow::Borrowed(text);
    }
    let of_name = |c: char| c.is_alphanumeric() || "._%+-'".contains(c);
    let of_domain = |c: char| c.is_alphanumeric() || ".-".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (at, _) in text.match_indices('@') {
        if at < done {
            continue;
        }
        let before = &text[done..at];
        let name = before.len() - before.rfind(|c| !of_name(c)).map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8));
        let after = &text[at + 1..];
        let domain = after[..after.find(|c| !of_domain(c)).unwrap_or(after.len())].trim_end_matches(['.', '-']);
        let is_domain = domain.rsplit_once('.').is_some_and(|(host, top)| !host.is_empty() && top.chars().count() > 1);
        if name > 0 && is_domain {
            let start = at - name;
            out.push_str(&text[done..start]);
            out.extend(text[start..].chars().next());
            out.push('…');
            out.push('@');
            done = at + 1;
        }
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

/// What of a token's claims may be logged: `sub`, and `email` masked. Everything else that an issuer says about somebody is left out.
pub fn claims(claims: &Value) -> Value {
    let mut kept = json!({});
    for name in ["sub", "email"] {
        if let Some(text) = claims[name].as_str() {
            kept[name] = emails(text).into();
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_people_are_masked_and_everything_else_stays() {
        for (text, masked) in [
            ("ann.smith@example.org", "a…@example.org"),
            ("user:ann@example.org asked", "user:a…@example.org asked"),
            ("<łukasz@przykład.pl>, b+tag@x.co.uk.", "<ł…@przykład.pl>, b…@x.co.uk."),
            ("a@b@example.org", "a@b…@example.org"),
            ("postgres://[redacted]@db.example.org/x", "postgres://[redacted]@db.example.org/x"),
            ("@example.org, a@, a@b, a @ b.cd, a@.b", "@example.org, a@, a@b, a @ b.cd, a@.b"),
            ("no address", "no address"),
        ] {
            assert_eq!(emails(text), masked);
        }
    }

    #[test]
    fn of_claims_subject_and_masked_address_are_kept() {
        let all =
            json!({"sub": "248289761001", "email": "ann@example.org", "name": "Ann Smith", "phone_number": "+48 601", "groups": ["staff"]});
        assert_eq!(claims(&all), json!({"sub": "248289761001", "email": "a…@example.org"}));
        assert_eq!(claims(&json!({"sub": 7})), json!({}));
    }
}
