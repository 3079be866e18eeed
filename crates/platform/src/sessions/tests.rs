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
        let mut tx = test.kernel.db.write().await.unwrap();
        let taken = tx.take_code(&hash, test.kernel.now()).await.unwrap();
        tx.commit().await.unwrap();
        taken
    };
    let (a, b) = tokio::join!(take(), take());
    assert!(a ^ b);
}
