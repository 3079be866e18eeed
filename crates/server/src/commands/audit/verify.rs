//! `astrolabe audit verify`.

use std::path::{Path, PathBuf};

use astrolabe_kernel::{
    Db, Error, Result,
    audit::{
        PublicKey,
        archive::Archive,
        chain::checkpoint_message,
        verify::{Anchor, Report, verify, verify_archive},
    },
    error::code,
    principal::TenantId,
};
use clap::Args;

use crate::{
    app::Parts,
    cli::{Context, Done},
};

/// Verify the chain: every entry, every link, every signature.
#[derive(Debug, Args)]
#[command(
    after_help = "Changed, removed and moved entries are found by the chain itself. That the newest entries were cut off is only seen against a head that was \
kept: give it as --anchor. HEAD is the newest signed head that the archive knows. Print the head with this command now and then, and keep \
it where the operator cannot change it. The exit code is 6 when something is wrong.

Examples:
  astrolabe audit verify --anchor HEAD
  astrolabe audit verify --anchor 1402:9f2c…  --anchor kept-heads.txt
  astrolabe audit verify --archive /mnt/archive --public-key audit.pub.pem     without the database"
)]
pub struct Verify {
    /// A head that must still be in the chain: `<number>:<hash>`, `HEAD`, or a file with heads, one a line.
    #[arg(long = "anchor", value_name = "HEAD|SEQ:HASH|FILE")]
    anchors: Vec<String>,
    /// Verify this archive instead of the database.
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
    /// The public key of the signatures; otherwise the data directory's.
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
}

type Anchors = Vec<(Option<TenantId>, Anchor)>;

/// Verifies the chain and prints what was found.
///
/// # Errors
/// When there is nothing to verify, or the key or an anchor cannot be read; what is wrong with the chain is printed instead.
pub async fn run(context: &Context, args: &Verify) -> Result<Done> {
    let key_file = match &args.public_key {
        Some(file) => file.clone(),
        None => context.data_dir()?.audit_key().with_extension("pub.pem"),
    };
    let pem = std::fs::read_to_string(&key_file)
        .map_err(|e| Error::field("--public-key", format!("{} cannot be read: {}", key_file.display(), e.kind())).with_internal(e))?;
    let key = PublicKey::from_pem(&pem)?;
    let archive = match &args.archive {
        Some(folder) => folder.clone(),
        None => context.data_dir()?.archive(),
    };
    let mut anchors: Anchors = Vec::new();
    for text in &args.anchors {
        anchors.extend(read_anchor(text, &archive, &key)?);
    }
    let reports = match &args.archive {
        Some(folder) => {
            let (entries, heads) = Archive::read(folder)?;
            verify_archive(entries, heads, &key, &anchors)
        }
        None => {
            let parts = Parts::real(context.config(Vec::new())?, context.data_dir()?)?;
            let db = Db::open(&parts.database_url()?, 2).await?;
            let reports = verify(&db, &key, &anchors).await;
            db.close().await;
            reports.map_err(without_tables)?
        }
    };
    print(context, &reports, anchors.len())
}

/// A database that was never migrated has no audit log.
fn without_tables(error: Error) -> Error {
    match error.internal_detail() {
        Some(detail) if detail.contains("no such table") || detail.contains("does not exist") => {
            Error::new(code::MIGRATION_NEEDED, "the database has no audit log yet: run `astrolabe migrate`, or check DATABASE_URL")
                .with_internal(detail)
        }
        _ => error,
    }
}

fn print(context: &Context, reports: &[Report], anchors: usize) -> Result<Done> {
    for report in reports {
        let unsealed = if report.unsealed > 0 { format!(", {} wait for their seal", report.unsealed) } else { String::new() };
        let erased = if report.erased > 0 { format!(", {} with an erased payload", report.erased) } else { String::new() };
        context.output.line(format!("tenant {}: {} entries verified{erased}{unsealed}", report.tenant_id, report.verified));
        for defect in &report.defects {
            context.output.line(format!("  BROKEN: {defect}"));
        }
        if let (true, Some(head)) = (report.defects.is_empty(), &report.head) {
            context.output.line(format!("  head {head}"));
        }
    }
    if reports.is_empty() {
        context.output.line("there are no audit entries");
    }
    let broken = reports.iter().any(|r| !r.defects.is_empty());
    if !broken && anchors == 0 {
        context.output.note("note: without --anchor nobody can tell whether the newest entries were cut off");
    }
    context.output.document(&serde_json::json!({ "ok": !broken, "anchors": anchors, "chains": reports }))?;
    Ok(if broken { Done::Code(code::AUDIT_BROKEN.kind.exit_code()) } else { Done::All })
}

/// The anchors that an argument stands for.
fn read_anchor(text: &str, archive: &Path, key: &PublicKey) -> Result<Anchors> {
    if text == "HEAD" {
        return newest_heads(archive, key);
    }
    if let Ok(anchor) = text.parse() {
        return Ok(vec![(None, anchor)]);
    }
    let content = std::fs::read_to_string(text).map_err(|_| {
        Error::field("--anchor", format!("{text:?} is no head (<number>:<64 hexadecimal digits>), not HEAD, and no file that can be read"))
    })?;
    let anchors: Anchors =
        content.lines().map(str::trim).filter(|l| !l.is_empty()).map(|l| Ok((None, head_in(l)?))).collect::<Result<_>>()?;
    if anchors.is_empty() { Err(Error::field("--anchor", format!("the file {text} holds no head"))) } else { Ok(anchors) }
}

/// A head in a line of a file: as printed by this command, or as the archive's `heads.jsonl` has it.
fn head_in(line: &str) -> Result<Anchor> {
    if let Ok(head) = serde_json::from_str::<serde_json::Value>(line)
        && let (Some(seq), Some(hash)) = (head["seq"].as_i64(), head["hash"].as_str())
    {
        return format!("{seq}:{hash}").parse();
    }
    line.strip_prefix("head ").unwrap_or(line).trim().parse()
}

/// The newest head of every tenant that the archive has with a good signature.
fn newest_heads(archive: &Path, key: &PublicKey) -> Result<Anchors> {
    let (_, heads) = Archive::read(archive)?;
    let mut newest: std::collections::BTreeMap<TenantId, (i64, String)> = std::collections::BTreeMap::new();
    for head in heads {
        let good = key.verify(&checkpoint_message(&head.tenant_id.to_string(), head.seq, &head.hash), &head.signature);
        if good && newest.get(&head.tenant_id).is_none_or(|(seq, _)| *seq < head.seq) {
            newest.insert(head.tenant_id, (head.seq, head.hash));
        }
    }
    if newest.is_empty() {
        let text = format!("the archive {} has no head that this key signed, so HEAD stands for nothing", archive.display());
        return Err(Error::new(code::AUDIT_BROKEN, text));
    }
    newest.into_iter().map(|(tenant, (seq, hash))| Ok((Some(tenant), format!("{seq}:{hash}").parse()?))).collect()
}
