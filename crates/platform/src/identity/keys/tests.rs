use astrolabe_kernel::{Lifecycle, db::Db, testing::TestKernel};

use super::*;
use crate::MIGRATIONS;

const SECRET: &str = "kX3v9Qm2Zt7Lr5Wp8Yc1Nf6Hb4Jd0SgA";

fn config(secret: &str) -> IdentityConfig {
    IdentityConfig { secret_key: Secret::new(secret), jwt_secret_key: Secret::default(), key_days: 30 }
}

fn keys_with(test: &TestKernel, secret: &str) -> Keys {
    Keys::new(test.kernel.clone(), config(secret), "", test.folder.path().join("secret_key"))
}

async fn setup() -> (TestKernel, Keys) {
    let test = TestKernel::new(&[MIGRATIONS]).await;
    let keys = keys_with(&test, SECRET);
    (test, keys)
}

async fn token(keys: &Keys) -> String {
    keys.issue(Grant { subject: "user-1", ..Grant::default() }).await.unwrap().token.expose().to_owned()
}

async fn rotate(keys: &Keys) -> Rotation {
    keys.rotate(&Principal::local_admin(), &Trace::background(&keys.0.kernel.random)).await.unwrap()
}

async fn states(keys: &Keys) -> Vec<(String, String)> {
    keys.list().await.unwrap().into_iter().map(|k| (k.state, k.kid)).collect()
}

#[tokio::test]
async fn a_token_of_ours_verifies_and_says_what_was_granted_and_what_we_add() {
    let (test, keys) = setup().await;
    let claims =
        json!({"roles": ["editor"], "iss": "https://attacker.example", "exp": 1, "nbf": 9e9, "jti": "x", "sub": "admin", "sid": "y"});
    let Value::Object(claims) = claims else { panic!() };
    let issued = keys.issue(Grant { subject: "user-1", session: Some("ses_1"), claims }).await.unwrap();
    assert_eq!(issued.expires_at, test.kernel.now().plus(ACCESS_LIFE));
    let claims = keys.verify(issued.token.expose()).await.unwrap();
    assert_eq!(
        (claims.subject.as_str(), claims.session.as_deref(), claims.id.as_deref()),
        ("user-1", Some("ses_1"), Some(issued.id.as_str()))
    );
    assert_eq!((claims.raw()["iss"].as_str(), claims.raw()["aud"].as_str()), (Some("astrolabe"), Some("astrolabe")));
    assert_eq!(tokens::roles(&claims, "").into_iter().collect::<Vec<_>>(), ["editor"]);
    assert!(!format!("{issued:?}").contains(issued.token.expose()));
    let other = keys.issue(Grant { subject: "user-1", ..Grant::default() }).await.unwrap();
    assert_ne!(other.id, issued.id);
    test.kernel.clock.advance(ACCESS_LIFE + LEEWAY);
    assert_eq!(keys.verify(issued.token.expose()).await.unwrap_err().code(), code::TOKEN_EXPIRED);
    for subject in ["", "a\u{0}b", &"s".repeat(256)] {
        assert!(keys.issue(Grant { subject, ..Grant::default() }).await.is_err());
    }
}

#[tokio::test]
async fn what_is_published_verifies_elsewhere_and_holds_no_private_half() {
    let (test, keys) = setup().await;
    let token = token(&keys).await;
    let jwks = keys.jwks().await.unwrap();
    let set = KeySet::parse(jwks.as_bytes()).unwrap();
    assert_eq!((set.len(), set.left_out().len()), (2, 0), "the next key is there before it signs");
    let expect = Expectations::access("astrolabe", vec!["astrolabe".to_owned()]);
    Verifier { keys: &set, expect: &expect }.verify(&token, test.kernel.now()).unwrap();
    let mut names: Vec<String> = serde_json::from_str::<Value>(&jwks).unwrap()["keys"][0].as_object().unwrap().keys().cloned().collect();
    names.sort_unstable();
    assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x"]);
    let stored: Vec<Vec<u8>> = test.kernel.db.read_all().await.unwrap().all("SELECT private_key FROM signing_keys", &[]).await.unwrap();
    let seed = keys.current().await.unwrap().signer.clone().unwrap().to_bytes();
    assert!(stored.iter().all(|blob| !blob.windows(32).any(|w| w == seed)), "nor does the database, in the clear");
}

#[test]
fn the_id_of_a_key_is_the_thumbprint_of_rfc_8037() {
    assert_eq!(thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[tokio::test]
async fn the_next_key_takes_over_and_tokens_of_the_old_one_stay_good_until_they_expire() {
    let (test, keys) = setup().await;
    let old = token(&keys).await;
    let before = states(&keys).await;
    assert_eq!(rotate(&keys).await, Rotation::Done);
    let after = states(&keys).await;
    assert_eq!(after.len(), 3);
    assert_eq!(after[0], ("active".to_owned(), before[1].1.clone()));
    assert_eq!(after[2], ("retired".to_owned(), before[0].1.clone()));
    let new = token(&keys).await;
    assert_eq!(tokens::look(&new).unwrap().kid.as_deref(), Some(after[0].1.as_str()));
    keys.verify(&old).await.unwrap();
    keys.verify(&new).await.unwrap();
    test.kernel.clock.advance(ACCESS_LIFE);
    keys.verify(&old).await.unwrap();
    test.kernel.clock.advance(PUBLISHED);
    assert_eq!(keys.keep().await.unwrap(), None);
    assert_eq!(states(&keys).await.len(), 2);
    let left: i64 = test.kernel.db.read_all().await.unwrap().one("SELECT COUNT(*) FROM signing_keys", &[]).await.unwrap();
    assert_eq!(left, 2);
    let erased: i64 =
        test.kernel.db.read_all().await.unwrap().one("SELECT COUNT(*) FROM audit_entries WHERE action = 'keys.rotate'", &[]).await.unwrap();
    assert_eq!(erased, 1);
}

#[tokio::test]
async fn the_private_half_of_a_retired_key_is_erased() {
    let (test, keys) = setup().await;
    keys.open().await.unwrap();
    rotate(&keys).await;
    let mut tx = test.kernel.db.read_all().await.unwrap();
    let kept: i64 = tx.one("SELECT COUNT(*) FROM signing_keys WHERE state = 'retired' AND private_key IS NOT NULL", &[]).await.unwrap();
    assert_eq!(kept, 0);
}

#[tokio::test]
async fn a_key_rotates_by_itself_when_its_days_are_over() {
    let (test, keys) = setup().await;
    keys.open().await.unwrap();
    test.kernel.clock.advance(DAY * 29);
    assert_eq!(keys.keep().await.unwrap(), None);
    test.kernel.clock.advance(DAY);
    assert_eq!(keys.keep().await.unwrap(), Some(Rotation::Done));
    assert_eq!(keys.keep().await.unwrap(), None);
    let never = Keys::new(test.kernel.clone(), IdentityConfig { key_days: 0, ..config(SECRET) }, "", "nowhere".into());
    test.kernel.clock.advance(DAY * 1000);
    assert_eq!(never.keep().await.unwrap(), None);
}

#[tokio::test]
async fn another_process_notices_a_rotation_in_time_and_a_token_of_a_new_key_at_once() {
    let (test, one) = setup().await;
    let two = keys_with(&test, SECRET);
    two.open().await.unwrap();
    let old = two.current().await.unwrap().kid.clone();
    rotate(&one).await;
    assert_eq!(two.current().await.unwrap().kid, old, "it has not looked yet");
    two.verify(&token(&one).await).await.unwrap();
    test.kernel.clock.advance(NOTICE);
    assert_ne!(two.current().await.unwrap().kid, old);
    // A key that was never announced.
    one.revoke(&Principal::local_admin(), &Trace::background(&test.kernel.random)).await.unwrap();
    test.kernel.clock.advance(AGAIN);
    two.verify(&token(&one).await).await.unwrap();
}

#[tokio::test]
async fn of_several_processes_that_start_or_rotate_at_once_one_makes_the_keys() {
    let test = TestKernel::new(&[MIGRATIONS]).await;
    let all: Vec<Keys> = (0..5).map(|_| keys_with(&test, SECRET)).collect();
    let opened = futures_util::future::join_all(all.iter().map(Keys::open)).await;
    assert!(opened.iter().all(Result::is_ok), "{opened:?}");
    assert_eq!(states(&all[0]).await.len(), 2);
    test.kernel.clock.advance(DAY * 30);
    let kept: Vec<_> = futures_util::future::join_all(all.iter().map(Keys::keep)).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(kept.iter().filter(|r| **r == Some(Rotation::Done)).count(), 1, "{kept:?}");
    assert_eq!(states(&all[0]).await.len(), 3);
    let token = token(&all[0]).await;
    for keys in &all {
        keys.verify(&token).await.unwrap();
    }
}

#[tokio::test]
async fn a_wrong_secret_is_told_at_the_start_and_changes_nothing() {
    let (test, keys) = setup().await;
    keys.open().await.unwrap();
    let before = test.kernel.db.read_all().await.unwrap().signing_keys(test.kernel.now()).await.unwrap();
    let other = "Vb8Kq1Xz6Rn3Tm9Ls4Gw7Hd2Jf5Pc0Ya";
    let error = keys_with(&test, other).open().await.unwrap_err();
    assert_eq!(error.code(), code::INVALID_CONFIG);
    assert!(error.message().contains("SECRET_KEY") && error.message().contains("keys rotate --revoke"), "{error}");
    assert!(!format!("{error:?}").contains(other));
    let beside = keys_with(&test, "");
    if test.kernel.db.dialect() == Dialect::Sqlite {
        assert_eq!(beside.open().await.unwrap_err().code(), code::INVALID_CONFIG, "there is no other process");
    } else {
        beside.open().await.unwrap();
        assert!(beside.only_verifies() && !keys.only_verifies(), "one of several processes may have no secret");
        beside.verify(&token(&keys).await).await.unwrap();
        let refused = beside.issue(Grant { subject: "user-1", ..Grant::default() }).await.unwrap_err();
        assert_eq!(refused.code(), code::NOT_CONFIGURED);
        assert!(refused.message().contains("SECRET_KEY"), "{refused}");
    }
    assert!(!test.folder.path().join("secret_key").try_exists().unwrap(), "no secret is made for keys that it cannot open");
    assert_eq!(test.kernel.db.read_all().await.unwrap().signing_keys(test.kernel.now()).await.unwrap(), before);
    let placeholder = keys_with(&test, "change-me-change-me-change-me-change-me").open().await.unwrap_err();
    assert!(placeholder.message().starts_with("SECRET_KEY: "), "{placeholder}");

    let old = token(&keys).await;
    let fresh = keys_with(&test, other);
    fresh.revoke(&Principal::local_admin(), &Trace::background(&test.kernel.random)).await.unwrap();
    fresh.open().await.unwrap();
    assert_eq!(fresh.verify(&old).await.unwrap_err().code(), code::INVALID_TOKEN, "revoking ends what was signed before");
    assert_eq!(states(&fresh).await.len(), 2);
}

#[tokio::test]
async fn without_a_setting_the_secret_is_in_the_data_directory_and_outlives_the_process() {
    let test = TestKernel::new(&[MIGRATIONS]).await;
    let token = token(&keys_with(&test, "")).await;
    keys_with(&test, "").verify(&token).await.unwrap();
    assert!(test.folder.path().join("secret_key").try_exists().unwrap());
}

#[tokio::test]
async fn the_public_address_names_the_issuer_and_no_other_server_takes_its_tokens() {
    let (test, keys) = setup().await;
    let named = Keys::new(test.kernel.clone(), config(SECRET), "https://docs.example.com/", "nowhere".into());
    assert_eq!(named.issuer(), "https://docs.example.com");
    let issued = named.issue(Grant { subject: "user-1", ..Grant::default() }).await.unwrap();
    assert_eq!(keys.verify(issued.token.expose()).await.unwrap_err().code(), code::INVALID_ISSUER);
    let elsewhere = TestKernel::new(&[MIGRATIONS]).await;
    let theirs = token(&keys_with(&elsewhere, SECRET)).await;
    assert_eq!(keys.verify(&theirs).await.unwrap_err().code(), code::INVALID_TOKEN, "the same name and secret, and other keys");
}

#[tokio::test]
async fn a_token_goes_to_the_issuer_that_it_names() {
    let (test, _) = setup().await;
    let identity =
        crate::identity::Identity::new(&test.kernel, crate::identity::config::OidcConfig::default(), config(SECRET), "", "nowhere".into())
            .unwrap();
    let (claims, origin) = identity.verify(&token(identity.keys()).await).await.unwrap();
    assert_eq!((claims.subject.as_str(), origin), ("user-1", crate::identity::Origin::BuiltIn));
    let foreign =
        crate::identity::testing::ISSUER.token(tokens::Algorithm::EdDSA, r#"{"alg":"EdDSA"}"#, r#"{"iss":"https://id.example.com"}"#);
    assert_eq!(identity.verify(&foreign).await.unwrap_err().code(), code::INVALID_ISSUER);
    let own = crate::identity::config::OidcConfig {
        issuer: "https://a.example".to_owned(),
        audience: vec!["a".to_owned()],
        ..Default::default()
    };
    assert!(crate::identity::Identity::new(&test.kernel, own, config(SECRET), "https://a.example/", "nowhere".into()).is_err());
}

/// A process of its own on the same database, with its own connections.
#[tokio::test]
async fn processes_with_connections_of_their_own_rotate_once() {
    let test = TestKernel::new(&[MIGRATIONS]).await;
    if test.kernel.db.dialect() == astrolabe_kernel::db::Dialect::Sqlite {
        return;
    }
    let url: String = test.kernel.db.read_all().await.unwrap().one("SELECT current_database()::text", &[]).await.unwrap();
    let server = std::env::vars().find(|(name, _)| name == "TEST_POSTGRES_URI").unwrap().1;
    let url = format!("{}/{url}", server.rsplit_once('/').unwrap().0);
    let mut all = Vec::new();
    for _ in 0..4 {
        let db = Db::open(&url, 2).await.unwrap();
        let kernel = Kernel { db, lifecycle: Lifecycle::new(), ..test.kernel.clone() };
        all.push(Keys::new(kernel, config(SECRET), "", "nowhere".into()));
    }
    let opened = futures_util::future::join_all(all.iter().map(Keys::open)).await;
    assert!(opened.iter().all(Result::is_ok), "{opened:?}");
    test.kernel.clock.advance(DAY * 30);
    let kept = futures_util::future::join_all(all.iter().map(Keys::keep)).await;
    assert_eq!(kept.iter().filter(|r| matches!(r, Ok(Some(Rotation::Done)))).count(), 1, "{kept:?}");
}
