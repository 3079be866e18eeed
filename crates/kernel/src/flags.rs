//! Feature flags of tenants: each is declared beside the code that reads it, with its default, and set in the tenant's settings.

use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};

use crate::{Result, principal::TenantId};

/// What a flag can be set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagKind {
    /// On or off.
    Switch,
    /// The share of cases it holds for, in percent.
    Share,
}

/// A flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Its name in the settings.
    pub name: &'static str,
    /// What it can be set to.
    pub kind: FlagKind,
    /// In percent: 0 is off, 100 is on.
    pub default: u8,
    /// What it does, for people.
    pub description: &'static str,
}

type Read = dyn Fn(TenantId, &'static Flag) -> BoxFuture<'static, Result<u8>> + Send + Sync;

/// The handle by which flags are read; clones are the same. Until it is filled, flags have their defaults.
#[derive(Clone, Default)]
pub struct Flags(Arc<OnceLock<Box<Read>>>);

impl Flags {
    /// Says where flags are read from now on. Only the first call counts.
    pub fn fill(&self, read: impl Fn(TenantId, &'static Flag) -> BoxFuture<'static, Result<u8>> + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(read));
    }

    async fn percent(&self, tenant: TenantId, flag: &'static Flag) -> Result<u8> {
        match self.0.get() {
            Some(read) => read(tenant, flag).await,
            None => Ok(flag.default),
        }
    }

    /// Whether a switch is on.
    ///
    /// # Errors
    /// When the settings cannot be read.
    pub async fn is_on(&self, tenant: TenantId, flag: &'static Flag) -> Result<bool> {
        Ok(self.percent(tenant, flag).await? > 0)
    }

    /// Whether a case is within the flag's share. The same case always is or is not, and what is within a share is within a larger one.
    ///
    /// # Errors
    /// When the settings cannot be read.
    pub async fn holds_for(&self, tenant: TenantId, flag: &'static Flag, case: &str) -> Result<bool> {
        let share = self.percent(tenant, flag).await?;
        let hash = Sha256::digest(format!("{} {case}", flag.name));
        Ok(u16::from_be_bytes([hash[0], hash[1]]) % 100 < u16::from(share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::default_tenant;

    static HALF: Flag = Flag { name: "half", kind: FlagKind::Share, default: 50, description: "" };

    fn set_to(share: u8) -> Flags {
        let flags = Flags::default();
        flags.fill(move |_, _| Box::pin(async move { Ok(share) }));
        flags
    }

    async fn cases(flags: &Flags) -> Vec<u32> {
        let mut held = Vec::new();
        for case in 0..1000 {
            if flags.holds_for(default_tenant(), &HALF, &case.to_string()).await.unwrap() {
                held.push(case);
            }
        }
        held
    }

    #[tokio::test]
    async fn a_share_holds_for_about_as_many_cases_and_always_for_the_same() {
        let half = cases(&Flags::default()).await;
        assert!((430..570).contains(&half.len()), "{}", half.len());
        assert_eq!(half, cases(&set_to(50)).await);
        let tenth = cases(&set_to(10)).await;
        assert!((60..140).contains(&tenth.len()) && tenth.iter().all(|c| half.contains(c)), "{}", tenth.len());
        assert_eq!((cases(&set_to(0)).await.len(), cases(&set_to(100)).await.len()), (0, 1000));
    }
}
