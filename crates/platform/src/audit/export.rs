//! The log as lines of JSON, read page by page while it is sent.

use astrolabe_kernel::{Error, Kernel, Result, audit::Filter, error::code, principal::TenantId};
use axum::body::{Body, Bytes};
use futures_util::stream;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

/// Entries read at once: what is in memory of an export.
const PAGE: i64 = 500;

/// A log that is being sent.
struct Export {
    kernel: Kernel,
    tenant: TenantId,
    filter: Filter,
    after: String,
    sent: u64,
    over: bool,
    _permit: OwnedSemaphorePermit,
}

/// The entries behind `after` that a filter lets through, a line each, and a last line that says how it ended: `{"end": …}` when all were
/// sent, `{"error": …}` with the cursor to go on from when not. Entries that come in while it is sent are left out.
pub(super) fn lines(kernel: Kernel, tenant: TenantId, mut filter: Filter, after: String, permit: OwnedSemaphorePermit) -> Body {
    filter.until = Some(filter.until.unwrap_or_else(|| kernel.now().plus(std::time::Duration::from_micros(1))));
    let export = Export { kernel, tenant, filter, after, sent: 0, over: false, _permit: permit };
    Body::from_stream(stream::unfold(export, |mut export| async move {
        if export.over {
            return None;
        }
        let lines = match export.page().await {
            Ok(lines) => lines,
            Err(error) => export.broken(&error),
        };
        Some((Ok::<_, std::convert::Infallible>(lines), export))
    }))
}

impl Export {
    async fn page(&mut self) -> Result<Bytes> {
        if self.kernel.lifecycle.is_stopping() {
            return Err(Error::new(code::SHUTTING_DOWN, "the process is stopping"));
        }
        let rows = self.kernel.db.read(self.tenant).await?.audit_entries(self.tenant, &self.filter, &self.after, PAGE - 1).await?;
        let mut text = Vec::with_capacity(rows.len() * 600);
        for entry in &rows {
            serde_json::to_writer(&mut text, entry).map_err(Error::internal)?;
            text.push(b'\n');
        }
        self.sent += rows.len() as u64;
        match rows.last() {
            Some(last) if rows.len() as i64 == PAGE => self.after = last.id.to_string(),
            _ => {
                self.over = true;
                let end = json!({"end": {"entries": self.sent, "filter": self.filter}});
                text.extend_from_slice(format!("{end}\n").as_bytes());
            }
        }
        Ok(Bytes::from(text))
    }

    fn broken(&mut self, error: &Error) -> Bytes {
        tracing::error!(error = ?error, "an export of the audit log could not be finished");
        self.over = true;
        let cursor = (!self.after.is_empty()).then_some(&self.after);
        let line = json!({"error": {"code": error.code().name, "message": error.message(), "entries": self.sent, "cursor": cursor}});
        Bytes::from(format!("{line}\n"))
    }
}
