//! Event logs with sequence numbers: what streams was a row first.
//!
//! An event is appended in the transaction of the change it tells about; readers are woken after the commit and read from SQL,
//! so a reader that was cut goes on from its last sequence number, on any replica, without gap or repeat.

use serde::Serialize;

use crate::{Kernel, Result, Timestamp, Tx, args, db::{FromRow, Row, Wake}, principal::TenantId};

/// How long a reader waits before it looks again without a wake: other replicas write too.
pub const POLL: std::time::Duration = std::time::Duration::from_millis(500);

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

    /// Removes a stream with its events, when its subject is deleted.
    pub async fn delete_stream(&mut self, tenant: TenantId, stream: &str) -> Result<()> {
        self.execute("DELETE FROM events WHERE stream = $1 AND tenant_id = $2", args![stream, tenant]).await?;
        self.execute("DELETE FROM event_streams WHERE stream = $1 AND tenant_id = $2", args![stream, tenant]).await?;
        Ok(())
    }
}

/// Reads a stream as it grows.
pub struct Reader {
    kernel: Kernel,
    tenant: TenantId,
    stream: String,
    after: i64,
    watch: crate::db::StreamWatch,
}

impl Reader {
    /// A reader of a tenant's stream that starts behind sequence number `after` (0 for the beginning).
    pub fn new(kernel: &Kernel, tenant: TenantId, stream: String, after: i64) -> Self {
        let watch = kernel.db.wakes().watch(&stream);
        Self { kernel: kernel.clone(), tenant, stream, after, watch }
    }

    /// The next events, at least one; waits until there is one.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn next(&mut self) -> Result<Vec<Event>> {
        loop {
            let mut tx = self.kernel.db.read().await?;
            let events = tx.events_after(self.tenant, &self.stream, self.after, 200).await?;
            drop(tx);
            if let Some(last) = events.last() {
                self.after = last.seq;
                return Ok(events);
            }
            tokio::select! {
                () = self.watch.changed() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }
}
