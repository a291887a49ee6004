//! A request as Envoy sees it.

use std::net::IpAddr;

/// A request of a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The host, perhaps with a port.
    pub host: String,
    /// The port of the gateway; none means all of them.
    pub port: Option<u16>,
    /// The path, perhaps with a query.
    pub path: String,
    /// The headers, in order.
    pub headers: Vec<(String, String)>,
    /// The headers that authentication adds to it.
    pub auth_headers: Vec<(String, String)>,
    /// Where it comes from, if that is known.
    pub address: Option<IpAddr>,
}

impl Request {
    /// The host in lower case, without a port.
    pub(super) fn hostname(&self) -> String {
        let name = match self.host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => &self.host,
        };
        name.to_ascii_lowercase()
    }

    /// The path without its query.
    pub(super) fn bare_path(&self) -> &str {
        let end = self.path.find(['?', '#']);
        &self.path[..end.unwrap_or(self.path.len())]
    }

    /// The values of a header, if it is there; Envoy's own names begin with a colon.
    pub(super) fn header(&self, name: &str) -> Vec<&str> {
        let is_name = |it: &str| it.eq_ignore_ascii_case(name);
        if is_name(":method") {
            return vec![&self.method];
        }
        if is_name(":path") {
            return vec![&self.path];
        }
        if is_name(":authority") || is_name("host") {
            return vec![&self.host];
        }
        let headers = self.headers.iter().filter(|(it, _)| is_name(it));
        headers.map(|(_, value)| value.as_str()).collect()
    }

    /// The first value of a query parameter, as it is written.
    pub(super) fn query_param(&self, name: &str) -> Option<&str> {
        let (_, query) = self.path.split_once('?')?;
        let query = query.split('#').next()?;
        query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then_some(value)
        })
    }

    /// The first value of a query parameter, decoded.
    pub(super) fn decoded_query_param(&self, name: &str) -> Option<String> {
        self.query_param(name).map(decoded)
    }
}

/// Text without its percent signs; those that begin no byte stand for themselves.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, below @ ..] = rest {
        let byte = match below {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match byte {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &below[2..];
            }
            None => {
                bytes.push(*first);
                rest = below;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}
