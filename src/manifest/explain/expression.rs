//! Regular expressions, as Envoy compares them: the whole text must fit.

use regex::Regex;

/// Whether a text fits an expression; none fits what is no expression.
pub(super) fn fits(expression: &str, text: &str) -> bool {
    Regex::new(&format!("^(?:{expression})$")).is_ok_and(|it| it.is_match(text))
}
