//! A value with `*` in it, compiled.

/// A pattern whose every `*` stands for any run of characters, the empty one included.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// What stands before the first `*`.
    prefix: Box<str>,
    /// What stands between two, leftmost first, without the empty ones.
    middle: Box<[Box<str>]>,
    /// What stands after the last `*`; none when the pattern has no `*`.
    suffix: Option<Box<str>>,
}

impl Pattern {
    /// Compiles a pattern. One without `*` fits itself only.
    pub(super) fn new(pattern: &str) -> Self {
        let mut parts = pattern.split('*');
        let prefix = parts.next().unwrap_or_default().into();
        let suffix = parts.next_back().map(Box::from);
        let middle = parts
            .filter(|part| !part.is_empty())
            .map(Box::from)
            .collect();
        Self {
            prefix,
            middle,
            suffix,
        }
    }

    /// What stands before the first `*` and after the last.
    pub(super) fn ends(&self) -> (&str, &str) {
        (&self.prefix, self.suffix.as_deref().unwrap_or_default())
    }

    /// Whether `text` fits as a whole.
    pub(super) fn matches(&self, text: &str) -> bool {
        let Some(rest) = text.strip_prefix(&*self.prefix) else {
            return false;
        };
        let Some(suffix) = &self.suffix else {
            return rest.is_empty();
        };
        let Some(mut rest) = rest.strip_suffix(&**suffix) else {
            return false;
        };
        // To take each part where it first occurs leaves most for those after it.
        for part in &self.middle {
            let Some((_, after)) = rest.split_once(&**part) else {
                return false;
            };
            rest = after;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        check("/files/*", "/files/1", true);
        check("/files/*", "/files/", true);
        check("/files/*", "/files", false);
        check("/files/*/raw", "/files/a/b/raw", true);
        check("/files/*/raw", "/files/raw", false);
        check("*", "", true);
        check("**", "x", true);
        check("*.example.com", "a.example.com", true);
        check("*.example.com", "a.example.org", false);
    }

    #[test]
    fn prefix_and_suffix_do_not_overlap() {
        check("ab*ba", "aba", false);
        check("ab*ba", "abba", true);
        check("a*a", "a", false);
    }

    #[test]
    fn parts_in_the_middle_come_in_order() {
        check("a*b*c*d", "a-b-c-d", true);
        check("a*b*c*d", "a-c-b-d", false);
        check("*aa*aa*", "aaa", false);
        check("*ä*", "xäy", true);
    }

    #[test]
    fn a_pattern_without_a_star_fits_itself_only() {
        check("abc", "abc", true);
        check("abc", "abcd", false);
        check("", "", true);
    }

    proptest! {
        #[test]
        fn the_answer_is_that_of_trying_everything(
            pattern in "[ab*]{0,8}",
            text in "[ab]{0,12}",
        ) {
            prop_assert_eq!(
                Pattern::new(&pattern).matches(&text),
                fits(pattern.as_bytes(), text.as_bytes()),
            );
        }

        #[test]
        fn any_text_is_matched_without_a_panic(pattern in "\\PC{0,6}", text in "\\PC{0,6}") {
            let pattern = format!("{pattern}*");
            prop_assert_eq!(
                Pattern::new(&pattern).matches(&text),
                fits(pattern.as_bytes(), text.as_bytes()),
            );
        }
    }

    /// Tries every length for every star.
    fn fits(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', rest @ ..] => (0..=text.len()).any(|taken| fits(rest, &text[taken..])),
            [first, rest @ ..] => text.first() == Some(first) && fits(rest, &text[1..]),
        }
    }

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(Pattern::new(pattern).matches(text), expected);
    }
}
