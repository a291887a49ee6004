//! YAML text → manifests; an unknown kind or field is a fault with its place.

use std::sync::Arc;

use serde::Deserialize;

use crate::document::Fault;
use crate::document::Faults;
use crate::manifest::ENVOY_GATEWAY;
use crate::manifest::GATEWAY_API;
use crate::manifest::Manifest;

/// A manifest with where it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Placed {
    /// The file's name.
    pub file: Arc<str>,
    /// The line at which it begins.
    pub line: usize,
    /// What stands there.
    pub manifest: Manifest,
}

/// Reads a stream of manifests.
///
/// # Errors
///
/// The first fault of each document that is no manifest of a kind that we know.
pub fn read(file: &Arc<str>, text: &str) -> Result<Vec<Manifest>, Faults> {
    let placed = read_some(file, text, |_| true)?;
    Ok(placed.into_iter().map(|placed| placed.manifest).collect())
}

/// Reads the manifests of a stream with other documents, which have no `apiVersion`.
///
/// # Errors
///
/// As for [`read`].
pub fn placed(file: &Arc<str>, text: &str) -> Result<Vec<Placed>, Faults> {
    read_some(file, text, |document| {
        let mark: Result<Option<Mark>, _> = document.typed();
        matches!(
            mark,
            Ok(Some(Mark {
                api_version: Some(_)
            }))
        )
    })
}

fn read_some(
    file: &Arc<str>,
    text: &str,
    is_meant: impl Fn(&Document<'_>) -> bool,
) -> Result<Vec<Placed>, Faults> {
    let (mut placed, mut faults) = (Vec::new(), Vec::new());
    for document in documents(text).into_iter().filter(is_meant) {
        let fault = |line: usize, message: String| Fault {
            file: Arc::clone(file),
            line: document.first_line + line.saturating_sub(1),
            path: String::new(),
            message,
        };
        match document.manifest() {
            Ok(manifest) => placed.extend(manifest.map(|manifest| Placed {
                file: Arc::clone(file),
                line: document.first_line + document.lines_before_content(),
                manifest,
            })),
            Err(Unreadable::Unknown { api_version, kind }) => {
                let message = format!("a manifest of unknown kind `{kind}` of `{api_version}`");
                faults.push(fault(1, message));
            }
            Err(Unreadable::Yaml(error)) => {
                let (line, message) = place(&error);
                faults.push(fault(line, message));
            }
        }
    }
    Faults::none_or(faults, placed)
}

/// The line of an error in its document, and the message without it.
fn place(error: &serde_saphyr::Error) -> (usize, String) {
    let message = error.without_snippet().to_string();
    let Some(location) = error.location() else {
        return (1, message);
    };
    let (line, column) = (location.line(), location.column());
    let place = format!(" at line {line}, column {column}");
    let message = message.strip_suffix(&place).unwrap_or(&message).to_owned();
    (usize::try_from(line).unwrap_or(usize::MAX), message)
}

/// A document of a stream.
struct Document<'t> {
    first_line: usize,
    text: &'t str,
}

/// What says how to read the rest of a manifest.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    api_version: String,
    kind: String,
}

/// What tells a manifest from other documents.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mark {
    api_version: Option<serde::de::IgnoredAny>,
}

/// Why a document is no manifest.
enum Unreadable {
    Unknown { api_version: String, kind: String },
    Yaml(serde_saphyr::Error),
}

impl From<serde_saphyr::Error> for Unreadable {
    fn from(error: serde_saphyr::Error) -> Self {
        Self::Yaml(error)
    }
}

impl<'t> Document<'t> {
    /// The manifest, unless the document is empty.
    fn manifest(&self) -> Result<Option<Manifest>, Unreadable> {
        let Some(Header { api_version, kind }) = self.typed()? else {
            return Ok(None);
        };
        let manifest = match (api_version.as_str(), kind.as_str()) {
            (GATEWAY_API, "GatewayClass") => Manifest::GatewayClass(self.typed()?),
            (GATEWAY_API, "Gateway") => Manifest::Gateway(self.typed()?),
            (GATEWAY_API, "HTTPRoute") => Manifest::HttpRoute(self.typed()?),
            (ENVOY_GATEWAY, "Backend") => Manifest::Backend(self.typed()?),
            (ENVOY_GATEWAY, "BackendTrafficPolicy") => {
                Manifest::BackendTrafficPolicy(self.typed()?)
            }
            (ENVOY_GATEWAY, "SecurityPolicy") => Manifest::SecurityPolicy(self.typed()?),
            _ => return Err(Unreadable::Unknown { api_version, kind }),
        };
        Ok(Some(manifest))
    }

    /// How many lines with markers and comments it begins with.
    fn lines_before_content(&self) -> usize {
        let is_before = |line: &&str| {
            let line = line.trim_end();
            line.is_empty() || line == "---" || line.starts_with('#')
        };
        self.text.lines().take_while(is_before).count()
    }

    fn typed<T: Deserialize<'t>>(&self) -> Result<T, serde_saphyr::Error> {
        serde_saphyr::from_str(self.text)
    }
}

/// The documents of a stream, each with its markers.
fn documents(text: &str) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    let (mut begin, mut first_line, mut end) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        // No scalar can hold such a line: YAML takes it for a marker wherever it stands.
        let is_marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.trim_start().len() < rest.len());
        if is_marker && end > begin {
            documents.push(Document {
                first_line,
                text: &text[begin..end],
            });
            (begin, first_line) = (end, index + 1);
        }
        end += line.len();
    }
    documents.push(Document {
        first_line,
        text: &text[begin..],
    });
    documents
}
