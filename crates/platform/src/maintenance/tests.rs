use astrolabe_kernel::{
    Kernel, Principal,
    flags::Flags,
    http::{Caller, Json, Trace},
    policy::Policies,
    testing::{START, TestKernel},
};
use axum::extract::State;

use super::*;
use crate::{Catalogue, MIGRATIONS, testing::platform_on};

fn process(kernel: &Kernel) -> Platform {
    let kernel = Kernel { policies: Policies::default(), flags: Flags::default(), ..kernel.clone() };
    platform_on(&kernel, Catalogue::default())
}

async fn set(platform: &Platform, role: astrolabe_kernel::Role, state: Maintenance) -> Result<()> {
    let principal = Principal { role, ..Principal::local_admin() };
    let caller = Caller { principal, trace: Trace::background(&platform.kernel().random), idempotency_key: None, address: None };
    routes::set_maintenance(State(platform.clone()), caller.may()?, Json(state)).await.map(|_| ())
}

#[tokio::test]
async fn the_switch_is_noticed_by_other_processes_within_five_seconds() {
    let test = TestKernel::new(&[MIGRATIONS]).await;
    let (here, elsewhere) = (process(&test.kernel), process(&test.kernel));
    assert_eq!(elsewhere.maintenance().await.unwrap().mode, MaintenanceMode::Off);
    let state = Maintenance { mode: MaintenanceMode::ReadOnly, message: "moving".to_owned(), until: None };
    set(&here, astrolabe_kernel::Role::Admin, state.clone()).await.unwrap();
    assert_eq!(*here.maintenance().await.unwrap(), state);
    test.kernel.clock.advance(Duration::from_secs(5));
    assert_eq!(*elsewhere.maintenance().await.unwrap(), state);
}

#[tokio::test]
async fn only_who_manages_the_installation_has_a_hand_on_the_switch() {
    let test = TestKernel::new(&[MIGRATIONS]).await;
    let platform = process(&test.kernel);
    let refused = set(&platform, astrolabe_kernel::Role::TenantAdmin, Maintenance::default()).await;
    assert_eq!(refused.unwrap_err().code(), code::FORBIDDEN);
    let long = Maintenance { message: "x".repeat(501), ..Maintenance::default() };
    let error = set(&platform, astrolabe_kernel::Role::Admin, long).await.unwrap_err();
    assert_eq!(error.fields()[0].field, "message");
}

#[test]
fn who_is_refused_hears_why_and_when_to_come_back() {
    let refusal = |until| Maintenance { mode: MaintenanceMode::ReadOnly, message: "moving".to_owned(), until }.refusal(START);
    let after = |until| refusal(until).retry_after().map(|d| d.as_secs());
    assert_eq!(after(None), Some(60));
    assert_eq!(after(Some(START.plus(Duration::from_secs(90)))), Some(90));
    assert_eq!(after(Some(START.plus(Duration::from_secs(90_000)))), Some(3600), "plans change");
    assert_eq!(after(Some(START.minus(Duration::from_secs(90)))), Some(60), "it takes longer than was thought");
    assert_eq!(refusal(None).message(), "changes are not accepted during maintenance: moving");
}
