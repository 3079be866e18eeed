use astrolabe_kernel::{
    principal::default_tenant,
    testing::{START, TestKernel},
};

use super::{store::NewSession, *};
use crate::{MIGRATIONS, testing};

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
        let taken = tx.take_code(&hash, test.kernel.now()).await.unwrap().is_some();
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
    let (_test, platform) = testing::platform().await;
    let kernel = platform.kernel();
    let first = new_code(kernel, &Principal::local_admin()).await.unwrap();
    for _ in 0..MAX_CODES {
        kernel.clock.advance(Duration::from_secs(1));
        new_code(kernel, &Principal::local_admin()).await.unwrap();
    }
    assert_eq!(count(kernel, "sign_in_codes").await, MAX_CODES);
    let mut tx = kernel.db.write_all().await.unwrap();
    assert!(tx.take_code(&hex::encode(digest(first.expose())), kernel.now()).await.unwrap().is_none(), "the oldest has gone");
    drop(tx);
    kernel.clock.advance(CODE_LIFE + Duration::from_secs(1));
    assert_eq!(platform.prune_sessions().await.unwrap(), u64::try_from(MAX_CODES).unwrap());
    assert_eq!(count(kernel, "sign_in_codes").await, 0);
}

async fn session(platform: &Platform, principal: &str, tenant: TenantId, user: Option<UserId>, hash: &str) -> Id<Session> {
    let kernel = platform.kernel();
    let (id, now) = (kernel.id(), kernel.now());
    let session = NewSession { id, tenant, principal, user, method: "link", client: "", hash, now, expires_at: now.plus(SESSION_LIFE) };
    let mut tx = kernel.db.write(tenant).await.unwrap();
    tx.insert_session(session).await.unwrap();
    tx.commit().await.unwrap();
    id
}

#[tokio::test]
async fn a_further_session_ends_the_one_of_the_same_person_that_was_not_used_for_longest() {
    let (_test, platform) = testing::platform().await;
    let kernel = platform.kernel();
    for (principal, hash) in [("q", "other"), ("p", "0"), ("p", "1"), ("p", "2")] {
        session(&platform, principal, default_tenant(), None, hash).await;
        kernel.clock.advance(Duration::from_secs(1));
    }
    let mut tx = kernel.db.write_all().await.unwrap();
    assert_eq!(tx.keep_newest_sessions("p", 2).await.unwrap(), 1);
    let left: Vec<String> = tx.all("SELECT hash FROM sessions ORDER BY hash", &[]).await.unwrap();
    assert_eq!(left, ["1", "2", "other"]);
}

#[tokio::test]
async fn of_two_who_refresh_at_once_one_succeeds() {
    let (_test, platform) = testing::platform().await;
    let kernel = platform.kernel();
    let id = session(&platform, "p", default_tenant(), None, "h").await;
    let mut tx = kernel.db.write(default_tenant()).await.unwrap();
    tx.insert_refresh("r", default_tenant(), id, kernel.now()).await.unwrap();
    tx.commit().await.unwrap();
    let take = || async {
        let mut tx = kernel.db.write(default_tenant()).await.unwrap();
        let used = tx.use_refresh("r", kernel.now()).await.unwrap();
        tx.commit().await.unwrap();
        used
    };
    let (a, b) = tokio::join!(take(), take());
    assert!(a ^ b);
    let mut tx = kernel.db.write_all().await.unwrap();
    assert!(tx.refresh("r").await.unwrap().unwrap().used, "a used one is remembered");
    assert_eq!(tx.delete_session(id, "somebody else").await.unwrap(), 0);
    assert_eq!(tx.delete_session(id, "p").await.unwrap(), 1);
    assert!(tx.refresh("r").await.unwrap().is_none(), "until its session ends");
}

#[tokio::test]
async fn signing_somebody_out_of_a_tenant_leaves_the_sessions_in_others() {
    let (_test, platform) = testing::platform().await;
    let kernel = platform.kernel();
    let other = testing::tenant(&platform, "other").await;
    let user = testing::user(&platform, default_tenant(), "a@example.com", astrolabe_kernel::Role::Viewer).await;
    let here = session(&platform, "p", default_tenant(), Some(user), "1").await;
    session(&platform, "p", other, Some(user), "2").await;
    let mut tx = kernel.db.write_all().await.unwrap();
    assert_eq!(tx.delete_sessions_of(user, Some(default_tenant()), Some(here)).await.unwrap(), 0, "but for the one that is kept");
    assert_eq!(tx.delete_sessions_of(user, Some(default_tenant()), None).await.unwrap(), 1);
    assert_eq!(tx.delete_sessions_of(user, None, None).await.unwrap(), 1);
}

#[tokio::test]
async fn a_link_for_an_e_mail_is_made_for_active_local_accounts_alone() {
    let (_test, platform) = testing::platform().await;
    let kernel = platform.kernel();
    let user = testing::user(&platform, default_tenant(), "a@example.com", astrolabe_kernel::Role::Viewer).await;
    assert_eq!(new_code_of(kernel, "nobody@example.com").await.unwrap_err().code(), code::NOT_FOUND);
    let code = new_code_of(kernel, " A@Example.com ").await.unwrap();
    let mut tx = kernel.db.write_all().await.unwrap();
    let taken = tx.take_code(&hex::encode(digest(code.expose())), kernel.now()).await.unwrap().unwrap();
    assert_eq!((taken.user, taken.tenant, taken.joins), (Some(user), default_tenant(), false));
    accounts::store::set_account_state(&mut tx, user, State::Suspended).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(new_code_of(kernel, "a@example.com").await.unwrap_err().code(), code::NOT_FOUND);
}
