//! What can go wrong with an index, in words that name the way out.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// An error of a search index. After any of them the index is what it was before the call.
#[derive(Debug)]
pub enum IndexError {
    /// A file operation failed. `what` says which, in words.
    Io {
        /// The operation, such as "append to the index log".
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another process has the directory open.
    Locked {
        /// The index directory.
        path: PathBuf,
    },
    /// The log was written by a newer version of the product.
    NewerFormat {
        /// The log file.
        path: PathBuf,
        /// Format number found.
        found: u32,
        /// Highest format number this version reads.
        supported: u32,
    },
    /// A vector has another length than the generation's.
    Dimensions {
        /// The generation's dimensions.
        expected: usize,
        /// The length given.
        found: usize,
    },
    /// A field of the call cannot be used. `field` names it.
    Invalid {
        /// The field's name.
        field: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The index holds a newer version of the document.
    Stale {
        /// The document.
        document_id: String,
        /// Version in the index.
        have: i64,
        /// Version given.
        given: i64,
    },
    /// Records that were readable before are damaged on disk; nothing was changed.
    Damaged {
        /// The log file.
        path: PathBuf,
        /// Documents that could not be read.
        documents: Vec<String>,
    },
    /// The engine cannot be used as things are; `reason` says why, and the way out.
    Unusable {
        /// For people.
        reason: String,
    },
    /// The database that holds the index refused.
    Database(astrolabe_kernel::Error),
    /// The thread that did the work was stopped with the process.
    Interrupted,
}

impl IndexError {
    pub(super) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }

    pub(super) fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { field, reason: reason.into() }
    }
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { what, path, source } => {
                let hint = match source.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": free disk space and repeat",
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ": make the directory writable for this user",
                    _ => "",
                };
                write!(f, "cannot {what} at {}: {source}{hint}", path.display())
            }
            Self::Locked { path } => {
                write!(f, "index directory {} is in use by another process: stop it or choose another data directory", path.display())
            }
            Self::NewerFormat { path, found, supported } => write!(
                f,
                "index log {} has format {found}, this version reads up to {supported}: run the newer version, or remove the file to rebuild the index",
                path.display()
            ),
            Self::Dimensions { expected, found } => {
                write!(f, "vector has {found} dimensions, this index generation has {expected}: embed with the generation's model")
            }
            Self::Invalid { field, reason } => write!(f, "{field}: {reason}"),
            Self::Stale { document_id, have, given } => {
                write!(f, "document {document_id} is indexed at version {have}, newer than {given}: read the document again")
            }
            Self::Damaged { path, documents } => {
                write!(f, "index log {} has damaged records of {}: index these documents again", path.display(), documents.join(", "))
            }
            Self::Unusable { reason } => f.write_str(reason),
            Self::Database(error) => write!(f, "the database of the search index: {error}"),
            Self::Interrupted => f.write_str("the work on the index was stopped with the process"),
        }
    }
}

impl std::error::Error for IndexError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}
