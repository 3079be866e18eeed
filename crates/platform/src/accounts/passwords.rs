//! Passwords: what is accepted, and how they are kept.
//!
//! Argon2id with the parameters that OWASP recommends (Password Storage Cheat Sheet: 19 MiB, two passes, one lane). That takes tens of
//! milliseconds of a core by design, so it is done on threads of its own, few at a time, and with few waiting.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString},
};
use astrolabe_kernel::{Error, Random, Result, error::code};
use tokio::sync::Semaphore;

/// Characters of a password.
pub const LENGTH: std::ops::RangeInclusive<usize> = 12..=256;
/// Passwords that are hashed at the same time: each takes 19 MiB and a core.
const AT_ONCE: usize = 2;
/// Passwords that wait for that; more are refused.
const WAITING: usize = 64;
/// KiB, passes and lanes.
const COST: (u32, u32, u32) = (19_456, 2, 1);

/// What an account without a password is compared with, so that it takes the same time to be refused. Nobody knows what it is the hash of: salt and
/// hash were drawn by chance.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$qZ0L3pV8sXh2Yw5tK1rB7A$5n0Jm2w8cQvT1yXzR4uEoLk9HsGdFaP3iBqW6tVjNxM";

/// The commonest passwords of twelve characters and more, in lower case: shorter ones are refused anyway.
const COMMON: &[&str] = &[
    "000000000000",
    "1111111111111",
    "111111111111",
    "121212121212",
    "123123123123",
    "1234567890ab",
    "123456789012",
    "1234567890123",
    "12345678901234",
    "123456789123",
    "1234567891234",
    "123456789abc",
    "1234567890qwe",
    "1q2w3e4r5t6y",
    "1qaz2wsx3edc",
    "1qazxsw23edc",
    "abc123456789",
    "abcd12345678",
    "abcdefghijkl",
    "abcdefghijklm",
    "adminadmin12",
    "administrator",
    "administrator1",
    "admin1234567",
    "admin12345678",
    "admin123456789",
    "astrolabe123",
    "astrolabe1234",
    "astrolabeadmin",
    "asdfghjkl123",
    "asdfghjkl;'\\",
    "changeme1234",
    "changemenow1",
    "changemeplease",
    "correcthorsebatterystaple",
    "default12345",
    "hunter2hunter2",
    "iloveyou1234",
    "iloveyouforever",
    "letmein12345",
    "letmeinplease",
    "mypassword123",
    "password1234",
    "password12345",
    "password123456",
    "passwordpassword",
    "password2024",
    "password2025",
    "password2026",
    "p@ssw0rd1234",
    "p@ssword1234",
    "passw0rd1234",
    "qazwsxedcrfv",
    "qwerty123456",
    "qwerty1234567",
    "qwertyqwerty",
    "qwertyuiop12",
    "qwertyuiop123",
    "qwertyuiop[]",
    "qwertyuiopas",
    "qwertyuiopasdfghjkl",
    "rootrootroot",
    "secretsecret",
    "superadmin123",
    "superman1234",
    "testtesttest",
    "trustno1trustno1",
    "welcome12345",
    "welcome123456",
    "zaq12wsxcde3",
    "zxcvbnm12345",
];

/// Checks that a password may be taken. `own` are the words of its owner: e-mail and name.
///
/// # Errors
/// `invalid_request` naming `password` and the rule; nothing of the password is repeated.
pub fn check(password: &str, own: &[&str]) -> Result<()> {
    let refuse = |what: &str| Err(Error::field("password", what));
    if !LENGTH.contains(&password.chars().count()) {
        return refuse(&format!("must have {} to {} characters", LENGTH.start(), LENGTH.end()));
    }
    let folded = password.trim().to_lowercase();
    let local = own.iter().filter_map(|w| w.split_once('@')).map(|(local, _)| local);
    let mut words = own.iter().copied().chain(local).map(|w| w.trim().to_lowercase()).filter(|w| !w.is_empty());
    if words.any(|word| folded == word || folded.replace(' ', "") == word.replace(' ', "")) {
        return refuse("must not be the e-mail or the name");
    }
    let first = folded.chars().next();
    if COMMON.contains(&folded.as_str()) || folded.chars().all(|c| Some(c) == first) {
        return refuse("is one of those that are tried first; take a few words that do not belong together");
    }
    Ok(())
}

/// Hashes passwords, a few at a time; clones share the bound.
#[derive(Clone)]
pub(crate) struct Passwords {
    running: Arc<Semaphore>,
    entered: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { running: Arc::new(Semaphore::new(AT_ONCE)), entered: Arc::new(Semaphore::new(AT_ONCE + WAITING)) }
    }
}

impl Passwords {
    /// The hash to keep.
    ///
    /// # Errors
    /// `overloaded` when too many wait.
    pub async fn hash(&self, random: &Random, password: &str) -> Result<String> {
        let mut salt = [0u8; 16];
        random.fill(&mut salt);
        let password = password.to_owned();
        self.run(move || {
            let salt = SaltString::encode_b64(&salt).map_err(Error::internal)?;
            Ok(argon2()?.hash_password(password.as_bytes(), &salt).map_err(Error::internal)?.to_string())
        })
        .await
    }

    /// Whether a password is the one that was hashed. Without a hash it takes as long, and is wrong.
    ///
    /// # Errors
    /// `overloaded` when too many wait.
    pub async fn verify(&self, password: &str, stored: Option<String>) -> Result<bool> {
        // Nobody has a longer one, and hashing it would only cost.
        let password = password.chars().take(LENGTH.end() + 1).collect::<String>();
        self.run(move || {
            let text = stored.as_deref().unwrap_or(DUMMY);
            let hash = PasswordHash::new(text).map_err(Error::internal)?;
            let right = argon2()?.verify_password(password.as_bytes(), &hash).is_ok();
            Ok(right && stored.is_some())
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let busy = || Error::new(code::OVERLOADED, "too many people sign in at once").with_retry_after(std::time::Duration::from_secs(2));
        let entered = self.entered.clone().try_acquire_owned().map_err(|_| busy())?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| busy())?;
        tokio::task::spawn_blocking(move || {
            // Held until it is done, also when nobody waits any more.
            let _held = (entered, running);
            work()
        })
        .await
        .map_err(Error::internal)?
    }
}

fn argon2() -> Result<Argon2<'static>> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).map_err(Error::internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_refused_that_is_short_common_or_its_owners_own_words() {
        let own = ["anna.nowak@example.com", "Anna Nowak-Kowalska"];
        for bad in [
            "elevenchars",
            "Password1234",
            "aaaaaaaaaaaaaaaa",
            "Anna.Nowak@example.com",
            "anna nowak-kowalska",
            "AnnaNowak-Kowalska",
            &"x1".repeat(129),
            "",
        ] {
            let error = check(bad, &own).unwrap_err();
            assert_eq!(error.fields()[0].field, "password");
            assert!(bad.is_empty() || !error.message().contains(bad), "{error}");
        }
        for good in ["twelve chars", "zażółć gęślą jaźń", &"x1".repeat(128)] {
            check(good, &own).unwrap();
        }
        assert!(COMMON.iter().all(|c| c.chars().count() >= 12 && *c == c.to_lowercase()));
    }

    #[tokio::test]
    async fn a_password_is_verified_against_its_own_hash_only() {
        let (passwords, random) = (Passwords::default(), Random::system());
        let hash = passwords.hash(&random, "twelve chars or more").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(passwords.hash(&random, "twelve chars or more").await.unwrap(), hash, "each has a salt of its own");
        assert!(passwords.verify("twelve chars or more", Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("twelve chars or mor", Some(hash)).await.unwrap());
        assert!(!passwords.verify("", None).await.unwrap());
        assert!(PasswordHash::new(DUMMY).is_ok_and(|h| h.params.get_decimal("m") == Some(19_456)), "as dear as a real one");
    }

    #[tokio::test]
    async fn more_than_may_wait_are_sent_away() {
        let passwords = Passwords::default();
        let _all = passwords.entered.clone().acquire_many_owned((AT_ONCE + WAITING) as u32).await.unwrap();
        let error = passwords.verify("x", None).await.unwrap_err();
        assert_eq!(error.code(), code::OVERLOADED);
        assert!(error.retry_after().is_some());
    }
}
