use astrolabe_kernel::{Role, http::Trace, testing::TestKernel};

use super::*;
use crate::MIGRATIONS;

fn caller(kernel: &Kernel, id: &str, role: Role) -> Caller {
    let tenant = astrolabe_kernel::principal::default_tenant();
    let principal = Principal::new(id, id, tenant, role, Vec::new(), "token");
    Caller { principal, trace: Trace::background(&kernel.random), idempotency_key: None }
}

fn named(name: &str) -> NewApiKey {
    NewApiKey { name: name.to_owned(), ..NewApiKey::default() }
}

async fn finds(kernel: &Kernel, secret: &Secret) -> Option<Usable> {
    find(kernel, &hex::encode(digest(secret.expose()))).await.unwrap()
}

#[tokio::test]
async fn a_key_opens_until_it_is_revoked_or_over_and_its_secret_is_nowhere_in_the_database() {
    let test = TestKernel::new(&[MIGRATIONS]).await;
    let kernel = &test.kernel;
    let ann = caller(kernel, "user:ann", Role::Editor);
    let (key, secret) = make(kernel, &ann, &named("nightly")).await.unwrap();
    assert!(secret.expose().starts_with("astro_") && secret.expose().len() == 6 + 43 && secret.expose().ends_with(&key.hint));
    let found = finds(kernel, &secret).await.unwrap();
    assert_eq!((found.id, found.owner.as_str(), found.scope), (key.id, "user:ann", Rights::ALL));
    assert!(finds(kernel, &Secret::new(format!("{}x", secret.expose()))).await.is_none());

    let rows: Vec<String> = kernel.db.read_all().await.unwrap().all("SELECT payload FROM audit_entries", &[]).await.unwrap();
    assert!(rows.iter().all(|r| !r.contains(secret.expose())));
    let stored: Vec<String> = kernel.db.read_all().await.unwrap().all("SELECT hash FROM api_keys", &[]).await.unwrap();
    assert_eq!(stored, [hex::encode(digest(secret.expose()))]);

    revoke(kernel, &ann, key.id).await.unwrap();
    assert!(finds(kernel, &secret).await.is_none());
    let (_, brief) = make(kernel, &ann, &NewApiKey { expires_in_days: Some(1), ..named("brief") }).await.unwrap();
    kernel.clock.advance(Duration::from_secs(24 * 3600 - 1));
    assert!(finds(kernel, &brief).await.is_some());
    kernel.clock.advance(Duration::from_secs(1));
    assert!(finds(kernel, &brief).await.is_none());
}

#[tokio::test]
async fn a_key_is_seen_and_revoked_by_its_owner_and_by_who_manages_keys_alone() {
    let test = TestKernel::new(&[MIGRATIONS]).await;
    let kernel = &test.kernel;
    let (ann, ben) = (caller(kernel, "user:ann", Role::Viewer), caller(kernel, "user:ben", Role::Editor));
    let (key, secret) = make(kernel, &ann, &named("mine")).await.unwrap();
    let foreign = revoke(kernel, &ben, key.id).await.unwrap_err();
    let missing = revoke(kernel, &ben, kernel.id()).await.unwrap_err();
    assert_eq!((foreign.code(), foreign.message()), (missing.code(), missing.message()));
    assert!(finds(kernel, &secret).await.is_some());
    let chief = caller(kernel, "user:chief", Role::TenantAdmin);
    assert!(revoke(kernel, &chief, key.id).await.unwrap().revoked_at.is_some());
    let mut elsewhere = chief.clone();
    elsewhere.principal.tenant = Id::derived(b"another tenant");
    assert_eq!(revoke(kernel, &elsewhere, key.id).await.unwrap_err().code(), code::NOT_FOUND);
}

#[tokio::test]
async fn a_key_makes_no_key_that_reaches_further_than_itself() {
    let test = TestKernel::new(&[MIGRATIONS]).await;
    let kernel = &test.kernel;
    let mut ann = caller(kernel, "user:ann", Role::Editor);
    ann.principal.scope = [Right::OwnAccount, Right::ReadKnowledge].into_iter().collect();
    for scopes in [None, Some(vec![Right::ReadKnowledge, Right::WriteKnowledge])] {
        let error = make(kernel, &ann, &NewApiKey { scopes, ..named("wide") }).await.unwrap_err();
        assert_eq!(error.code(), code::INSUFFICIENT_SCOPE);
    }
    let (_, secret) = make(kernel, &ann, &NewApiKey { scopes: Some(vec![Right::ReadKnowledge]), ..named("narrow") }).await.unwrap();
    let narrowed = finds(kernel, &secret).await.unwrap().narrow(caller(kernel, "user:ann", Role::Admin).principal);
    assert_eq!(narrowed.rights().list(), [Right::ReadKnowledge]);
    assert!(narrowed.credential.starts_with("key:key_"));
}

#[tokio::test]
async fn a_wrong_field_of_a_new_key_is_named_and_nobody_has_more_keys_than_allowed() {
    let test = TestKernel::new(&[MIGRATIONS]).await;
    let kernel = &test.kernel;
    let ann = caller(kernel, "user:ann", Role::Viewer);
    for (new, field) in [
        (named(" "), "name"),
        (named(&"n".repeat(101)), "name"),
        (NewApiKey { scopes: Some(Vec::new()), ..named("a") }, "scopes"),
        (NewApiKey { expires_in_days: Some(0), ..named("a") }, "expires_in_days"),
    ] {
        assert_eq!(make(kernel, &ann, &new).await.unwrap_err().fields()[0].field, field);
    }
    let mut last = None;
    for _ in 0..MAX_KEYS {
        last = Some(make(kernel, &ann, &named("one of many")).await.unwrap().0);
    }
    assert_eq!(make(kernel, &ann, &named("too many")).await.unwrap_err().code(), code::CONFLICT);
    revoke(kernel, &ann, last.unwrap().id).await.unwrap();
    make(kernel, &ann, &named("room again")).await.unwrap();
}
