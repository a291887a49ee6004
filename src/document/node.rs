//! YAML text → nodes: every scalar as it is written, every node with its line.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::Event;
use granit_parser::Parser;
use granit_parser::ScalarStyle;

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
/// Anchors, aliases and merge keys (`<<`) are resolved. A stream may hold at most
/// [`MAX_NODES`] nodes, aliases counted as often as they are used.
///
/// # Errors
///
/// One fault, at the place where the text stops being YAML.
pub fn parse(file: &Arc<str>, text: &str) -> Result<Vec<Node>, Fault> {
    let fault = |line: usize, message: String| Fault {
        file: Arc::clone(file),
        line,
        path: String::new(),
        message,
    };
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event
            .map_err(|error| fault(error.marker().line(), format!("not YAML: {}", error.info())))?;
        let line = span.start.line();
        reader
            .event(event, line)
            .map_err(|message| fault(line, message))?;
    }
    Ok(reader.documents)
}

/// How many nodes a stream may hold.
pub const MAX_NODES: usize = 4_000_000;

#[derive(Default)]
struct Reader {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    n_nodes: usize,
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
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let text = Cow::into_owned(text);
                let kind = Kind::Scalar(Scalar { text, plain });
                self.close(Node { line, kind }, anchor)
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let mut node = node.ok_or("an alias to a node that contains it")?;
                self.n_nodes += size(&node);
                node.line = line;
                self.close(node, 0)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.begin(line, anchor, Collection::Sequence(Vec::new()));
                Ok(())
            }
            Event::MappingStart(_, anchor, _) => {
                let (entries, key) = (Vec::new(), None);
                self.begin(line, anchor, Collection::Mapping { entries, key });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop().expect("the parser balances its events");
                let kind = match open.collection {
                    Collection::Mapping { entries, .. } => Kind::Mapping(merged(entries)),
                    Collection::Sequence(items) => Kind::Sequence(items),
                };
                let line = open.line;
                self.close(Node { line, kind }, open.anchor)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, line: usize, anchor: usize, collection: Collection) {
        self.open.push(Open {
            line,
            anchor,
            collection,
        });
    }

    /// Puts a whole node where it belongs.
    fn close(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        self.n_nodes += 1;
        if self.n_nodes > MAX_NODES {
            return Err(format!("more than {MAX_NODES} nodes"));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
            self.n_nodes += size(&node);
        }
        match self.open.last_mut().map(|open| &mut open.collection) {
            None => {
                let is_empty = matches!(&node.kind, Kind::Scalar(scalar) if scalar.is_null());
                self.documents.extend((!is_empty).then_some(node));
            }
            Some(Collection::Sequence(items)) => items.push(node),
            Some(Collection::Mapping { entries, key }) => match key.take() {
                None => *key = Some(node),
                Some(key) => entries.push((key, node)),
            },
        }
        Ok(())
    }
}

/// Puts what stands under `<<` in place, for the keys that the mapping does not have itself.
fn merged(entries: Vec<(Node, Node)>) -> Vec<(Node, Node)> {
    let (merges, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(
        |(key, _)| matches!(&key.kind, Kind::Scalar(key) if key.plain && key.text == "<<"),
    );
    for (key, value) in merges {
        let sources = match value.kind {
            Kind::Sequence(items) => items,
            Kind::Mapping(_) | Kind::Scalar(_) => vec![value],
        };
        for source in sources {
            match source.kind {
                Kind::Mapping(inherited) => {
                    for (name, node) in inherited {
                        if !own.iter().any(|(key, _)| same_key(key, &name)) {
                            own.push((name, node));
                        }
                    }
                }
                // Not a merge after all: left for the reader of the mapping to refuse.
                Kind::Scalar(_) | Kind::Sequence(_) => own.push((key.clone(), source)),
            }
        }
    }
    own
}

fn same_key(a: &Node, b: &Node) -> bool {
    match (&a.kind, &b.kind) {
        (Kind::Scalar(a), Kind::Scalar(b)) => a.text == b.text,
        _ => false,
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::Scalar(_) => 0,
        Kind::Sequence(items) => items.iter().map(size).sum(),
        Kind::Mapping(entries) => entries.iter().map(|(k, v)| size(k) + size(v)).sum(),
    }
}
