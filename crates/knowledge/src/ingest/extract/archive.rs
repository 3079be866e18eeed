//! ZIP files of documents: each file that can be read, under a heading with its name. What cannot be read is named, and keeps none of the others.

use super::container::Container;
use super::text::TextBuilder;
use super::{ExtractError, Extracted, extract_within};

/// Archives and messages inside one another at most.
const MAX_DEPTH: u8 = 3;
/// Files that are read from one upload at most.
const MAX_FILES: usize = 1_000;

/// What may still be read from what is inside what.
#[derive(Default)]
pub(super) struct Budget {
    depth: u8,
    files: usize,
    unpacked: u64,
}

pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Result<Extracted, ExtractError> {
    let mut zip = Container::open(bytes, "ZIP archive")?;
    let (mut out, mut warnings) = (TextBuilder::new(), Vec::new());
    for name in zip.names() {
        let file = name.rsplit(['/', '\\']).next().unwrap_or_default();
        if file.starts_with('.') || name.starts_with("__MACOSX/") {
            continue;
        }
        if let Some(inside) = zip.read(&name)? {
            attached(&inside, &name, budget, &mut out, &mut warnings)?;
        }
    }
    let mut extracted = out.finish("application/zip");
    extracted.title = None;
    extracted.warnings = warnings;
    Ok(extracted)
}

/// Adds a file that is inside another one.
pub(super) fn attached(
    bytes: &[u8],
    name: &str,
    budget: &mut Budget,
    out: &mut TextBuilder,
    warnings: &mut Vec<String>,
) -> Result<(), ExtractError> {
    budget.files += 1;
    budget.unpacked += bytes.len() as u64;
    if budget.files > MAX_FILES {
        return Err(ExtractError::TooLarge { found: budget.files, limit: MAX_FILES, unit: "files" });
    }
    if budget.unpacked > super::container::MAX_UNPACKED {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        return Err(ExtractError::TooLarge {
            found: size(budget.unpacked),
            limit: size(super::container::MAX_UNPACKED),
            unit: "bytes when unpacked",
        });
    }
    if budget.depth >= MAX_DEPTH {
        return Err(ExtractError::Damaged { what: "archive", detail: format!("files stand more than {MAX_DEPTH} archives deep in it") });
    }
    budget.depth += 1;
    let read = extract_within(bytes, name, None, budget);
    budget.depth -= 1;
    match read {
        Ok(inside) => {
            out.heading(1, name)?;
            out.extracted(&inside, 1)
        }
        // What bounds the whole ends the whole.
        Err(error @ ExtractError::TooLarge { .. }) => Err(error),
        Err(error @ ExtractError::Damaged { what: "archive", .. }) => Err(error),
        Err(error) => {
            const TOLD: usize = 20;
            match warnings.len() {
                n if n < TOLD => warnings.push(format!("{name} was left out: {error}")),
                TOLD => warnings.push("more files were left out".to_owned()),
                _ => {}
            }
            Ok(())
        }
    }
}
