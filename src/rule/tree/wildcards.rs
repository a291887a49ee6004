//! The wildcards of one key on one level.
//!
//! They are found by what stands before the first `*` and after the last, so that thousands of
//! them cost little more than one; only those with both ends alike are tried one by one.

use hashbrown::HashMap;

use crate::rule::tree::pattern::Pattern;

/// Patterns, each with the node that it leads to.
#[derive(Debug, Default)]
pub(super) struct Wildcards {
    by_prefix: Ends<Ends<Vec<Candidate>>>,
    n_candidates: usize,
}

#[derive(Debug)]
struct Candidate {
    /// How many were declared before it.
    order: usize,
    pattern: Pattern,
    node: usize,
}

impl Wildcards {
    /// Adds a pattern after those declared before it.
    pub(super) fn push(&mut self, pattern: &str, node: usize) {
        let pattern = Pattern::new(pattern);
        let (prefix, suffix) = pattern.ends();
        let alike = self.by_prefix.entry(prefix).entry(suffix);
        alike.push(Candidate {
            order: self.n_candidates,
            pattern,
            node,
        });
        self.n_candidates += 1;
    }

    /// The node of the first declared pattern that `value` fits.
    pub(super) fn find(&self, value: &str) -> Option<usize> {
        let end = |length| value.get(value.len().checked_sub(length)?..);
        self.by_prefix
            .fitting(|length| value.get(..length))
            .flat_map(|by_suffix| by_suffix.fitting(end))
            .filter_map(|alike| alike.iter().find(|it| it.pattern.matches(value)))
            .min_by_key(|it| it.order)
            .map(|it| it.node)
    }
}

/// What belongs to texts that a value may begin, or end, with.
#[derive(Debug)]
struct Ends<T> {
    /// How long the texts are; most sets of rules have few lengths.
    lengths: Vec<usize>,
    by_text: HashMap<Box<str>, T, foldhash::fast::RandomState>,
}

impl<T: Default> Ends<T> {
    fn entry(&mut self, text: &str) -> &mut T {
        if let Err(place) = self.lengths.binary_search(&text.len()) {
            self.lengths.insert(place, text.len());
        }
        self.by_text.entry(text.into()).or_default()
    }

    /// What belongs to the ends that `cut` cuts off a value, by their length.
    fn fitting<'v>(&self, cut: impl Fn(usize) -> Option<&'v str>) -> impl Iterator<Item = &T> {
        let fitting = move |length: &usize| self.by_text.get(cut(*length)?);
        self.lengths.iter().filter_map(fitting)
    }
}

impl<T> Default for Ends<T> {
    fn default() -> Self {
        Self {
            lengths: Vec::new(),
            by_text: HashMap::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_declared_is_found_whatever_its_ends() {
        let patterns = ["/a/*/c", "/a/*", "*", "/a/b*"];
        check(&patterns, "/a/b/c", Some(0));
        check(&patterns, "/a/b", Some(1));
        check(&patterns, "/b", Some(2));
        check(&patterns[3..], "/a/b", Some(0));
        check(&patterns[..2], "/b", None);
        check(&[], "/b", None);
    }

    #[test]
    fn ends_are_cut_between_characters_only() {
        check(&["a*", "ab*ä"], "ä", None);
        check(&["*a", "ää*"], "ä", None);
        check(&["ä*ä"], "ä", None);
        check(&["ä*ä"], "ää", Some(0));
    }

    proptest! {
        #[test]
        fn the_answer_is_that_of_trying_all_in_order(
            patterns in prop::collection::vec("[abä]{0,2}\\*[ab*]{0,3}", 0..8),
            value in "[abä]{0,6}",
        ) {
            let fits = |pattern: &String| Pattern::new(pattern).matches(&value);
            prop_assert_eq!(wildcards(&patterns).find(&value), patterns.iter().position(fits));
        }
    }

    #[track_caller]
    fn check(patterns: &[&str], value: &str, expected: Option<usize>) {
        assert_eq!(wildcards(patterns).find(value), expected);
    }

    /// The wildcards, each leading to the node of its own place.
    fn wildcards(patterns: &[impl AsRef<str>]) -> Wildcards {
        let mut wildcards = Wildcards::default();
        for (node, pattern) in patterns.iter().enumerate() {
            wildcards.push(pattern.as_ref(), node);
        }
        wildcards
    }
}
