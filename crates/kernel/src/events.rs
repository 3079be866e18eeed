//! Event logs with sequence numbers: what streams was a row first.
//!
//! An event is appended in the transaction of the change it tells about; readers are woken after the commit and read from SQL,
//! so a reader that was cut goes on from its last sequence number, on any replica, without gap or repeat.

use std::time::Duration;

use serde::Serialize;

use crate::{
    Id, Kernel, Result, Timestamp, Tx, args,
    db::{Dialect, FromRow, Row, Wake},
    jobs::{self, Job},
    principal::TenantId,
};

/// How long a reader waits before it looks again without a wake. On PostgreSQL other replicas write too; SQLite has one process, whose
/// wakes reach every reader, so there the look is only for what nobody thought of.
fn poll(dialect: Dialect) -> Duration {
    match dialect {
        Dialect::Postgres => Duration::from_millis(500),
        Dialect::Sqlite => Duration::from_secs(5),
    }
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Place in the stream, from 1, without gaps.
    pub seq: i64,
    /// What happened, such as `answer.delta`.
    pub kind: String,
    /// The event's data as JSON text.
    pub data: String,
}

impl FromRow for Event {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self { seq: row.get("seq")?, kind: row.get("kind")?, data: row.get("data")? })
    }
}

impl Tx {
    /// Appends an event and returns its sequence number. Writers of the same stream wait for each other.
    pub async fn append_event(&mut self, tenant: TenantId, stream: &str, kind: &str, data: &impl Serialize, now: Timestamp) -> Result<i64> {
        let data = serde_json::to_string(data).map_err(crate::Error::internal)?;
        let seq: i64 = self
            .one(
                "INSERT INTO event_streams (stream, tenant_id, seq) VALUES ($1, $2, 1)
                 ON CONFLICT (stream) DO UPDATE SET seq = event_streams.seq + 1 RETURNING seq",
                args![stream, tenant],
            )
            .await?;
        self.execute(
            "INSERT INTO events (stream, seq, tenant_id, kind, data, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
            args![stream, seq, tenant, kind, data, now],
        )
        .await?;
        self.after_commit(Wake::Stream(stream.to_owned()));
        Ok(seq)
    }

    /// The events of a tenant's stream after a sequence number, oldest first, at most `limit`.
    pub async fn events_after(&mut self, tenant: TenantId, stream: &str, after: i64, limit: i64) -> Result<Vec<Event>> {
        self.all(
            "SELECT seq, kind, data FROM events WHERE stream = $1 AND tenant_id = $2 AND seq > $3 ORDER BY seq LIMIT $4",
            args![stream, tenant, after, limit],
        )
        .await
    }

    /// The newest event's sequence number and kind; `None` when nothing was ever appended. The kind is empty when the event is gone.
    pub async fn stream_head(&mut self, tenant: TenantId, stream: &str) -> Result<Option<(i64, String)>> {
        struct Head(i64, String);
        impl FromRow for Head {
            fn from_row(row: &Row) -> Result<Self> {
                Ok(Self(row.get("seq")?, row.get::<Option<String>>("kind")?.unwrap_or_default()))
            }
        }
        let head: Option<Head> = self
            .optional(
                "SELECT s.seq, e.kind FROM event_streams s LEFT JOIN events e ON e.stream = s.stream AND e.seq = s.seq
                 WHERE s.stream = $1 AND s.tenant_id = $2",
                args![stream, tenant],
            )
            .await?;
        Ok(head.map(|h| (h.0, h.1)))
    }

    /// Removes a stream's events, when its subject is deleted. Its numbers go on, so that one last event can tell its readers.
    pub async fn clear_stream(&mut self, tenant: TenantId, stream: &str) -> Result<()> {
        self.execute("DELETE FROM events WHERE stream = $1 AND tenant_id = $2", args![stream, tenant]).await?;
        Ok(())
    }

    /// Removes events of streams with a prefix that are older than `before`, at most `limit` of them, and tells how many it removed. A
    /// stream's newest event stays: it is what a late reader needs, the whole answer for instance.
    pub async fn prune_events(&mut self, prefix: &str, before: Timestamp, limit: i64) -> Result<u64> {
        self.execute(
            "DELETE FROM events WHERE (stream, seq) IN (
                 SELECT e.stream, e.seq FROM events e JOIN event_streams s ON s.stream = e.stream
                 WHERE e.created_at < $1 AND e.seq < s.seq AND e.stream LIKE $2 LIMIT $3)",
            args![before, format!("{prefix}%"), limit],
        )
        .await
    }
}

/// What a reader reads.
enum Source {
    /// The log of a stream.
    Log(String),
    /// A job, whose row is the newest event and all there is: whoever was away sees where it stands, not each step to there.
    Job(Id<Job>),
}

/// Reads a stream as it grows.
pub struct Reader {
    kernel: Kernel,
    tenant: TenantId,
    source: Source,
    after: i64,
    watch: crate::db::StreamWatch,
}

impl Reader {
    /// A reader of a tenant's stream that starts behind sequence number `after` (0 for the beginning).
    pub fn new(kernel: &Kernel, tenant: TenantId, stream: String, after: i64) -> Self {
        let watch = kernel.db.wakes().watch(&stream);
        Self { kernel: kernel.clone(), tenant, source: Source::Log(stream), after, watch }
    }

    /// A reader of how a job stands: events are its states, and their numbers its versions.
    pub fn of_job(kernel: &Kernel, tenant: TenantId, job: Id<Job>, after: i64) -> Self {
        let watch = kernel.db.wakes().watch(&jobs::stream(job));
        Self { kernel: kernel.clone(), tenant, source: Source::Job(job), after, watch }
    }

    /// The job as an event; nothing when it has been removed.
    async fn job(&self, id: Id<Job>) -> Result<Option<Event>> {
        let job = self.kernel.db.read(self.tenant).await?.job(self.tenant, id).await?;
        let event = |job: Job| {
            let data = serde_json::to_string(&job).map_err(crate::Error::internal)?;
            Ok(Event { seq: job.version, kind: job.state.as_str().to_owned(), data })
        };
        job.map(event).transpose()
    }

    /// Looks at the end of the stream before reading: a start beyond the end (an id of another life of the database) is brought back to
    /// it, so that nothing new is missed. Returns the kind of the newest event when the reader has all there is.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn settle(&mut self) -> Result<Option<String>> {
        let head = match &self.source {
            Source::Log(stream) => self.kernel.db.read(self.tenant).await?.stream_head(self.tenant, stream).await?,
            Source::Job(id) => self.job(*id).await?.map(|event| (event.seq, event.kind)),
        };
        let (seq, kind) = head.unwrap_or_default();
        self.after = self.after.clamp(0, seq);
        Ok((seq > 0 && self.after == seq).then_some(kind))
    }

    /// The next events, at least one; waits until there is one.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn next(&mut self) -> Result<Vec<Event>> {
        loop {
            let events = match &self.source {
                Source::Log(stream) => self.kernel.db.read(self.tenant).await?.events_after(self.tenant, stream, self.after, 200).await?,
                Source::Job(id) => self.job(*id).await?.into_iter().filter(|event| event.seq > self.after).collect(),
            };
            if let Some(last) = events.last() {
                self.after = last.seq;
                return Ok(events);
            }
            tokio::select! {
                () = self.watch.changed() => {}
                () = tokio::time::sleep(poll(self.kernel.db.dialect())) => {}
            }
        }
    }
}
