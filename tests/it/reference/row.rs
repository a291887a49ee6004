//! One fact of envoyproxy/ratelimit.

use crate::support::unix_seconds;

/// A fact, and what is made of it here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<A> {
    /// What envoyproxy/ratelimit does.
    pub(crate) fact: &'static str,
    /// How it is asked.
    pub(crate) ask: A,
    /// What is answered here.
    pub(crate) expected: &'static str,
    /// Where that is another answer on purpose: the page that says so, the number in its list, and why.
    pub(crate) differs: Option<&'static str>,
}

/// A question to what a table's rows have in common.
pub(crate) type Ask<W> = fn(&W) -> String;

/// A fact that holds here too.
pub(crate) const fn same<A: Copy>(fact: &'static str, ask: A, expected: &'static str) -> Row<A> {
    Row {
        fact,
        ask,
        expected,
        differs: None,
    }
}

/// A fact that does not, and why.
pub(crate) const fn differs<A: Copy>(
    fact: &'static str,
    ask: A,
    expected: &'static str,
    why: &'static str,
) -> Row<A> {
    Row {
        fact,
        ask,
        expected,
        differs: Some(why),
    }
}

/// Asks all, and fails with every answer that is not the expected one.
#[track_caller]
pub(crate) fn check<A: Copy>(rows: &[Row<A>], answer: impl Fn(A) -> String) {
    let wrong = wrong(rows, answer);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// As [`check`], once more with a new world when an hour has ended meanwhile and something was wrong:
/// fixed windows end with it.
#[track_caller]
pub(crate) fn check_within_an_hour<W>(rows: &[Row<Ask<W>>], start: impl Fn() -> Option<W>) {
    loop {
        let hour = unix_seconds() / 3_600;
        let Some(world) = start() else { return };
        let wrong = wrong(rows, |ask| ask(&world));
        if wrong.is_empty() {
            return;
        }
        let is_same_hour = hour == unix_seconds() / 3_600;
        assert!(!is_same_hour, "\n{}", wrong.join("\n"));
    }
}

/// The reasons of the rows that differ.
pub(crate) fn reasons<A>(rows: &[Row<A>]) -> Vec<&'static str> {
    rows.iter().filter_map(|it| it.differs).collect()
}

fn wrong<A: Copy>(rows: &[Row<A>], answer: impl Fn(A) -> String) -> Vec<String> {
    let compared = rows.iter().filter_map(|row| {
        let (answered, expected) = (answer(row.ask), row.expected);
        (answered != expected).then(|| {
            let fact = row.fact;
            format!("{fact}\n  expected: {expected:?}\n  answered: {answered:?}")
        })
    });
    compared.collect()
}
