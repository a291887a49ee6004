//! Which limits apply: domains, their descriptor trees, and the limits in them.

pub mod document;
pub mod limit;
pub mod tree;

use crate::rule::limit::Limit;

/// The rules of one domain, as they are configured.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Domain {
    /// The name that Envoy's filter sends.
    pub name: String,
    /// The top level of the tree; no two siblings have the same key and value.
    pub descriptors: Vec<Descriptor>,
}

/// A node of a domain's tree: it matches one entry of a descriptor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Descriptor {
    /// The entry's key, compared whole.
    pub key: String,
    /// Which values match.
    pub value: Value,
    /// What holds for a descriptor whose last entry lands here; none means that it is not limited.
    pub allowance: Option<Allowance>,
    /// Names of limits that do not hold for a request for which this node's allowance holds.
    pub replaces: Vec<String>,
    /// What answers carry while the limit of this node is not used up.
    pub metadata: Metadata,
    /// Whether metrics of rules from here on show the entry's value, where more than one matches.
    pub value_to_metric: bool,
    /// Whether metrics of this node's limit show the values of all entries.
    pub detailed_metric: bool,
    /// The next level; no two siblings have the same key and value.
    pub descriptors: Vec<Self>,
}

/// Free-form data of a rule, as in JSON.
pub type Metadata = serde_json::Map<String, serde_json::Value>;

impl Descriptor {
    /// A node that limits nothing and has nothing below it.
    pub fn new(key: impl Into<String>, value: Value) -> Self {
        Self {
            key: key.into(),
            value,
            allowance: None,
            replaces: Vec::new(),
            metadata: Metadata::new(),
            value_to_metric: false,
            detailed_metric: false,
            descriptors: Vec::new(),
        }
    }
}

/// Which values of an entry match a node.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Value {
    /// Every value, each with its own count.
    Any,
    /// This value only.
    Exact(String),
    /// Values that the pattern fits; `*` stands for any run of characters, the empty one included.
    Wildcard {
        /// The pattern, with at least one `*`.
        pattern: String,
        /// Whether all values that fit share one count.
        share_threshold: bool,
    },
}

impl Value {
    /// The value or pattern as it is written; none for [`Value::Any`].
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Any => None,
            Self::Exact(text) | Self::Wildcard { pattern: text, .. } => Some(text),
        }
    }
}

/// What a matched rule allows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Allowance {
    /// So many hits in a window.
    Limited(Limit),
    /// Everything; nothing is counted.
    Unlimited,
}
