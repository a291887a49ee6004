//! What an unknown name was probably meant to be.

use std::mem;

use crate::document::quoted;

/// What to write instead of an unknown name, for a message: the known name that is nearly the same,
/// else all of them, of many the first few; `none` when there are none.
pub fn instead(unknown: &str, known: &[&str], none: &str) -> String {
    if let Some(near) = nearest(unknown, known) {
        return format!("did you mean {}?", quoted(near));
    }
    match known {
        [] => none.to_owned(),
        [only] => format!("expected {only}"),
        [init @ .., last] if init.len() < MAX_NAMES => {
            format!("expected {} or {last}", init.join(", "))
        }
        many => {
            let (named, rest) = many.split_at(MAX_NAMES);
            let (named, n_rest) = (named.join(", "), rest.len());
            format!("expected {named} or one of {n_rest} more")
        }
    }
}

/// How many names a message lists.
const MAX_NAMES: usize = 12;

/// The name that it takes the fewest changes to come to, if they are few; of several the first.
pub fn nearest<'k>(unknown: &str, known: &[&'k str]) -> Option<&'k str> {
    let unknown = folded(unknown);
    if unknown.len() > MAX_LENGTH {
        return None;
    }
    let near = known.iter().take(MAX_COMPARED).filter_map(|name| {
        let folded = folded(name);
        if unknown.len() >= MIN_BEGINNING && folded.starts_with(&unknown) {
            return Some((1, *name));
        }
        // With more changes than these a name of the same length would be a coincidence.
        let most = unknown.len().min(folded.len()) / 3;
        if unknown.len().abs_diff(folded.len()) > most {
            return None;
        }
        let changes = changes(&unknown, &folded);
        (changes <= most).then_some((changes, *name))
    });
    near.min_by_key(|(changes, _)| *changes)
        .map(|(_, name)| name)
}

/// How many names are compared: with many references that lead nowhere it would take long.
const MAX_COMPARED: usize = 1_000;

/// How much of a name tells it without the rest.
const MIN_BEGINNING: usize = 3;

/// Names that are longer are not compared, which would take long.
const MAX_LENGTH: usize = 64;

/// A name without what is often mistaken in it: case, and which of `-`, `_` and nothing joins words.
fn folded(name: &str) -> Vec<char> {
    let is_kept = |c: &char| !matches!(c, '-' | '_');
    name.chars()
        .filter(is_kept)
        .flat_map(char::to_lowercase)
        .take(MAX_LENGTH + 1)
        .collect()
}

/// How many letters have to be put in, taken out, changed, or swapped with their neighbours.
fn changes(a: &[char], b: &[char]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let is_other = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1)
                .min(row[j - 1] + 1)
                .min(last[j - 1] + is_other);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: [&str; 4] = ["second", "minute", "hour", "day"];

    #[test]
    fn a_name_that_is_nearly_right_is_told_the_right_one() {
        check("minut", &UNITS, "did you mean `minute`?");
        check("mintue", &UNITS, "did you mean `minute`?");
        check("hours", &UNITS, "did you mean `hour`?");
        check("Days", &UNITS, "did you mean `day`?");
        check(
            "apiKey",
            &["jwt", "apikey", "api-key"],
            "did you mean `apikey`?",
        );
        check(
            "rate_limit",
            &["rate-limit", "retry"],
            "did you mean `rate-limit`?",
        );
    }

    #[test]
    fn a_name_that_is_like_none_is_told_all() {
        check("fortnight", &UNITS, "expected second, minute, hour or day");
        check("mi", &UNITS, "expected second, minute, hour or day");
        check("", &["a"], "expected a");
        check("a", &[], "there is none");
    }

    #[test]
    fn of_many_names_the_first_are_told() {
        let many: Vec<String> = (10..30).map(|n| format!("name-{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let told = instead("other", &many, "");
        assert!(
            told.ends_with("name-20, name-21 or one of 8 more"),
            "{told}"
        );
        assert_eq!(instead("name-99", &many, ""), "did you mean `name-19`?");
    }

    #[test]
    fn a_very_long_name_is_like_none() {
        let long = "a".repeat(100_000);
        check(&long, &["a", "b"], "expected a or b");
        check("a", &[&long], &format!("expected {long}"));
    }

    #[track_caller]
    fn check(unknown: &str, known: &[&str], expected: &str) {
        assert_eq!(instead(unknown, known, "there is none"), expected);
    }
}
