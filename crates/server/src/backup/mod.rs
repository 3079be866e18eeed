//! Backups of the embedded store: one `tar.gz` with the database, the documents it names, the index, the keys, the audit archive and
//! the token, and a manifest that says what must be in it.
//!
//! The manifest is the last member, so a file that was cut off has none and is refused. The database is copied first, in one
//! consistent moment ([`astrolabe_kernel::Db::copy_to`]); blobs never change and the index is brought to what the database says
//! when it is opened, so what is copied after it may be newer without harm.

mod read;
mod write;

pub use read::{Restored, restore};
pub use write::write;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The layout of backup files that this version writes and reads.
pub const FORMAT: u32 = 1;
/// The member that holds the [`Manifest`].
pub(crate) const MANIFEST: &str = "manifest.json";

/// What is in a backup.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Manifest {
    /// The layout of the file.
    pub format: u32,
    /// The layout of the data directory.
    pub data_format: u32,
    /// The version of the program that wrote it.
    pub version: String,
    /// When it was begun, RFC 3339.
    pub created_at: String,
    /// Steps of the database's schema that it has.
    pub migrations: Vec<String>,
    /// Documents of which the bytes were not there.
    pub missing: Vec<String>,
    /// Every member by its path.
    pub files: BTreeMap<String, Member>,
}

/// One member of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

/// Whether a path may be in a backup: below a known name, forward, and without tricks.
fn is_known(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let plain = parts.iter().all(|p| !p.is_empty() && *p != "." && *p != ".." && !p.contains(['\\', '\0', ':']));
    plain
        && match parts.as_slice() {
            ["astrolabe.db" | "token" | "secret_key" | "FORMAT"] => true,
            [first, _, ..] => matches!(*first, "blobs" | "index" | "keys" | "audit"),
            _ => false,
        }
}

/// Whether a member holds a secret and must be readable by its owner alone.
fn is_private(path: &str) -> bool {
    path == "token" || path == "secret_key" || path.starts_with("keys/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leads_out_of_the_data_directory_is_not_known() {
        for good in [
            "astrolabe.db",
            "token",
            "secret_key",
            "FORMAT",
            "blobs/ab/abcd",
            "index/words-1/index.log",
            "keys/audit.pem",
            "audit/audits/heads.jsonl",
        ] {
            assert!(is_known(good), "{good}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "blobs/../../x",
            "blobs//x",
            "blobs",
            "lock",
            "astrolabe.db-wal",
            "keys/..",
            "a/b",
            "blobs/a\\..\\b",
            "index/./x",
        ] {
            assert!(!is_known(bad), "{bad}");
        }
    }
}
