//! The audit console: reads what the kernel records. Entries are written with the actions themselves
//! ([`astrolabe_kernel::audit`]) and proved by [`routes::verify_chain`] and `astrolabe audit verify`.
//!
//! [`refusals`] writes the entries of operations that were refused before they began.

mod export;
pub mod refusals;
pub mod routes;

use std::sync::Arc;

use astrolabe_kernel::{Kernel, audit::PublicKey};
use astrolabe_kernel::{http::Routes, routes};
use tokio::sync::Semaphore;

/// Exports at the same time; each reads the whole log of a tenant.
const EXPORTS: usize = 4;

/// What the console's endpoints share; clones are the same console.
#[derive(Clone)]
pub struct Console(Arc<Inner>);

struct Inner {
    kernel: Kernel,
    key: PublicKey,
    exports: Arc<Semaphore>,
    /// A chain is verified once at a time: it takes a core.
    verifying: Semaphore,
    refused: refusals::Counts,
}

impl Console {
    /// The console of a process whose sealer signs with the private half of `key`.
    pub fn new(kernel: Kernel, key: PublicKey) -> Self {
        Self(Arc::new(Inner {
            kernel,
            key,
            exports: Arc::new(Semaphore::new(EXPORTS)),
            verifying: Semaphore::new(1),
            refused: refusals::Counts::default(),
        }))
    }
}

/// The console's endpoints, behind sign-in.
pub fn routes(console: Console) -> Routes {
    Routes::new()
        .routes(routes!(routes::list_audit_entries))
        .routes(routes!(routes::export_audit_entries))
        .routes(routes!(routes::get_chain_head))
        .routes(routes!(routes::verify_chain))
        .with_state(console)
}
