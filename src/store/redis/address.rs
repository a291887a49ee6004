//! The servers of a store, as a URL names them.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// Which servers count, how they belong together, and who asks them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address {
    /// How the servers belong together.
    pub(super) layout: Layout,
    /// The server, the sentinels, or some nodes of the cluster; never empty.
    pub(super) endpoints: Vec<Endpoint>,
    /// Who asks.
    pub(super) login: Login,
    /// The database; 0 in a cluster.
    pub(super) db: i64,
    /// Whether TLS is spoken.
    is_tls: bool,
}

/// How servers belong together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Layout {
    /// Each node counts some of the keys.
    Cluster,
    /// Sentinels say which server is the master of this name.
    Sentinel(String),
    /// One server.
    Single,
}

/// Where a server listens.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Endpoint {
    /// A host, by name or address, and a port.
    Tcp(String, u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// Who asks. Printing it shows no password.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

impl Address {
    /// Reads one of
    /// `redis://[[user]:password@]host[:port][/db]`,
    /// `unix://[[user]:password@]/path/of/socket[?db=0]`,
    /// `redis+sentinel://[[user]:password@]host[:port][,host[:port]]…/master[/db]` and
    /// `redis+cluster://[[user]:password@]host[:port][,host[:port]]…`;
    /// `rediss` in place of `redis` speaks TLS.
    ///
    /// # Errors
    ///
    /// The message names what was written, without its credentials.
    pub fn read(text: &str) -> Result<Self, String> {
        let fault = |expected: &str| format!("`{}`: expected {expected}", masked(text));
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(fault(EXPECTED));
        };
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Login::of_url(login), rest),
            None => (Some(Login::default()), rest),
        };
        let login = login.ok_or_else(|| fault("a user and password in percent encoding"))?;
        let address = |layout, endpoints, db| Self {
            layout,
            endpoints,
            login: login.clone(),
            db,
            is_tls: scheme.starts_with("rediss"),
        };
        match scheme {
            "redis" | "rediss" => {
                let (server, db) = rest.split_once('/').unwrap_or((rest, ""));
                let endpoint = endpoint(server, 6_379);
                let endpoint = endpoint.ok_or_else(|| fault(&expected(scheme, "host:port/db")))?;
                let db = number(db).ok_or_else(|| fault("the number of a database"))?;
                Ok(address(Layout::Single, vec![endpoint], db))
            }
            "unix" | "redis+unix" => {
                let (path, db) = rest.split_once("?db=").unwrap_or((rest, ""));
                if !path.starts_with('/') || path.contains('?') {
                    return Err(fault("unix:///path/of/socket?db=0"));
                }
                let db = number(db).ok_or_else(|| fault("the number of a database"))?;
                let endpoint = Endpoint::Unix(PathBuf::from(path));
                Ok(address(Layout::Single, vec![endpoint], db))
            }
            "redis+sentinel" | "rediss+sentinel" => {
                let form = || expected(scheme, "host:port,host:port/master/db");
                let mut parts = rest.splitn(3, '/');
                let sentinels = endpoints(parts.next().unwrap_or_default(), 26_379);
                let sentinels = sentinels.ok_or_else(|| fault(&form()))?;
                let master = parts.next().filter(|it| !it.is_empty());
                let master = master.ok_or_else(|| fault(&form()))?;
                let db = number(parts.next().unwrap_or_default());
                let db = db.ok_or_else(|| fault("the number of a database"))?;
                Ok(address(Layout::Sentinel(master.to_owned()), sentinels, db))
            }
            "redis+cluster" | "rediss+cluster" => {
                let nodes = rest.strip_suffix('/').unwrap_or(rest);
                let nodes = endpoints(nodes, 6_379);
                let nodes = nodes.ok_or_else(|| fault(&expected(scheme, "host:port,host:port")))?;
                Ok(address(Layout::Cluster, nodes, 0))
            }
            _ => Err(fault(EXPECTED)),
        }
    }
}

impl Address {
    /// Whether TLS is spoken.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }
}

/// As it was written, without credentials.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints: Vec<_> = self.endpoints.iter().map(Endpoint::to_string).collect();
        let endpoints = endpoints.join(",");
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        match (&self.layout, &self.endpoints[0]) {
            (Layout::Cluster, _) => write!(f, "{scheme}+cluster://{endpoints}"),
            (Layout::Sentinel(master), _) => {
                write!(f, "{scheme}+sentinel://{endpoints}/{master}/{}", self.db)
            }
            (Layout::Single, Endpoint::Unix(path)) => {
                write!(f, "unix://{}?db={}", path.display(), self.db)
            }
            (Layout::Single, Endpoint::Tcp(..)) => write!(f, "{scheme}://{endpoints}/{}", self.db),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

impl Login {
    /// Reads `password` or `user:password`, as the reference service has it.
    pub fn read(text: &str) -> Self {
        let (user, password) = match text.split_once(':') {
            Some((user, password)) => (user, password),
            None => ("", text),
        };
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            user: some(user),
            password: some(password),
        }
    }

    /// Reads `user`, `:password` or `user:password` in percent encoding.
    fn of_url(text: &str) -> Option<Self> {
        let decoded = |text: &str| {
            let decoded = percent_decode_str(text).decode_utf8().ok()?;
            Some((!decoded.is_empty()).then(|| decoded.into_owned()))
        };
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        Some(Self {
            user: decoded(user)?,
            password: decoded(password)?,
        })
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The text with what stands before an `@` replaced.
fn masked(text: &str) -> String {
    let Some((credentials, rest)) = text.rsplit_once('@') else {
        return text.to_owned();
    };
    match credentials.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://***@{rest}"),
        None => format!("***@{rest}"),
    }
}

fn endpoints(text: &str, default_port: u16) -> Option<Vec<Endpoint>> {
    let endpoint = |text| endpoint(text, default_port);
    text.split(',').map(endpoint).collect()
}

/// Reads `host[:port]`.
fn endpoint(text: &str, default_port: u16) -> Option<Endpoint> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().ok().filter(|port| *port > 0)?)
        }
        _ => (text, default_port),
    };
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let host = match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().ok().map(|_| bare)?,
        None => Some(host).filter(|it| !it.is_empty() && it.bytes().all(is_part))?,
    };
    Some(Endpoint::Tcp(host.to_owned(), port))
}

/// A number; 0 where there is none.
fn number(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    text.parse::<u32>().ok().map(i64::from)
}

fn expected(scheme: &str, rest: &str) -> String {
    format!("{scheme}://{rest}")
}

const EXPECTED: &str = "redis://host:port/db, unix:///path, redis+sentinel://host:port/master or \
    redis+cluster://host:port, with rediss for TLS";

#[cfg(test)]
mod tests;
