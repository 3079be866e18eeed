//! Removing what nobody reads any more: old events, finished jobs and kept answers of idempotent requests. The records themselves
//! (documents, asks, runs, tickets) and the audit log are not touched.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;

use crate::{Kernel, Result, Timestamp, Tx};

/// Rows removed in one transaction, so that nobody waits long for SQLite's one writer.
const BATCH: i64 = 500;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The section `retention` of the configuration. Zero days keep things for ever.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Days that the events of asks and runs are kept; the last event, which holds the whole answer, stays.
    pub events_days: u32,
    /// Days that the events of sources are kept.
    pub source_events_days: u32,
    /// Days that jobs are kept that were done or canceled.
    pub jobs_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { events_days: 30, source_events_days: 7, jobs_days: 30 }
    }
}

/// How many rows were removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Of event logs.
    pub events: u64,
    /// Of the job table.
    pub jobs: u64,
    /// Answers of idempotent requests.
    pub idempotency_keys: u64,
}

/// Removes what is past its time. Call it now and then; it stops early when the process does.
///
/// # Errors
/// When the database cannot be written; what was removed until then stays removed.
pub async fn prune(kernel: &Kernel, retention: &Retention) -> Result<Pruned> {
    let mut pruned = Pruned::default();
    let now = kernel.now();
    for (prefix, days) in [("ask:", retention.events_days), ("run:", retention.events_days), ("source:", retention.source_events_days)] {
        if let Some(before) = before(now, days) {
            pruned.events += batches(kernel, |tx| Box::pin(tx.prune_events(prefix, before, BATCH))).await?;
        }
    }
    if let Some(before) = before(now, retention.jobs_days) {
        pruned.jobs = batches(kernel, |tx| Box::pin(tx.prune_jobs(before, BATCH))).await?;
    }
    let mut tx = kernel.db.write_all().await?;
    pruned.idempotency_keys = tx.prune_idempotency_keys(now).await?;
    tx.commit().await?;
    if pruned != Pruned::default() {
        tracing::info!(
            events = pruned.events,
            jobs = pruned.jobs,
            idempotency_keys = pruned.idempotency_keys,
            "removed what is past its time"
        );
    }
    Ok(pruned)
}

fn before(now: Timestamp, days: u32) -> Option<Timestamp> {
    (days > 0).then(|| now.minus(DAY * days))
}

/// Repeats a limited removal, each time in a transaction of its own, until there is no more or the process stops.
async fn batches(kernel: &Kernel, step: impl for<'a> Fn(&'a mut Tx) -> BoxFuture<'a, Result<u64>>) -> Result<u64> {
    let mut removed = 0;
    loop {
        let mut tx = kernel.db.write_all().await?;
        let rows = step(&mut tx).await?;
        tx.commit().await?;
        removed += rows;
        if rows < u64::try_from(BATCH).unwrap_or(u64::MAX) || kernel.lifecycle.is_stopping() {
            return Ok(removed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{args, principal::default_tenant, testing::TestKernel};

    async fn append(kernel: &Kernel, stream: &str, kind: &str) {
        let mut tx = kernel.db.write(default_tenant()).await.unwrap();
        tx.append_event(default_tenant(), stream, kind, &1, kernel.now()).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn seqs(kernel: &Kernel, stream: &str) -> Vec<i64> {
        let events = kernel.db.read(default_tenant()).await.unwrap().events_after(default_tenant(), stream, 0, 100).await.unwrap();
        events.iter().map(|e| e.seq).collect()
    }

    #[tokio::test]
    async fn old_events_go_but_the_last_of_each_stream_and_the_young_stay() {
        let test = TestKernel::new(&[]).await;
        let kernel = &test.kernel;
        for stream in ["ask:old", "source:old"] {
            for kind in ["a", "b", "c"] {
                append(kernel, stream, kind).await;
            }
        }
        kernel.clock.advance(DAY * 10);
        append(kernel, "source:old", "d").await;
        append(kernel, "ask:young", "a").await;
        append(kernel, "ask:young", "b").await;
        assert_eq!(prune(kernel, &Retention::default()).await.unwrap().events, 3);
        assert_eq!(seqs(kernel, "source:old").await, [4]);
        assert_eq!(seqs(kernel, "ask:old").await, [1, 2, 3]);
        kernel.clock.advance(DAY * 25);
        assert_eq!(prune(kernel, &Retention { events_days: 0, ..Retention::default() }).await.unwrap().events, 0);
        assert_eq!(prune(kernel, &Retention::default()).await.unwrap().events, 2);
        assert_eq!(seqs(kernel, "ask:old").await, [3]);
        assert_eq!(seqs(kernel, "ask:young").await, [1, 2]);
    }

    #[tokio::test]
    async fn done_jobs_go_after_their_time_and_failed_ones_stay() {
        let test = TestKernel::new(&[]).await;
        let kernel = &test.kernel;
        let mut tx = kernel.db.write(default_tenant()).await.unwrap();
        for state in ["ready", "canceled", "failed", "queued"] {
            let id = kernel.id();
            let new = crate::jobs::NewJob::new(id, default_tenant(), "k", state, serde_json::json!({}));
            tx.enqueue(new, kernel.now()).await.unwrap();
            let finished = (state != "queued").then(|| kernel.now());
            tx.execute("UPDATE jobs SET state = $1, finished_at = $2 WHERE id = $3", args![state, finished, id]).await.unwrap();
        }
        tx.commit().await.unwrap();
        assert_eq!(prune(kernel, &Retention::default()).await.unwrap().jobs, 0);
        kernel.clock.advance(DAY * 31);
        assert_eq!(prune(kernel, &Retention::default()).await.unwrap().jobs, 2);
        let left: Vec<String> =
            kernel.db.read(default_tenant()).await.unwrap().all("SELECT subject FROM jobs ORDER BY subject", &[]).await.unwrap();
        assert_eq!(left, ["failed", "queued"]);
    }
}
