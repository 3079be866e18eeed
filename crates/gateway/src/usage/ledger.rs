//! The ledger: asks budgets before a call, notes each request in the journal, and writes what became of it to SQL.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use astrolabe_kernel::{Error, Kernel, Result, Timestamp, error::code, principal::TenantId};
use tokio::sync::Notify;

use super::{
    Outcome, Purpose, UsageRecord, Who,
    budgets::{self, Book, MAX_BUDGETS, Spent, Warning},
    journal::{Journal, Segment, left_behind},
    prices::Prices,
    store,
};
use crate::{chat::Usage, tokens::Counter};

/// The provider of models that run in this process, which nobody charges for.
pub const IN_PROCESS: &str = "in-process";

/// How long records wait for others to be written with them.
const GATHER: Duration = Duration::from_millis(100);

/// How old what is known of the spending of other processes may be.
const REFRESH: Duration = Duration::from_secs(2);

/// Books that nobody asked for so long are forgotten.
const FORGET: Duration = Duration::from_secs(600);

/// How long to wait when the database cannot be written.
const PAUSE: Duration = Duration::from_secs(1);

/// Records of one transaction.
const BATCH: usize = 500;

/// Records that may wait for the database; calls are refused beyond.
const MAX_PENDING: usize = 100_000;

/// Tokens that no honest answer has, so that sums stay within their columns.
const MAX_TOKENS: u64 = 1_000_000_000;

/// Bytes of a name in a record.
const MAX_NAME: usize = 200;

/// The books of model calls; cheap to clone.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    kernel: Kernel,
    prices: Prices,
    journal: Journal,
    folder: PathBuf,
    books: Mutex<HashMap<TenantId, Arc<Mutex<Book>>>>,
    pending: Mutex<Vec<Pending>>,
    /// Calls that are not over.
    open: AtomicU64,
    wake: Notify,
}

/// A record on its way to SQL.
struct Pending {
    record: UsageRecord,
    segment: Arc<Segment>,
    /// The book that holds its cost back, when the tenant has budgets.
    book: Option<Arc<Mutex<Book>>>,
}

/// What a call is expected to be.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// For what.
    pub purpose: Purpose,
    /// The name that the caller asked for.
    pub alias: &'a str,
    /// The provider that is tried first.
    pub provider: &'a str,
    /// The model there.
    pub model: &'a str,
    /// Tokens of the question, and those that the answer may have.
    pub tokens: Usage,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// The ledger with its journal in `folder`. Whatever a process that died left there is written to SQL first.
    ///
    /// # Errors
    /// When folder or database cannot be read or written.
    pub async fn open(kernel: Kernel, folder: &Path, prices: Prices) -> Result<Self> {
        let left = left_behind(folder)?;
        let journal = Journal::open(folder, &kernel.random)?;
        let inner = Inner {
            kernel,
            prices,
            journal,
            folder: folder.to_owned(),
            books: Mutex::default(),
            pending: Mutex::default(),
            open: AtomicU64::new(0),
            wake: Notify::new(),
        };
        let ledger = Self(Arc::new(inner));
        for (path, records) in left {
            let new = ledger.write(&records.iter().collect::<Vec<_>>()).await?;
            if new > 0 {
                tracing::warn!(new, "recorded the usage of a process that died");
            }
            std::fs::remove_file(&path)?;
        }
        Ok(ledger)
    }

    /// The folder of the journal.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    pub(super) fn kernel(&self) -> &Kernel {
        &self.0.kernel
    }

    /// Writes records to SQL and looks at what others spent, until the process stops.
    pub fn start(&self) {
        let (ledger, lifecycle) = (self.clone(), self.0.kernel.lifecycle.clone());
        self.0.kernel.lifecycle.spawn("usage", async move {
            let mut refreshed = tokio::time::Instant::now();
            while !lifecycle.is_stopping() || ledger.0.open.load(Ordering::Acquire) > 0 {
                tokio::select! {
                    () = ledger.0.wake.notified() => {}
                    () = tokio::time::sleep_until(refreshed + REFRESH) => {}
                    () = lifecycle.stopping(), if !lifecycle.is_stopping() => {}
                }
                // Whatever comes in meanwhile is written with it.
                tokio::time::sleep(GATHER).await;
                if let Err(error) = ledger.flush().await {
                    tracing::warn!(error = ?error, "usage of models could not be written; it is kept and tried again");
                    tokio::time::sleep(PAUSE).await;
                }
                if refreshed.elapsed() >= REFRESH {
                    ledger.refresh().await;
                    refreshed = tokio::time::Instant::now();
                }
            }
            if let Err(error) = ledger.flush().await {
                tracing::warn!(error = ?error, "usage of models could not be written; the next start does it from the journal");
            }
            ledger.0.journal.close();
        });
    }

    /// Asks the budgets of whoever calls and holds the expected cost back until the call is dropped.
    ///
    /// # Errors
    /// `budget_exceeded`; `overloaded` when the database has not taken records for long; when the tenant's budgets cannot be read.
    pub async fn begin(&self, who: Who, wanted: Wanted<'_>) -> Result<Call> {
        let inner = &self.0;
        if lock(&inner.pending).len() >= MAX_PENDING {
            return Err(Error::new(code::OVERLOADED, "the usage of models cannot be written").with_retry_after(PAUSE));
        }
        let now = inner.kernel.now();
        let book = self.book(who.tenant).await?;
        let expected = Spent {
            micro_usd: self.cost(wanted.provider, wanted.model, wanted.tokens, now).unwrap_or(0),
            tokens: i64::try_from((wanted.tokens.input + wanted.tokens.output).min(MAX_TOKENS)).unwrap_or(0),
        };
        let (book, warnings) = {
            let mut open = lock(&book);
            open.used_at = Some(now);
            match open.is_empty() {
                true => (None, Vec::new()),
                false => {
                    let warnings = open.hold(&who, expected, now)?;
                    drop(open);
                    (Some(book), warnings)
                }
            }
        };
        inner.open.fetch_add(1, Ordering::AcqRel);
        Ok(Call {
            ledger: self.clone(),
            who,
            purpose: wanted.purpose,
            alias: name(wanted.alias),
            input: wanted.tokens.input.min(MAX_TOKENS),
            expected,
            book,
            warnings,
        })
    }

    fn cost(&self, provider: &str, model: &str, tokens: Usage, at: Timestamp) -> Option<i64> {
        match provider {
            IN_PROCESS => Some(0),
            _ => self.0.prices.of(provider, model, at).map(|price| price.cost(tokens)),
        }
    }

    /// The tenant's book; read when nobody asked for it lately.
    async fn book(&self, tenant: TenantId) -> Result<Arc<Mutex<Book>>> {
        if let Some(book) = lock(&self.0.books).get(&tenant) {
            return Ok(book.clone());
        }
        let mut fresh = Book::default();
        self.read(tenant).await?.apply(&mut fresh);
        Ok(lock(&self.0.books).entry(tenant).or_insert_with(|| Arc::new(Mutex::new(fresh))).clone())
    }

    async fn read(&self, tenant: TenantId) -> Result<Known> {
        let (day, month) = budgets::days(self.0.kernel.now());
        let mut tx = self.0.kernel.db.read(tenant).await?;
        let budgets = store::budgets(&mut tx, tenant, "", MAX_BUDGETS).await?;
        let spenders = if budgets.is_empty() { Vec::new() } else { store::spent(&mut tx, tenant, day, month).await? };
        Ok(Known { budgets, spenders, day, month })
    }

    /// Reads what others spent, of the tenants that were asked for lately.
    pub(super) async fn refresh(&self) {
        let now = self.0.kernel.now();
        let books: Vec<(TenantId, Arc<Mutex<Book>>)> = {
            let mut books = lock(&self.0.books);
            // One that somebody holds is kept: its numbers come back to it.
            books.retain(|_, book| Arc::strong_count(book) > 1 || lock(book).used_at.is_some_and(|at| now.since(at) < FORGET));
            books.iter().map(|(tenant, book)| (*tenant, book.clone())).collect()
        };
        for (tenant, book) in books {
            match self.read(tenant).await {
                Ok(known) => known.apply(&mut lock(&book)),
                Err(error) => {
                    tracing::warn!(error = ?error, "what was spent could not be read; budgets go on with what is known");
                    return;
                }
            }
        }
    }

    /// Reads a tenant's budgets again at once, after they were changed here.
    pub(super) async fn reread(&self, tenant: TenantId) {
        let book = lock(&self.0.books).get(&tenant).cloned();
        if let Some(book) = book {
            match self.read(tenant).await {
                Ok(known) => known.apply(&mut lock(&book)),
                Err(error) => tracing::warn!(error = ?error, "budgets could not be read again; it is tried again in two seconds"),
            }
        }
    }

    /// Writes what is pending. What cannot be written stays.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn flush(&self) -> Result<()> {
        loop {
            let some: Vec<Pending> = {
                let mut pending = lock(&self.0.pending);
                let count = pending.len().min(BATCH);
                pending.drain(..count).collect()
            };
            if some.is_empty() {
                metrics::gauge!("model_usage_pending").set(0.0);
                return Ok(());
            }
            // A drop in the middle of the transaction must not lose them either.
            let mut back = Back { inner: &self.0, some };
            self.write(&back.some.iter().map(|p| &p.record).collect::<Vec<_>>()).await?;
            for Pending { record, segment, book } in std::mem::take(&mut back.some) {
                segment.settle();
                if let Some(book) = book {
                    lock(&book).written(&record.who, spent(&record));
                }
            }
            metrics::gauge!("model_usage_pending").set(lock(&self.0.pending).len() as f64);
        }
    }

    async fn write(&self, records: &[&UsageRecord]) -> Result<usize> {
        let mut new = 0;
        for some in records.chunks(BATCH) {
            let mut tx = self.0.kernel.db.write_all().await?;
            new += store::add(&mut tx, some).await?;
            tx.commit().await?;
        }
        Ok(new)
    }
}

/// Puts back what was taken to be written, unless it was.
struct Back<'a> {
    inner: &'a Inner,
    some: Vec<Pending>,
}

impl Drop for Back<'_> {
    fn drop(&mut self) {
        lock(&self.inner.pending).append(&mut self.some);
    }
}

/// What SQL says of a tenant.
struct Known {
    budgets: Vec<budgets::Budget>,
    spenders: Vec<store::Spender>,
    day: i64,
    month: i64,
}

impl Known {
    fn apply(self, book: &mut Book) {
        book.read(self.budgets, self.spenders, self.day, self.month);
    }
}

fn spent(record: &UsageRecord) -> Spent {
    Spent {
        micro_usd: record.cost.unwrap_or(0),
        tokens: i64::try_from(record.tokens.input.saturating_add(record.tokens.output)).unwrap_or(i64::MAX),
    }
}

/// A name as a record may hold it: PostgreSQL refuses NUL, and nobody reads more than that.
fn name(text: &str) -> String {
    let mut clean: String = text.chars().filter(|c| !c.is_control()).collect();
    if clean.len() > MAX_NAME {
        clean.truncate((0..=MAX_NAME).rev().find(|i| clean.is_char_boundary(*i)).unwrap_or(0));
    }
    clean
}

/// A call whose cost is held back. It may need several attempts; dropping it gives back what they did not use.
pub struct Call {
    ledger: Ledger,
    who: Who,
    purpose: Purpose,
    alias: String,
    input: u64,
    expected: Spent,
    book: Option<Arc<Mutex<Book>>>,
    warnings: Vec<Warning>,
}

impl Call {
    /// Budgets of which little or nothing is left.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Notes in the journal that a provider is about to be called. Call it for each attempt, and the provider only when it succeeded.
    ///
    /// # Errors
    /// `storage_full` when the journal cannot be written.
    pub fn attempt(&self, provider: &str, model: &str) -> Result<Attempt> {
        let inner = &self.ledger.0;
        let started_at = inner.kernel.now();
        // Until something else is known, the question is what it costs.
        let tokens = Usage { input: self.input, estimated: true, ..Usage::default() };
        let record = UsageRecord {
            id: inner.kernel.id(),
            who: Who {
                tenant: self.who.tenant,
                principal: name(&self.who.principal),
                key: name(&self.who.key),
                agent: name(&self.who.agent),
            },
            purpose: self.purpose,
            alias: self.alias.clone(),
            provider: name(provider),
            model: name(model),
            tokens,
            cost: self.ledger.cost(provider, model, tokens, started_at),
            started_at,
            latency: 0,
            first_token: None,
            outcome: Outcome::Canceled,
        };
        let segment = inner.journal.begin(&record)?;
        Ok(Attempt { ledger: self.ledger.clone(), begun: Some((record, segment)), book: self.book.clone(), written: Counter::default() })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(book) = &self.book {
            lock(book).change(&self.who, self.expected, -1);
        }
        if self.ledger.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.ledger.0.wake.notify_one();
        }
    }
}

/// A request to a provider. Dropped without [`Attempt::finish`] it is recorded as canceled, with what was written until then as an estimate.
#[must_use = "dropped, it is recorded as canceled"]
pub struct Attempt {
    ledger: Ledger,
    begun: Option<(UsageRecord, Arc<Segment>)>,
    book: Option<Arc<Mutex<Book>>>,
    /// Tokens of the answer so far, as we count them.
    written: Counter,
}

impl Attempt {
    /// The id of its record, which can go to the provider as the request's.
    pub fn id(&self) -> String {
        self.begun.as_ref().map(|(record, _)| record.id.to_string()).unwrap_or_default()
    }

    /// The first piece is there.
    pub fn first_token(&mut self) {
        if let Some((record, _)) = &mut self.begun
            && record.first_token.is_none()
        {
            record.first_token = Some(micros(record.started_at, self.ledger.0.kernel.now()));
        }
    }

    /// A piece of the answer came: counted in case that nobody else counts.
    pub fn wrote(&mut self, piece: &str) {
        self.written.push(piece);
    }

    /// It is over. Without `tokens` they are estimated from what was asked and what came.
    pub fn finish(mut self, outcome: Outcome, tokens: Option<Usage>) {
        self.end(outcome, tokens);
    }

    fn end(&mut self, outcome: Outcome, tokens: Option<Usage>) {
        let Some((mut record, segment)) = self.begun.take() else { return };
        let inner = &self.ledger.0;
        let guess = || match outcome {
            // Nobody charges for what was refused or never began.
            Outcome::Failed if self.written.total() == 0 => Usage { estimated: true, ..Usage::default() },
            _ => Usage { output: self.written.total(), ..record.tokens },
        };
        let tokens = tokens.unwrap_or_else(guess);
        record.tokens = Usage {
            input: tokens.input.min(MAX_TOKENS),
            output: tokens.output.min(MAX_TOKENS),
            cached: tokens.cached.min(MAX_TOKENS),
            reasoning: tokens.reasoning.min(MAX_TOKENS),
            estimated: tokens.estimated,
        };
        record.cost = self.ledger.cost(&record.provider, &record.model, record.tokens, record.started_at);
        record.outcome = outcome;
        record.latency = micros(record.started_at, inner.kernel.now());
        segment.end(&record);
        metrics::counter!("model_usage_records_total", "outcome" => outcome.as_str()).increment(1);
        let book = self.book.take();
        if let Some(book) = &book {
            lock(book).change(&record.who, spent(&record), 1);
        }
        lock(&inner.pending).push(Pending { record, segment, book });
        inner.wake.notify_one();
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.end(Outcome::Canceled, None);
    }
}

fn micros(from: Timestamp, to: Timestamp) -> i64 {
    i64::try_from(to.since(from).as_micros()).unwrap_or(i64::MAX)
}
