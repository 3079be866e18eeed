//! The key that signs checkpoints: Ed25519 (RFC 8032), in a file of its own with mode 0600, never in the database.

use std::path::Path;

use ed25519_dalek::{
    Signer, Verifier, VerifyingKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, spki::der::pem::LineEnding},
};
use sha2::Digest;

use crate::{Error, Random, Result, error::code};

/// A signing key with the id that checkpoints name.
#[derive(Clone)]
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    id: String,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

impl SigningKey {
    /// Reads the key from a PEM file (PKCS #8), or makes the file when there is none, together with `<file>.pub` for auditors.
    ///
    /// # Errors
    /// `data_dir_unusable` when the file cannot be read or written or holds no Ed25519 key.
    pub fn load_or_create(file: &Path, random: &Random) -> Result<Self> {
        let unusable = |what: &str| Error::new(code::DATA_DIR_UNUSABLE, format!("the audit signing key {} {what}", file.display()));
        match std::fs::read_to_string(file) {
            Ok(pem) => {
                let key = ed25519_dalek::SigningKey::from_pkcs8_pem(&pem)
                    .map_err(|_| unusable("holds no Ed25519 key: restore it from a backup"))?;
                Ok(Self::of(key))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut seed = [0u8; 32];
                random.fill(&mut seed);
                let key = ed25519_dalek::SigningKey::from_bytes(&seed);
                let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(Error::internal)?;
                let public = key.verifying_key().to_public_key_pem(LineEnding::LF).map_err(Error::internal)?;
                crate::config::write_private(file, pem.as_bytes())?;
                std::fs::write(file.with_extension("pub.pem"), public)?;
                Ok(Self::of(key))
            }
            Err(error) => Err(unusable("cannot be read").with_internal(error)),
        }
    }

    fn of(key: ed25519_dalek::SigningKey) -> Self {
        let id = hex::encode(&sha2::Sha256::digest(key.verifying_key().as_bytes())[..8]);
        Self { key, id }
    }

    /// The first eight bytes of the SHA-256 of the public key, in hexadecimal.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Signs bytes; the signature in hexadecimal.
    pub fn sign(&self, message: &[u8]) -> String {
        hex::encode(self.key.sign(message).to_bytes())
    }

    /// The public half, for [`PublicKey::verify`].
    pub fn public(&self) -> PublicKey {
        PublicKey { key: self.key.verifying_key(), id: self.id.clone() }
    }
}

/// The public half of a signing key.
#[derive(Clone)]
pub struct PublicKey {
    key: VerifyingKey,
    id: String,
}

impl PublicKey {
    /// Reads a public key from PEM (SubjectPublicKeyInfo).
    ///
    /// # Errors
    /// `invalid_request` when it is not an Ed25519 public key.
    pub fn from_pem(pem: &str) -> Result<Self> {
        use ed25519_dalek::pkcs8::DecodePublicKey;
        let key =
            VerifyingKey::from_public_key_pem(pem).map_err(|_| Error::field("public_key", "is not an Ed25519 public key in PEM form"))?;
        let id = hex::encode(&sha2::Sha256::digest(key.as_bytes())[..8]);
        Ok(Self { key, id })
    }

    /// The key as PEM (SubjectPublicKeyInfo), which [`PublicKey::from_pem`] reads.
    ///
    /// # Errors
    /// `internal` when the key cannot be written, which does not happen.
    pub fn to_pem(&self) -> Result<String> {
        self.key.to_public_key_pem(LineEnding::LF).map_err(Error::internal)
    }

    /// As [`SigningKey::id`].
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether a signature in hexadecimal is this key's for these bytes.
    pub fn verify(&self, message: &[u8], signature: &str) -> bool {
        hex::decode(signature)
            .ok()
            .and_then(|bytes| ed25519_dalek::Signature::from_slice(&bytes).ok())
            .is_some_and(|signature| self.key.verify(message, &signature).is_ok())
    }
}
