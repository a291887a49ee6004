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

/// Why a URL names no servers. What was written is shown without what may be a password.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unreadable {
    /// The number of the database is none.
    #[error("`{0}`: expected a number as the database")]
    Database(String),
    /// The user or the password is not in percent encoding.
    #[error("`{0}`: expected the user and the password in percent encoding (a `%` itself is %25)")]
    Encoding(String),
    /// A host is missing, or has characters that none has.
    #[error("`{0}`: expected a host, as in {1}")]
    Host(String, String),
    /// The name of the master is missing.
    #[error("`{0}`: expected the name of the master, as in {1}")]
    Master(String, String),
    /// What stands behind a host is no port.
    #[error("`{0}`: expected a port from 1 to 65535 behind the host, as in {1}")]
    Port(String, String),
    /// A path of a unix socket is missing, or something stands behind it.
    #[error("`{0}`: expected the path of a socket, as in unix:///path/of/socket?db=0")]
    Socket(String),
    /// Something stands behind the nodes of a cluster, which has one database only.
    #[error("`{0}`: expected nothing behind the nodes of a cluster, which has database 0 only")]
    Trailing(String),
    /// It is none of these URLs.
    #[error(
        "`{0}`: expected redis://host:port/db, unix:///path, \
         redis+sentinel://host:port/master or redis+cluster://host:port, with rediss for TLS"
    )]
    Unknown(String),
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
    /// It is none of these.
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        let shown = || masked(text);
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(Unreadable::Unknown(shown()));
        };
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Login::of_url(login), rest),
            None => (Some(Login::default()), rest),
        };
        let login = login.ok_or_else(|| Unreadable::Encoding(shown()))?;
        let address = |layout, endpoints, db| Self {
            layout,
            endpoints,
            login: login.clone(),
            db,
            is_tls: scheme.starts_with("rediss"),
        };
        let endpoints = |servers: &str, port, form: &str| {
            let form = || format!("{scheme}://{form}");
            let endpoint = |server| {
                endpoint(server, port).map_err(|wrong| match wrong {
                    Wrong::Host => Unreadable::Host(shown(), form()),
                    Wrong::Port => Unreadable::Port(shown(), form()),
                })
            };
            servers
                .split(',')
                .map(endpoint)
                .collect::<Result<Vec<_>, _>>()
        };
        let number = |text| number(text).ok_or_else(|| Unreadable::Database(shown()));
        match scheme {
            "redis" | "rediss" => {
                let (server, db) = rest.split_once('/').unwrap_or((rest, ""));
                let servers = endpoints(server, 6_379, "host:port/db")?;
                if servers.len() > 1 {
                    let form = format!("{scheme}://host:port/db");
                    return Err(Unreadable::Host(shown(), form));
                }
                Ok(address(Layout::Single, servers, number(db)?))
            }
            "unix" | "redis+unix" => {
                let (path, db) = rest.split_once("?db=").unwrap_or((rest, ""));
                if !path.starts_with('/') || path.contains('?') {
                    return Err(Unreadable::Socket(shown()));
                }
                let endpoint = Endpoint::Unix(PathBuf::from(path));
                Ok(address(Layout::Single, vec![endpoint], number(db)?))
            }
            "redis+sentinel" | "rediss+sentinel" => {
                let form = "host:port,host:port/master/db";
                let mut parts = rest.splitn(3, '/');
                let sentinels = endpoints(parts.next().unwrap_or_default(), 26_379, form)?;
                let master = parts.next().filter(|it| !it.is_empty());
                let master = master
                    .ok_or_else(|| Unreadable::Master(shown(), format!("{scheme}://{form}")))?;
                let db = number(parts.next().unwrap_or_default())?;
                Ok(address(Layout::Sentinel(master.to_owned()), sentinels, db))
            }
            "redis+cluster" | "rediss+cluster" => {
                let (nodes, behind) = rest.split_once('/').unwrap_or((rest, ""));
                let nodes = endpoints(nodes, 6_379, "host:port,host:port")?;
                if !matches!(behind, "" | "0") {
                    return Err(Unreadable::Trailing(shown()));
                }
                Ok(address(Layout::Cluster, nodes, 0))
            }
            _ => Err(Unreadable::Unknown(shown())),
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
            let is_code = |code: &str| {
                let code = code.as_bytes().get(..2);
                code.is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit))
            };
            if !text.split('%').skip(1).all(is_code) {
                return None;
            }
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

/// The text without its credentials: what stands before an `@`, or, as that may have been forgotten,
/// from where a port should stand that is none.
fn masked(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    if let Some((_, rest)) = rest.rsplit_once('@') {
        return format!("{scheme}***@{rest}");
    }
    let servers = &rest[..rest.find('/').unwrap_or(rest.len())];
    let mut begin = 0;
    for server in servers.split(',') {
        let in_brackets = server.find(']').unwrap_or(0);
        if let Some(colon) = server[in_brackets..].find(':') {
            let colon = in_brackets + colon;
            if colon == 0 || port(&server[colon + 1..]).is_none() {
                return format!("{scheme}{}:***", &rest[..begin + colon]);
            }
        }
        begin += server.len() + 1;
    }
    text.to_owned()
}

/// What is wrong with a server of a URL.
enum Wrong {
    Host,
    Port,
}

/// Reads `host[:port]`.
fn endpoint(text: &str, default_port: u16) -> Result<Endpoint, Wrong> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, text)) if !text.ends_with(']') => (host, port(text).ok_or(Wrong::Port)?),
        _ => (text, default_port),
    };
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_host = match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_part),
    };
    if !is_host {
        return Err(Wrong::Host);
    }
    Ok(Endpoint::Tcp(bare.unwrap_or(host).to_owned(), port))
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}

/// A number; 0 where there is none.
fn number(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    text.parse::<u32>().ok().map(i64::from)
}

#[cfg(test)]
mod tests;
