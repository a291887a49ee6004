//! Certificates, keys and authorities, read from PEM.

use std::path::Path;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::time::Time;

use crate::tls::Unusable;

/// A certificate with those of its issuers, and its key.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) dates: Dates,
}

impl Pair {
    pub(super) fn read(
        (certificate, certificate_text): (&Path, &[u8]),
        (key, key_text): (&Path, &[u8]),
    ) -> Result<Self, Unusable> {
        let chain = certificates(certificate, certificate_text)?;
        let dates = Dates::of(certificate, &chain[0])?;
        let key = PrivateKeyDer::from_pem_slice(key_text).map_err(|_| Unusable::Missing {
            what: "private key",
            path: key.to_owned(),
        })?;
        Ok(Self { chain, key, dates })
    }
}

/// From when to when a certificate holds.
#[derive(Debug)]
pub(super) struct Dates {
    path: std::path::PathBuf,
    from: Time,
    until: Time,
}

impl Dates {
    fn of(path: &Path, certificate: &CertificateDer<'_>) -> Result<Self, Unusable> {
        let parsed = Certificate::from_der(certificate).map_err(|error| Unusable::Malformed {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        let validity = parsed.tbs_certificate.validity;
        Ok(Self {
            path: path.to_owned(),
            from: validity.not_before,
            until: validity.not_after,
        })
    }

    /// Whether the certificate holds at this time, in seconds since the Unix epoch.
    pub(super) fn hold(&self, now: u64) -> Result<(), Unusable> {
        let path = || self.path.clone();
        if now > self.until.to_unix_duration().as_secs() {
            let at = self.until.to_string();
            return Err(Unusable::Expired { path: path(), at });
        }
        if now < self.from.to_unix_duration().as_secs() {
            let at = self.from.to_string();
            return Err(Unusable::NotYetValid { path: path(), at });
        }
        Ok(())
    }
}

/// The authorities in a file.
pub(super) fn authorities(path: &Path, text: &[u8]) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, text)? {
        roots
            .add(certificate)
            .map_err(|error| Unusable::Malformed {
                path: path.to_owned(),
                reason: error.to_string(),
            })?;
    }
    Ok(roots)
}

/// At least one certificate.
fn certificates(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let certificates = read.map_err(|error| Unusable::Malformed {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    if certificates.is_empty() {
        return Err(Unusable::Missing {
            what: "certificate",
            path: path.to_owned(),
        });
    }
    Ok(certificates)
}
