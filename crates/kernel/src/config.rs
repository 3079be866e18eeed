//! Settings in layers: the compiled-in defaults, then the configuration file, then the environment, then flags.
//!
//! The defaults file is the documentation: it names every key, so a key that is not in it is refused, with the nearest known
//! name as a suggestion. A key `section.name` is `ASTROLABE_SECTION_NAME` in the environment; with `_FILE` behind it the value is
//! read from that file, which is how secrets arrive in containers. Names that operators know from elsewhere (`PORT`,
//! `DATABASE_URL`, …) are aliases.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use toml::{Table, Value};

use crate::{Error, Result, error::code};

/// A value that is never printed: `Debug`, `Display` and `Serialize` give `[redacted]`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "[not set]" } else { "[redacted]" })
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text of the defaults and what else is to be known about its keys.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// The defaults, in TOML, with a comment above each key.
    pub defaults: &'static str,
    /// Keys whose values are never shown.
    pub secrets: &'static [&'static str],
    /// Environment names beside the derived ones, and the keys they set.
    pub aliases: &'static [(&'static str, &'static str)],
    /// `ASTROLABE_…` names that are read elsewhere and are no settings.
    pub other_env: &'static [&'static str],
}

/// The settings with where each came from.
#[derive(Debug, Clone)]
pub struct Settings {
    schema: Schema,
    values: BTreeMap<String, Value>,
    origins: BTreeMap<String, String>,
}

impl Settings {
    /// The defaults.
    ///
    /// # Errors
    /// `internal` when the compiled-in text is no TOML of sections with keys.
    pub fn defaults(schema: Schema) -> Result<Self> {
        let table: Table = schema.defaults.parse().map_err(Error::internal)?;
        let mut values = BTreeMap::new();
        flatten("", table, &mut values);
        let origins = values.keys().map(|k| (k.clone(), "default".to_owned())).collect();
        Ok(Self { schema, values, origins })
    }

    /// Lays a configuration file over.
    ///
    /// # Errors
    /// `invalid_config` when it cannot be read, is no TOML, or has a key that is unknown or of another type.
    pub fn add_file(&mut self, path: &Path) -> Result<()> {
        let bad = |what: String| Error::new(code::INVALID_CONFIG, format!("{}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| bad(format!("cannot be read: {e}")))?;
        let table: Table = text.parse().map_err(|e: toml::de::Error| bad(format!("{}{}", line_of(&text, &e), e.message())))?;
        // A section without keys sets nothing, but its name may be a mistake.
        let sections = || self.values.keys().filter_map(|k| k.split('.').next());
        if let Some(name) = table.keys().find(|name| !sections().any(|section| section == name.as_str())) {
            return Err(bad(format!("there is no section {name}{}", suggest(name, sections()))));
        }
        let mut values = BTreeMap::new();
        flatten("", table, &mut values);
        for (key, value) in values {
            self.check(&key, &value).map_err(|e| bad(e.message().to_owned()))?;
            self.put(key, value, path.display().to_string());
        }
        Ok(())
    }

    /// Lays environment variables over. Empty values count as not set.
    ///
    /// # Errors
    /// `invalid_config` for an unknown `ASTROLABE_…` name, a value of the wrong type, or a `_FILE` that cannot be read.
    pub fn add_env(&mut self, vars: impl IntoIterator<Item = (String, String)>) -> Result<()> {
        let by_env: BTreeMap<String, String> = self.values.keys().map(|k| (env_name(k), k.clone())).collect();
        let mut found: Vec<(String, String, String)> = Vec::new();
        for (name, value) in vars {
            let (base, from_file) = match name.strip_suffix("_FILE") {
                Some(base) if self.env_key(base, &by_env).is_some() => (base, true),
                _ => (name.as_str(), false),
            };
            if value.is_empty() || self.schema.other_env.contains(&name.as_str()) {
                continue;
            }
            let Some(key) = self.env_key(base, &by_env) else {
                if name.starts_with("ASTROLABE_") {
                    let hint = suggest(&name, by_env.keys().map(String::as_str));
                    return Err(Error::new(code::INVALID_CONFIG, format!("the environment variable {name} is not known{hint}")));
                }
                continue;
            };
            let text = if from_file {
                std::fs::read_to_string(&value)
                    .map_err(|e| Error::new(code::INVALID_CONFIG, format!("{name}: the file cannot be read: {e}")))?
                    .trim_end_matches(['\r', '\n'])
                    .to_owned()
            } else {
                value
            };
            found.push((name, key, text));
        }
        if let Some((name, ..)) = found.iter().find(|(name, ..)| found.iter().any(|(other, ..)| other.strip_suffix("_FILE") == Some(name)))
        {
            return Err(Error::new(code::INVALID_CONFIG, format!("{name} and {name}_FILE are both set: keep one of them")));
        }
        // Aliases first, so that the full name wins whatever the order of the environment.
        found.sort_by_key(|(name, ..)| name.starts_with("ASTROLABE_"));
        for (name, key, text) in found {
            self.set(&key, &text, &name)?;
        }
        Ok(())
    }

    fn env_key(&self, name: &str, by_env: &BTreeMap<String, String>) -> Option<String> {
        by_env.get(name).cloned().or_else(|| self.schema.aliases.iter().find(|(alias, _)| *alias == name).map(|(_, key)| (*key).to_owned()))
    }

    /// Sets one key from text, as a flag or an environment variable does. Lists are separated by commas.
    ///
    /// # Errors
    /// `invalid_config` naming `origin` when the key is unknown or the text is not of its type.
    pub fn set(&mut self, key: &str, text: &str, origin: &str) -> Result<()> {
        let bad = |what: &str| Error::new(code::INVALID_CONFIG, format!("{origin}: {what}"));
        let value = match self.values.get(key) {
            None => return Err(bad(&format!("there is no setting {key}{}", suggest(key, self.values.keys().map(String::as_str))))),
            // PORT is a number alone in every environment that sets it.
            Some(Value::String(old)) if key == "server.listen" && text.bytes().all(|b| b.is_ascii_digit()) => {
                let host = old.rsplit_once(':').map_or("127.0.0.1", |(host, _)| host);
                Value::String(format!("{host}:{text}"))
            }
            Some(Value::String(_)) => Value::String(text.to_owned()),
            Some(Value::Integer(_)) => Value::Integer(text.trim().parse().map_err(|_| bad("must be a whole number"))?),
            Some(Value::Float(_)) => Value::Float(text.trim().parse().map_err(|_| bad("must be a number"))?),
            Some(Value::Boolean(_)) => Value::Boolean(match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => true,
                "false" | "0" | "no" | "off" => false,
                _ => return Err(bad("must be true or false")),
            }),
            Some(Value::Array(_)) => {
                Value::Array(text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(|t| Value::String(t.to_owned())).collect())
            }
            Some(_) => return Err(bad("cannot be set as text")),
        };
        self.put(key.to_owned(), value, origin.to_owned());
        Ok(())
    }

    fn check(&self, key: &str, value: &Value) -> Result<()> {
        let Some(known) = self.values.get(key) else {
            return Err(Error::new(
                code::INVALID_CONFIG,
                format!("there is no setting {key}{}", suggest(key, self.values.keys().map(String::as_str))),
            ));
        };
        let same = std::mem::discriminant(known) == std::mem::discriminant(value)
            || matches!((known, value), (Value::Float(_), Value::Integer(_)));
        let kind = match known {
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Boolean(_) => "true or false",
            Value::Array(_) => "a list",
            _ => "a text in quotes",
        };
        if same { Ok(()) } else { Err(Error::new(code::INVALID_CONFIG, format!("{key}: must be {kind}"))) }
    }

    fn put(&mut self, key: String, value: Value, origin: String) {
        self.origins.insert(key.clone(), origin);
        self.values.insert(key, value);
    }

    /// A section as its type.
    ///
    /// # Errors
    /// `invalid_config` naming the key that does not fit.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let prefix = format!("{name}.");
        let mut table = Table::new();
        for (key, value) in self.values.iter().filter(|(k, _)| k.starts_with(&prefix)) {
            table.insert(key[prefix.len()..].to_owned(), value.clone());
        }
        serde_path_to_error::deserialize(Value::Table(table))
            .map_err(|e| Error::new(code::INVALID_CONFIG, format!("{name}.{}: {}", e.path(), plain(e.inner().message()))))
    }

    /// Every key with its shown value and where it came from; secrets are redacted, and so are passwords in URLs.
    pub fn show(&self) -> Vec<Shown> {
        self.values
            .iter()
            .map(|(key, value)| Shown {
                key: key.clone(),
                value: self.shown(key, value),
                origin: self.origins.get(key).cloned().unwrap_or_default(),
            })
            .collect()
    }

    fn shown(&self, key: &str, value: &Value) -> serde_json::Value {
        if self.schema.secrets.contains(&key) {
            let set = value.as_str().is_some_and(|s| !s.is_empty());
            return if set { "[redacted]".into() } else { "".into() };
        }
        match value {
            Value::String(text) => redact_url(text).into(),
            other => serde_json::to_value(other).unwrap_or_default(),
        }
    }
}

/// One line of `astrolabe config show`.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    /// `section.name`.
    pub key: String,
    /// The value in force.
    pub value: serde_json::Value,
    /// `default`, a file, the name of an environment variable, or a flag.
    pub origin: String,
}

/// A URL without the password in it, neither before the host nor as a parameter; other text unchanged. In doubt more is hidden: a password may
/// hold characters that should have been escaped.
pub fn redact_url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let at = rest[..end].rfind('@').or_else(|| rest.rfind('@').filter(|at| rest[..*at].contains(':')));
    let shown = match at {
        Some(at) => {
            let name = rest[..at].split(':').next().unwrap_or("");
            format!("{scheme}://{name}:[redacted]{}", &rest[at..])
        }
        None => text.to_owned(),
    };
    match shown.to_ascii_lowercase().find("password=").map(|i| i + "password=".len()) {
        Some(from) => {
            let to = shown[from..].find('&').map_or(shown.len(), |i| from + i);
            format!("{}[redacted]{}", &shown[..from], &shown[to..])
        }
        None => shown,
    }
}

/// The environment name of a key: `server.listen` is `ASTROLABE_SERVER_LISTEN`.
pub fn env_name(key: &str) -> String {
    format!("ASTROLABE_{}", key.replace('.', "_").to_uppercase())
}

/// The defaults as a page of documentation, for `docs/generated/config.md`.
pub fn markdown(schema: Schema) -> String {
    use std::fmt::Write;
    let mut out = String::from(
        "# Settings\n\nGenerated from `crates/server/src/config.default.toml`. Later layers win: these defaults, the file given by `--config`, the \
         environment, flags. `<NAME>_FILE` reads a value from a file. `astrolabe config show` prints what is in force and where it came from.\n",
    );
    let mut section = String::new();
    let mut comment = String::new();
    for line in schema.defaults.lines() {
        let line = line.trim();
        if let Some(text) = line.strip_prefix('#') {
            comment.push_str(text);
        } else if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name.to_owned();
            let _ =
                write!(out, "\n## {name}\n\n{}\n\n| key | environment | default | meaning |\n| --- | --- | --- | --- |\n", comment.trim());
            comment.clear();
        } else if let Some((name, value)) = line.split_once(" = ") {
            let key = format!("{section}.{name}");
            let mut env = format!("`{}`", env_name(&key));
            for (alias, _) in schema.aliases.iter().filter(|(_, k)| *k == key) {
                let _ = write!(env, ", `{alias}`");
            }
            let _ = writeln!(out, "| `{key}` | {env} | `{value}` | {} |", comment.trim().replace('|', "\\|"));
            comment.clear();
        } else if line.is_empty() && section.is_empty() {
            comment.clear();
        }
    }
    out
}

/// Writes a file that only its owner may read (mode 0600 where there are modes), replacing an old one in one step.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary: PathBuf = path.with_file_name(name);
    let mut options = std::fs::File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    Ok(())
}

/// Where a file is no TOML: `line 3: `.
fn line_of(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    before.map_or_else(String::new, |before| format!("line {}: ", before.matches('\n').count() + 1))
}

/// What serde says of a number, without the names of types.
fn plain(message: &str) -> String {
    ["usize", "u64", "u32", "u16", "u8"]
        .iter()
        .fold(message.to_owned(), |text, kind| text.replace(&format!("expected {kind}"), "expected a whole number that is not negative"))
}

fn suggest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    known
        // The name without its section is the commonest way to get it wrong.
        .map(|k| (if k.split_once('.').is_some_and(|(_, own)| own == name) { 1.0 } else { strsim::jaro_winkler(name, k) }, k))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(|| "; `astrolabe config show` lists them all".to_owned(), |(_, k)| format!("; did you mean {k}?"))
}

fn flatten(prefix: &str, table: Table, out: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, out),
            value => {
                out.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: Schema = Schema {
        defaults: "# Where to listen.\n[server]\n# The address.\nlisten = \"127.0.0.1:8080\"\nlimit = 5\nhosts = []\n[database]\nurl = \"\"\n[model]\napi_key = \"\"\n",
        secrets: &["model.api_key"],
        aliases: &[("PORT", "server.listen"), ("DATABASE_URL", "database.url"), ("OPENAI_API_KEY", "model.api_key")],
        other_env: &["ASTROLABE_DATA_DIR"],
    };

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[derive(Deserialize)]
    struct Server {
        listen: String,
        limit: i64,
        hosts: Vec<String>,
    }

    #[test]
    fn later_layers_win_and_the_full_name_wins_over_an_alias() {
        let mut settings = Settings::defaults(SCHEMA).unwrap();
        settings.add_env(env(&[("ASTROLABE_SERVER_LISTEN", "0.0.0.0:1"), ("PORT", "9000"), ("ASTROLABE_SERVER_HOSTS", "a, b")])).unwrap();
        settings.set("server.limit", "7", "--limit").unwrap();
        let server: Server = settings.section("server").unwrap();
        assert_eq!((server.listen.as_str(), server.limit, server.hosts), ("0.0.0.0:1", 7, vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn a_port_alone_keeps_the_host() {
        let mut settings = Settings::defaults(SCHEMA).unwrap();
        settings.add_env(env(&[("PORT", "9000")])).unwrap();
        assert_eq!(settings.section::<Server>("server").unwrap().listen, "127.0.0.1:9000");
    }

    #[test]
    fn an_unknown_name_is_refused_with_a_suggestion() {
        let mut settings = Settings::defaults(SCHEMA).unwrap();
        let error = settings.add_env(env(&[("ASTROLABE_SERVER_LISTN", "x")])).unwrap_err();
        assert!(error.message().contains("did you mean ASTROLABE_SERVER_LISTEN?"), "{error}");
        let error = settings.set("server.limits", "1", "--set").unwrap_err();
        assert!(error.message().contains("did you mean server.limit?"), "{error}");
        let error = settings.set("limit", "1", "--set").unwrap_err();
        assert!(error.message().contains("did you mean server.limit?"), "{error}");
    }

    #[test]
    fn a_file_with_a_mistake_is_refused_with_the_place_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("astrolabe.toml");
        for (text, said) in [
            ("[server]\n\nlimit = \n", "line 3: "),
            ("[servr]\n", "there is no section servr; did you mean server?"),
            ("limit = 4\n", "there is no section limit"),
            ("[server]\nlimits = 4\n", "there is no setting server.limits; did you mean server.limit?"),
            ("[server]\nlimit = \"many\"\n", "server.limit: must be a whole number"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = Settings::defaults(SCHEMA).unwrap().add_file(&file).unwrap_err();
            assert!(error.message().contains(said) && error.message().contains("astrolabe.toml"), "{text}: {error}");
        }
        let mut settings = Settings::defaults(SCHEMA).unwrap();
        settings.set("server.limit", "-1", "--set").unwrap();
        #[derive(Debug, Deserialize)]
        struct Server {
            #[expect(dead_code, reason = "only its refusal is looked at")]
            limit: usize,
        }
        let error = settings.section::<Server>("server").unwrap_err();
        assert!(error.message().contains("server.limit") && error.message().contains("whole number"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_type_names_the_variable() {
        let mut settings = Settings::defaults(SCHEMA).unwrap();
        let error = settings.add_env(env(&[("ASTROLABE_SERVER_LIMIT", "many")])).unwrap_err();
        assert_eq!(error.message(), "ASTROLABE_SERVER_LIMIT: must be a whole number");
    }

    #[test]
    fn secrets_and_passwords_in_urls_are_not_shown() {
        let mut settings = Settings::defaults(SCHEMA).unwrap();
        settings.add_env(env(&[("OPENAI_API_KEY", "sk-12345"), ("DATABASE_URL", "postgres://me:hunter2@db/x")])).unwrap();
        let shown = serde_json::to_string(&settings.show()).unwrap();
        assert!(!shown.contains("sk-12345") && !shown.contains("hunter2"), "{shown}");
        #[derive(Deserialize, Debug)]
        struct Model {
            api_key: Secret,
        }
        let model: Model = settings.section("model").unwrap();
        assert_eq!(model.api_key.expose(), "sk-12345");
        assert!(!format!("{model:?}").contains("sk-12345"));
    }

    #[test]
    fn a_value_that_is_given_directly_and_as_a_file_is_refused() {
        let mut settings = Settings::defaults(SCHEMA).unwrap();
        let error = settings.add_env(env(&[("OPENAI_API_KEY", "a"), ("OPENAI_API_KEY_FILE", "/dev/null")])).unwrap_err();
        assert!(error.message().contains("OPENAI_API_KEY_FILE"), "{error}");
    }

    #[test]
    fn no_password_of_a_url_is_shown_however_it_is_written() {
        for url in [
            "postgres://me:hunter2@db/x",
            "postgres://me:hun/hunter2@db/x",
            "postgres://me:hu?hunter2@db/x",
            "postgres://db/x?user=me&password=hunter2&sslmode=require",
            "postgres://me:hunter2@db/x?password=hunter2",
        ] {
            let shown = redact_url(url);
            assert!(!shown.contains("hunter2") && shown.starts_with("postgres://"), "{shown}");
        }
        for url in ["http://127.0.0.1:11434/v1", "https://docs.example.com/@team", "plain text"] {
            assert_eq!(redact_url(url), url);
        }
    }
}
