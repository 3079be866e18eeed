//! What every engine refuses to take in, in the same words.

use std::collections::HashSet;

use super::vectors::normalised;
use super::{IndexDocument, IndexError};

/// The document with its vectors scaled to length 1.
///
/// # Errors
/// An empty id, a NUL in any text that is kept as it is, a chunk id used twice, or a vector of other dimensions or
/// without a direction.
pub fn checked(mut document: IndexDocument, dims: usize) -> Result<IndexDocument, IndexError> {
    for (field, id) in [("tenant", &document.tenant), ("source_id", &document.source_id), ("document_id", &document.document_id)] {
        if id.is_empty() {
            return Err(IndexError::invalid(field, "must not be empty"));
        }
        without_nul(field, id)?;
    }
    without_nul("mime", &document.mime)?;
    document.tags.iter().try_for_each(|tag| without_nul("tags", tag))?;
    document.readers.iter().flatten().try_for_each(|reader| without_nul("readers", reader))?;
    let mut ids = HashSet::with_capacity(document.chunks.len());
    for chunk in &mut document.chunks {
        if chunk.chunk_id.is_empty() || !ids.insert(chunk.chunk_id.clone()) {
            return Err(IndexError::invalid("chunk_id", format!("{:?} is empty or used twice in the document", chunk.chunk_id)));
        }
        without_nul("chunk_id", &chunk.chunk_id)?;
        if let Some(vector) = chunk.vector.take() {
            chunk.vector = Some(unit(&vector, dims)?);
        }
    }
    Ok(document)
}

/// PostgreSQL keeps no NUL in a text, and no engine may take what another one cannot.
fn without_nul(field: &'static str, text: &str) -> Result<(), IndexError> {
    if text.contains('\0') { Err(IndexError::invalid(field, "must not contain NUL (U+0000)")) } else { Ok(()) }
}

/// A vector of the generation's dimensions, scaled to length 1.
///
/// # Errors
/// One of other dimensions, or without a direction.
pub fn unit(vector: &[f32], dims: usize) -> Result<Vec<f32>, IndexError> {
    if vector.len() != dims {
        return Err(IndexError::Dimensions { expected: dims, found: vector.len() });
    }
    normalised(vector).ok_or_else(|| IndexError::invalid("vector", "has no direction: all components must be finite and one not zero"))
}
