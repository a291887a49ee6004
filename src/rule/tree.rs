//! Finds the rule for a descriptor: domains and their trees, compiled for matching.
//!
//! Nothing is allocated to match, and the time hardly depends on how many rules there are.

mod label;
mod pattern;
mod wildcards;

use std::sync::Arc;

use hashbrown::HashMap;

use crate::rule::Allowance;
use crate::rule::Descriptor;
use crate::rule::Domain;
use crate::rule::Metadata;
use crate::rule::Value;
use crate::rule::tree::wildcards::Wildcards;

/// The rules in force, compiled.
#[derive(Debug, Default)]
pub struct RuleSet {
    domains: Map<Tree>,
    rules: Vec<Rule>,
    has_replacing: bool,
}

impl RuleSet {
    /// Compiles rules. Of two equal domains or siblings the first stands; documents refuse them.
    pub fn new(domains: Vec<Domain>) -> Self {
        let mut set = Self::default();
        for domain in domains {
            if set.domains.contains_key(domain.name.as_str()) {
                continue;
            }
            let mut compiler = Compiler {
                domain: Arc::from(domain.name.as_str()),
                path: Vec::new(),
                nodes: Vec::new(),
                rules: &mut set.rules,
            };
            let mut root = Descriptor::new("", Value::Any);
            root.descriptors = domain.descriptors;
            compiler.node(root);
            let tree = Tree {
                nodes: compiler.nodes,
            };
            set.domains.insert(domain.name.into_boxed_str(), tree);
        }
        set.has_replacing = set.rules.iter().any(|rule| !rule.replaces.is_empty());
        set
    }

    /// The tree of a domain, if it has rules.
    pub fn domain(&self, name: &str) -> Option<&Tree> {
        self.domains.get(name)
    }

    /// How many domains there are.
    pub fn n_domains(&self) -> usize {
        self.domains.len()
    }

    /// Every rule, in the order of the documents.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule that [`Tree::find`] found in this set.
    pub fn rule(&self, id: RuleId) -> &Rule {
        &self.rules[id.0]
    }

    /// Whether any rule replaces others.
    pub fn has_replacing(&self) -> bool {
        self.has_replacing
    }

    /// Whether there is no domain at all.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }
}

/// The compiled tree of one domain.
#[derive(Debug)]
pub struct Tree {
    /// The root is the first one.
    nodes: Vec<Node>,
}

impl Tree {
    /// The rule of the node that the last entry lands on; none when an entry matches nothing, when
    /// that node has no allowance or when there are no entries.
    pub fn find<'e>(
        &self,
        entries: impl IntoIterator<Item = (&'e str, &'e str)>,
    ) -> Option<RuleId> {
        let mut node = &self.nodes[0];
        for (key, value) in entries {
            node = &self.nodes[node.children.get(key)?.find(value)?];
        }
        node.rule
    }
}

/// The place of a rule in [`RuleSet::rules`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RuleId(usize);

impl RuleId {
    /// The index into [`RuleSet::rules`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// A node that has an allowance, with how to come to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// The name of its domain.
    pub domain: Arc<str>,
    /// One segment an entry: what the entries of a matching descriptor are, level by level.
    pub path: Vec<Segment>,
    /// What holds for the descriptors that it matches.
    pub allowance: Allowance,
    /// Names of limits that do not hold for a request for which this rule holds.
    pub replaces: Vec<String>,
    /// What answers carry while the limit is not used up, if anything.
    pub metadata: Option<Arc<Metadata>>,
    /// Whether metrics show the values of all entries.
    pub detailed_metric: bool,
}

/// What one entry of a descriptor has to be.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Segment {
    /// Its key.
    pub key: String,
    /// Its values. Those of a wildcard with `share_threshold` are counted together, under the
    /// pattern; all others each on their own.
    pub value: Value,
    /// Whether metrics show the value of a request where more than one matches.
    pub value_to_metric: bool,
}

#[derive(Debug)]
struct Node {
    rule: Option<RuleId>,
    children: Map<Choice>,
}

/// The nodes of one level with the same key.
#[derive(Debug, Default)]
struct Choice {
    /// Exact values, and patterns as they are written: a request may bring one literally.
    exact: Map<usize>,
    wildcards: Wildcards,
    any: Option<usize>,
}

impl Choice {
    fn find(&self, value: &str) -> Option<usize> {
        if let Some(node) = self.exact.get(value) {
            return Some(*node);
        }
        self.wildcards.find(value).or(self.any)
    }

    /// Whether a node stands here that matches just what `value` says.
    fn has(&self, value: &Value) -> bool {
        match value.text() {
            None => self.any.is_some(),
            Some(text) => self.exact.contains_key(text),
        }
    }

    fn insert(&mut self, value: &Value, node: usize) {
        match value {
            Value::Any => self.any = Some(node),
            Value::Exact(text) => {
                self.exact.insert(text.as_str().into(), node);
            }
            Value::Wildcard { pattern, .. } => {
                self.exact.insert(pattern.as_str().into(), node);
                self.wildcards.push(pattern, node);
            }
        }
    }
}

struct Compiler<'r> {
    domain: Arc<str>,
    path: Vec<Segment>,
    nodes: Vec<Node>,
    rules: &'r mut Vec<Rule>,
}

impl Compiler<'_> {
    /// Adds a node, which the path leads to, with everything below it and says where it is.
    fn node(&mut self, node: Descriptor) -> usize {
        let metadata = (!node.metadata.is_empty()).then(|| Arc::new(node.metadata));
        let rule = node.allowance.map(|allowance| {
            self.rules.push(Rule {
                domain: Arc::clone(&self.domain),
                path: self.path.clone(),
                allowance,
                replaces: node.replaces,
                metadata,
                detailed_metric: node.detailed_metric,
            });
            RuleId(self.rules.len() - 1)
        });
        let index = self.nodes.len();
        let children = Map::default();
        self.nodes.push(Node { rule, children });

        let mut children: Map<Choice> = Map::default();
        for descriptor in node.descriptors {
            let choice = children.entry(descriptor.key.as_str().into()).or_default();
            if choice.has(&descriptor.value) {
                continue;
            }
            // The node that comes next.
            choice.insert(&descriptor.value, self.nodes.len());
            self.path.push(Segment {
                key: descriptor.key.clone(),
                value: descriptor.value.clone(),
                value_to_metric: descriptor.value_to_metric,
            });
            self.node(descriptor);
            self.path.pop();
        }
        self.nodes[index].children = children;
        index
    }
}

type Map<V> = HashMap<Box<str>, V, foldhash::fast::RandomState>;

#[cfg(test)]
mod tests;
