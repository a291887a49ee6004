//! Finds the rule for a descriptor: domains and their trees, compiled for matching.
//!
//! Nothing is allocated to match, and the time hardly depends on how many rules there are.

mod pattern;
mod wildcards;

use std::sync::Arc;

use hashbrown::HashMap;

use crate::rule::Allowance;
use crate::rule::Descriptor;
use crate::rule::Domain;
use crate::rule::Value;
use crate::rule::tree::wildcards::Wildcards;

/// The rules in force, compiled.
#[derive(Debug, Default)]
pub struct RuleSet {
    domains: Map<Tree>,
    rules: Vec<Rule>,
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
            compiler.node(None, domain.descriptors);
            let tree = Tree {
                nodes: compiler.nodes,
            };
            set.domains.insert(domain.name.into_boxed_str(), tree);
        }
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
}

impl Rule {
    /// The rule's name in metrics and listings: `key` or `key_value` of each level, joined by dots,
    /// as envoyproxy/ratelimit writes it.
    pub fn label(&self) -> String {
        let mut label = String::new();
        for (depth, segment) in self.path.iter().enumerate() {
            if depth > 0 {
                label.push('.');
            }
            label.push_str(&segment.key);
            if let Some(value) = segment.value.text() {
                label.push('_');
                label.push_str(value);
            }
        }
        label
    }
}

/// What one entry of a descriptor has to be.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Segment {
    /// Its key.
    pub key: String,
    /// Its values. Those of a wildcard with `share_threshold` are counted together, under the
    /// pattern; all others each on their own.
    pub value: Value,
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
    /// Adds a node with everything below it and says where it is.
    fn node(&mut self, allowance: Option<Allowance>, descriptors: Vec<Descriptor>) -> usize {
        let rule = allowance.map(|allowance| {
            self.rules.push(Rule {
                domain: Arc::clone(&self.domain),
                path: self.path.clone(),
                allowance,
            });
            RuleId(self.rules.len() - 1)
        });
        let index = self.nodes.len();
        let children = Map::default();
        self.nodes.push(Node { rule, children });

        let mut children: Map<Choice> = Map::default();
        for descriptor in descriptors {
            let choice = children.entry(descriptor.key.as_str().into()).or_default();
            if choice.has(&descriptor.value) {
                continue;
            }
            // The node that comes next.
            choice.insert(&descriptor.value, self.nodes.len());
            self.path.push(Segment {
                key: descriptor.key,
                value: descriptor.value,
            });
            self.node(descriptor.allowance, descriptor.descriptors);
            self.path.pop();
        }
        self.nodes[index].children = children;
        index
    }
}

type Map<V> = HashMap<Box<str>, V, foldhash::fast::RandomState>;

#[cfg(test)]
mod tests;
