//! The job that builds the search index again.

use astrolabe_kernel::{
    Id, Result, Timestamp, Tx,
    jobs::{Context, Handler, Job, NewJob},
    principal::TenantId,
};
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::sync::watch;

use crate::Knowledge;

/// The kind of job that builds the index again.
pub const KIND: &str = "rebuild_index";

/// Builds the index again.
pub struct RebuildIndex(pub Knowledge);

impl Handler for RebuildIndex {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.rebuild(context))
    }

    fn ended<'a>(&'a self, _: &'a mut Tx, _: &'a Job, _: Timestamp) -> BoxFuture<'a, Result<()>> {
        // What was taken out and not put back would be missed until the next start.
        let knowledge = self.0.clone();
        self.0.kernel.lifecycle.spawn("index", async move {
            if let Err(error) = knowledge.complete().await {
                tracing::warn!(error = ?error, "the search index is not complete; the next start completes it");
            }
        });
        Box::pin(std::future::ready(Ok(())))
    }
}

impl RebuildIndex {
    async fn rebuild(&self, context: &Context) -> Result<()> {
        let (sender, mut told) = watch::channel((0, 0));
        let heard = |done, total| {
            sender.send_replace((done, total));
        };
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let mut work = std::pin::pin!(self.0.rebuild(&heard));
        context.progress("index", 0, 0).await?;
        loop {
            let ended = tokio::select! {
                result = &mut work => Some(result),
                _ = told.changed() => None,
            };
            let (done, total) = *told.borrow_and_update();
            context.progress("index", number(done), number(total)).await?;
            if let Some(result) = ended {
                return result;
            }
        }
    }
}

/// Enqueues a job that builds the index again.
pub async fn enqueue(tx: &mut Tx, tenant: TenantId, id: Id<Job>, now: Timestamp) -> Result<()> {
    tx.enqueue(NewJob::new(id, tenant, KIND, "index", json!({})), now).await.map(drop)
}
