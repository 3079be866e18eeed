use astrolabe_kernel::principal::default_tenant;

use super::*;
use crate::testing;

#[tokio::test]
async fn the_default_tenant_is_there_from_the_first_start_on() {
    let (_test, platform) = testing::platform().await;
    let mut tx = platform.kernel().db.read_all().await.unwrap();
    let tenant = store::by_slug(&mut tx, "default").await.unwrap().unwrap();
    assert_eq!((tenant.id, tenant.state), (default_tenant(), State::Active));
}

#[test]
fn a_slug_is_a_label_of_a_host_name() {
    for good in ["a", "acme", "acme-2", "0", &"a".repeat(63)] {
        check_slug(good).unwrap();
    }
    for bad in ["", "-a", "a-", "Acme", "a.b", "a b", "ą", &"a".repeat(64)] {
        assert_eq!(check_slug(bad).unwrap_err().fields()[0].field, "slug", "{bad:?}");
    }
}

#[test]
fn a_name_is_trimmed_and_has_no_control_characters() {
    assert_eq!(check_name("  Acme Ltd ").unwrap(), "Acme Ltd");
    for bad in ["", "   ", "a\nb", &"a".repeat(201)] {
        assert!(check_name(bad).is_err(), "{bad:?}");
    }
}

#[tokio::test]
async fn somebody_is_offered_the_active_tenants_of_active_memberships() {
    let (_test, platform) = testing::platform().await;
    let user = testing::user(&platform, default_tenant(), "a@example.com", astrolabe_kernel::Role::Viewer).await;
    let (other, third) = (testing::tenant(&platform, "other").await, testing::tenant(&platform, "third").await);
    testing::join(&platform, other, user, astrolabe_kernel::Role::Viewer).await;
    let mut tx = platform.kernel().db.write_all().await.unwrap();
    let mut slugs = async || -> Vec<String> {
        let found = store::of_user(&mut tx, &user.to_string(), 10).await.unwrap();
        found.into_iter().map(|t| t.slug).collect()
    };
    assert_eq!(slugs().await, ["default", "other"]);
    let tenant = store::lock(&mut tx, other).await.unwrap().unwrap();
    store::update(&mut tx, &Tenant { state: State::Suspended, ..tenant }).await.unwrap();
    let found = store::of_user(&mut tx, &user.to_string(), 10).await.unwrap();
    assert!(found.iter().all(|t| t.id != other && t.id != third));
}
