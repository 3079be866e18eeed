//! What the domain's tests share.

use astrolabe_kernel::{Kernel, Timestamp, config::Secret, principal::TenantId, testing::TestKernel};

use crate::{
    Catalogue, MIGRATIONS, Platform,
    accounts::{self, Account, Member, State, UserId},
    identity::{
        Identity,
        config::{IdentityConfig, OidcConfig},
    },
    tenants::{self, Tenant},
};

/// A platform on an empty database, with the built-in issuer alone.
pub(crate) async fn platform() -> (TestKernel, Platform) {
    let test = TestKernel::new(&[MIGRATIONS]).await;
    let platform = platform_on(&test.kernel, Catalogue::default());
    (test, platform)
}

/// A platform on a kernel, as one more process on its database.
pub(crate) fn platform_on(kernel: &Kernel, catalogue: Catalogue) -> Platform {
    let config =
        IdentityConfig { secret_key: Secret::new("Kf7#pQ2v-nT9x_Lw4zR8mYb1cJ6hG3dS0e"), jwt_secret_key: Secret::default(), key_days: 0 };
    let identity = Identity::new(kernel, OidcConfig::default(), config, "", "secret_key".into()).unwrap();
    let registry = astrolabe_kernel::jobs::Registry::default();
    Platform::new(kernel.clone(), &Secret::new("astro_x"), registry, false, identity, catalogue)
}

/// A tenant.
pub(crate) async fn tenant(platform: &Platform, slug: &str) -> TenantId {
    let kernel = platform.kernel();
    let now = kernel.now();
    let tenant = Tenant {
        id: kernel.id(),
        slug: slug.to_owned(),
        name: slug.to_owned(),
        state: State::Active,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    let mut tx = kernel.db.write_all().await.unwrap();
    tenants::store::insert(&mut tx, &tenant).await.unwrap();
    tx.commit().await.unwrap();
    tenant.id
}

/// An account with a membership of its home.
pub(crate) async fn user(platform: &Platform, home: TenantId, email: &str, role: astrolabe_kernel::Role) -> UserId {
    let kernel = platform.kernel();
    let account = Account {
        id: kernel.id(),
        home,
        email: Some(email.to_owned()),
        name: email.to_owned(),
        state: State::Active,
        password_hash: None,
        must_change: false,
        issuer: None,
        subject: None,
        created_at: kernel.now(),
        last_seen_at: None,
    };
    let mut tx = kernel.db.write_all().await.unwrap();
    accounts::store::insert_account(&mut tx, &account).await.unwrap();
    tx.commit().await.unwrap();
    join(platform, home, account.id, role).await;
    account.id
}

/// A further membership.
pub(crate) async fn join(platform: &Platform, tenant: TenantId, id: UserId, role: astrolabe_kernel::Role) {
    let now: Timestamp = platform.kernel().now();
    let member = Member {
        id,
        email: None,
        name: "Somebody".to_owned(),
        role,
        capabilities: vec!["sre".to_owned()],
        state: State::Active,
        created_at: now,
        updated_at: now,
        account: None,
        version: 1,
    };
    let mut tx = platform.kernel().db.write(tenant).await.unwrap();
    accounts::store::insert_member(&mut tx, tenant, &member).await.unwrap();
    tx.commit().await.unwrap();
}
