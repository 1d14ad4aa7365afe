//! TLS for the mailboxes and the listener: the system's trust store and one more authority, certificates from PEM files.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::EmailError;
use super::options::CertificateFiles;

fn error(what: impl std::fmt::Display) -> EmailError {
    EmailError::Tls(what.to_string())
}

/// A connector that trusts the system's authorities and those in `trust`.
pub fn connector(trust: Option<&Path>) -> Result<TlsConnector, EmailError> {
    let mut roots = RootCertStore::empty();
    for certificate in rustls_native_certs::load_native_certs().certs {
        // One unreadable authority of the system's is no reason to trust none.
        let _ = roots.add(certificate);
    }
    if let Some(file) = trust {
        for certificate in CertificateDer::pem_file_iter(file).map_err(|cause| error(format!("{}: {cause}", file.display())))? {
            roots.add(certificate.map_err(error)?).map_err(error)?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(error)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// An acceptor with the certificate in `files`.
pub fn acceptor(files: &CertificateFiles) -> Result<TlsAcceptor, EmailError> {
    let chain = CertificateDer::pem_file_iter(&files.chain).map_err(|cause| error(format!("{}: {cause}", files.chain.display())))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(error)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|cause| error(format!("{}: {cause}", files.key.display())))?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(error)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(error)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
