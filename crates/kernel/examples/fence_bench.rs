//! What row-level security costs a transaction: `cargo run --release -p astrolabe-kernel --example fence_bench -- URI` on the empty database of a
//! superuser. The three ways to begin take turns, transaction by transaction, so that what else the machine does hits all alike.

use std::{error::Error, io::Write, time::Instant};

use astrolabe_kernel::{
    Clock, Db, Id, args,
    db::{KERNEL, Migration, Migrations},
    principal::TenantId,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

const ROUNDS: usize = 4000;
const NOTES: Migrations = Migrations {
    domain: "notes",
    steps: &[Migration {
        version: 1,
        name: "notes",
        sql: "CREATE TABLE notes (tenant_id TEXT NOT NULL, id BIGINT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (tenant_id, id));",
    }],
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::args().nth(1).ok_or("name the URI of an empty database")?;
    let db = Db::open(&uri, 4).await?;
    db.migrate(&[KERNEL, NOTES], &Clock::System, false).await?;
    let tenants: Vec<TenantId> = (0..20_u8).map(|n| Id::derived(&[n])).collect();
    let mut tx = db.write_all().await?;
    for tenant in &tenants {
        let rows = "INSERT INTO notes SELECT $1, n, repeat('x', 200) FROM generate_series(1, 2000) AS n ON CONFLICT DO NOTHING";
        tx.execute(rows, args![*tenant]).await?;
    }
    tx.commit().await?;
    let mut tx = db.write_schema().await?;
    tx.execute("ANALYZE notes", &[]).await?;
    tx.commit().await?;

    let tenant = tenants[7].to_string();
    let scope = format!("SET LOCAL astrolabe.tenant = '{tenant}'");
    let ways = [
        ("begin alone", "BEGIN".to_owned()),
        ("with the scope", format!("BEGIN; {scope}")),
        ("with the scope and the role, policies in force", format!("BEGIN; SET LOCAL ROLE astrolabe_app; {scope}")),
    ];
    let work = [
        ("one row by its key", "SELECT text FROM notes WHERE tenant_id = $1 AND id = 77"),
        ("a page of 50", "SELECT text FROM notes WHERE tenant_id = $1 AND id > 700 ORDER BY id LIMIT 50"),
        ("2,000 rows counted", "SELECT CAST(COUNT(*) AS TEXT) FROM notes WHERE tenant_id = $1 AND text LIKE '%x'"),
        ("one row changed", "UPDATE notes SET text = text WHERE tenant_id = $1 AND id = 78"),
    ];
    let mut connections = Vec::new();
    for _ in &ways {
        connections.push(PgConnection::connect(&uri).await?);
    }
    let mut out = std::io::stdout();
    for (name, sql) in work {
        let mut times: [Vec<f64>; 3] = Default::default();
        for round in 0..ROUNDS + 200 {
            for (way, (_, begin)) in ways.iter().enumerate() {
                let connection = &mut connections[way];
                let started = Instant::now();
                sqlx::raw_sql(AssertSqlSafe(begin.clone())).execute(&mut *connection).await?;
                sqlx::query(sql).bind(&tenant).fetch_all(&mut *connection).await?;
                sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
                // The first rounds fill caches and make plans.
                if round >= 200 {
                    times[way].push(started.elapsed().as_secs_f64() * 1e6);
                }
            }
        }
        writeln!(out, "{name}")?;
        let pairs = |way: usize| times[way].iter().zip(&times[0]).map(|(a, b)| a - b).collect::<Vec<_>>();
        for (way, (how, _)) in ways.iter().enumerate() {
            writeln!(out, "  {how}: median {:.0} µs, {:+.1} µs against begin alone", median(times[way].clone()), median(pairs(way)))?;
        }
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
