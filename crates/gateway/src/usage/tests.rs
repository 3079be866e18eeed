//! Rules of the books.

mod kill;

use std::{collections::BTreeSet, time::Duration};

use astrolabe_kernel::{
    Principal, Role, Timestamp, args,
    error::code,
    principal::{TenantId, default_tenant},
    testing::{START, TestKernel},
};

use super::{
    Ledger, Outcome, Purpose, Wanted, Who,
    budgets::{Action, Budget, Period, Scope, Unit},
    ledger::Attempt,
    prices::Prices,
    routes::cell,
    store,
};
use crate::{MIGRATIONS, chat::Usage};

/// $1 for a million tokens read, $2 for a million written: a token read costs one micro-USD.
const PRICES: &str = r#"
[[price]]
model = "small"
from = "2025-01-01"
source = "the test"
input = 1_000_000
cached = 100_000
output = 2_000_000
"#;

struct Books {
    test: TestKernel,
    ledger: Ledger,
}

impl Books {
    async fn new() -> Self {
        let test = TestKernel::new(&[MIGRATIONS]).await;
        let ledger = Self::open(&test).await;
        Self { test, ledger }
    }

    async fn open(test: &TestKernel) -> Ledger {
        Ledger::open(test.kernel.clone(), &test.folder.path().join("usage"), Prices::parse(PRICES).unwrap()).await.unwrap()
    }

    fn who(&self, name: &str) -> Who {
        Who::of(&Principal::new(format!("user:{name}"), name, default_tenant(), Role::Viewer, Vec::new(), "token"))
    }

    /// A call of a model with a price, and its first attempt.
    async fn begin(&self, who: Who, input: u64) -> astrolabe_kernel::Result<(super::Call, Attempt)> {
        let tokens = Usage { input, ..Usage::default() };
        let call =
            self.ledger.begin(who, Wanted { purpose: Purpose::Api, alias: "default", provider: "p", model: "small", tokens }).await?;
        let attempt = call.attempt("p", "small").unwrap();
        Ok((call, attempt))
    }

    async fn spend(&self, who: Who, input: u64) {
        let (_call, attempt) = self.begin(who, input).await.unwrap();
        attempt.finish(Outcome::Ok, Some(Usage { input, ..Usage::default() }));
    }

    async fn budget(&self, scope: Scope, subject: &str, period: Period, amount: i64, action: Action) {
        let kernel = &self.test.kernel;
        let now = kernel.now();
        let budget = Budget {
            id: kernel.id(),
            scope,
            subject: subject.to_owned(),
            period,
            unit: Unit::MicroUsd,
            amount,
            warn_at: 80,
            action,
            version: 1,
            created_by: "user:a".to_owned(),
            created_at: now,
            updated_at: now,
        };
        let mut tx = kernel.db.write(default_tenant()).await.unwrap();
        store::insert_budget(&mut tx, default_tenant(), &budget).await.unwrap();
        tx.commit().await.unwrap();
        self.ledger.reread(default_tenant()).await;
    }

    async fn number(&self, sql: &'static str) -> i64 {
        self.test.kernel.db.read_all().await.unwrap().one(sql, args![]).await.unwrap()
    }

    fn journals(&self) -> usize {
        std::fs::read_dir(self.ledger.folder()).unwrap().count()
    }
}

#[tokio::test]
async fn a_call_is_one_record_with_what_the_provider_counted_and_what_that_costs() {
    let books = Books::new().await;
    let (_call, mut attempt) = books.begin(books.who("ann").through("it_support"), 7).await.unwrap();
    books.test.kernel.clock.advance(Duration::from_millis(20));
    attempt.first_token();
    books.test.kernel.clock.advance(Duration::from_millis(30));
    attempt.first_token();
    attempt.finish(Outcome::Ok, Some(Usage { input: 1000, output: 10, cached: 900, reasoning: 4, estimated: false }));
    books.ledger.flush().await.unwrap();

    assert_eq!(books.number("SELECT COUNT(*) FROM usage_records").await, 1);
    assert_eq!(books.number("SELECT cost_micro_usd FROM usage_records").await, 100 + 90 + 20);
    assert_eq!(books.number("SELECT first_token_us FROM usage_records").await, 20_000);
    assert_eq!(books.number("SELECT latency_us FROM usage_records").await, 50_000);
    let row: String = books
        .test
        .kernel
        .db
        .read_all()
        .await
        .unwrap()
        .one(
            "SELECT principal_id || ' ' || agent || ' ' || alias || ' ' || provider || ' ' || model || ' ' || outcome FROM usage_records",
            args![],
        )
        .await
        .unwrap();
    assert_eq!(row, "user:ann it_support default p small ok");
    assert_eq!(books.number("SELECT input_tokens + cached_tokens + reasoning_tokens FROM usage_days").await, 1904);
}

#[tokio::test]
async fn a_reply_that_nobody_waits_for_is_recorded_with_what_had_come_as_an_estimate() {
    let books = Books::new().await;
    let (call, mut attempt) = books.begin(books.who("ann"), 5).await.unwrap();
    attempt.wrote("one two three ");
    attempt.wrote("four");
    drop((attempt, call));
    books.ledger.flush().await.unwrap();
    assert_eq!(
        books
            .number(
                "SELECT COUNT(*) FROM usage_records WHERE outcome = 'canceled' AND estimated AND input_tokens = 5 AND output_tokens > 2"
            )
            .await,
        1
    );
}

#[tokio::test]
async fn every_attempt_is_a_record_and_what_was_refused_costs_nothing() {
    let books = Books::new().await;
    let (call, first) = books.begin(books.who("ann"), 5).await.unwrap();
    first.finish(Outcome::Failed, None);
    call.attempt("other", "unknown").unwrap().finish(Outcome::Ok, Some(Usage { input: 5, output: 1, ..Usage::default() }));
    drop(call);
    books.ledger.flush().await.unwrap();
    assert_eq!(books.number("SELECT COUNT(*) FROM usage_records").await, 2);
    assert_eq!(books.number("SELECT cost_micro_usd FROM usage_records WHERE outcome = 'failed'").await, 0);
    assert_eq!(books.number("SELECT COUNT(*) FROM usage_records WHERE provider = 'other' AND cost_micro_usd IS NULL").await, 1);
    assert_eq!(books.number("SELECT CAST(SUM(unpriced) AS BIGINT) FROM usage_days").await, 1);
}

#[tokio::test]
async fn what_a_process_that_died_had_begun_is_recorded_once_at_the_next_start() {
    let books = Books::new().await;
    let (call, attempt) = books.begin(books.who("ann"), 5).await.unwrap();
    let (_call, done) = books.begin(books.who("ann"), 6).await.unwrap();
    done.finish(Outcome::Ok, Some(Usage { input: 60, output: 3, ..Usage::default() }));
    let (_call, written) = books.begin(books.who("ann"), 7).await.unwrap();
    // One is in the middle, one ended and is not in SQL, one is in both: as if the process died here.
    written.finish(Outcome::Ok, Some(Usage { input: 70, output: 3, ..Usage::default() }));
    let folder = books.ledger.folder().to_owned();
    let copy = books.test.folder.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
    let mut text = std::fs::read(file.path()).unwrap();
    // A line that was cut by a full disk does not hide the others.
    text.extend_from_slice(b"{\"begin\":{\"id\":\"use_");
    std::fs::write(copy.join("died.jsonl"), text).unwrap();
    std::mem::forget((attempt, call));

    for _ in 0..2 {
        let again = Ledger::open(books.test.kernel.clone(), &copy, Prices::parse(PRICES).unwrap()).await.unwrap();
        again.flush().await.unwrap();
        assert_eq!(books.number("SELECT COUNT(*) FROM usage_records").await, 3);
    }
    assert_eq!(books.number("SELECT input_tokens FROM usage_records WHERE outcome = 'cut' AND estimated").await, 5);
    assert_eq!(books.number("SELECT CAST(SUM(input_tokens) AS BIGINT) FROM usage_records WHERE NOT estimated").await, 130);
    // The first process, had it lived, would not have written them twice.
    books.ledger.flush().await.unwrap();
    assert_eq!(books.number("SELECT COUNT(*) FROM usage_records").await, 3);
    assert_eq!(books.number("SELECT CAST(SUM(requests) AS BIGINT) FROM usage_days").await, 3);
}

#[tokio::test]
async fn the_journal_is_gone_when_everything_is_in_the_database() {
    let books = Books::new().await;
    books.ledger.start();
    books.spend(books.who("ann"), 5).await;
    assert_eq!(books.journals(), 1);
    assert!(books.test.kernel.lifecycle.stop(Duration::from_secs(60)).await);
    assert_eq!(books.number("SELECT COUNT(*) FROM usage_records").await, 1);
    assert_eq!(books.journals(), 0);
}

#[tokio::test]
async fn records_wait_while_the_database_cannot_be_written() {
    let books = Books::new().await;
    let kernel = &books.test.kernel;
    books.spend(books.who("ann"), 5).await;
    let mut tx = kernel.db.write_schema().await.unwrap();
    tx.execute("ALTER TABLE usage_days RENAME TO away", args![]).await.unwrap();
    tx.commit().await.unwrap();
    assert!(books.ledger.flush().await.is_err());
    books.spend(books.who("ann"), 6).await;
    let mut tx = kernel.db.write_schema().await.unwrap();
    tx.execute("ALTER TABLE away RENAME TO usage_days", args![]).await.unwrap();
    tx.commit().await.unwrap();
    books.ledger.flush().await.unwrap();
    assert_eq!(books.number("SELECT CAST(SUM(input_tokens) AS BIGINT) FROM usage_days").await, 11);
}

#[tokio::test]
async fn a_budget_counts_what_is_begun_before_it_is_written() {
    let books = Books::new().await;
    books.budget(Scope::User, "user:ann", Period::Day, 100, Action::Block).await;
    let first = books.begin(books.who("ann"), 60).await.unwrap();
    let refused = books.begin(books.who("ann"), 60).await.err().unwrap();
    assert_eq!(refused.code(), code::BUDGET_EXCEEDED);
    // The clock stands at midnight.
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(24 * 3600)));
    // Somebody else is not held back, and what was not used is given back.
    drop(books.begin(books.who("bob"), 60).await.unwrap());
    drop(first.0);
    first.1.finish(Outcome::Ok, Some(Usage { input: 10, ..Usage::default() }));
    let (_call, attempt) = books.begin(books.who("ann"), 60).await.unwrap();
    attempt.finish(Outcome::Ok, Some(Usage { input: 90, ..Usage::default() }));
    for _ in 0..2 {
        assert!(books.begin(books.who("ann"), 1).await.is_err());
        books.ledger.flush().await.unwrap();
        assert!(books.begin(books.who("ann"), 1).await.is_err());
        books.ledger.refresh().await;
    }
}

#[tokio::test]
async fn a_budget_begins_anew_with_its_period() {
    let books = Books::new().await;
    books.budget(Scope::Tenant, "", Period::Day, 100, Action::Block).await;
    books.budget(Scope::Key, "*", Period::Month, 150, Action::Block).await;
    let with_key = || {
        let mut who = books.who("ann");
        who.key = "key_1".to_owned();
        who
    };
    books.spend(with_key(), 100).await;
    books.ledger.flush().await.unwrap();
    assert!(books.begin(with_key(), 1).await.is_err());
    // The next day the tenant has its hundred again, and the key what is left of the month; nobody has read the database meanwhile.
    books.test.kernel.clock.advance(Duration::from_secs(24 * 3600));
    books.spend(with_key(), 50).await;
    assert!(books.begin(with_key(), 1).await.is_err());
    books.ledger.flush().await.unwrap();
    books.ledger.refresh().await;
    books.spend(books.who("ann"), 40).await;
    assert!(books.begin(with_key(), 1).await.is_err());
    books.test.kernel.clock.advance(Duration::from_secs(30 * 24 * 3600));
    books.spend(with_key(), 1).await;
}

#[tokio::test]
async fn a_budget_that_warns_lets_calls_through_and_says_so() {
    let books = Books::new().await;
    books.budget(Scope::Agent, "it_support", Period::Month, 100, Action::Warn).await;
    let who = || books.who("ann").through("it_support");
    // A call that is dropped has cost its question.
    let warned = |call: &super::Call| call.warnings().iter().map(|w| w.used).collect::<Vec<_>>();
    assert!(warned(&books.begin(who(), 10).await.unwrap().0).is_empty());
    books.spend(who(), 85).await;
    assert_eq!(warned(&books.begin(who(), 5).await.unwrap().0), [95]);
    books.spend(who(), 100).await;
    assert_eq!(warned(&books.begin(who(), 5).await.unwrap().0), [200]);
    assert!(warned(&books.begin(books.who("ann"), 5).await.unwrap().0).is_empty());
}

#[tokio::test]
async fn what_another_process_spent_counts_after_the_next_look() {
    let books = Books::new().await;
    books.budget(Scope::Tenant, "", Period::Day, 100, Action::Block).await;
    let other =
        Ledger::open(books.test.kernel.clone(), &books.test.folder.path().join("other"), Prices::parse(PRICES).unwrap()).await.unwrap();
    let wanted =
        |input| Wanted { purpose: Purpose::Api, alias: "a", provider: "p", model: "small", tokens: Usage { input, ..Usage::default() } };
    drop(books.ledger.begin(books.who("ann"), wanted(1)).await.unwrap());
    let call = other.begin(books.who("ann"), wanted(90)).await.unwrap();
    call.attempt("p", "small").unwrap().finish(Outcome::Ok, Some(Usage { input: 90, ..Usage::default() }));
    drop(call);
    other.flush().await.unwrap();
    drop(books.ledger.begin(books.who("ann"), wanted(90)).await.unwrap());
    books.ledger.refresh().await;
    assert!(books.ledger.begin(books.who("ann"), wanted(90)).await.is_err());
}

#[tokio::test]
async fn a_thousand_calls_at_once_are_a_thousand_records() {
    let books = Books::new().await;
    books.ledger.start();
    books.budget(Scope::Tenant, "", Period::Day, 1_000_000, Action::Block).await;
    let calls = (0..1000).map(|i| {
        let (ledger, who) = (books.ledger.clone(), books.who(&format!("u{}", i % 7)));
        books.test.kernel.lifecycle.spawn("call", async move {
            let tokens = Usage { input: 1, ..Usage::default() };
            let call =
                ledger.begin(who, Wanted { purpose: Purpose::Api, alias: "a", provider: "p", model: "small", tokens }).await.unwrap();
            let attempt = call.attempt("p", "small").unwrap();
            tokio::task::yield_now().await;
            attempt.finish(Outcome::Ok, Some(Usage { input: 3, output: 1, ..Usage::default() }));
        })
    });
    futures_util::future::join_all(calls).await;
    assert!(books.test.kernel.lifecycle.stop(Duration::from_secs(60)).await);
    assert_eq!(books.number("SELECT COUNT(*) FROM usage_records").await, 1000);
    assert_eq!(books.number("SELECT CAST(SUM(requests) AS BIGINT) FROM usage_days").await, 1000);
    assert_eq!(books.number("SELECT CAST(SUM(cost_micro_usd) AS BIGINT) FROM usage_days").await, 5000);
    assert_eq!(books.number("SELECT COUNT(*) FROM usage_days").await, 7);
}

#[tokio::test]
async fn a_tenant_sees_its_own_usage_alone() {
    let books = Books::new().await;
    let other = TenantId::derived(b"another");
    books.spend(books.who("ann"), 5).await;
    books.spend(Who { tenant: other, ..books.who("ann") }, 7).await;
    books.ledger.flush().await.unwrap();
    let mut tx = books.test.kernel.db.read(other).await.unwrap();
    let sums = store::sums(&mut tx, other, "principal_id", 0, 100_000, 10).await.unwrap();
    assert_eq!(sums.iter().map(|s| (s.key.as_str(), s.numbers[4])).collect::<Vec<_>>(), [("user:ann", 7)]);
}

#[tokio::test]
async fn an_erased_person_leaves_the_sums_and_not_the_name() {
    let books = Books::new().await;
    books.spend(books.who("ann"), 5).await;
    books.ledger.flush().await.unwrap();
    let mut tx = books.test.kernel.db.write(default_tenant()).await.unwrap();
    let mut rounds = 0;
    while store::rename_person(&mut tx, default_tenant(), "user:ann", "erased:1", 100).await.unwrap() > 0 {
        rounds += 1;
    }
    tx.commit().await.unwrap();
    assert!((1..10).contains(&rounds));
    assert_eq!(books.number("SELECT COUNT(*) FROM usage_records WHERE principal_id = 'user:ann'").await, 0);
    assert_eq!(books.number("SELECT input_tokens FROM usage_days WHERE principal_id = 'erased:1'").await, 5);
}

#[test]
fn the_price_list_is_dated_has_sources_and_is_read_by_the_most_telling_name() {
    let prices = Prices::built_in().unwrap();
    let at = |model: &str, day: i64| {
        prices.of("openai", model, Timestamp::from_micros(START.micros() + day * store::DAY)).map(|p| (p.input, p.output))
    };
    assert_eq!(at("gpt-4o-mini-2024-07-18", 0), Some((150_000, 600_000)));
    assert_eq!(at("gpt-4o-2024-08-06", 0), Some((2_500_000, 10_000_000)));
    assert_eq!(at("gpt-5.4", 0), None, "it was not sold on that day");
    assert_eq!(at("gpt-5.4", 365), Some((2_500_000, 15_000_000)));
    assert_eq!(at("eu.anthropic.claude-haiku-4-5-20251001-v1:0", 0), Some((1_000_000, 5_000_000)));
    assert_eq!(at("qwen3:8b", 0), None);
    let text = include_str!("prices.toml");
    assert_eq!(text.matches("[[price]]").count(), text.matches("\nsource = \"https://").count());
}

#[test]
fn a_newer_price_does_not_change_what_older_calls_cost() {
    let newer = PRICES.replace("2025-01-01", "2026-02-01").replace("input = 1_000_000", "input = 500_000");
    let prices = Prices::parse(&format!("{PRICES}{newer}")).unwrap();
    let tokens = Usage { input: 3, output: 0, ..Usage::default() };
    let cost = |day: i64| prices.of("p", "small", Timestamp::from_micros(START.micros() + day * store::DAY)).unwrap().cost(tokens);
    assert_eq!((cost(0), cost(30), cost(31)), (3, 3, 2), "half of three is rounded up");
}

#[test]
fn a_price_list_that_cannot_be_is_refused_with_what_is_wrong() {
    for (from, to, said) in
        [("2025-01-01", "January", "from must be a day"), ("1_000_000", "-1", "prices are"), ("model", "modle", "unknown field")]
    {
        let error = Prices::parse(&PRICES.replacen(from, to, 1)).unwrap_err();
        assert!(error.message().contains(said), "{error}");
    }
}

#[test]
fn a_spreadsheet_takes_no_name_for_a_formula() {
    let cells: BTreeSet<String> = ["=1+1", "@x", "-2", "+3", "a,b", "say \"x\"", "plain"].into_iter().map(cell).collect();
    assert_eq!(cells, ["'=1+1", "'@x", "'-2", "'+3", "\"a,b\"", "\"say \"\"x\"\"\"", "plain"].into_iter().map(str::to_owned).collect());
}
