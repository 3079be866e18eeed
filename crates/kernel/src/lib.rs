//! What every part of Astrolabe stands on. No product rule lives here.
//!
//! Reading order: [`id`], [`clock`], [`error`] and [`principal`] are the vocabulary; [`config`] says how a setting reaches the
//! code; [`db`] is the one way to SQL; [`events`], [`jobs`] and [`audit`] are the three things that are written in the same
//! transaction as a change; [`work`] is what a caller waits for; [`http`] turns all of it into endpoints; [`lifecycle`] starts and stops it.
//!
//! [`Kernel`] bundles the handles that nearly every function needs.

pub mod audit;
pub mod clock;
pub mod config;
pub mod db;
pub mod egress;
pub mod error;
pub mod events;
pub mod http;
pub mod id;
pub mod idempotency;
pub mod jobs;
pub mod lifecycle;
pub mod limits;
pub mod mask;
pub mod page;
pub mod personal;
pub mod principal;
pub mod processes;
pub mod random;
pub mod retention;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod work;

pub use clock::{Clock, Timestamp};
pub use db::{Db, Tx};
pub use error::{Error, Kind, Result};
pub use id::Id;
pub use lifecycle::Lifecycle;
pub use principal::{Principal, Role, Tenant};
pub use random::Random;

/// The handles that nearly every function needs, cheap to clone.
#[derive(Clone)]
pub struct Kernel {
    /// Where the time comes from.
    pub clock: Clock,
    /// Where randomness comes from.
    pub random: Random,
    /// The one way to SQL.
    pub db: Db,
    /// Starts background tasks and stops them in order.
    pub lifecycle: Lifecycle,
    /// The one door to the network.
    pub egress: egress::Egress,
    /// A stream that has nothing to say for this long is ended; its reader resumes where it was.
    pub stream_idle: std::time::Duration,
    /// Who read what, before it is written.
    pub reads: audit::Reads,
    /// This process, among those that use the database.
    pub process: Id<processes::Process>,
}

impl Kernel {
    /// A new id, ordered by the time of its making.
    pub fn id<K: id::Named>(&self) -> Id<K> {
        Id::new(self.clock.now(), &self.random)
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
