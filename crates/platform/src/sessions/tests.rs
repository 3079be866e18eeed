use astrolabe_kernel::testing::{START, TestKernel};

use super::*;
use crate::MIGRATIONS;

#[test]
fn a_token_is_made_once_and_read_from_then_on() {
    let folder = std::env::temp_dir().join(format!("astrolabe-token-{}", Random::system().token(9)));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("token");
    let first = token(&file, &Random::system()).unwrap();
    assert!(first.expose().starts_with("astro_") && first.expose().len() == 6 + 43, "32 bytes in base 64");
    assert_eq!(token(&file, &Random::system()).unwrap(), first);
    std::fs::write(&file, "secret").unwrap();
    let error = token(&file, &Random::system()).unwrap_err();
    assert_eq!(error.code(), code::DATA_DIR_UNUSABLE);
    assert!(!format!("{error:?}").contains("secret"), "what is in the file is not repeated");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn our_cookie_is_found_among_others() {
    let find = |values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::COOKIE, axum::http::HeaderValue::from_static(value));
        }
        cookie(&headers).map(str::to_owned)
    };
    assert_eq!(find(&["theme=dark; astrolabe_session=abc; x=y"]).as_deref(), Some("abc"));
    assert_eq!(find(&["theme=dark", "astrolabe_session=abc"]).as_deref(), Some("abc"));
    assert_eq!(find(&["my_astrolabe_session=abc"]), None);
    assert_eq!(find(&[]), None);
}

#[test]
fn refusals_are_recorded_at_a_bounded_rate_and_all_are_counted() {
    let refusals = Refusals::default();
    assert_eq!(refusals.due(START), Some(1));
    assert!((0..99).all(|_| refusals.due(START.plus(REFUSALS / 2)).is_none()));
    assert_eq!(refusals.due(START.plus(REFUSALS)), Some(100));
}

#[tokio::test]
async fn of_two_who_open_a_link_at_once_one_is_signed_in() {
    let test = TestKernel::new(&[MIGRATIONS]).await;
    let code = new_code(&test.kernel, &Principal::local_admin()).await.unwrap();
    let hash = hex::encode(digest(code.expose()));
    let take = || async {
        let mut tx = test.kernel.db.write_all().await.unwrap();
        let taken = tx.take_code(&hash, test.kernel.now()).await.unwrap();
        tx.commit().await.unwrap();
        taken
    };
    let (a, b) = tokio::join!(take(), take());
    assert!(a ^ b);
}

async fn count(kernel: &Kernel, table: &str) -> i64 {
    kernel.db.read_all().await.unwrap().one(format!("SELECT COUNT(*) FROM {table}"), &[]).await.unwrap()
}

#[tokio::test]
async fn links_that_nobody_opens_do_not_gather() {
    let test = TestKernel::new(&[MIGRATIONS]).await;
    let kernel = &test.kernel;
    let first = new_code(kernel, &Principal::local_admin()).await.unwrap();
    for _ in 0..MAX_CODES {
        kernel.clock.advance(Duration::from_secs(1));
        new_code(kernel, &Principal::local_admin()).await.unwrap();
    }
    assert_eq!(count(kernel, "sign_in_codes").await, MAX_CODES);
    let mut tx = kernel.db.write_all().await.unwrap();
    assert!(!tx.take_code(&hex::encode(digest(first.expose())), kernel.now()).await.unwrap(), "the oldest has gone");
    drop(tx);
    kernel.clock.advance(CODE_LIFE + Duration::from_secs(1));
    let platform = Platform::new(
        kernel.clone(),
        &Secret::new("astro_x"),
        astrolabe_kernel::jobs::Registry::default(),
        false,
        crate::Catalogue::default(),
    );
    assert_eq!(platform.prune_sessions().await.unwrap(), u64::try_from(MAX_CODES).unwrap());
    assert_eq!(count(kernel, "sign_in_codes").await, 0);
}

#[tokio::test]
async fn a_further_session_ends_the_one_that_was_not_used_for_longest() {
    let test = TestKernel::new(&[MIGRATIONS]).await;
    let kernel = &test.kernel;
    let tenant = Principal::local_admin().tenant;
    let mut tx = kernel.db.write(tenant).await.unwrap();
    for i in 0..3_u64 {
        let now = kernel.now().plus(Duration::from_secs(i));
        let hash = format!("{i}");
        let session = store::NewSession { id: kernel.id(), tenant, principal: "p", hash: &hash, now, expires_at: now.plus(SESSION_LIFE) };
        tx.insert_session(session).await.unwrap();
    }
    assert_eq!(tx.keep_newest(tenant, 1, 2).await.unwrap(), 1);
    let left: Vec<String> = tx.all("SELECT hash FROM sessions ORDER BY hash", &[]).await.unwrap();
    assert_eq!(left, ["1", "2"]);
}
