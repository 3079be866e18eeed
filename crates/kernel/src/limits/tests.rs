use std::{collections::HashSet, net::IpAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
    middleware::from_fn_with_state,
    response::Response,
    routing::get,
};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::{http::ClientAddress, principal::default_tenant, testing::START};

fn caller(id: &str) -> Principal {
    Principal { id: id.to_owned(), credential: id.to_owned(), ..Principal::local_admin() }
}

fn limiter(config: LimitsConfig, clock: &Clock) -> Limiter {
    Limiter::new(&config, clock.clone(), |method, _| if *method == Method::GET { Class::Read } else { Class::Write })
}

/// A router behind the limits whose `/events` is a stream without end.
fn router(limiter: &Limiter, id: &str) -> Router {
    let endless = || async {
        let body = Body::from_stream(futures_util::stream::repeat(Ok::<_, std::convert::Infallible>(": alive\n\n")));
        ([(header::CONTENT_TYPE, "text/event-stream")], body)
    };
    let principal = caller(id);
    Router::new()
        .route("/thing", get(|| async { "thing" }).post(|| async { "made" }))
        .route("/{id}/events", get(endless))
        .layer(from_fn_with_state(limiter.clone(), limit))
        .layer(axum::Extension(principal))
}

async fn send(router: &Router, method: Method, path: &str) -> Response {
    router.clone().oneshot(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await.unwrap()
}

fn header_of<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |v| v.to_str().unwrap())
}

#[tokio::test]
async fn a_caller_over_its_limit_is_told_when_to_come_back_and_then_may() {
    let clock = Clock::manual(START);
    let limiter = limiter(LimitsConfig { read_per_minute: 3, tenant_read_per_minute: 100, ..LimitsConfig::off() }, &clock);
    let router = router(&limiter, "user:a");
    let first = send(&router, Method::GET, "/thing").await;
    assert_eq!(header_of(&first, "ratelimit-policy"), "\"read\";q=3;w=60, \"tenant-read\";q=100;w=60");
    assert_eq!(header_of(&first, "ratelimit"), "\"read\";r=2;t=20, \"tenant-read\";r=99;t=1");
    for left in [1, 0] {
        let response = send(&router, Method::GET, "/thing").await;
        assert!(header_of(&response, "ratelimit").starts_with(&format!("\"read\";r={left};")), "{response:?}");
    }
    let refused = send(&router, Method::GET, "/thing").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header_of(&refused, "ratelimit"), "\"read\";r=0;t=60");
    assert_eq!(send(&router, Method::POST, "/thing").await.status(), 200, "another class has another bucket");
    clock.advance(Duration::from_secs(19));
    assert_eq!(send(&router, Method::GET, "/thing").await.status(), 429);
    clock.advance(Duration::from_secs(1));
    assert_eq!(send(&router, Method::GET, "/thing").await.status(), 200);
    assert_eq!(send(&router, Method::GET, "/thing").await.status(), 429);
}

#[test]
fn the_wait_that_is_told_is_enough_and_a_moment_less_is_not() {
    let buckets = Buckets::new(7, 8);
    for _ in 0..7 {
        assert_eq!(buckets.take(1, START).wait, None);
    }
    let wait = buckets.take(1, START).wait.unwrap();
    assert!(buckets.take(1, START.plus(wait - Duration::from_micros(1))).wait.is_some());
    assert_eq!(buckets.take(1, START.plus(wait)).wait, None);
}

#[test]
fn a_tenant_over_its_limit_holds_all_its_callers_and_a_caller_over_its_own_only_itself() {
    let clock = Clock::manual(START);
    let limiter = limiter(LimitsConfig { read_per_minute: 2, tenant_read_per_minute: 5, ..LimitsConfig::off() }, &clock);
    let refused = |id: &str| limiter.take(Class::Read, &caller(id), START).refused.map(|e| e.message().to_owned());
    for _ in 0..10 {
        refused("a");
    }
    assert!(refused("a").unwrap().contains("limits.read_per_minute"));
    assert_eq!((refused("b"), refused("b"), refused("c")), (None, None, None), "what was refused to one was not taken from the tenant");
    assert!(refused("d").unwrap().contains("limits.tenant_read_per_minute"));
    let other = Principal { tenant: TenantId::derived(b"another"), ..caller("a") };
    assert!(limiter.take(Class::Read, &other, START).refused.is_none(), "the same name in another tenant is somebody else");
}

#[test]
fn no_limit_is_no_header() {
    let limiter = limiter(LimitsConfig::off(), &Clock::manual(START));
    let verdict = limiter.take(Class::Read, &caller("a"), START);
    assert!(verdict.refused.is_none() && verdict.limits.policy.is_none());
}

#[test]
fn a_flood_of_names_neither_grows_the_table_nor_frees_who_is_over_the_limit() {
    let buckets = Buckets::new(10, 64);
    let key = |n: u64| RandomLike(n).mixed();
    for _ in 0..10 {
        assert_eq!(buckets.take(key(0), START).wait, None);
    }
    for n in 1..100_000 {
        buckets.take(key(n), START);
    }
    assert!(buckets.take(key(0), START).wait.is_some(), "crowding its bucket out gives it nothing back");
    let later = START.plus(Duration::from_secs(60));
    for n in 1..20 {
        assert_eq!(buckets.take(key(n), later).wait, None, "buckets that are full again are free");
    }
}

/// Numbers that look like hashes (splitmix64).
struct RandomLike(u64);

impl RandomLike {
    fn mixed(&self) -> u64 {
        let mut z = self.0.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[test]
fn a_clock_that_is_set_back_locks_nobody_out_for_longer_than_a_minute() {
    let buckets = Buckets::new(1, 8);
    assert_eq!(buckets.take(1, START.plus(Duration::from_secs(86_400))).wait, None);
    let wait = buckets.take(1, START).wait.unwrap();
    assert!(wait <= Duration::from_secs(60), "{wait:?}");
}

#[test]
fn a_limit_beyond_the_resolution_is_refused_by_its_name() {
    let config = LimitsConfig { tenant_ask_per_minute: 60_000_001, ..LimitsConfig::off() };
    assert!(validate(&config).unwrap_err().message().starts_with("limits.tenant_ask_per_minute"));
}

#[tokio::test]
async fn a_stream_holds_its_place_until_it_is_dropped() {
    let clock = Clock::manual(START);
    let limiter = limiter(LimitsConfig { streams_per_credential: 2, streams_per_tenant: 3, ..LimitsConfig::off() }, &clock);
    let (a, b) = (router(&limiter, "user:a"), router(&limiter, "user:b"));
    let first = send(&a, Method::GET, "/1/events").await;
    let mut body = send(&a, Method::GET, "/2/events").await.into_body();
    body.frame().await.unwrap().unwrap();
    let third = send(&a, Method::GET, "/3/events").await;
    assert_eq!(third.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(send(&a, Method::GET, "/thing").await.status(), 200, "what is no stream needs no place");
    let of_b = send(&b, Method::GET, "/1/events").await;
    assert_eq!(of_b.status(), 200);
    assert_eq!(send(&b, Method::GET, "/2/events").await.status(), 429, "the tenant has three");
    drop(first);
    assert_eq!(send(&a, Method::GET, "/3/events").await.status(), 200);
    drop((body, of_b));
    assert_eq!(limiter.0.streams.counted(), (0, 0), "nothing is kept of who reads no more");
}

fn from(address: &str) -> ClientAddress {
    ClientAddress(address.parse::<IpAddr>().unwrap())
}

fn wait(attempts: &FailedAttempts, account: &str, address: &str, now: Timestamp) -> Option<u64> {
    attempts.check(account, from(address), now).err().map(|e| e.retry_after().unwrap().as_secs())
}

#[test]
fn after_five_failures_an_account_waits_twice_as_long_each_time() {
    let attempts = FailedAttempts::default();
    let mut now = START;
    for _ in 0..5 {
        assert_eq!(wait(&attempts, "ann", "192.0.2.1", now), None);
        attempts.failed("ann", from("192.0.2.1"), now);
    }
    for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
        assert_eq!(wait(&attempts, "ann", "198.51.100.9", now), Some(expected), "from any address");
        assert_eq!(wait(&attempts, "bob", "198.51.100.9", now), None, "and nobody else");
        attempts.succeeded("bob", from("198.51.100.9"));
        now = now.plus(Duration::from_secs(expected));
        assert_eq!(wait(&attempts, "ann", "192.0.2.1", now), None);
        attempts.failed("ann", from("192.0.2.1"), now);
    }
}

#[test]
fn a_success_clears_the_account_and_so_does_an_hour() {
    let attempts = FailedAttempts::default();
    let fail = |now| {
        let _ = attempts.check("ann", from("192.0.2.1"), now);
        attempts.failed("ann", from("192.0.2.1"), now);
    };
    (0..4).for_each(|_| fail(START));
    attempts.check("ann", from("192.0.2.1"), START).unwrap();
    attempts.succeeded("ann", from("192.0.2.1"));
    (0..4).for_each(|_| fail(START));
    assert_eq!(wait(&attempts, "ann", "192.0.2.1", START), None, "four after a success are four");
    let later = START.plus(Duration::from_secs(3601));
    (0..4).for_each(|_| fail(later));
    assert_eq!(wait(&attempts, "ann", "192.0.2.1", later), None, "what is an hour old is forgotten");
}

#[test]
fn many_at_once_are_no_way_around_the_wait() {
    let attempts = FailedAttempts::default();
    let passed = (0..100).filter(|_| attempts.check("ann", from("192.0.2.1"), START).is_ok()).count();
    assert_eq!(passed, 5);
}

#[test]
fn an_address_that_tries_many_accounts_waits_although_one_of_them_is_its_own() {
    let attempts = FailedAttempts::default();
    let mut passed = 0;
    for n in 0..1000 {
        if attempts.check(&format!("user{n}"), from("2001:db8::1"), START).is_ok() {
            passed += 1;
            attempts.failed(&format!("user{n}"), from("2001:db8::1"), START);
        }
        if attempts.check("mallory", from("2001:db8::2"), START).is_ok() {
            attempts.succeeded("mallory", from("2001:db8::2"));
        }
    }
    assert_eq!(passed, 20, "all of the /64 is one address, and signing in with its own account gives it nothing back");
}

#[test]
fn made_up_names_do_not_crowd_out_the_account_that_is_guessed_at() {
    let attempts = FailedAttempts::default();
    for _ in 0..9 {
        let _ = attempts.check("ann", from("192.0.2.1"), START);
    }
    for n in 0..100_000u32 {
        let address = ClientAddress(IpAddr::V4(n.into()));
        let _ = attempts.check(&format!("made-up-{n}"), address, START);
    }
    assert!(wait(&attempts, "ann", "203.0.113.5", START).is_some());
}

#[test]
fn every_class_has_its_own_name() {
    assert_eq!(Class::ALL.iter().map(|c| c.as_str()).collect::<HashSet<_>>().len(), Class::ALL.len());
    for (at, class) in Class::ALL.into_iter().enumerate() {
        assert_eq!(class as usize, at);
    }
    assert_ne!(TenantId::derived(b"another"), default_tenant());
}
