//! TLS of a port.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;

use crate::tls::Files;
use crate::tls::H2;
use crate::tls::Made;
use crate::tls::Unusable;
use crate::tls::certificate;
use crate::tls::certificate::Pair;
use crate::tls::name::Named;
use crate::tls::provider;

/// The files of a port's TLS.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerFiles {
    /// The certificate, with those of its issuers below it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Whose certificates clients must have; none asks for no certificate.
    pub clients: Option<Clients>,
}

/// Which clients are let in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Clients {
    /// The authorities that issue their certificates.
    pub authorities: PathBuf,
    /// The DNS name that their certificates must carry, if any will not do.
    pub name: Option<String>,
}

impl Files for ServerFiles {
    type Config = Arc<ServerConfig>;

    fn paths(&self) -> Vec<&Path> {
        let authorities = self.clients.iter().map(|it| it.authorities.as_path());
        [self.certificate.as_path(), &self.key]
            .into_iter()
            .chain(authorities)
            .collect()
    }

    fn make(&self, contents: &[Vec<u8>]) -> Result<Made<Self::Config>, Unusable> {
        let pair = Pair::read((&self.certificate, &contents[0]), (&self.key, &contents[1]))?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring can do every version");
        let builder = match &self.clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(clients.verifier(&contents[2])?),
        };
        let mut config = builder
            .with_single_cert(pair.chain, pair.key)
            .map_err(|source| Unusable::Unpaired {
                key: self.key.clone(),
                certificate: self.certificate.clone(),
                source,
            })?;
        config.alpn_protocols = vec![H2.to_vec()];
        Ok(Made {
            config: Arc::new(config),
            dates: Some(pair.dates),
        })
    }
}

impl Clients {
    fn verifier(&self, authorities: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, Unusable> {
        let roots = certificate::authorities(&self.authorities, authorities)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| Unusable::Malformed {
                path: self.authorities.clone(),
                reason: error.to_string(),
            })?;
        Ok(match &self.name {
            None => verifier,
            Some(name) => Arc::new(Named::new(name, verifier)),
        })
    }
}
