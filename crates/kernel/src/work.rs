//! Work that a caller waits for, such as the answer to a question or the run of an agent: a row that says where it stands, a stream of
//! events, and a task that makes the result and goes on when the caller hangs up.
//!
//! A [`Kind`] says what differs: the table, the words, what readers are told. Its table has the columns `id`, `tenant_id`, `state` (`running`,
//! `completed` or `failed`), `finished_at`, `process_id` and one for the result.

use std::{fmt::Display, future::Future, time::Duration};

use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;
use tokio::sync::oneshot;
use tracing::Instrument;

use crate::{
    Error, Kernel, Result, Timestamp, Tx, args,
    audit::{Outcome, Record},
    db::{FromRow, Row},
    error::code,
    http::{Caller, Json, event_stream},
    lifecycle,
    principal::TenantId,
};

/// How often the end of a piece of work is written again when the database refuses it, and the first pause, which doubles: two minutes in all.
const END: (u32, Duration) = (7, Duration::from_secs(1));

/// What differs between one sort of work and another.
#[derive(Debug)]
pub struct Kind {
    /// Its table.
    pub table: &'static str,
    /// The table's column for the result, as JSON.
    pub result: &'static str,
    /// What a piece of it is called; its stream is `<noun>:<id>`.
    pub noun: &'static str,
    /// The events that end a stream: with the result, and without one.
    pub ends: [&'static str; 2],
    /// The action in the audit log.
    pub action: &'static str,
    /// What readers are told whose process died.
    pub abandoned: &'static str,
}

/// A piece of work that is being done or waits; it goes on when this is dropped.
pub struct Running<R, T> {
    /// Its row.
    pub row: R,
    kind: &'static Kind,
    stream: String,
    result: oneshot::Receiver<Result<T>>,
}

impl<R, T> Running<R, T> {
    /// The stream of its events.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The events that end the stream: with the result, and without one.
    pub fn ends(&self) -> [&'static str; 2] {
        self.kind.ends
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// What kept it from being made.
    pub async fn result(self) -> Result<T> {
        self.result.await.unwrap_or_else(|_| Err(Error::new(code::SHUTTING_DOWN, "the process is stopping")))
    }
}

impl<R, T: Serialize> Running<R, T> {
    /// Answers a request: with the stream from its beginning when `Accept` asks for one, else with the result.
    ///
    /// # Errors
    /// What kept the result from being made.
    pub async fn respond(self, kernel: &Kernel, tenant: TenantId, headers: &HeaderMap) -> Result<Response> {
        let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
        if accept.contains("text/event-stream") || accept.contains("application/x-ndjson") {
            return Ok(self.kind.read(kernel, tenant, self.stream, 0, headers));
        }
        Ok(Json(self.result().await?).into_response())
    }
}

impl Kind {
    /// The stream of a piece of work.
    pub fn stream(&self, id: impl Display) -> String {
        format!("{}:{id}", self.noun)
    }

    /// Answers with a stream from `after` on.
    pub fn read(&'static self, kernel: &Kernel, tenant: TenantId, stream: String, after: i64, headers: &HeaderMap) -> Response {
        event_stream(kernel, tenant, stream, after, headers, &self.ends)
    }

    /// Appends an event to the stream of a piece of work.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn event(&self, kernel: &Kernel, tenant: TenantId, id: impl Display, kind: &str, data: &impl Serialize) -> Result<()> {
        let mut tx = kernel.db.write(tenant).await?;
        tx.append_event(tenant, &self.stream(id), kind, data, kernel.now()).await?;
        tx.commit().await
    }

    /// Starts the task that makes the result of a row which is there already, and writes how it ended. Write the row and call this within
    /// [`Lifecycle::shielded`](crate::Lifecycle::shielded): a caller that hangs up in between would leave a row that nobody works on.
    pub fn start<R, T>(
        &'static self,
        kernel: &Kernel,
        caller: &Caller,
        id: impl Display,
        row: R,
        make: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Running<R, T>
    where
        T: Serialize + Send + Sync + 'static,
    {
        let (sender, result) = oneshot::channel();
        let (id, owned, caller) = (id.to_string(), kernel.clone(), caller.clone());
        let stream = self.stream(&id);
        let task = async move {
            // Whoever reads the stream is told of a panic as of any other fault, instead of waiting for an end that never comes.
            let made = lifecycle::contained(self.noun, make).await;
            // Nobody may be waiting any more; the result is in the row all the same.
            match self.end(&owned, &caller, &id, &made).await {
                Ok(()) => drop(sender.send(made)),
                Err(error) => {
                    tracing::warn!(id, error = ?error, "how it ended could not be written; it is tried again");
                    drop(sender.send(Err(error)));
                    self.end_later(&owned, &caller, &id, &made).await;
                }
            }
        };
        // Its lines in the log belong to the request's trace.
        kernel.lifecycle.spawn(self.noun, task.in_current_span());
        Running { row, kind: self, stream, result }
    }

    /// Writes the end again and again until the database takes it: who reads the stream is waiting for it.
    async fn end_later<T: Serialize>(&self, kernel: &Kernel, caller: &Caller, id: &str, made: &Result<T>) {
        let (tries, mut pause) = END;
        for _ in 0..tries {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = kernel.lifecycle.stopping() => return,
            }
            pause *= 2;
            if self.end(kernel, caller, id, made).await.is_ok() {
                return;
            }
        }
        tracing::error!(id, "how it ended could not be written; the next start ends it without its result");
    }

    /// Writes how a piece of work ended: into its row, as the last event of its stream, and a failure into the audit log. Nothing is written when
    /// it has an end already, because its process was taken for dead.
    async fn end<T: Serialize>(&self, kernel: &Kernel, caller: &Caller, id: &str, made: &Result<T>) -> Result<()> {
        let (tenant, now, stream) = (caller.principal.tenant, kernel.now(), self.stream(id));
        let mut tx = kernel.db.write(tenant).await?;
        match made {
            Ok(result) => {
                let text = serde_json::to_string(result).map_err(Error::internal)?;
                if !self.finish(&mut tx, tenant, id, "completed", Some(&text), now).await? {
                    return Ok(());
                }
                tx.append_event(tenant, &stream, self.ends[0], result, now).await?;
            }
            Err(error) => {
                if !self.finish(&mut tx, tenant, id, "failed", None, now).await? {
                    return Ok(());
                }
                tx.append_event(tenant, &stream, self.ends[1], &json!({"code": error.code().name, "message": error.message()}), now)
                    .await?;
                let record = Record::of(caller, self.action, id, json!({"code": error.code().name}));
                tx.audit(kernel, Record { outcome: Outcome::Failed, ..record }).await?;
            }
        }
        tx.commit().await
    }

    async fn finish(&self, tx: &mut Tx, tenant: TenantId, id: &str, state: &str, result: Option<&str>, now: Timestamp) -> Result<bool> {
        let Self { table, result: column, .. } = self;
        let ended = tx
            .execute(
                format!(
                    "UPDATE {table} SET state = $1, {column} = $2, finished_at = $3 WHERE tenant_id = $4 AND id = $5 AND state = 'running'"
                ),
                args![state, result, now, tenant, id],
            )
            .await?;
        Ok(ended == 1)
    }

    /// Ends what processes left behind that died, so that its readers are not left waiting. Returns how many there were.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn end_abandoned(&self, kernel: &Kernel) -> Result<u64> {
        struct Abandoned(TenantId, String);
        impl FromRow for Abandoned {
            fn from_row(row: &Row) -> Result<Self> {
                Ok(Self(row.id("tenant_id")?, row.get("id")?))
            }
        }
        let now = kernel.now();
        let mut tx = kernel.db.write_all().await?;
        let abandoned: Vec<Abandoned> = tx
            .all(
                format!(
                    "SELECT w.tenant_id, w.id FROM {} w LEFT JOIN processes p ON p.id = w.process_id
                     WHERE w.state = 'running' AND (p.id IS NULL OR p.alive_until <= $1) AND (w.process_id IS NULL OR w.process_id <> $2) LIMIT 1000",
                    self.table
                ),
                args![now, kernel.process],
            )
            .await?;
        let mut ended = 0;
        for Abandoned(tenant, id) in abandoned {
            if self.finish(&mut tx, tenant, &id, "failed", None, now).await? {
                let data = json!({"code": code::SHUTTING_DOWN.name, "message": self.abandoned});
                tx.append_event(tenant, &self.stream(&id), self.ends[1], &data, now).await?;
                ended += 1;
            }
        }
        tx.commit().await?;
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Id, Principal,
        db::{Migration, Migrations},
        events::Reader,
        http::Trace,
        principal::default_tenant,
        processes::{LEASE, Process},
        testing::TestKernel,
    };

    const THINGS: Migrations = Migrations {
        domain: "things",
        steps: &[Migration {
            version: 1,
            name: "things",
            sql: "CREATE TABLE things (id TEXT NOT NULL PRIMARY KEY, tenant_id TEXT NOT NULL, state TEXT NOT NULL, outcome TEXT, finished_at BIGINT,
                                       process_id TEXT);",
        }],
    };

    static KIND: Kind = Kind {
        table: "things",
        result: "outcome",
        noun: "thing",
        ends: ["thing.completed", "thing.failed"],
        action: "things.do",
        abandoned: "its process stopped",
    };

    fn caller(kernel: &Kernel) -> Caller {
        Caller { principal: Principal::local_admin(), trace: Trace::background(&kernel.random), idempotency_key: None, address: None }
    }

    async fn sql(kernel: &Kernel, sql: &'static str, args: &[crate::db::Arg]) {
        let mut tx = kernel.db.write_schema().await.unwrap();
        tx.execute(sql, args).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn add(kernel: &Kernel, id: &str, process: Id<Process>) {
        let args = args![id, default_tenant(), process];
        sql(kernel, "INSERT INTO things (id, tenant_id, state, process_id) VALUES ($1, $2, 'running', $3)", args).await;
    }

    /// Where a thing stands, its result, and the kinds of its events.
    async fn seen(kernel: &Kernel, id: &str) -> (String, Option<String>, Vec<String>) {
        let mut tx = kernel.db.read(default_tenant()).await.unwrap();
        let state: String = tx.one("SELECT state FROM things WHERE id = $1", args![id]).await.unwrap();
        let result: Option<String> = tx.one("SELECT outcome FROM things WHERE id = $1", args![id]).await.unwrap();
        let events = tx.events_after(default_tenant(), &KIND.stream(id), 0, 10).await.unwrap();
        (state, result, events.into_iter().map(|e| e.kind).collect())
    }

    fn ended(state: &str, result: Option<&str>, event: &str) -> (String, Option<String>, Vec<String>) {
        (state.to_owned(), result.map(str::to_owned), vec![event.to_owned()])
    }

    #[tokio::test]
    async fn a_result_and_a_panic_both_come_to_an_end_that_readers_see() {
        let test = TestKernel::new(&[THINGS]).await;
        let kernel = &test.kernel;
        add(kernel, "a", kernel.process).await;
        add(kernel, "b", kernel.process).await;
        assert_eq!(KIND.start(kernel, &caller(kernel), "a", (), async { Ok(7) }).result().await.unwrap(), 7);
        let failed =
            KIND.start(kernel, &caller(kernel), "b", (), async { if kernel_is_there() { panic!("no") } else { Ok(1) } }).result().await;
        assert_eq!(failed.unwrap_err().code(), code::INTERNAL);
        assert_eq!(seen(kernel, "a").await, ended("completed", Some("7"), "thing.completed"));
        assert_eq!(seen(kernel, "b").await, ended("failed", None, "thing.failed"));
        let audited: Vec<String> = kernel
            .db
            .read(default_tenant())
            .await
            .unwrap()
            .all("SELECT subject FROM audit_entries WHERE outcome = 'failed'", &[])
            .await
            .unwrap();
        assert_eq!(audited, ["b"]);
    }

    /// True, which the compiler does not know.
    fn kernel_is_there() -> bool {
        std::hint::black_box(true)
    }

    #[tokio::test]
    async fn an_end_that_the_database_refused_is_written_when_it_takes_it_again() {
        let test = TestKernel::new(&[THINGS]).await;
        let kernel = &test.kernel;
        add(kernel, "a", kernel.process).await;
        let (go, wait) = oneshot::channel();
        let running = KIND.start(kernel, &caller(kernel), "a", (), async { wait.await.map(|()| 7).map_err(Error::internal) });
        sql(kernel, "ALTER TABLE things RENAME TO elsewhere", &[]).await;
        go.send(()).unwrap();
        assert!(running.result().await.is_err(), "the caller is told at once");
        sql(kernel, "ALTER TABLE elsewhere RENAME TO things", &[]).await;
        let events = Reader::new(kernel, default_tenant(), KIND.stream("a"), 0).next().await.unwrap();
        assert_eq!(events[0].kind, "thing.completed");
        assert_eq!(seen(kernel, "a").await, ended("completed", Some("7"), "thing.completed"));
    }

    #[tokio::test]
    async fn what_a_dead_process_left_is_ended_and_what_a_living_one_does_is_not() {
        let test = TestKernel::new(&[THINGS]).await;
        let kernel = &test.kernel;
        kernel.enter_process().await.unwrap();
        let (dead, living): (Id<Process>, Id<Process>) = (kernel.id(), kernel.id());
        let until = kernel.now().plus(LEASE);
        sql(kernel, "INSERT INTO processes (id, started_at, alive_until) VALUES ($1, 0, $2)", args![living, until]).await;
        for (id, process) in [("dead", dead), ("living", living), ("own", kernel.process)] {
            add(kernel, id, process).await;
        }
        assert_eq!(KIND.end_abandoned(kernel).await.unwrap(), 1);
        assert_eq!(seen(kernel, "dead").await, ended("failed", None, "thing.failed"));
        assert_eq!(seen(kernel, "living").await.0, "running");
        kernel.clock.advance(LEASE);
        assert_eq!(KIND.end_abandoned(kernel).await.unwrap(), 1, "its lease is over");
        assert_eq!(seen(kernel, "own").await.0, "running", "a process knows that it lives");
        // Whoever was taken for dead and is not comes too late.
        KIND.end(kernel, &caller(kernel), "dead", &Ok(7)).await.unwrap();
        assert_eq!(seen(kernel, "dead").await, ended("failed", None, "thing.failed"));
    }
}
