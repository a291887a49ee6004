//! YAML documents as nodes that know their place, and the faults found in them.
//!
//! A document is walked before it is typed, so that every fault in it is reported with its file,
//! line and path, not the first one only.

pub mod near;
pub mod node;
mod place;
mod plain;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use crate::document::node::Kind;
use crate::document::node::Node;
use crate::document::node::Scalar;
use crate::document::place::Place;

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
    place: Place<'n>,
}

impl<'n> At<'n> {
    /// The root of a document of `file`.
    pub fn root(file: &Arc<str>, node: &'n Node) -> Self {
        Self {
            node,
            file: Arc::clone(file),
            place: Place::ROOT,
        }
    }

    /// A fault at this place.
    pub fn fault(&self, message: impl Into<String>) -> Fault {
        Fault {
            file: Arc::clone(&self.file),
            line: self.node.line,
            path: self.place.to_string(),
            message: message.into(),
        }
    }

    /// The file's name as the user gave it.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The node itself.
    pub fn node(&self) -> &'n Node {
        self.node
    }

    /// The line of the node, from 1.
    pub fn line(&self) -> usize {
        self.node.line
    }

    /// Whether the node is a sequence.
    pub fn is_list(&self) -> bool {
        matches!(self.node.kind, Kind::Sequence(_))
    }

    /// Whether the node is YAML's null.
    pub fn is_null(&self) -> bool {
        matches!(&self.node.kind, Kind::Scalar(scalar) if scalar.is_null())
    }

    /// What the node is, for whoever takes any.
    pub fn kind(&self) -> &'n Kind {
        &self.node.kind
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
        let above = Rc::new(self.place.clone());
        let below = |name: &'n str, node: &'n Node| At {
            node,
            file: Arc::clone(&self.file),
            place: Place::key(&above, name),
        };
        let mut fields: Vec<(&'n str, &'n Node)> = Vec::with_capacity(entries.len());
        let mut names = Names::default();
        for (key, value) in entries {
            let Kind::Scalar(name) = &key.kind else {
                faults.push(below("?", key).expected("a string as key"));
                continue;
            };
            if !names.insert(&name.text) {
                let name = &name.text;
                let message = format!("key {} stands here twice", quoted(name));
                faults.push(below(name, value).fault(message));
                continue;
            }
            fields.push((&name.text, value));
        }
        Some(Mapping {
            at: self.clone(),
            above,
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
        let above = Rc::new(self.place.clone());
        let item = |(index, node)| Self {
            node,
            file: Arc::clone(&self.file),
            place: Place::item(&above, index),
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

    /// The node as text that every reader of YAML takes for text: in quotes, or neither a number nor
    /// `true`, `on` and their like.
    pub fn string(&self, faults: &mut Vec<Fault>) -> Option<&'n str> {
        let text = self.text(faults)?;
        let is_plain = matches!(self.node.kind, Kind::Scalar(Scalar { plain: true, .. }));
        if is_plain && !plain::is_text(text) {
            let message = format!(
                "expected a string, found {}: put it in quotes",
                quoted(text)
            );
            faults.push(self.fault(message));
            return None;
        }
        Some(text)
    }

    /// The node as a whole number from `min` to `max`, which may be negative.
    pub fn integer(&self, min: i64, max: i64, faults: &mut Vec<Fault>) -> Option<i64> {
        let number = match &self.node.kind {
            Kind::Scalar(Scalar { text, plain: true }) => text.parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| (min..=max).contains(number));
        if number.is_none() {
            let expected = match (min, max) {
                (i64::MIN, i64::MAX) => "a whole number".to_owned(),
                (min, i64::MAX) => format!("a whole number of at least {min}"),
                (i64::MIN, max) => format!("a whole number of at most {max}"),
                (min, max) => format!("a whole number from {min} to {max}"),
            };
            faults.push(self.expected(&expected));
        }
        number
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
    /// The place of the mapping, for those of its values.
    above: Rc<Place<'n>>,
    fields: Vec<(&'n str, &'n Node)>,
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
        let (name, value) = self.fields.iter().find(|(name, _)| *name == key)?;
        match &value.kind {
            Kind::Scalar(scalar) if scalar.is_null() => None,
            _ => Some(self.below(name, value)),
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
            let (name, value) = self.fields.remove(found);
            faults.push(
                self.below(name, value)
                    .fault(format!("`{key}` is not supported yet")),
            );
        }
    }

    /// The value of a key that must not be there; it is never named as expected.
    pub fn forbidden(&mut self, key: &str) -> Option<At<'n>> {
        let found = self.fields.iter().position(|(name, _)| *name == key)?;
        let (name, value) = self.fields.remove(found);
        Some(self.below(name, value))
    }

    /// All keys with their values, for a mapping whose keys are the user's own.
    pub fn into_entries(self) -> impl Iterator<Item = (&'n str, At<'n>)> {
        let (above, file) = (self.above, self.at.file);
        let entry = move |(name, node)| {
            let place = Place::key(&above, name);
            let file = Arc::clone(&file);
            (name, At { node, file, place })
        };
        self.fields.into_iter().map(entry)
    }

    /// Reports every key that was not asked for.
    pub fn finish(self, faults: &mut Vec<Fault>) {
        for (name, value) in &self.fields {
            if !self.asked.contains(name) {
                let instead = near::instead(name, &self.asked, "expected nothing");
                let message = format!("unknown key {}: {instead}", quoted(name));
                faults.push(self.below(name, value).fault(message));
            }
        }
    }

    fn below(&self, name: &'n str, node: &'n Node) -> At<'n> {
        At {
            node,
            file: Arc::clone(&self.at.file),
            place: Place::key(&self.above, name),
        }
    }
}

/// The keys of a mapping so far. Most mappings are so small that looking at all is quickest.
#[derive(Default)]
struct Names<'n> {
    few: Vec<&'n str>,
    many: HashSet<&'n str>,
}

impl<'n> Names<'n> {
    /// Adds a key, unless it is there already.
    fn insert(&mut self, name: &'n str) -> bool {
        if self.few.contains(&name) {
            return false;
        }
        if self.few.len() < MAX_FEW {
            self.few.push(name);
            return true;
        }
        self.many.insert(name)
    }
}

/// How many keys are looked at one by one.
const MAX_FEW: usize = 32;

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
