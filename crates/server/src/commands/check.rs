//! `astrolabe check`: opens everything and says what is wrong, without mending anything.

use std::path::Path;

use astrolabe_backends::embedder::Precision;
use astrolabe_kernel::{
    Db, Result,
    audit::{PublicKey, verify::verify},
    db::{Dialect, SecondFence},
    error::code,
};
use astrolabe_knowledge::{
    KnowledgeConfig,
    check::{blob_path, compare_index, contents, model},
};
use clap::Args;
use serde::Serialize;

use crate::{
    app::{MIGRATIONS, Parts},
    cli::{Context, Done},
    data_dir::DataDir,
};

/// Examine the data directory and report what is wrong.
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is changed. With a running server everything but the index is examined; the server brings the index to what the database says when \
it starts. The exit code is 3 when something is wrong.

Example:
  astrolabe check --data-dir restored --json"
)]
pub struct Check {
    /// Also read the bytes of every document and compare their hash; takes as long as reading them.
    #[arg(long)]
    deep: bool,
}

/// How one thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Note,
    Wrong,
}

/// What was found about one thing.
#[derive(Debug, Clone, Serialize)]
struct Finding {
    name: &'static str,
    verdict: Verdict,
    detail: String,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, name: &'static str, verdict: Verdict, detail: impl Into<String>) {
        self.0.push(Finding { name, verdict, detail: detail.into() });
    }

    fn all_good(&self) -> bool {
        self.0.iter().all(|f| f.verdict != Verdict::Wrong)
    }
}

/// Examines and prints.
///
/// # Errors
/// When the data directory or the database cannot be opened at all.
pub async fn run(context: &Context, args: &Check) -> Result<Done> {
    let config = context.config(Vec::new())?;
    let dir = context.data_dir()?;
    let parts = Parts::real(config, dir.clone())?;
    let lock = match dir.lock() {
        Ok(lock) => Some(lock),
        Err(error) if error.code() == code::DATA_DIR_BUSY => None,
        Err(error) => return Err(error),
    };
    let db = Db::open(&parts.database_url()?, 2).await?;
    let mut findings = Findings::default();
    private_files(&dir, &mut findings);
    if schema(&db, &parts, &mut findings).await? {
        integrity(&db, &mut findings).await?;
        if parts.blobs()?.url.is_empty() {
            blobs(&db, &dir, args.deep, &mut findings).await?;
        } else {
            findings.add("blobs", Verdict::Note, "not examined: they are in a bucket (blobs.url)");
        }
        let knowledge: KnowledgeConfig = parts.config.settings.section("knowledge")?;
        let found = model_files(&parts.config.models.dir, knowledge.embed_precision, &mut findings).await?;
        if lock.is_none() {
            findings.add("index", Verdict::Note, "not examined: a running process has it");
        } else {
            index(&db, &parts, found, &mut findings).await?;
        }
        audit(&db, &dir, &mut findings).await?;
    }
    db.close().await;
    drop(lock);

    for finding in &findings.0 {
        let mark = match finding.verdict {
            Verdict::Ok => "ok   ",
            Verdict::Note => "note ",
            Verdict::Wrong => "WRONG",
        };
        context.output.line(format!("{mark}  {:9} {}", finding.name, finding.detail));
    }
    let good = findings.all_good();
    context.output.document(&serde_json::json!({ "ok": good, "data_dir": dir.root(), "checks": findings.0 }))?;
    Ok(if good { Done::All } else { Done::Part })
}

#[cfg(unix)]
fn private_files(dir: &DataDir, findings: &mut Findings) {
    use std::os::unix::fs::PermissionsExt;
    let open: Vec<String> = [dir.token_file(), dir.audit_key()]
        .iter()
        .filter(|file| std::fs::metadata(file).is_ok_and(|m| m.permissions().mode() & 0o077 != 0))
        .map(|file| file.display().to_string())
        .collect();
    if open.is_empty() {
        findings.add("secrets", Verdict::Ok, "token and keys are readable by their owner alone");
    } else {
        findings.add("secrets", Verdict::Wrong, format!("others can read {}: run chmod 600 on it", open.join(", ")));
    }
}

#[cfg(not(unix))]
fn private_files(_: &DataDir, _: &mut Findings) {}

/// Whether the schema is this version's, so that looking further makes sense.
async fn schema(db: &Db, parts: &Parts, findings: &mut Findings) -> Result<bool> {
    let plan = db.migrate(MIGRATIONS, &parts.clock, true).await?;
    if plan.pending.is_empty() {
        findings.add("schema", Verdict::Ok, format!("{} steps applied, on {}", plan.applied.len(), db.dialect().as_str()));
        return Ok(true);
    }
    findings.add("schema", Verdict::Wrong, format!("{} steps are missing: run `astrolabe migrate`", plan.pending.len()));
    Ok(false)
}

async fn integrity(db: &Db, findings: &mut Findings) -> Result<()> {
    if db.dialect() == Dialect::Postgres {
        findings.add("database", Verdict::Ok, "PostgreSQL answers; it looks after its own pages");
        if let SecondFence::Off(reason) = db.second_fence() {
            findings.add("fence", Verdict::Note, format!("row-level security is off: {reason}"));
        }
        for risk in db.unsafe_durability().await? {
            findings.add("durability", Verdict::Note, format!("{risk}: a crash can lose or damage what was answered"));
        }
        return Ok(());
    }
    let mut tx = db.read_all().await?;
    let lines: Vec<String> = tx.all("PRAGMA integrity_check(20)", &[]).await?;
    let dangling: Vec<String> = tx.all("SELECT \"table\" FROM pragma_foreign_key_check LIMIT 20", &[]).await?;
    if lines != ["ok"] {
        findings.add("database", Verdict::Wrong, format!("the file is damaged: {}; restore a backup", lines.join("; ")));
    } else if !dangling.is_empty() {
        findings.add("database", Verdict::Wrong, format!("rows of {} refer to rows that are gone", dangling.join(", ")));
    } else {
        findings.add("database", Verdict::Ok, "every page and index is sound");
    }
    Ok(())
}

async fn blobs(db: &Db, dir: &DataDir, deep: bool, findings: &mut Findings) -> Result<()> {
    let contents = contents(db).await?;
    let total = contents.len();
    let folder = dir.join("blobs");
    let bad = tokio::task::spawn_blocking(move || {
        contents
            .into_iter()
            .filter(|c| {
                let Some(path) = blob_path(&folder, &c.hash) else { return true };
                let right_size = std::fs::metadata(&path).is_ok_and(|m| i64::try_from(m.len()) == Ok(c.size));
                !right_size || deep && !hash_is(&path, &c.hash)
            })
            .map(|c| c.document)
            .collect::<Vec<_>>()
    })
    .await
    .map_err(astrolabe_kernel::Error::internal)?;
    if bad.is_empty() {
        let how = if deep { "there, with the right hash" } else { "there, with the right size" };
        findings.add("blobs", Verdict::Ok, format!("the bytes of {total} contents are {how}"));
    } else {
        let names = bad.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
        findings.add(
            "blobs",
            Verdict::Wrong,
            format!("{} of {total} contents are missing or damaged, such as {names}: upload them again", bad.len()),
        );
    }
    Ok(())
}

fn hash_is(path: &Path, hash: &str) -> bool {
    use sha2::Digest;
    let Ok(mut file) = std::fs::File::open(path) else { return false };
    let mut hasher = sha2::Sha256::new();
    std::io::copy(&mut file, &mut hasher).is_ok() && hex::encode(hasher.finalize()) == hash
}

async fn model_files(models: &Path, precision: Precision, findings: &mut Findings) -> Result<Option<(String, String, usize)>> {
    let folder = models.to_owned();
    let found = tokio::task::spawn_blocking(move || model(&folder, precision)).await.map_err(astrolabe_kernel::Error::internal)?;
    match found {
        Ok(Some((alias, version, dims))) => {
            findings.add("models", Verdict::Ok, format!("{alias} {version}, {dims} dimensions"));
            Ok(Some((alias, version, dims)))
        }
        Ok(None) => {
            findings.add(
                "models",
                Verdict::Note,
                format!("no embedding model in {}: search works by words alone; run `make models`", models.display()),
            );
            Ok(None)
        }
        Err(why) => {
            findings.add("models", Verdict::Wrong, format!("{why}; run `make models` again"));
            Ok(None)
        }
    }
}

async fn index(db: &Db, parts: &Parts, model: Option<(String, String, usize)>, findings: &mut Findings) -> Result<()> {
    let config: KnowledgeConfig = parts.config.settings.section("knowledge")?;
    let d = compare_index(db, config.index_engine, &parts.paths()?.index, model).await?;
    if let Some(notice) = d.notice {
        findings.add("index", Verdict::Note, notice);
    }
    if d.missing + d.surplus == 0 {
        findings.add("index", Verdict::Ok, format!("{} documents, as the database says", d.equal));
    } else {
        // SQL is the truth: nothing is lost, and the next start mends it.
        let text = format!(
            "{} documents are missing and {} are too many; the next start brings it to what the database says",
            d.missing, d.surplus
        );
        findings.add("index", Verdict::Note, text);
    }
    Ok(())
}

async fn audit(db: &Db, dir: &DataDir, findings: &mut Findings) -> Result<()> {
    let file = dir.audit_key().with_extension("pub.pem");
    let Some(key) = std::fs::read_to_string(&file).ok().and_then(|pem| PublicKey::from_pem(&pem).ok()) else {
        findings.add("audit", Verdict::Wrong, format!("{} cannot be read, so the chain cannot be verified", file.display()));
        return Ok(());
    };
    let reports = match verify(db, &key, &[]).await {
        Err(error) if error.code() == code::AUDIT_BROKEN => {
            findings.add("audit", Verdict::Wrong, error.message());
            return Ok(());
        }
        reports => reports?,
    };
    let defects: Vec<&String> = reports.iter().flat_map(|r| &r.defects).collect();
    let verified: i64 = reports.iter().map(|r| r.verified).sum();
    match defects.first() {
        None => findings.add("audit", Verdict::Ok, format!("{verified} entries are in an unbroken, signed chain")),
        Some(first) => findings.add("audit", Verdict::Wrong, format!("{} defects; the first: {first}", defects.len())),
    }
    Ok(())
}
