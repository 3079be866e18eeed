use astrolabe_kernel::principal::default_tenant;

use super::*;
use crate::testing;

fn caller(role: Role) -> Principal {
    Principal { role, ..Principal::local_admin() }
}

#[test]
fn an_e_mail_is_folded_and_what_is_none_is_refused() {
    assert_eq!(fold_email(" Anna.NOWAK@Example.COM ").unwrap(), "anna.nowak@example.com");
    for bad in ["", "anna", "@example.com", "anna@", "a@b@c", "a b@c", "a\n@b", "<a@b>", "a@b,c@d", &format!("{}@b", "a".repeat(254))] {
        assert_eq!(fold_email(bad).unwrap_err().fields()[0].field, "email", "{bad:?}");
    }
}

#[test]
fn capabilities_are_sorted_unique_and_never_roles_of_the_lattice() {
    let check = |names: &[&str]| check_capabilities(names.iter().map(|n| (*n).to_owned()).collect());
    assert_eq!(check(&["sre", " it ", "sre"]).unwrap(), ["it", "sre"]);
    for bad in ["admin", "researcher", "none", "", "a,b", "a\u{7}", &"x".repeat(129)] {
        assert_eq!(check(&[bad]).unwrap_err().fields()[0].field, "capabilities", "{bad:?}");
    }
    let many: Vec<String> = (0..=MAX_CAPABILITIES).map(|i| i.to_string()).collect();
    assert!(check_capabilities(many).is_err());
}

#[test]
fn nobody_gives_a_role_above_his_own_or_touches_somebody_above_him() {
    for own in Role::LATTICE {
        for other in Role::LATTICE {
            assert_eq!(check_may_give(&caller(own), other).is_ok(), other <= own);
            assert_eq!(check_not_above(&caller(own), other).is_ok(), other <= own);
        }
    }
}

#[tokio::test]
async fn members_are_listed_by_tenant_and_an_account_may_be_in_several() {
    let (_test, platform) = testing::platform().await;
    let other = testing::tenant(&platform, "other").await;
    let anna = testing::user(&platform, default_tenant(), "anna@example.com", Role::Viewer).await;
    let jan = testing::user(&platform, other, "jan@example.com", Role::Admin).await;
    testing::join(&platform, other, anna, Role::Editor).await;
    let mut tx = platform.kernel().db.read(other).await.unwrap();
    let ids = |members: Vec<Member>| members.into_iter().map(|m| m.id).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(ids(store::members(&mut tx, other, "", "", 10).await.unwrap()), [anna, jan].into());
    assert_eq!(ids(store::members(&mut tx, other, "anna@example.com", "", 10).await.unwrap()), [anna].into());
    assert!(store::member(&mut tx, other, anna).await.unwrap().is_some_and(|m| m.role == Role::Editor && m.capabilities == ["sre"]));
    drop(tx);
    let mut tx = platform.kernel().db.read(default_tenant()).await.unwrap();
    assert_eq!(ids(store::members(&mut tx, default_tenant(), "", "", 10).await.unwrap()), [anna].into());
    drop(tx);
    let mut tx = platform.kernel().db.read_all().await.unwrap();
    assert!(store::is_elsewhere(&mut tx, other, anna).await.unwrap() && !store::is_elsewhere(&mut tx, other, jan).await.unwrap());
}

#[tokio::test]
async fn administrators_are_counted_who_may_act() {
    let (_test, platform) = testing::platform().await;
    let first = testing::user(&platform, default_tenant(), "a@example.com", Role::Admin).await;
    let second = testing::user(&platform, default_tenant(), "b@example.com", Role::Admin).await;
    testing::user(&platform, default_tenant(), "c@example.com", Role::TenantAdmin).await;
    let mut tx = platform.kernel().db.write_all().await.unwrap();
    assert_eq!(store::active_admins(&mut tx).await.unwrap().len(), 2);
    store::set_account_state(&mut tx, second, State::Suspended).await.unwrap();
    assert_eq!(store::active_admins(&mut tx).await.unwrap(), [(default_tenant(), first)]);
}

#[tokio::test]
async fn an_account_goes_with_its_last_membership() {
    let (_test, platform) = testing::platform().await;
    let other = testing::tenant(&platform, "other").await;
    let user = testing::user(&platform, default_tenant(), "a@example.com", Role::Viewer).await;
    testing::join(&platform, other, user, Role::Viewer).await;
    let mut tx = platform.kernel().db.write_all().await.unwrap();
    store::delete_member(&mut tx, default_tenant(), user).await.unwrap();
    assert!(!store::delete_orphan(&mut tx, user).await.unwrap());
    store::delete_member(&mut tx, other, user).await.unwrap();
    assert!(store::delete_orphan(&mut tx, user).await.unwrap());
    assert!(store::account(&mut tx, user).await.unwrap().is_none());
}
