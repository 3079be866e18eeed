//! Settings of a tenant: its name, its time zone, and the feature flags that the program knows.
//!
//! Flags are declared where they are read ([`astrolabe_kernel::flags`]); a tenant that never set one has its default, also when the default
//! changes with a version.

pub mod routes;
mod store;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use astrolabe_kernel::{
    Error, Result, Timestamp,
    flags::{Flag, FlagKind},
    principal::TenantId,
};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::Platform;

/// The settings of a tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Settings {
    /// The tenant's name for people.
    pub name: String,
    /// The time zone that policies mean by local time, by its name in the IANA database.
    #[schema(example = "Europe/Warsaw")]
    pub time_zone: String,
    /// The flags by name.
    pub flags: BTreeMap<String, FlagState>,
    /// Grows with every change; the `ETag`. 0 when nothing was ever set.
    pub version: i64,
    /// When they last changed; null when nothing was ever set.
    pub updated_at: Option<Timestamp>,
}

/// A feature flag and what it is set to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FlagState {
    /// What it does.
    pub description: String,
    /// `switch`, which is true or false, or `share`, which is a percentage.
    #[schema(pattern = "^(switch|share)$")]
    pub kind: String,
    /// What it is set to: true or false, or a whole number from 0 to 100.
    #[schema(value_type = FlagValue)]
    pub value: Value,
    /// What it is when nobody sets it.
    #[schema(value_type = FlagValue)]
    pub default: Value,
}

/// The value of a flag, as the description shows it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum FlagValue {
    /// Of a switch.
    Switch(bool),
    /// Of a share, in percent.
    Share(u8),
}

/// A change of settings: what is absent stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsChange {
    /// The tenant's name for people.
    #[schema(min_length = 1, max_length = 100, example = "Acme depot")]
    pub name: Option<String>,
    /// A time zone by its name in the IANA database.
    #[schema(max_length = 100, example = "Europe/Warsaw")]
    pub time_zone: Option<String>,
    /// Flags to be set. A share is a whole number from 0 to 100, or false for 0 and true for 100; null brings the default back.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"rag_only": 25}))]
    pub flags: BTreeMap<String, Value>,
}

/// The row of a tenant.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    name: String,
    time_zone: String,
    /// In percent, those that were set.
    flags: BTreeMap<String, u8>,
    version: i64,
    updated_at: Option<Timestamp>,
}

impl Default for Stored {
    fn default() -> Self {
        Self { name: "default".to_owned(), time_zone: "UTC".to_owned(), flags: BTreeMap::new(), version: 0, updated_at: None }
    }
}

/// Settings as the program uses them.
pub(crate) struct InForce {
    pub settings: Settings,
    pub zone: TimeZone,
    flags: BTreeMap<String, u8>,
}

/// A value as people write it.
fn shown(kind: FlagKind, percent: u8) -> Value {
    match kind {
        FlagKind::Switch => Value::Bool(percent > 0),
        FlagKind::Share => Value::from(percent),
    }
}

/// A value of a flag in percent.
fn percent(flag: &Flag, value: &Value) -> Result<u8> {
    let field = || format!("flags.{}", flag.name);
    match (flag.kind, value) {
        (_, Value::Bool(on)) => Ok(if *on { 100 } else { 0 }),
        (FlagKind::Share, Value::Number(n)) => n
            .as_u64()
            .and_then(|n| u8::try_from(n).ok())
            .filter(|n| *n <= 100)
            .ok_or_else(|| Error::field(field(), "must be a whole number from 0 to 100")),
        (FlagKind::Share, _) => Err(Error::field(field(), "must be a whole number from 0 to 100, or true, false or null")),
        (FlagKind::Switch, _) => Err(Error::field(field(), "must be true, false or null")),
    }
}

impl Stored {
    /// The settings as callers see them; a flag that this version does not know is not shown.
    fn shown(&self, flags: &[&Flag]) -> Settings {
        let state = |flag: &&Flag| {
            let value = self.flags.get(flag.name).copied().unwrap_or(flag.default);
            let kind = match flag.kind {
                FlagKind::Switch => "switch",
                FlagKind::Share => "share",
            };
            let state = FlagState {
                description: flag.description.to_owned(),
                kind: kind.to_owned(),
                value: shown(flag.kind, value),
                default: shown(flag.kind, flag.default),
            };
            (flag.name.to_owned(), state)
        };
        Settings {
            name: self.name.clone(),
            time_zone: self.time_zone.clone(),
            flags: flags.iter().map(state).collect(),
            version: self.version,
            updated_at: self.updated_at,
        }
    }

    /// Applies a change.
    ///
    /// # Errors
    /// `invalid_request` naming the field.
    fn apply(&mut self, change: &SettingsChange, flags: &[&Flag]) -> Result<()> {
        if let Some(name) = &change.name {
            if name.trim().is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
                return Err(Error::field("name", "must be 1 to 100 characters, not only white space, without control characters"));
            }
            self.name.clone_from(name);
        }
        if let Some(name) = &change.time_zone {
            zone(name).ok_or_else(|| Error::field("time_zone", "must be a name of the IANA database, such as Europe/Warsaw or UTC"))?;
            self.time_zone.clone_from(name);
        }
        for (name, value) in &change.flags {
            let Some(flag) = flags.iter().find(|f| f.name == name) else {
                let names: Vec<_> = flags.iter().map(|f| f.name).collect();
                return Err(Error::field(format!("flags.{name}"), format!("is not a flag; there are {}", names.join(", "))));
            };
            match value {
                Value::Null => self.flags.remove(name),
                value => self.flags.insert(name.clone(), percent(flag, value)?),
            };
        }
        Ok(())
    }
}

/// A time zone by name. `UTC` needs no database.
fn zone(name: &str) -> Option<TimeZone> {
    match name {
        "UTC" => Some(TimeZone::UTC),
        name if name.len() <= 100 => TimeZone::get(name).ok(),
        _ => None,
    }
}

impl Platform {
    /// A tenant's settings, at most two seconds old.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) async fn settings(&self, tenant: TenantId) -> Result<Arc<InForce>> {
        let now = self.kernel().now();
        if let Some(fresh) = self.0.settings.get(&tenant, now) {
            return Ok(fresh);
        }
        let stored = store::get(&mut self.kernel().db.read(tenant).await?, tenant).await?.unwrap_or_default();
        let zone = zone(&stored.time_zone)
            .ok_or_else(|| Error::internal(format_args!("the time zone {:?} of a tenant is not known here", stored.time_zone)))?;
        let settings = stored.shown(&self.0.flags);
        let in_force = Arc::new(InForce { settings, zone, flags: stored.flags });
        self.0.settings.put(tenant, now, in_force.clone());
        Ok(in_force)
    }

    /// What a flag is set to for a tenant, in percent.
    ///
    /// # Errors
    /// When the settings cannot be read.
    pub(crate) async fn flag(&self, tenant: TenantId, flag: &Flag) -> Result<u8> {
        Ok(self.settings(tenant).await?.flags.get(flag.name).copied().unwrap_or(flag.default))
    }
}
