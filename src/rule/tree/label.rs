//! What a rule is called in metrics and listings, as envoyproxy/ratelimit writes it.

use crate::rule::Value;
use crate::rule::tree::Rule;
use crate::rule::tree::Segment;

impl Rule {
    /// The rule's name in metrics and listings: `key` or `key_value` of each level, joined by dots.
    pub fn label(&self) -> String {
        let parts = self
            .path
            .iter()
            .map(|it| (it.key.as_str(), it.value.text()));
        joined(parts)
    }

    /// Whether its metrics tell values of requests apart.
    pub fn shows_values(&self) -> bool {
        self.path.iter().any(|segment| self.shows(segment))
    }

    /// The name with the values of a request, where its metrics tell them apart. A value that is
    /// empty is left out, unless all values are shown.
    pub fn label_with<'e>(&'e self, values: impl IntoIterator<Item = &'e str>) -> String {
        let parts = self.path.iter().zip(values).map(|(segment, value)| {
            let shown = match segment.value.text() {
                _ if self.shows(segment) => {
                    (self.detailed_metric || !value.is_empty()).then_some(value)
                }
                text => text,
            };
            (segment.key.as_str(), shown)
        });
        joined(parts)
    }

    fn shows(&self, segment: &Segment) -> bool {
        let is_asked = self.detailed_metric || segment.value_to_metric;
        is_asked
            && match segment.value {
                Value::Any => true,
                Value::Exact(_) => false,
                Value::Wildcard {
                    share_threshold, ..
                } => !share_threshold,
            }
    }
}

fn joined<'p>(parts: impl Iterator<Item = (&'p str, Option<&'p str>)>) -> String {
    let mut label = String::new();
    for (depth, (key, value)) in parts.enumerate() {
        if depth > 0 {
            label.push('.');
        }
        label.push_str(key);
        if let Some(value) = value {
            label.push('_');
            label.push_str(value);
        }
    }
    label
}

#[cfg(test)]
mod tests {
    use crate::rule::document;
    use crate::rule::tree::RuleSet;

    #[test]
    fn a_rule_is_called_by_what_it_says_unless_values_are_asked_for() {
        check("{key: a}", &["x"], "a");
        check("{key: a, value: x}", &["x"], "a_x");
        check("{key: a, value: 'x*'}", &["xy"], "a_x*");
        check(
            "{key: a, value: 'x*', share_threshold: true}",
            &["xy"],
            "a_x*",
        );
    }

    #[test]
    fn value_to_metric_shows_the_value_that_came() {
        check("{key: a, value_to_metric: true}", &["x"], "a_x");
        check("{key: a, value_to_metric: true}", &[""], "a");
        check("{key: a, value: x, value_to_metric: true}", &["x"], "a_x");
        check(
            "{key: a, value: 'x*', value_to_metric: true}",
            &["xy"],
            "a_xy",
        );
        let shared = "{key: a, value: 'x*', share_threshold: true, value_to_metric: true}";
        check(shared, &["xy"], "a_x*");
    }

    #[test]
    fn value_to_metric_holds_for_its_level_only() {
        let below = |above: &str, below: &str| {
            format!("{{key: a{above}, descriptors: [{{key: b{below}, rate_limit: {LIMIT}}}]}}")
        };
        let shown = ", value_to_metric: true";
        check_whole(&below(shown, ""), &["x", "y"], "a_x.b");
        check_whole(&below("", shown), &["x", "y"], "a.b_y");
        check_whole(&below(shown, shown), &["x", "y"], "a_x.b_y");
    }

    #[test]
    fn detailed_metric_shows_every_level_but_shared_thresholds() {
        let detailed = |above: &str| {
            format!(
                "{{key: a{above}, descriptors: \
                 [{{key: b, detailed_metric: true, rate_limit: {LIMIT}}}]}}"
            )
        };
        check_whole(&detailed(""), &["x", "y"], "a_x.b_y");
        check_whole(&detailed(""), &["", ""], "a_.b_");
        check_whole(&detailed(", value: 'x*'"), &["xy", "z"], "a_xy.b_z");
        let shared = ", value: 'x*', share_threshold: true";
        check_whole(&detailed(shared), &["xy", "z"], "a_x*.b_z");
    }

    const LIMIT: &str = "{unit: day, requests_per_unit: 1}";

    #[track_caller]
    fn check(descriptor: &str, values: &[&str], expected: &str) {
        let limited = descriptor.replacen('}', &format!(", rate_limit: {LIMIT}}}"), 1);
        check_whole(&limited, values, expected);
    }

    #[track_caller]
    fn check_whole(descriptor: &str, values: &[&str], expected: &str) {
        let mut faults = Vec::new();
        let text = format!("domain: d\ndescriptors: [{descriptor}]\n");
        let set = RuleSet::new(document::read(&"f".into(), &text, &mut faults));
        assert_eq!(faults, [], "{text}");
        let [rule] = set.rules() else {
            unreachable!("one rule is read");
        };
        assert_eq!(rule.label_with(values.iter().copied()), expected, "{text}");
        let is_constant = rule.label_with(values.iter().map(|_| "other")) == rule.label();
        assert_eq!(rule.shows_values(), !is_constant, "{text}");
    }
}
