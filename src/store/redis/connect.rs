//! Opens connections: over TCP, TLS or a unix socket, with whoever asks made known.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ::redis::AsyncConnectionConfig;
use ::redis::Cmd;
use ::redis::RedisConnectionInfo;
use ::redis::RedisError;
use ::redis::Value;
use ::redis::aio::MultiplexedConnection;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::InvalidDnsNameError;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::store::redis::address::Address;
use crate::store::redis::address::Endpoint;
use crate::store::redis::address::Layout;
use crate::store::redis::address::Login;
use crate::tls::Kept;
use crate::tls::client::ClientFiles;

/// The servers of a store, with all that it takes to be let in.
#[derive(Debug)]
pub struct Servers {
    /// Which servers.
    pub address: Address,
    /// A file with the password, in place of one in the URL; read for every connection.
    pub password_file: Option<PathBuf>,
    /// Who asks the sentinels.
    pub sentinel_login: Login,
    /// Whom to trust and what to show, where TLS is spoken.
    pub tls: Option<Arc<Kept<ClientFiles>>>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unconnected {
    /// The server cannot be reached.
    #[error("cannot be reached")]
    Io(#[source] io::Error),
    /// The server did not do its part in time.
    #[error("no answer within {} ms", PATIENCE.as_millis())]
    Late,
    /// The file of the password cannot be read.
    #[error("the password cannot be read from {}", path.display())]
    Password {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The server, or one that should know it, refused.
    #[error("refused")]
    Refused(#[source] RedisError),
    /// What answers is not what it should be.
    #[error("{0}")]
    Unfit(String),
    /// A name that no certificate can carry.
    #[error("no name for a certificate")]
    Unnameable(#[source] InvalidDnsNameError),
}

/// An open connection, with what reads and writes it and has to be run.
pub(super) struct Open {
    pub(super) connection: MultiplexedConnection,
    pub(super) driver: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Servers {
    /// The servers of a URL, over plain text.
    pub fn plain(address: Address) -> Self {
        Self {
            address,
            password_file: None,
            sentinel_login: Login::default(),
            tls: None,
        }
    }

    /// A connection to a server that counts.
    pub(super) async fn open(&self, endpoint: &Endpoint) -> Result<Open, Unconnected> {
        let mut login = self.address.login.clone();
        if let Some(path) = &self.password_file {
            login.password = Some(read(path.clone()).await?);
        }
        let opened = self.open_as(endpoint, &login, self.address.db);
        in_time(opened).await
    }

    /// A connection to a sentinel.
    pub(super) async fn open_sentinel(&self, endpoint: &Endpoint) -> Result<Open, Unconnected> {
        in_time(self.open_as(endpoint, &self.sentinel_login, 0)).await
    }

    async fn open_as(
        &self,
        endpoint: &Endpoint,
        login: &Login,
        db: i64,
    ) -> Result<Open, Unconnected> {
        match endpoint {
            Endpoint::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await;
                let stream = stream.map_err(Unconnected::Io)?;
                stream.set_nodelay(true).map_err(Unconnected::Io)?;
                if !self.address.is_tls() {
                    return greet(stream, login, db).await;
                }
                let name = ServerName::try_from(host.clone()).map_err(Unconnected::Unnameable)?;
                let stream = self.connector()?.connect(name, stream).await;
                greet(stream.map_err(Unconnected::Io)?, login, db).await
            }
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(Unconnected::Io)?;
                greet(stream, login, db).await
            }
        }
    }

    fn connector(&self) -> Result<TlsConnector, Unconnected> {
        let Some(tls) = &self.tls else {
            return Err(Unconnected::Unfit("no certificates to trust".to_owned()));
        };
        let mut config = (*tls.config()).clone();
        // Redis speaks one protocol only, and some proxies refuse others by name.
        config.alpn_protocols.clear();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    /// Whether the servers are to be looked for, and where.
    pub(super) fn layout(&self) -> (&Layout, &[Endpoint]) {
        (&self.address.layout, &self.address.endpoints)
    }
}

/// Makes known who asks and for which database.
async fn greet(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    login: &Login,
    db: i64,
) -> Result<Open, Unconnected> {
    let mut info = RedisConnectionInfo::default()
        .set_db(db)
        .set_skip_set_lib_name();
    if let Some(user) = &login.user {
        info = info.set_username(user);
    }
    if let Some(password) = &login.password {
        info = info.set_password(password);
    }
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(LONGEST_WAIT));
    let opened = MultiplexedConnection::new_with_config(&info, stream, config);
    let (connection, driver) = opened.await.map_err(Unconnected::Refused)?;
    let driver = Box::pin(driver);
    Ok(Open { connection, driver })
}

/// The first line of a file.
async fn read(path: PathBuf) -> Result<String, Unconnected> {
    let source = path.clone();
    let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(source));
    let text = read
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    let text = text.map_err(|source| Unconnected::Password { path, source })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Asks over a connection that nobody else waits for.
pub(super) async fn ask(
    connection: &mut MultiplexedConnection,
    command: &Cmd,
) -> Result<Value, Unconnected> {
    in_time(async {
        let sent = connection.send_packed_command(command).await;
        let value = sent.and_then(Value::extract_error);
        value.map_err(Unconnected::Refused)
    })
    .await
}

async fn in_time<T>(work: impl Future<Output = Result<T, Unconnected>>) -> Result<T, Unconnected> {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.unwrap_or(Err(Unconnected::Late))
}

/// How long a server may take to let somebody in, and to answer a question. One that takes longer is
/// of no use to requests, and its connection may be one that a firewall has forgotten.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a request holds its place among those that wait, whatever its caller grants.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
