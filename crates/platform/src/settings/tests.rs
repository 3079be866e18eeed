use std::time::Duration;

use astrolabe_kernel::{
    Kernel, Principal, Role,
    error::code,
    flags::Flags,
    http::{Caller, Json, Trace},
    policy::Policies,
    testing::TestKernel,
};
use axum::{extract::State, http::HeaderMap};
use serde_json::json;

use super::*;
use crate::{Catalogue, MIGRATIONS, testing::platform_on};

static PART: Flag = Flag { name: "part", kind: FlagKind::Share, default: 10, description: "a part" };
static ALL: Flag = Flag { name: "all", kind: FlagKind::Switch, default: 100, description: "all or nothing" };

fn process(kernel: &Kernel) -> (Kernel, Platform) {
    let kernel = Kernel { policies: Policies::default(), flags: Flags::default(), ..kernel.clone() };
    let catalogue = Catalogue { actions: Vec::new(), flags: vec![&PART, &ALL] };
    let platform = platform_on(&kernel, catalogue);
    (kernel, platform)
}

fn caller(kernel: &Kernel, role: Role) -> Caller {
    let principal = Principal { role, ..Principal::local_admin() };
    Caller { principal, trace: Trace::background(&kernel.random), idempotency_key: None, address: None }
}

async fn change(platform: &Platform, role: Role, change: serde_json::Value) -> Result<()> {
    let change = serde_json::from_value(change).unwrap();
    let caller = caller(platform.kernel(), role);
    routes::change_settings(State(platform.clone()), caller.may()?, HeaderMap::new(), Json(change)).await.map(|_| ())
}

#[tokio::test]
async fn a_flag_reaches_the_code_that_reads_it_and_other_processes_within_five_seconds() {
    let test = TestKernel::new(&[MIGRATIONS]).await;
    let (here, platform) = process(&test.kernel);
    let (elsewhere, _other) = process(&test.kernel);
    let tenant = Principal::local_admin().tenant;
    assert!(here.flags.is_on(tenant, &ALL).await.unwrap() && elsewhere.flags.is_on(tenant, &ALL).await.unwrap(), "the default");
    change(&platform, Role::TenantAdmin, json!({"flags": {"all": false, "part": 100}})).await.unwrap();
    assert!(!here.flags.is_on(tenant, &ALL).await.unwrap());
    assert!(here.flags.holds_for(tenant, &PART, "any").await.unwrap());
    assert!(here.flags.is_on(here.id(), &ALL).await.unwrap(), "another tenant has the default");
    test.kernel.clock.advance(Duration::from_secs(5));
    assert!(!elsewhere.flags.is_on(tenant, &ALL).await.unwrap());
    change(&platform, Role::TenantAdmin, json!({"flags": {"all": null}})).await.unwrap();
    assert!(here.flags.is_on(tenant, &ALL).await.unwrap(), "null brings the default back");
}

#[tokio::test]
async fn what_cannot_be_set_is_refused_by_its_name_and_nothing_else_is_set() {
    let test = TestKernel::new(&[MIGRATIONS]).await;
    let (_, platform) = process(&test.kernel);
    for (body, field) in [
        (json!({"name": " "}), "name"),
        (json!({"name": "x".repeat(101)}), "name"),
        (json!({"time_zone": "Mars/Olympus"}), "time_zone"),
        (json!({"time_zone": ""}), "time_zone"),
        (json!({"time_zone": "../../etc/passwd"}), "time_zone"),
        (json!({"name": "new", "flags": {"colour": true}}), "flags.colour"),
        (json!({"flags": {"part": 101}}), "flags.part"),
        (json!({"flags": {"part": -1}}), "flags.part"),
        (json!({"flags": {"part": 1.5}}), "flags.part"),
        (json!({"flags": {"all": 50}}), "flags.all"),
        (json!({"flags": {"all": "yes"}}), "flags.all"),
    ] {
        let error = change(&platform, Role::TenantAdmin, body.clone()).await.unwrap_err();
        assert_eq!(error.fields().first().map(|f| f.field.as_str()), Some(field), "{body}");
    }
    let settings = platform.settings(Principal::local_admin().tenant).await.unwrap();
    assert_eq!((settings.settings.name.as_str(), settings.settings.version), ("default", 0));
}

#[tokio::test]
async fn everybody_reads_the_settings_and_who_manages_the_tenant_changes_them() {
    let test = TestKernel::new(&[MIGRATIONS]).await;
    let (kernel, platform) = process(&test.kernel);
    assert!(routes::get_settings(State(platform.clone()), caller(&kernel, Role::Viewer).may().unwrap()).await.is_ok());
    assert_eq!(change(&platform, Role::Editor, json!({"name": "mine"})).await.unwrap_err().code(), code::FORBIDDEN);
}

#[tokio::test]
async fn a_tenant_has_one_name_whoever_changes_it() {
    let test = TestKernel::new(&[MIGRATIONS]).await;
    let (kernel, platform) = process(&test.kernel);
    change(&platform, Role::TenantAdmin, json!({"name": "Acme"})).await.unwrap();
    let tenant = Principal::local_admin().tenant;
    let home = crate::tenants::store::get(&mut kernel.db.read(tenant).await.unwrap(), tenant).await.unwrap().unwrap();
    assert_eq!((home.name.as_str(), home.version), ("Acme", 2));
    assert_eq!(platform.settings(tenant).await.unwrap().settings.name, "Acme");
}
