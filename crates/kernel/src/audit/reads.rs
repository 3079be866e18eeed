//! Who read what. A read has no transaction of its own to be recorded in, and must not wait for one: its entry is put into a buffer, and the
//! buffer is written many entries at a time.
//!
//! Nothing in the buffer is dropped: when it is full, or when the process is stopping, whoever reads writes it, and is refused when that is not
//! possible. What a process that is killed loses is at most what was read in the last [`PAUSE`], and nothing of what [`Kernel::note_read_now`] recorded.

use std::{
    fmt::Display,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use serde_json::json;
use tokio::sync::Notify;

use super::{Entry, Outcome, chain};
use crate::{
    Id, Kernel, Result, Timestamp,
    db::{Arg, Wake},
    http::{Caller, Trace},
    principal::TenantId,
};

/// A read is written at most about this long after it.
pub const PAUSE: Duration = Duration::from_millis(100);
/// How long to wait before the database is tried again that did not take the entries.
const AGAIN: Duration = Duration::from_secs(1);
/// Reads that may wait to be written; about 700 bytes each.
const MOST: usize = 2_000;
/// Entries of one statement; each has twelve arguments.
const ROWS: usize = 100;
/// Documents that an entry names. There is no answer with more of them than a search's, and those name at most as many passages.
const NAMED: usize = 100;

/// The section `audit` of the configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditConfig {
    /// Which reads are recorded.
    pub reads: ReadAudit,
}

/// Which reads are recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadAudit {
    /// Documents, searches and answers.
    #[default]
    All,
    /// Documents alone.
    Documents,
    /// None.
    Off,
}

/// The reads that wait to be written; clones are the same.
#[derive(Clone, Default)]
pub struct Reads(Arc<Inner>);

#[derive(Default)]
struct Inner {
    which: ReadAudit,
    waiting: Mutex<Vec<Read>>,
    writing: tokio::sync::Mutex<()>,
    wake: Notify,
}

/// A read that waits.
struct Read {
    id: Id<Entry>,
    tenant: TenantId,
    actor: String,
    action: &'static str,
    subject: String,
    trace: Trace,
    at: Timestamp,
    payload: String,
}

impl Reads {
    /// No reads yet.
    pub fn new(config: &AuditConfig) -> Self {
        Self(Arc::new(Inner { which: config.reads, ..Inner::default() }))
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Read>> {
        // Whoever panicked with the lock left whole entries.
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads that are being written; they wait again when that did not work, or when whoever wrote them was dropped.
struct Taken<'a> {
    reads: &'a Reads,
    batch: Vec<Read>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.batch.is_empty() {
            let mut waiting = self.reads.waiting();
            self.batch.append(&mut waiting);
            *waiting = std::mem::take(&mut self.batch);
        }
    }
}

/// Documents for an entry: each once, and how many there were when not all are named.
pub fn documents(ids: impl IntoIterator<Item = impl Display>) -> serde_json::Value {
    let mut named: Vec<String> = Vec::new();
    for id in ids {
        let id = id.to_string();
        if !named.contains(&id) {
            named.push(id);
        }
    }
    let count = named.len();
    named.truncate(NAMED);
    json!({"documents": named, "count": count})
}

impl Kernel {
    /// Whether reads of this sort are recorded: of documents, or of what a search and an answer show of them.
    pub fn records_reads(&self, of_documents: bool) -> bool {
        match self.reads.0.which {
            ReadAudit::All => true,
            ReadAudit::Documents => of_documents,
            ReadAudit::Off => false,
        }
    }

    /// Records a read soon. The caller does not wait, unless too many reads wait already.
    ///
    /// # Errors
    /// When the buffer is full and the database cannot be written: what cannot be recorded must not be read.
    pub async fn note_read(&self, caller: &Caller, action: &'static str, subject: impl Display, payload: &serde_json::Value) -> Result<()> {
        let read = Read {
            id: self.id(),
            tenant: caller.principal.tenant,
            actor: caller.principal.id.clone(),
            action,
            subject: subject.to_string(),
            trace: caller.trace.clone(),
            at: self.now(),
            payload: payload.to_string(),
        };
        let full = {
            let mut waiting = self.reads.waiting();
            waiting.push(read);
            waiting.len() >= MOST
        };
        if full || self.lifecycle.is_stopping() {
            return self.write_reads().await;
        }
        self.reads.0.wake.notify_one();
        Ok(())
    }

    /// Records a read before it is answered, together with all that wait.
    ///
    /// # Errors
    /// When the database cannot be written: what cannot be recorded must not be read.
    pub async fn note_read_now(
        &self,
        caller: &Caller,
        action: &'static str,
        subject: impl Display,
        payload: &serde_json::Value,
    ) -> Result<()> {
        self.note_read(caller, action, subject, payload).await?;
        self.write_reads().await
    }

    /// Writes every read that waits, those of all tenants in one transaction.
    ///
    /// # Errors
    /// When the database cannot be written; the reads wait again.
    pub async fn write_reads(&self) -> Result<()> {
        // Whoever waits here finds its own read written by the one before, most of the time.
        let _writing = self.reads.0.writing.lock().await;
        let batch = std::mem::take(&mut *self.reads.waiting());
        if batch.is_empty() {
            return Ok(());
        }
        let mut taken = Taken { reads: &self.reads, batch };
        let mut tx = self.db.write_all().await?;
        for rows in taken.batch.chunks(ROWS) {
            let mut args: Vec<Arg> = Vec::with_capacity(rows.len() * 12);
            let mut places = Vec::with_capacity(rows.len());
            for read in rows {
                let salt = self.random.token(16);
                let hash = chain::payload_hash(&salt, &read.payload);
                places.push(format!("({})", (1..=12).map(|i| format!("${}", args.len() + i)).collect::<Vec<_>>().join(", ")));
                args.extend([
                    read.id.into(),
                    read.tenant.into(),
                    (&read.actor).into(),
                    read.action.into(),
                    (&read.subject).into(),
                    Outcome::Ok.as_str().into(),
                    (&read.trace.trace_id).into(),
                    (&read.trace.request_id).into(),
                    read.at.into(),
                    (&read.payload).into(),
                    salt.into(),
                    hash.into(),
                ]);
            }
            // A read whose writer was dropped behind the commit is written a second time.
            tx.execute(
                format!(
                    "INSERT INTO audit_entries (id, tenant_id, actor, action, subject, outcome, trace_id, request_id, created_at, payload, payload_salt, \
                     payload_hash) VALUES {} ON CONFLICT (id) DO NOTHING",
                    places.join(", ")
                ),
                &args,
            )
            .await?;
        }
        tx.after_commit(Wake::Audit);
        tx.commit().await?;
        for read in std::mem::take(&mut taken.batch) {
            metrics::counter!("audit_entries_total", "action" => read.action).increment(1);
        }
        metrics::counter!("audit_read_batches_total").increment(1);
        Ok(())
    }

    /// Starts the task that writes reads.
    pub fn watch_reads(&self) {
        let kernel = self.clone();
        self.lifecycle.spawn("audit reads", async move {
            loop {
                let pause = match kernel.write_reads().await {
                    Ok(()) => PAUSE,
                    Err(error) => {
                        metrics::counter!("audit_errors_total", "step" => "reads").increment(1);
                        tracing::error!(error = ?error, "who read what could not be recorded; it is tried again");
                        AGAIN
                    }
                };
                tokio::select! {
                    () = async { kernel.reads.0.wake.notified().await; tokio::time::sleep(pause).await } => {}
                    // From now on whoever reads writes its own entry.
                    () = kernel.lifecycle.stopping() => {
                        let _ = kernel.write_reads().await;
                        return;
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Principal, args, error::code, principal::default_tenant, testing::TestKernel};

    fn caller(kernel: &Kernel) -> Caller {
        Caller { principal: Principal::local_admin(), trace: Trace::background(&kernel.random), idempotency_key: None }
    }

    async fn written(kernel: &Kernel) -> i64 {
        kernel.db.read(default_tenant()).await.unwrap().one("SELECT COUNT(*) FROM audit_entries", args![]).await.unwrap()
    }

    async fn rename(kernel: &Kernel, sql: &'static str) {
        let mut tx = kernel.db.write_all().await.unwrap();
        tx.execute(sql, args![]).await.unwrap();
        tx.commit().await.unwrap();
    }

    #[tokio::test]
    async fn many_reads_are_one_transaction_and_each_is_an_entry() {
        let test = TestKernel::new(&[]).await;
        let kernel = &test.kernel;
        let caller = caller(kernel);
        for i in 0..250 {
            kernel.note_read(&caller, "search", format_args!("s{i}"), &json!({})).await.unwrap();
        }
        assert_eq!(written(kernel).await, 0, "no read waited for a transaction");
        kernel.note_read_now(&caller, "documents.read", "doc", &json!({})).await.unwrap();
        assert_eq!(written(kernel).await, 251);
        kernel.write_reads().await.unwrap();
        assert_eq!(written(kernel).await, 251, "once");
    }

    #[tokio::test]
    async fn what_the_database_refuses_waits_and_a_full_buffer_refuses_the_reader() {
        let test = TestKernel::new(&[]).await;
        let kernel = &test.kernel;
        let caller = caller(kernel);
        rename(kernel, "ALTER TABLE audit_entries RENAME TO elsewhere").await;
        for i in 1..MOST {
            kernel.note_read(&caller, "search", format_args!("s{i}"), &json!({})).await.unwrap();
        }
        let refused = kernel.note_read(&caller, "search", "last", &json!({})).await.unwrap_err();
        assert_eq!(refused.code(), code::INTERNAL);
        assert!(kernel.note_read_now(&caller, "documents.read", "doc", &json!({})).await.is_err());
        rename(kernel, "ALTER TABLE elsewhere RENAME TO audit_entries").await;
        kernel.write_reads().await.unwrap();
        assert_eq!(written(kernel).await, i64::try_from(MOST).unwrap() + 1, "what was refused may stand there, nothing else is missing");
    }

    #[tokio::test]
    async fn a_writer_that_is_dropped_in_the_middle_loses_nothing() {
        let test = TestKernel::new(&[]).await;
        let kernel = &test.kernel;
        let caller = caller(kernel);
        for i in 0..500 {
            kernel.note_read(&caller, "search", format_args!("s{i}"), &json!({})).await.unwrap();
        }
        for polls in 1..60 {
            let mut write = Box::pin(kernel.write_reads());
            for _ in 0..polls {
                if futures_util::poll!(write.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        kernel.write_reads().await.unwrap();
        assert_eq!(written(kernel).await, 500);
    }

    #[tokio::test]
    async fn the_task_writes_by_itself_and_at_the_stop() {
        let test = TestKernel::new(&[]).await;
        let kernel = &test.kernel;
        kernel.watch_reads();
        let woken = kernel.db.wakes().audit();
        kernel.note_read(&caller(kernel), "search", "a", &json!({})).await.unwrap();
        woken.await;
        assert_eq!(written(kernel).await, 1);
        kernel.note_read(&caller(kernel), "search", "b", &json!({})).await.unwrap();
        assert!(kernel.lifecycle.stop(Duration::from_secs(5)).await);
        kernel.note_read(&caller(kernel), "search", "late", &json!({})).await.unwrap();
        assert_eq!(written(kernel).await, 3);
    }

    #[test]
    fn an_entry_names_each_document_once_and_a_bounded_number() {
        assert_eq!(documents(["b", "a", "b"]), json!({"documents": ["b", "a"], "count": 2}));
        let many = documents(0..150);
        assert_eq!((many["documents"].as_array().unwrap().len(), many["count"].as_i64()), (NAMED, Some(150)));
    }
}
