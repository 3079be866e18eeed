//! The row of the maintenance switch.

use astrolabe_kernel::{
    Error, Result, Timestamp, Tx, args,
    db::{FromRow, Row},
};

use super::{Maintenance, MaintenanceMode};

impl FromRow for Maintenance {
    fn from_row(row: &Row) -> Result<Self> {
        let mode = match row.get::<String>("mode")?.as_str() {
            "off" => MaintenanceMode::Off,
            "read_only" => MaintenanceMode::ReadOnly,
            other => return Err(Error::internal(format_args!("{other:?} is not a mode of maintenance"))),
        };
        Ok(Self { mode, message: row.get("message")?, until: row.optional_time("until")? })
    }
}

/// The state; `None` when nobody ever touched the switch.
pub async fn get(tx: &mut Tx) -> Result<Option<Maintenance>> {
    tx.optional("SELECT mode, message, until FROM maintenance WHERE id = 1", &[]).await
}

/// Sets the switch.
pub async fn put(tx: &mut Tx, state: &Maintenance, by: &str, now: Timestamp) -> Result<()> {
    let mode = match state.mode {
        MaintenanceMode::Off => "off",
        MaintenanceMode::ReadOnly => "read_only",
    };
    tx.execute(
        "INSERT INTO maintenance (id, mode, message, until, changed_by, changed_at) VALUES (1, $1, $2, $3, $4, $5)
         ON CONFLICT (id) DO UPDATE SET mode = $1, message = $2, until = $3, changed_by = $4, changed_at = $5",
        args![mode, &state.message, state.until, by, now],
    )
    .await?;
    Ok(())
}
