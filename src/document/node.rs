//! YAML text → nodes: every scalar as it is written, every node with its line.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::HashSet;
use std::iter;
use std::sync::Arc;

use granit_parser::Event;
use granit_parser::Parser;
use granit_parser::ScalarStyle;
use granit_parser::Tag;

use crate::document::Fault;

/// A node of a document.
#[derive(Clone, Debug)]
pub struct Node {
    /// The line that it begins on, from 1.
    pub line: usize,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Keys and values in the order in which they are written; a key may be any node.
    Mapping(Vec<(Node, Node)>),
    /// A single value.
    Scalar(Scalar),
    /// Items in order.
    Sequence(Vec<Node>),
}

/// A single value as it is written.
#[derive(Clone, Debug)]
pub struct Scalar {
    /// The text, without quotes and escapes.
    pub text: String,
    /// Whether it stood there without quotes, so that `5` is a number and `true` a boolean.
    pub plain: bool,
}

impl Scalar {
    /// Whether the value is YAML's null.
    pub fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

/// Reads a YAML stream: one node a document, documents without content left out.
///
/// # Errors
///
/// As for [`stream`].
pub fn parse(file: &Arc<str>, text: &str) -> Result<Vec<Node>, Fault> {
    stream(file, text).collect()
}

/// Reads a YAML stream document by document, those without content left out.
///
/// Anchors, aliases and merge keys (`<<`) are resolved. What a stream may come to is bounded:
/// [`MAX_BYTES`] and [`MAX_DEPTH`], with aliases counted as often as they are used.
///
/// # Errors
///
/// One fault, at the place where the text stops being YAML; then the stream ends.
pub fn stream<'t>(
    file: &'t Arc<str>,
    text: &'t str,
) -> impl Iterator<Item = Result<Node, Fault>> + use<'t> {
    let fault = move |line: usize, message: String| Fault {
        file: Arc::clone(file),
        line,
        path: String::new(),
        message,
    };
    let mut events = Parser::new_from_str(text);
    let mut reader = Some(Reader::default());
    iter::from_fn(move || {
        let open = reader.as_mut()?;
        let failed = loop {
            let (event, span) = match events.next()? {
                Ok(event) => event,
                Err(error) => {
                    let message = format!("not YAML: {}", error.info());
                    break fault(error.marker().line(), message);
                }
            };
            open.line = span.start.line();
            if let Err(message) = open.event(event) {
                break fault(open.line, message);
            }
            if let Some(document) = open.document.take() {
                return Some(Ok(document));
            }
        };
        reader = None;
        Some(Err(failed))
    })
}

/// How large a stream may be in memory.
pub const MAX_BYTES: usize = 256 << 20;

/// How deep a document may nest, which bounds the stack that it takes to walk it.
pub const MAX_DEPTH: usize = 100;

#[derive(Default)]
struct Reader {
    /// A document whose end has been read.
    document: Option<Node>,
    /// Where it reads, or what it refuses.
    line: usize,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, Size)>,
    n_bytes: usize,
}

/// A collection whose end has not been read yet.
struct Open {
    line: usize,
    anchor: usize,
    collection: Collection,
}

enum Collection {
    Mapping {
        entries: Vec<(Node, Node)>,
        key: Option<Node>,
    },
    Sequence(Vec<Node>),
}

impl Reader {
    fn event(&mut self, event: Event<'_>) -> Result<(), String> {
        let line = self.line;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_string = is_string(tag.as_deref())?;
                let plain = style == ScalarStyle::Plain && !is_string;
                let text = Cow::into_owned(text);
                self.take(size_of::<Node>() + text.len())?;
                let kind = Kind::Scalar(Scalar { text, plain });
                self.close(Node { line, kind }, anchor)
            }
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor);
                let (node, size) = known.ok_or("an alias to a node that contains it")?;
                if self.open.len() + size.depth > MAX_DEPTH {
                    return Err(too_deep());
                }
                // Before the copy is made: aliases of aliases multiply.
                self.n_bytes = affordable(self.n_bytes, size.bytes)?;
                let kind = node.kind.clone();
                self.close(Node { line, kind }, 0)
            }
            Event::SequenceStart(_, anchor, tag) => {
                is_string(tag.as_deref())?;
                self.begin(line, anchor, Collection::Sequence(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                is_string(tag.as_deref())?;
                let (entries, key) = (Vec::new(), None);
                self.begin(line, anchor, Collection::Mapping { entries, key })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop().expect("the parser balances its events");
                let kind = match open.collection {
                    Collection::Mapping { entries, .. } => Kind::Mapping(self.merged(entries)?),
                    Collection::Sequence(items) => Kind::Sequence(items),
                };
                let line = open.line;
                self.close(Node { line, kind }, open.anchor)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, line: usize, anchor: usize, collection: Collection) -> Result<(), String> {
        self.take(size_of::<Node>())?;
        self.open.push(Open {
            line,
            anchor,
            collection,
        });
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep());
        }
        Ok(())
    }

    /// Puts a whole node where it belongs.
    fn close(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        if anchor > 0 {
            let size = Size::of(&node);
            self.take(size.bytes)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut().map(|open| &mut open.collection) {
            None => {
                // An alias may not cross into the next document.
                self.anchors.clear();
                let is_empty = matches!(&node.kind, Kind::Scalar(scalar) if scalar.is_null());
                self.document = (!is_empty).then_some(node);
            }
            Some(Collection::Sequence(items)) => items.push(node),
            Some(Collection::Mapping { entries, key }) => match key.take() {
                None => *key = Some(node),
                Some(key) => entries.push((key, node)),
            },
        }
        Ok(())
    }

    /// Puts what stands under `<<` in place, for the keys that the mapping does not have itself.
    fn merged(&mut self, entries: Vec<(Node, Node)>) -> Result<Vec<(Node, Node)>, String> {
        let is_merge =
            |node: &Node| matches!(&node.kind, Kind::Scalar(key) if key.plain && key.text == "<<");
        if !entries.iter().any(|(key, _)| is_merge(key)) {
            return Ok(entries);
        }
        let (merges, mut own): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|(key, _)| is_merge(key));
        let name = |node: &Node| match &node.kind {
            Kind::Scalar(scalar) => Some(scalar.text.clone()),
            Kind::Mapping(_) | Kind::Sequence(_) => None,
        };
        let mut names: HashSet<String> = own.iter().filter_map(|(key, _)| name(key)).collect();
        for (_, value) in merges {
            let sources = match value.kind {
                Kind::Sequence(items) => items,
                Kind::Mapping(_) | Kind::Scalar(_) => vec![value],
            };
            for source in sources {
                let Kind::Mapping(inherited) = source.kind else {
                    self.line = source.line;
                    return Err("expected a mapping, or a list of mappings, under `<<`".to_owned());
                };
                for (key, value) in inherited {
                    if name(&key).is_none_or(|name| names.insert(name)) {
                        own.push((key, value));
                    }
                }
            }
        }
        Ok(own)
    }

    fn take(&mut self, bytes: usize) -> Result<(), String> {
        self.n_bytes = affordable(self.n_bytes, bytes)?;
        Ok(())
    }
}

/// What a node comes to.
#[derive(Clone, Copy)]
struct Size {
    bytes: usize,
    depth: usize,
}

impl Size {
    fn of(node: &Node) -> Self {
        let own = size_of::<Node>();
        let (bytes, below) = match &node.kind {
            Kind::Scalar(scalar) => (own + scalar.text.len(), None),
            Kind::Sequence(items) => Self::sum(own, items.iter()),
            Kind::Mapping(entries) => Self::sum(own, entries.iter().flat_map(|(k, v)| [k, v])),
        };
        let depth = below.map_or(0, |below| below + 1);
        Self { bytes, depth }
    }

    fn sum<'n>(own: usize, nodes: impl Iterator<Item = &'n Node>) -> (usize, Option<usize>) {
        nodes
            .map(Self::of)
            .fold((own, Some(0)), |(bytes, depth), size| {
                (bytes + size.bytes, depth.max(Some(size.depth)))
            })
    }
}

fn affordable(used: usize, more: usize) -> Result<usize, String> {
    let bytes = used.saturating_add(more);
    if bytes > MAX_BYTES {
        let most = MAX_BYTES >> 20;
        return Err(format!(
            "too large: with its aliases resolved, more than {most} MiB"
        ));
    }
    Ok(bytes)
}

fn too_deep() -> String {
    format!("nested too deep: at most {MAX_DEPTH} levels are read")
}

/// Whether a tag says that a scalar is a string whatever it looks like.
fn is_string(tag: Option<&Tag>) -> Result<bool, String> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema_tag("str") || tag.to_string() == "!" => Ok(true),
        Some(tag) if tag.is_yaml_core_schema() => Ok(false),
        Some(tag) => Err(format!("the tag `{tag}` is not supported")),
    }
}

#[cfg(test)]
mod tests;
