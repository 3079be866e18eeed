use std::time::Duration;

use astrolabe_kernel::{Role, principal::default_tenant};

use super::{external::External, *};
use crate::{accounts::Member, testing};

fn said(subject: &str, role: Role, capabilities: &[&str]) -> External {
    External {
        issuer: "https://id.example.com".to_owned(),
        subject: subject.to_owned(),
        name: "Anna".to_owned(),
        email: Some("anna@example.com".to_owned()),
        tenant: None,
        role,
        capabilities: capabilities.iter().map(|c| (*c).to_owned()).collect(),
        until: Timestamp::from_micros(i64::MAX),
    }
}

async fn stands(platform: &Platform, external: &External) -> Result<Standing> {
    external::standing(platform.kernel(), external, platform.kernel().now()).await
}

async fn member(platform: &Platform, user: UserId) -> Member {
    let mut tx = platform.kernel().db.read(default_tenant()).await.unwrap();
    accounts::store::member(&mut tx, default_tenant(), user).await.unwrap().unwrap()
}

#[tokio::test]
async fn somebody_of_an_issuer_outside_gets_an_account_at_first_sight_and_the_roles_of_the_token() {
    let (_test, platform) = testing::platform().await;
    let first = stands(&platform, &said("s1", Role::Editor, &["sre"])).await.unwrap();
    let user = first.user.unwrap();
    assert_eq!((first.principal.role, first.principal.tenant), (Role::Editor, default_tenant()));
    assert_eq!(first.principal.id, format!("user:{user}"));
    let again = stands(&platform, &said("s1", Role::Viewer, &[])).await.unwrap();
    assert_eq!((again.user, again.principal.role), (Some(user), Role::Viewer), "the roles of this token are in force");
    let kept = member(&platform, user).await;
    assert_eq!((kept.role, kept.capabilities.len(), kept.email.as_deref()), (Role::Viewer, 0, Some("anna@example.com")));
    let other = stands(&platform, &said("s2", Role::Viewer, &[])).await.unwrap();
    assert_ne!(other.user, Some(user), "an account is of an issuer and a subject, not of an e-mail");
    assert_eq!(member(&platform, other.user.unwrap()).await.email, None, "and takes no e-mail that another account has");
}

#[tokio::test]
async fn two_first_requests_at_once_make_one_account() {
    let (_test, platform) = testing::platform().await;
    let external = said("s1", Role::Editor, &[]);
    let (a, b) = tokio::join!(stands(&platform, &external), stands(&platform, &external));
    assert_eq!(a.unwrap().user, b.unwrap().user);
}

#[tokio::test]
async fn whoever_is_suspended_or_of_an_unknown_tenant_hears_the_same() {
    let (_test, platform) = testing::platform().await;
    let external = said("s1", Role::Admin, &[]);
    let user = stands(&platform, &external).await.unwrap().user.unwrap();
    let told = |r: Result<Standing>| format!("{:?}", r.err().unwrap());
    let unknown = told(stands(&platform, &External { tenant: Some("nowhere".to_owned()), ..said("s1", Role::Admin, &[]) }).await);
    let mut tx = platform.kernel().db.write_all().await.unwrap();
    accounts::store::set_account_state(&mut tx, user, State::Suspended).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(told(stands(&platform, &external).await), unknown);
    let mut tx = platform.kernel().db.write_all().await.unwrap();
    accounts::store::set_account_state(&mut tx, user, State::Active).await.unwrap();
    tx.commit().await.unwrap();
    let suspended = Member { state: State::Suspended, ..member(&platform, user).await };
    let mut tx = platform.kernel().db.write(default_tenant()).await.unwrap();
    accounts::store::update_member(&mut tx, default_tenant(), &suspended).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(told(stands(&platform, &external).await), unknown);
}

async fn verdict(platform: &Platform, external: External) -> (Digest, Arc<Verdict>) {
    let key = digest(&external.subject);
    (key, platform.judge(key, Proof::External(Arc::new(external))).await.unwrap())
}

#[tokio::test]
async fn a_stream_goes_on_while_its_credential_gives_as_much_as_when_it_began() {
    let (_test, platform) = testing::platform().await;
    let (key, begun) = verdict(&platform, said("s1", Role::Viewer, &[])).await;
    let user = begun.standing.user.unwrap();
    assert!(platform.still_holds(&key, &begun).await);
    let (key, more) = verdict(&platform, said("s1", Role::Editor, &["sre"])).await;
    assert!(platform.still_holds(&key, &begun).await, "more is enough");
    let (key, _) = verdict(&platform, said("s1", Role::Editor, &[])).await;
    assert!(!platform.still_holds(&key, &more).await, "a capability was taken away");
    assert!(platform.still_holds(&key, &begun).await);

    let mut tx = platform.kernel().db.write_all().await.unwrap();
    accounts::store::set_account_state(&mut tx, user, State::Suspended).await.unwrap();
    tx.commit().await.unwrap();
    assert!(platform.still_holds(&key, &begun).await, "another process did it: believed for a moment");
    platform.kernel().clock.advance(verdicts::AGE);
    assert!(!platform.still_holds(&key, &begun).await);
}

#[tokio::test]
async fn a_change_made_here_is_in_force_at_once_and_elsewhere_within_five_seconds() {
    assert!(verdicts::AGE + streams::EVERY < Duration::from_secs(5));
    let (_test, platform) = testing::platform().await;
    let (key, begun) = verdict(&platform, said("s1", Role::Viewer, &[])).await;
    let user = begun.standing.user.unwrap();
    let mut tx = platform.kernel().db.write_all().await.unwrap();
    accounts::store::set_account_state(&mut tx, user, State::Suspended).await.unwrap();
    tx.commit().await.unwrap();
    platform.forget_user(user);
    assert!(!platform.still_holds(&key, &begun).await);
}

#[tokio::test]
async fn claims_become_a_role_capabilities_and_a_tenant() {
    let (_test, platform) = testing::platform().await;
    let keys = platform.0.identity.keys();
    let config =
        crate::identity::config::OidcConfig { tenant_claim: "org".to_owned(), default_role: "viewer".to_owned(), ..Default::default() };
    let read = async |claims: serde_json::Value, config: &crate::identity::config::OidcConfig| {
        let grant = crate::identity::keys::Grant { subject: "s", session: None, claims: claims.as_object().unwrap().clone() };
        let claims = keys.verify(keys.issue(grant).await.unwrap().token.expose()).await.unwrap();
        External::of(&[&claims], config).map(|e| (e.role, e.capabilities, e.tenant, e.email, e.name))
    };
    let all = serde_json::json!({
        "roles": ["viewer", "sre"], "groups": ["researcher"], "realm_access": {"roles": ["it"]}, "org": "acme", "name": "Anna", "email": "Anna@Example.com",
    });
    let capabilities = vec!["it".to_owned(), "sre".to_owned()];
    let expected = (Role::Editor, capabilities, Some("acme".to_owned()), Some("anna@example.com".to_owned()), "Anna".to_owned());
    assert_eq!(read(all, &config).await, Some(expected));
    let (role, ..) = read(serde_json::json!({"roles": ["sre"]}), &config).await.unwrap();
    assert_eq!(role, Role::Viewer, "the default where no claim gives a role of the lattice");
    let (role, ..) = read(serde_json::json!({"roles": ["auditor"]}), &config).await.unwrap();
    assert_eq!(role, Role::None, "an auditor reads the audit log and nothing else");
    let (.., email, _) = read(serde_json::json!({"email": "a@b", "email_verified": false}), &config).await.unwrap();
    assert_eq!(email, None);
    let closed = crate::identity::config::OidcConfig::default();
    assert!(read(serde_json::json!({}), &closed).await.is_none(), "without a default, who has no role is refused");
    assert_eq!(read(serde_json::json!({"roles": ["sre"]}), &closed).await.unwrap().0, Role::None);
}
