//! Roles as identity providers write them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Claims;

/// Roles that are taken from a token at most; the first ones in the order of the claims below.
pub const MAX_ROLES: usize = 256;
/// Characters of a role at most.
const MAX_LENGTH: usize = 128;

/// The roles in `roles`, `groups`, `realm_access.roles` and the configured claim `extra` (a name or a path with dots; empty for none). A claim is
/// a text, which is one role, or a list of texts. What is something else, too long, empty or has control characters gives no role: a claim of
/// another shape must not lock anybody out, and it opens nothing.
pub fn roles(claims: &Claims, extra: &str) -> BTreeSet<String> {
    let paths = ["roles", "groups", "realm_access.roles", extra];
    let values = paths.iter().filter(|path| !path.is_empty()).filter_map(|path| claims.at(path));
    let texts = values.flat_map(|value| match value {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        value => value.as_str().into_iter().collect::<Vec<_>>(),
    });
    let mut found = BTreeSet::new();
    for role in texts.map(str::trim) {
        if found.len() == MAX_ROLES {
            break;
        }
        if !role.is_empty() && role.chars().count() <= MAX_LENGTH && !role.contains(char::is_control) {
            found.insert(role.to_owned());
        }
    }
    found
}
