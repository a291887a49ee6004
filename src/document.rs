//! YAML documents as nodes that know their place, and the faults found in them.
//!
//! A document is walked before it is typed, so that every fault in it is reported with its file,
//! line and path, not the first one only.

pub mod near;
pub mod node;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::document::node::Kind;
use crate::document::node::Node;
use crate::document::node::Scalar;

/// Something wrong in a document, with its place.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Fault {
    /// The file's name as the user gave it.
    pub file: Arc<str>,
    /// The line, from 1; 0 when the fault is of the whole file.
    pub line: usize,
    /// The path in the document, such as `descriptors[0].rate_limit.unit`; empty for its root.
    pub path: String,
    /// What is wrong and what was expected.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        on_one_line(f, &self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.path.is_empty() {
            f.write_str(": ")?;
            on_one_line(f, &self.path)?;
        }
        f.write_str(": ")?;
        on_one_line(f, &self.message)
    }
}

/// Writes text with its line breaks and other control characters escaped: a fault is one line.
fn on_one_line(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for part in text.split_inclusive(char::is_control) {
        let mut characters = part.chars();
        match characters.next_back() {
            Some(last) if last.is_control() => {
                write!(f, "{}{}", characters.as_str(), last.escape_default())?;
            }
            _ => f.write_str(part)?,
        }
    }
    Ok(())
}

/// Every fault of a set of documents; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// The faults as an error, file by file and line by line, or `value` when there is none.
    pub fn none_or<T>(mut faults: Vec<Fault>, value: T) -> Result<T, Self> {
        if faults.is_empty() {
            return Ok(value);
        }
        faults.sort();
        Err(Self(faults))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl<'f> IntoIterator for &'f Faults {
    type Item = &'f Fault;
    type IntoIter = std::slice::Iter<'f, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Faults {
    type Item = Fault;
    type IntoIter = std::vec::IntoIter<Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// A node together with where it stands.
#[derive(Clone, Debug)]
pub struct At<'n> {
    node: &'n Node,
    file: Arc<str>,
    path: String,
}

impl<'n> At<'n> {
    /// The root of a document of `file`.
    pub fn root(file: &Arc<str>, node: &'n Node) -> Self {
        Self {
            node,
            file: Arc::clone(file),
            path: String::new(),
        }
    }

    /// A fault at this place.
    pub fn fault(&self, message: impl Into<String>) -> Fault {
        Fault {
            file: Arc::clone(&self.file),
            line: self.node.line,
            path: self.path.clone(),
            message: message.into(),
        }
    }

    /// The file's name as the user gave it.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The line of the node, from 1.
    pub fn line(&self) -> usize {
        self.node.line
    }

    /// Whether the node is a mapping.
    pub fn is_mapping(&self) -> bool {
        matches!(self.node.kind, Kind::Mapping(_))
    }

    /// The node as a mapping, with a fault for each key that stands in it twice.
    pub fn mapping(&self, faults: &mut Vec<Fault>) -> Option<Mapping<'n>> {
        let Kind::Mapping(entries) = &self.node.kind else {
            faults.push(self.expected("a mapping"));
            return None;
        };
        let mut fields: Vec<(&'n str, At<'n>)> = Vec::with_capacity(entries.len());
        let mut names = HashSet::new();
        for (key, value) in entries {
            let Kind::Scalar(name) = &key.kind else {
                faults.push(self.below("?", key).expected("a string as key"));
                continue;
            };
            let at = self.below(&name.text, value);
            if !names.insert(name.text.as_str()) {
                faults.push(at.fault(format!("key {} stands here twice", quoted(&name.text))));
                continue;
            }
            fields.push((&name.text, at));
        }
        Some(Mapping {
            at: self.clone(),
            fields,
            asked: Vec::new(),
        })
    }

    /// The node as a sequence, item by item.
    pub fn items(&self, faults: &mut Vec<Fault>) -> Vec<Self> {
        let Kind::Sequence(items) = &self.node.kind else {
            faults.push(self.expected("a list"));
            return Vec::new();
        };
        let item = |(index, node)| Self {
            node,
            file: Arc::clone(&self.file),
            path: format!("{}[{index}]", self.path),
        };
        items.iter().enumerate().map(item).collect()
    }

    /// The node as text: any scalar, as it is written (`0123` stays `0123`).
    pub fn text(&self, faults: &mut Vec<Fault>) -> Option<&'n str> {
        match &self.node.kind {
            Kind::Scalar(scalar) if !scalar.is_null() => Some(&scalar.text),
            _ => {
                faults.push(self.expected("a string"));
                None
            }
        }
    }

    /// The node as a whole number from `min` to `max`.
    pub fn number(&self, min: u64, max: u64, faults: &mut Vec<Fault>) -> Option<u64> {
        let number = match &self.node.kind {
            // A leading zero is octal for some readers.
            Kind::Scalar(Scalar { text, plain: true })
                if is_digits(text) && (text == "0" || !text.starts_with('0')) =>
            {
                text.parse().ok()
            }
            _ => None,
        };
        let number = number.filter(|number| (min..=max).contains(number));
        if number.is_none() {
            faults.push(self.expected(&format!("a whole number from {min} to {max}")));
        }
        number
    }

    /// The node as `true` or `false`.
    pub fn boolean(&self, faults: &mut Vec<Fault>) -> Option<bool> {
        if let Kind::Scalar(Scalar { text, plain: true }) = &self.node.kind {
            match text.as_str() {
                "true" | "True" | "TRUE" => return Some(true),
                "false" | "False" | "FALSE" => return Some(false),
                _ => {}
            }
        }
        faults.push(self.expected("true or false"));
        None
    }

    /// Whether the node stands there as a number that is not whole, or beyond 64 bits: `1.5`, `1e3`
    /// or `.inf`. As text such a value is not safe, because most readers write it in another way.
    pub fn is_fraction(&self) -> bool {
        let Kind::Scalar(Scalar { text, plain: true }) = &self.node.kind else {
            return false;
        };
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        if is_digits(unsigned) {
            return text.parse::<i64>().is_err() && text.parse::<u64>().is_err();
        }
        match unsigned.to_ascii_lowercase().as_str() {
            ".inf" | ".nan" => true,
            number => {
                number.starts_with(|first: char| first == '.' || first.is_ascii_digit())
                    && number.parse::<f64>().is_ok()
            }
        }
    }

    /// The node as one of a few names, compared as they are written.
    pub fn one_of<T: Copy>(&self, names: &[(&str, T)], faults: &mut Vec<Fault>) -> Option<T> {
        let text = self.text(faults)?;
        if let Some((_, value)) = names.iter().find(|(name, _)| *name == text) {
            return Some(*value);
        }
        let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        let instead = near::instead(text, &names, "expected nothing");
        faults.push(self.fault(format!("unknown value {}: {instead}", quoted(text))));
        None
    }

    fn below(&self, name: &str, node: &'n Node) -> Self {
        let name = shortened(name);
        let path = if self.path.is_empty() {
            name.into_owned()
        } else {
            format!("{}.{name}", self.path)
        };
        Self {
            node,
            file: Arc::clone(&self.file),
            path,
        }
    }

    fn expected(&self, what: &str) -> Fault {
        let found = match &self.node.kind {
            Kind::Scalar(scalar) if scalar.is_null() => "nothing".to_owned(),
            Kind::Scalar(scalar) => quoted(&scalar.text),
            Kind::Sequence(_) => "a list".to_owned(),
            Kind::Mapping(_) => "a mapping".to_owned(),
        };
        self.fault(format!("expected {what}, found {found}"))
    }
}

/// A mapping whose keys are asked for one by one; [`Mapping::finish`] reports the rest.
#[derive(Debug)]
#[must_use = "`finish` reports the keys that nobody asked for"]
pub struct Mapping<'n> {
    at: At<'n>,
    fields: Vec<(&'n str, At<'n>)>,
    asked: Vec<&'static str>,
}

impl<'n> Mapping<'n> {
    /// Where the mapping stands.
    pub fn at(&self) -> &At<'n> {
        &self.at
    }

    /// The value of `key`, unless it is absent or null.
    pub fn optional(&mut self, key: &'static str) -> Option<At<'n>> {
        self.asked.push(key);
        let (_, value) = self.fields.iter().find(|(name, _)| *name == key)?;
        match &value.node.kind {
            Kind::Scalar(scalar) if scalar.is_null() => None,
            _ => Some(value.clone()),
        }
    }

    /// The value of `key`, with a fault when it is absent or null.
    pub fn required(&mut self, key: &'static str, faults: &mut Vec<Fault>) -> Option<At<'n>> {
        let value = self.optional(key);
        if value.is_none() {
            faults.push(self.at.fault(format!("`{key}` is missing")));
        }
        value
    }

    /// Reports `key` as known but not supported yet, when it is there.
    pub fn unsupported(&mut self, key: &'static str, faults: &mut Vec<Fault>) {
        if let Some(found) = self.fields.iter().position(|(name, _)| *name == key) {
            let (_, at) = self.fields.remove(found);
            faults.push(at.fault(format!("`{key}` is not supported yet")));
        }
    }

    /// The value of a key that must not be there; it is never named as expected.
    pub fn forbidden(&mut self, key: &str) -> Option<At<'n>> {
        let found = self.fields.iter().position(|(name, _)| *name == key)?;
        Some(self.fields.remove(found).1)
    }

    /// All keys with their values, for a mapping whose keys are the user's own.
    pub fn into_entries(self) -> impl Iterator<Item = (&'n str, At<'n>)> {
        self.fields.into_iter()
    }

    /// Reports every key that was not asked for.
    pub fn finish(self, faults: &mut Vec<Fault>) {
        for (name, at) in &self.fields {
            if !self.asked.contains(name) {
                let instead = near::instead(name, &self.asked, "expected nothing");
                faults.push(at.fault(format!("unknown key {}: {instead}", quoted(name))));
            }
        }
    }
}

/// What was written, for a message: in backquotes, and not too much of it.
pub fn quoted(text: &str) -> String {
    format!("`{}`", shortened(text))
}

fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_QUOTED) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

/// How many characters of what was written a message repeats.
const MAX_QUOTED: usize = 80;

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
