//! Real keys of every kind, and tokens signed with them, for the tests of this folder.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::Signer as _;
use ring::{
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{self, EcdsaKeyPair, KeyPair, RsaKeyPair},
};
use serde_json::{Value, json};

use super::tokens::Algorithm;

/// A private RSA key of 2048 bits for tests alone: to make one takes seconds.
const RSA: &[u8] = include_bytes!("../../tests/fixtures/rsa2048.der");

/// One key of each kind.
pub(crate) struct Keys {
    random: SystemRandom,
    ed25519: ed25519_dalek::SigningKey,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    rsa: RsaKeyPair,
}

/// The keys of the issuer in tests.
pub(crate) static ISSUER: LazyLock<Keys> = LazyLock::new(Keys::new);
/// Keys that the issuer does not publish; the RSA key is the same.
pub(crate) static STRANGER: LazyLock<Keys> = LazyLock::new(Keys::new);

/// Base 64 as tokens have it.
pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn curve(algorithm: &'static signature::EcdsaSigningAlgorithm, random: &SystemRandom) -> EcdsaKeyPair {
    let made = EcdsaKeyPair::generate_pkcs8(algorithm, random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), random).unwrap()
}

impl Keys {
    fn new() -> Self {
        let random = SystemRandom::new();
        let mut seed = [0u8; 32];
        ring::rand::SecureRandom::fill(&random, &mut seed).unwrap();
        Self {
            ed25519: ed25519_dalek::SigningKey::from_bytes(&seed),
            p256: curve(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &random),
            p384: curve(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, &random),
            rsa: RsaKeyPair::from_pkcs8(RSA).unwrap(),
            random,
        }
    }

    /// The public half of the key that signs with an algorithm; its `kid` is the algorithm's name.
    pub(crate) fn jwk(&self, algorithm: Algorithm) -> Value {
        let point = |pair: &EcdsaKeyPair, crv: &str, size: usize| {
            let point = pair.public_key().as_ref();
            json!({"kty": "EC", "crv": crv, "x": b64(&point[1..=size]), "y": b64(&point[size + 1..])})
        };
        let mut jwk = match algorithm {
            Algorithm::EdDSA => json!({"kty": "OKP", "crv": "Ed25519", "x": b64(self.ed25519.verifying_key().as_bytes())}),
            Algorithm::ES256 => point(&self.p256, "P-256", 32),
            Algorithm::ES384 => point(&self.p384, "P-384", 48),
            _ => {
                let public = PublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
                json!({"kty": "RSA", "n": b64(public.n), "e": b64(public.e)})
            }
        };
        jwk["kid"] = algorithm.as_str().into();
        jwk["alg"] = algorithm.as_str().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// Signs bytes.
    pub(crate) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let rsa = |padding: &'static dyn signature::RsaEncoding| {
            let mut out = vec![0; self.rsa.public().modulus_len()];
            self.rsa.sign(padding, &self.random, message, &mut out).unwrap();
            out
        };
        match algorithm {
            Algorithm::EdDSA => self.ed25519.sign(message).to_bytes().to_vec(),
            Algorithm::ES256 => self.p256.sign(&self.random, message).unwrap().as_ref().to_vec(),
            Algorithm::ES384 => self.p384.sign(&self.random, message).unwrap().as_ref().to_vec(),
            Algorithm::RS256 => rsa(&signature::RSA_PKCS1_SHA256),
            Algorithm::RS384 => rsa(&signature::RSA_PKCS1_SHA384),
            Algorithm::RS512 => rsa(&signature::RSA_PKCS1_SHA512),
            Algorithm::PS256 => rsa(&signature::RSA_PSS_SHA256),
            Algorithm::PS384 => rsa(&signature::RSA_PSS_SHA384),
            Algorithm::PS512 => rsa(&signature::RSA_PSS_SHA512),
        }
    }

    /// A token of these texts, signed.
    pub(crate) fn token(&self, algorithm: Algorithm, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
        let signed = format!("{}.{}", b64(header), b64(claims));
        let signature = self.sign(algorithm, signed.as_bytes());
        format!("{signed}.{}", b64(signature))
    }
}
