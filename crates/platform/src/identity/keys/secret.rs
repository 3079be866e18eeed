//! The secret of the installation, and what is encrypted with it.

use std::path::Path;

use astrolabe_kernel::{
    Error, Random, Result,
    config::{Secret, write_private},
    error::code,
};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
};

use crate::identity::config::IdentityConfig;

/// Characters of a secret at least.
const LEAST: usize = 32;
/// Bytes of randomness in a secret that is made here.
const MADE: usize = 48;

/// Encrypts the private halves of signing keys: AES-256-GCM with a key that HKDF-SHA256 (RFC 5869) derives from the secret.
pub(super) struct Sealer(LessSafeKey);

impl Sealer {
    /// From `SECRET_KEY`, else `JWT_SECRET_KEY`, else the file, which is made when there is none and `may_make`.
    ///
    /// # Errors
    /// `invalid_config` for a secret that is short or a placeholder, and when there is none and none may be made; `data_dir_unusable` when the file
    /// cannot be read or holds something else.
    pub fn choose(config: &IdentityConfig, file: &Path, may_make: bool, random: &Random) -> Result<Self> {
        Self::of(Self::secret(config, file, may_make, random)?.expose(), b"signing keys, version 1")
    }

    /// The same for what browsers bring back, with another key; the secret is not made here.
    ///
    /// # Errors
    /// As [`Sealer::choose`].
    pub fn for_cookies(config: &IdentityConfig, file: &Path, random: &Random) -> Result<Self> {
        Self::of(Self::secret(config, file, false, random)?.expose(), b"cookies, version 1")
    }

    fn secret(config: &IdentityConfig, file: &Path, may_make: bool, random: &Random) -> Result<Secret> {
        let set = [("SECRET_KEY", &config.secret_key), ("JWT_SECRET_KEY", &config.jwt_secret_key)];
        match set.into_iter().find(|(_, secret)| !secret.is_empty()) {
            Some((name, secret)) => {
                check(name, secret.expose())?;
                Ok(secret.clone())
            }
            None => from_file(file, may_make, random),
        }
    }

    fn of(secret: &str, purpose: &[u8]) -> Result<Self> {
        let derived = Salt::new(HKDF_SHA256, b"astrolabe").extract(secret.as_bytes());
        let derived = derived.expand(&[purpose], &AES_256_GCM).map(UnboundKey::from);
        Ok(Self(LessSafeKey::new(derived.map_err(|_| Error::internal("no key could be derived from the secret"))?)))
    }

    /// Encrypts bytes; `about` (the key's id) is bound to them, so that they cannot stand in another row.
    ///
    /// # Errors
    /// `internal` when the cipher fails, which it does for gigabytes alone.
    pub fn seal(&self, about: &str, bytes: &[u8], random: &Random) -> Result<Vec<u8>> {
        let mut nonce = [0u8; NONCE_LEN];
        random.fill(&mut nonce);
        let mut sealed = bytes.to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(about.as_bytes()), &mut sealed)
            .map_err(|_| Error::internal("what is to be kept could not be encrypted"))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Decrypts what [`Sealer::seal`] gave; nothing when the secret or `about` is another, or a bit has changed.
    pub fn open(&self, about: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN)?;
        let mut bytes = rest.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        self.0.open_in_place(nonce, Aad::from(about.as_bytes()), &mut bytes).ok().map(|plain| plain.to_vec())
    }
}

/// The secret in the data directory, made when there is none.
fn from_file(file: &Path, may_make: bool, random: &Random) -> Result<Secret> {
    let unusable = |what: &str| Error::new(code::DATA_DIR_UNUSABLE, format!("{} {what}", file.display()));
    match std::fs::read_to_string(file) {
        Ok(text) if text.trim().chars().count() >= LEAST => Ok(Secret::new(text.trim())),
        Ok(_) => Err(unusable("holds no secret: restore it from a backup")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && may_make => {
            let secret = random.token(MADE);
            write_private(file, format!("{secret}\n").as_bytes())?;
            Ok(Secret::new(secret))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::new(
            code::INVALID_CONFIG,
            format!(
                "SECRET_KEY: is not set and {} is not there, but the database has signing keys; {}",
                file.display(),
                super::WRONG_SECRET
            ),
        )),
        Err(error) => Err(unusable(&format!("cannot be read: {}", error.kind())).with_internal(error)),
    }
}

/// Words of which placeholders are made, longest first.
const WORDS: &[&str] = &[
    "placeholder",
    "development",
    "production",
    "characters",
    "astrolabe",
    "astradesk",
    "generated",
    "password",
    "changeme",
    "insecure",
    "generate",
    "required",
    "minimum",
    "default",
    "replace",
    "example",
    "openssl",
    "secrets",
    "string",
    "secret",
    "change",
    "random",
    "please",
    "should",
    "super",
    "token",
    "local",
    "value",
    "chars",
    "least",
    "bytes",
    "admin",
    "prod",
    "your",
    "this",
    "very",
    "here",
    "long",
    "with",
    "must",
    "test",
    "hash",
    "hex",
    "key",
    "jwt",
    "app",
    "the",
    "dev",
    "for",
    "and",
    "min",
    "use",
    "not",
    "256",
    "bit",
    "123",
    "api",
    "32",
    "64",
    "me",
    "my",
    "in",
    "it",
    "at",
    "be",
    "to",
    "of",
    "or",
];
/// Characters that must be left of a secret without those words.
const LEFT: usize = 12;

/// Refuses a secret that others know or can guess.
///
/// # Errors
/// `invalid_config` naming the variable and the way out; never the value.
pub(super) fn check(name: &str, secret: &str) -> Result<()> {
    let bad = |what: &str| {
        let fix = "set 32 or more random characters, such as `openssl rand -base64 48` prints";
        Err(Error::new(code::INVALID_CONFIG, format!("{name}: {what}; {fix}")))
    };
    let characters: Vec<char> = secret.chars().collect();
    if characters.len() < LEAST {
        return bad("is shorter than 32 characters");
    }
    let mut kinds = characters.clone();
    kinds.sort_unstable();
    kinds.dedup();
    let repeats = (1..=characters.len() / 2).any(|period| characters.iter().zip(&characters[period..]).all(|(a, b)| a == b));
    let steps = characters.windows(2).filter(|pair| (pair[1] as u32).abs_diff(pair[0] as u32) <= 1).count();
    if kinds.len() < 8 || repeats || steps * 2 > characters.len() {
        return bad("repeats itself");
    }
    let mut rest: String = secret.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    for word in WORDS {
        rest = rest.replace(word, "");
    }
    if rest.chars().count() < LEFT { bad("is a placeholder that others know") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(secret: &str, jwt: &str) -> IdentityConfig {
        IdentityConfig { secret_key: Secret::new(secret), jwt_secret_key: Secret::new(jwt), key_days: 30 }
    }

    #[test]
    fn a_secret_that_is_short_repeats_itself_or_is_a_placeholder_is_refused_and_not_shown() {
        for secret in [
            "secret",
            "change-me",
            "0123456789012345678901234567890",
            "change-me-change-me-change-me-change-me",
            "changeme-in-production-please-changeme",
            "your-secret-key-at-least-32-characters-long",
            "your-super-secret-jwt-key-change-this-in-production",
            "CHANGE_ME_TO_A_RANDOM_STRING_OF_32_CHARS",
            "replace-this-with-a-very-long-random-string",
            "dev-secret-key-not-for-production-use-only",
            "my_jwt_secret_key_my_jwt_secret_key_1234",
            "astrolabe-development-secret-key-please-change",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abababababababababababababababababababab",
            "0123456789abcdef0123456789abcdef",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "                                        ",
        ] {
            let error = check("SECRET_KEY", secret).unwrap_err();
            assert_eq!(error.code(), code::INVALID_CONFIG);
            assert!(error.message().starts_with("SECRET_KEY: ") && error.message().contains("openssl rand"), "{error}");
            assert!(!error.message().contains(secret) || secret == "secret", "{error}");
        }
    }

    #[test]
    fn a_random_secret_is_accepted_whatever_its_alphabet() {
        for seed in 0..500 {
            let random = Random::seeded(seed);
            check("SECRET_KEY", &random.token(24)).unwrap();
            let mut bytes = [0u8; 32];
            random.fill(&mut bytes);
            check("SECRET_KEY", &hex::encode(bytes)).unwrap();
        }
        check("SECRET_KEY", "my secret garden has 14 roses and a fence").unwrap();
        check("SECRET_KEY", "za\u{17c}\u{f3}\u{142}\u{107} g\u{119}\u{15b}l\u{105} ja\u{17a}\u{144} w sk\u{142}adzie ni\u{17c}").unwrap();
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_secret_for_the_same_row_alone() {
        let random = Random::seeded(1);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret_key");
        let (one, other) = (random.token(32), random.token(32));
        let sealer = Sealer::choose(&config(&one, &other), &file, false, &random).unwrap();
        let sealed = sealer.seal("a", b"private", &random).unwrap();
        assert_eq!(sealer.open("a", &sealed).as_deref(), Some(&b"private"[..]));
        assert_eq!(sealer.open("b", &sealed), None);
        assert_ne!(sealer.seal("a", b"private", &random).unwrap(), sealed, "no nonce comes twice");
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(sealer.open("a", &changed), None, "byte {place}");
            assert_eq!(sealer.open("a", &sealed[..place]), None, "cut at {place}");
        }
        let second = Sealer::choose(&config("", &one), &file, false, &random).unwrap();
        assert!(second.open("a", &sealed).is_some(), "JWT_SECRET_KEY stands in for SECRET_KEY");
        let wrong = Sealer::choose(&config(&other, &one), &file, false, &random).unwrap();
        assert_eq!(wrong.open("a", &sealed), None);
        assert!(!file.try_exists().unwrap(), "no file when a variable is set");
    }

    #[test]
    fn without_a_variable_a_secret_is_made_once_in_a_file_that_its_owner_alone_reads() {
        let random = Random::system();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret_key");
        let error = Sealer::choose(&config("", ""), &file, false, &random).err().unwrap();
        assert!(error.message().starts_with("SECRET_KEY: is not set"), "{error}");
        let made = Sealer::choose(&config("", ""), &file, true, &random).unwrap();
        let sealed = made.seal("a", b"x", &random).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(check("SECRET_KEY", text.trim()).is_ok());
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions()) & 0o777, 0o600);
        let again = Sealer::choose(&config("", ""), &file, false, &random).unwrap();
        assert!(again.open("a", &sealed).is_some());
        std::fs::write(&file, "short").unwrap();
        let error = Sealer::choose(&config("", ""), &file, true, &random).err().unwrap();
        assert_eq!(error.code(), code::DATA_DIR_UNUSABLE);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "short", "nothing is overwritten");
    }
}
