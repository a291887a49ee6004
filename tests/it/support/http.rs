//! A small HTTP/1.1 client: one connection a call, with a timeout.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Arc;

use tokio::net::TcpSocket;
use tokio::runtime::Builder;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::ClientConnection;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::StreamOwned;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::support::PATIENCE;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    from: Ipv4Addr,
    secured: Option<Secured>,
}

/// TLS around a call: whom is trusted, and the name that the server is asked for.
#[derive(Clone, Debug)]
struct Secured {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// A response, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Such as 200.
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// After the transfer's coding.
    pub(crate) body: String,
}

impl Call {
    pub(crate) fn get(path: &str) -> Self {
        Self {
            method: "GET",
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            from: Ipv4Addr::UNSPECIFIED,
            secured: None,
        }
    }

    pub(crate) fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: "POST",
            body: body.into(),
            ..Self::get(path)
        }
    }

    /// The same with another method.
    pub(crate) fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends it from this address, one of the local ones.
    pub(crate) fn from(mut self, address: Ipv4Addr) -> Self {
        self.from = address;
        self
    }

    /// Sends it over TLS, to a server with this name and a certificate of this authority.
    pub(crate) fn secured(mut self, name: &str, authority: &str) -> Self {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(authority.as_bytes());
        roots.add(certificate.unwrap()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        self.secured = Some(Secured {
            config: Arc::new(config),
            name: ServerName::try_from(name.to_owned()).unwrap(),
        });
        self
    }

    /// Sends it and waits for the answer.
    #[track_caller]
    pub(crate) fn send(&self, to: SocketAddr) -> Answer {
        match self.try_send(to) {
            Ok(answer) => answer,
            Err(error) => panic!("{} {} at {to}: {error}", self.method, self.path),
        }
    }

    /// As [`Call::send`], for a server that may not be there.
    pub(crate) fn try_send(&self, to: SocketAddr) -> io::Result<Answer> {
        let mut stream = connect(self.from, to)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let bytes = self.bytes(to);
        let received = match &self.secured {
            None => exchange(&mut stream, &bytes)?,
            Some(Secured { config, name }) => {
                let connection = ClientConnection::new(Arc::clone(config), name.clone());
                let connection = connection.map_err(io::Error::other)?;
                exchange(&mut StreamOwned::new(connection, stream), &bytes)?
            }
        };
        parse(&received).ok_or_else(|| {
            let text = String::from_utf8_lossy(&received).into_owned();
            io::Error::new(io::ErrorKind::InvalidData, format!("no answer: {text:?}"))
        })
    }

    fn bytes(&self, to: SocketAddr) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            text.push_str(&format!("host: {to}\r\n"));
        }
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let length = self.body.len();
        text.push_str(&format!(
            "content-length: {length}\r\nconnection: close\r\n\r\n"
        ));
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

impl Answer {
    /// The value of a header, by its name in lower case; fails when it stands there twice.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "`{name}` twice in {self:?}");
        value
    }
}

/// Sends bytes, and reads what comes until the other side ends.
fn exchange(stream: &mut (impl Read + Write), bytes: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(bytes)?;
    stream.flush()?;
    let mut received = Vec::new();
    stream.read_to_end(&mut received)?;
    Ok(received)
}

/// A connection from an address of one's choice, which std alone cannot make.
fn connect(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    if from.is_unspecified() {
        return TcpStream::connect_timeout(&to, PATIENCE);
    }
    let connect = async {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        socket.connect(to).await?.into_std()
    };
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let stream = runtime.block_on(connect)?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn parse(received: &[u8]) -> Option<Answer> {
    let end = received.windows(4).position(|it| it == b"\r\n\r\n")?;
    let mut lines = std::str::from_utf8(&received[..end]).ok()?.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers: Vec<_> = lines.map(header).collect::<Option<_>>()?;
    let chunked = ("transfer-encoding".to_owned(), "chunked".to_owned());
    let body = if headers.contains(&chunked) {
        unchunked(&received[end + 4..])?
    } else {
        received[end + 4..].to_vec()
    };
    Some(Answer {
        status,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = rest.windows(2).position(|it| it == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line_end]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        let begin = line_end + 2;
        body.extend_from_slice(rest.get(begin..begin + size)?);
        rest = rest.get(begin + size + 2..)?;
    }
}
