//! What is done to a request on its way.

/// Changes to the headers of a request; no header stands in it twice.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HeaderModifier {
    /// Headers that are added to what is there.
    pub add: Vec<Header>,
    /// Headers that replace what is there.
    pub set: Vec<Header>,
    /// Headers that are taken away.
    pub remove: Vec<String>,
}

/// A header with its value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// Another host or path for the backend; at least one of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UrlRewrite {
    /// The host.
    pub hostname: Option<String>,
    /// The path.
    pub path: Option<PathRewrite>,
}

/// Another path for the backend.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PathRewrite {
    /// In place of the whole path.
    Full(String),
    /// In place of the prefix that the route matches.
    Prefix(String),
}

/// An answer that sends the client elsewhere; at least one part is another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestRedirect {
    /// The scheme, `http` or `https`.
    pub scheme: Option<&'static str>,
    /// The host.
    pub hostname: Option<String>,
    /// The port, not 0.
    pub port: Option<u16>,
    /// The status of the answer, one of [`RequestRedirect::STATUSES`]; none means 302.
    pub status_code: Option<u16>,
}

impl RequestRedirect {
    /// The statuses that Gateway API lets such an answer have.
    pub const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];
}
