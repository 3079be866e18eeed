//! Reads a `model.safetensors` file once, front to back: the tensors and the SHA-256 of the file come out of the same pass.
//!
//! The format (header length as 8 little-endian bytes, JSON header, tensors) is described with the `safetensors` project;
//! its own reader wants the whole file in memory or mapped, which would hold the weights twice or need `unsafe`.

use std::{collections::HashMap, fmt::Write as _, fs::File, io::Read, path::Path};

use serde::{Deserialize, de::IgnoredAny};
use sha2::{Digest, Sha256};

use super::EmbedderError;

/// No real header is larger; a file that claims more is broken.
const MAX_HEADER_BYTES: u64 = 16 * 1024 * 1024;
/// How much is read, hashed and converted at a time.
const BLOCK_BYTES: usize = 1 << 18;

/// A tensor of 32-bit floats in row-major order.
pub(super) struct Tensor {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// All tensors of a file by name, and the file's hash.
pub(super) struct Weights {
    tensors: HashMap<String, Tensor>,
    /// SHA-256 of the whole file, 64 lower-case hex digits.
    pub sha256: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum HeaderEntry {
    Tensor {
        dtype: String,
        shape: Vec<usize>,
        data_offsets: (u64, u64),
    },
    /// `__metadata__`: a free map that nothing here depends on.
    Metadata(IgnoredAny),
}

struct Hashing {
    file: File,
    hash: Sha256,
}

impl Hashing {
    fn fill(&mut self, buffer: &mut [u8], path: &Path) -> Result<(), EmbedderError> {
        self.file.read_exact(buffer).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => EmbedderError::Corrupt(format!("{} is cut short", path.display())),
            _ => unreadable(path, &error),
        })?;
        self.hash.update(&*buffer);
        Ok(())
    }
}

impl Weights {
    /// Reads every 32-bit float tensor of the file; tensors of other types (position ids, for example) are passed over.
    ///
    /// # Errors
    /// [`EmbedderError::Missing`] without the file, [`EmbedderError::Unreadable`] when the disk fails and
    /// [`EmbedderError::Corrupt`] when header, sizes and length disagree.
    pub fn read(path: &Path) -> Result<Self, EmbedderError> {
        let file = File::open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => EmbedderError::Missing(path.to_path_buf()),
            _ => unreadable(path, &error),
        })?;
        let length = file.metadata().map_err(|error| unreadable(path, &error))?.len();
        let mut input = Hashing { file, hash: Sha256::new() };
        let bad = |what: &str| EmbedderError::Corrupt(format!("{}: {what}", path.display()));

        let mut size = [0; 8];
        input.fill(&mut size, path)?;
        let header_bytes = u64::from_le_bytes(size);
        if header_bytes > MAX_HEADER_BYTES || header_bytes + 8 > length {
            return Err(bad("the header's length is impossible"));
        }
        let mut header = vec![0; header_bytes as usize];
        input.fill(&mut header, path)?;
        let header: HashMap<String, HeaderEntry> =
            serde_json::from_slice(&header).map_err(|error| bad(&format!("the header is broken: {error}")))?;

        let mut entries = Vec::new();
        for (name, entry) in header {
            if let HeaderEntry::Tensor { dtype, shape, data_offsets } = entry {
                entries.push((data_offsets, name, dtype, shape));
            }
        }
        entries.sort_unstable_by_key(|(offsets, ..)| *offsets);
        let data_bytes = entries.last().map_or(0, |((_, end), ..)| *end);
        // Checked before anything is allocated, so that a made-up size cannot ask for made-up memory.
        let promised = data_bytes.saturating_add(8 + header_bytes);
        if promised != length {
            return Err(bad(&format!("it is {length} bytes long, its header says {promised}")));
        }

        let mut block = vec![0; BLOCK_BYTES];
        let mut position = 0;
        let mut tensors = HashMap::new();
        for ((start, end), name, dtype, shape) in entries {
            if start != position || end < start {
                return Err(bad(&format!("tensor {name} overlaps another one or leaves a gap")));
            }
            position = end;
            let float = dtype == "F32";
            let elements = shape.iter().try_fold(1_u64, |product, side| product.checked_mul(*side as u64));
            if float && elements.and_then(|elements| elements.checked_mul(4)) != Some(end - start) {
                return Err(bad(&format!("tensor {name} has another size than its shape")));
            }
            let mut values = Vec::with_capacity(if float { ((end - start) / 4) as usize } else { 0 });
            let mut left = (end - start) as usize;
            while left > 0 {
                let take = left.min(BLOCK_BYTES);
                input.fill(&mut block[..take], path)?;
                if float {
                    let (quads, _) = block[..take].as_chunks::<4>();
                    values.extend(quads.iter().map(|bytes| f32::from_le_bytes(*bytes)));
                }
                left -= take;
            }
            if float {
                tensors.insert(name, Tensor { shape, values });
            }
        }
        Ok(Self { tensors, sha256: hex(&input.hash.finalize()) })
    }

    /// Takes a tensor out, checking its shape, so that nothing is held twice.
    ///
    /// # Errors
    /// [`EmbedderError::Corrupt`] when it is not there or has another shape.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EmbedderError> {
        // Some exports name everything below the class, such as `bert.embeddings…`.
        let tensor = self.tensors.remove(name).or_else(|| self.tensors.remove(&format!("bert.{name}")));
        let tensor = tensor.ok_or_else(|| EmbedderError::Corrupt(format!("model.safetensors: no 32-bit float tensor {name}")))?;
        if tensor.shape != shape {
            return Err(EmbedderError::Corrupt(format!(
                "model.safetensors: {name} has shape {:?}, config.json says {shape:?}",
                tensor.shape
            )));
        }
        Ok(tensor.values)
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> EmbedderError {
    EmbedderError::Unreadable(format!("{}: {error}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
