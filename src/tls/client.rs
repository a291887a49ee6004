//! TLS of a client.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::rustls::CertificateError;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::DigitallySignedStruct;
use tokio_rustls::rustls::Error;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::client::danger::ServerCertVerified;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::pki_types::UnixTime;

use crate::tls::Files;
use crate::tls::H2;
use crate::tls::Made;
use crate::tls::Unusable;
use crate::tls::certificate;
use crate::tls::certificate::Pair;
use crate::tls::provider;

/// The files of a client's TLS.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClientFiles {
    /// The authorities that are trusted; none means those of the system.
    pub authorities: Option<PathBuf>,
    /// The certificate and key to show when the server asks for one.
    pub pair: Option<(PathBuf, PathBuf)>,
    /// Whether the server's certificate may carry any name, as long as an authority issued it.
    pub any_name: bool,
}

impl Files for ClientFiles {
    type Config = Arc<ClientConfig>;

    fn paths(&self) -> Vec<&Path> {
        let pair = self.pair.iter().flat_map(|(it, key)| [it, key]);
        let files = pair.chain(&self.authorities);
        files.map(PathBuf::as_path).collect()
    }

    fn make(&self, contents: &[Vec<u8>]) -> Result<Made<Self::Config>, Unusable> {
        let roots = match (&self.authorities, contents.last()) {
            (Some(path), Some(text)) => certificate::authorities(path, text)?,
            (Some(_), None) | (None, _) => of_the_system()?,
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring can do every version");
        let builder = if self.any_name {
            let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
            let chain = chain.build().expect("there are authorities");
            let verifier = Arc::new(AnyName(chain));
            builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
        } else {
            builder.with_root_certificates(roots)
        };
        let (mut config, dates) = match &self.pair {
            None => (builder.with_no_client_auth(), None),
            Some((certificate, key)) => {
                let pair = Pair::read((certificate, &contents[0]), (key, &contents[1]))?;
                let config = builder
                    .with_client_auth_cert(pair.chain, pair.key)
                    .map_err(|source| Unusable::Unpaired {
                        key: key.clone(),
                        certificate: certificate.clone(),
                        source,
                    })?;
                (config, Some(pair.dates))
            }
        };
        config.alpn_protocols = vec![H2.to_vec()];
        Ok(Made {
            config: Arc::new(config),
            dates,
        })
    }
}

/// Does not compare the name, which comes last, when the certificate has been found good.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self
            .0
            .verify_server_cert(certificate, issuers, name, ocsp, now);
        match verified {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// What the system trusts; certificates that cannot be read are left out.
fn of_the_system() -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Unusable::NothingTrusted);
    }
    Ok(roots)
}
