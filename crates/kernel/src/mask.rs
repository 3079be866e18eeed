//! Text that goes to a log without the secrets and personal data in it.

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
