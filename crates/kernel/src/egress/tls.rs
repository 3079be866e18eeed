//! Whom we believe over TLS: the authorities of the operating system and those of `egress.ca_file`.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{Error, Result, error::code};

/// Reads the certificates of a PEM file.
pub(super) fn read_authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bad = |what: &str| Error::new(code::INVALID_CONFIG, format!("egress.ca_file: {} {what}", file.display()));
    let authorities: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|e| bad("cannot be read as a PEM file of certificates").with_internal(e))?;
    let mut store = RootCertStore::empty();
    for authority in &authorities {
        store.add(authority.clone()).map_err(|e| bad("holds a certificate that cannot be an authority").with_internal(e))?;
    }
    if authorities.is_empty() { Err(bad("holds no certificate")) } else { Ok(authorities) }
}

/// The TLS settings that every client shares. Reads the system's authorities (some 150 files or one bundle, a few milliseconds); a
/// machine without any can still talk plain HTTP and to what `egress.ca_file` vouches for.
pub(super) fn client_config(authorities: &[CertificateDer<'static>]) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if roots.is_empty() && authorities.is_empty() {
        tracing::warn!(
            "the system has no certificate authorities; https addresses will fail until ca-certificates is installed or egress.ca_file is set"
        );
    }
    roots.add_parsable_certificates(authorities.iter().cloned());
    with_roots(roots)
}

/// TLS settings that believe nobody, for clients that never meet TLS.
pub(super) fn without_authorities() -> Result<ClientConfig> {
    with_roots(RootCertStore::empty())
}

fn with_roots(roots: RootCertStore) -> Result<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
