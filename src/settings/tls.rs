//! Which certificates the gRPC port shows, and which it asks for.

use std::path::PathBuf;

use clap::Args;

use crate::tls::server::Clients;
use crate::tls::server::ServerFiles;

/// The flags of the gRPC port's TLS.
#[derive(Args, Clone, Debug, Default, Eq, PartialEq)]
pub struct Tls {
    /// The certificate of the gRPC port, in PEM; plain text is spoken without one
    ///
    /// Certificates and keys are read again when their files change.
    #[arg(
        long,
        env = "SLIDEGATE_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub tls_cert: Option<PathBuf>,

    /// The key of that certificate, in PEM
    #[arg(
        long,
        env = "SLIDEGATE_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub tls_key: Option<PathBuf>,

    /// The authorities whose certificates clients must have; none are asked for without it
    #[arg(
        long,
        env = "SLIDEGATE_TLS_CLIENT_CA",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub tls_client_ca: Option<PathBuf>,

    /// The DNS name that the certificates of clients must carry
    #[arg(
        long,
        env = "SLIDEGATE_TLS_CLIENT_NAME",
        value_name = "NAME",
        requires = "tls_client_ca"
    )]
    pub tls_client_name: Option<String>,
}

impl Tls {
    /// The files to use, if TLS is to be spoken.
    pub fn files(&self) -> Option<ServerFiles> {
        let (certificate, key) = self.tls_cert.clone().zip(self.tls_key.clone())?;
        let clients = self.tls_client_ca.clone().map(|authorities| Clients {
            authorities,
            name: self.tls_client_name.clone(),
        });
        Some(ServerFiles {
            certificate,
            key,
            clients,
        })
    }
}
