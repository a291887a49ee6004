//! The user of docs/redis.md, with exactly the permissions that stand there.

use std::fs;

use crate::support::in_project;
use crate::support::redis::Redis;

/// Its name.
pub(crate) const USER: &str = "slidegate";
/// Its password, as it stands in a URL.
pub(crate) const PASSWORD: &str = "p%40ss%2Fw";

/// Makes the user known to a server: the first line of the page holds always, the others where their
/// comment names one of the situations.
#[track_caller]
pub(crate) fn grant(redis: &Redis, situations: &[&str]) {
    let page = fs::read_to_string(in_project("docs/redis.md")).unwrap();
    let lines = page.lines().filter(|it| it.starts_with("ACL SETUSER "));
    let mut granted = Vec::new();
    for line in lines {
        let (command, situation) = line.split_once('#').unwrap_or((line, ""));
        let situation = situation.trim();
        if situation.is_empty() || situations.contains(&situation) {
            let words: Vec<&str> = command.split_whitespace().collect();
            redis.command::<()>(&words.join(" ").replace(">PASSWORD", ">p@ss/w"));
            granted.push(situation.to_owned());
        }
    }
    assert_eq!(granted.len(), 1 + situations.len(), "{granted:?}");
}

/// Fails if a server has ever refused this user something, or let somebody else in by its name.
#[track_caller]
pub(crate) fn check_was_enough(redis: &Redis) {
    let refusals: Vec<redis::Value> = redis.command("ACL LOG");
    assert!(refusals.is_empty(), "{}: {refusals:?}", redis.address());
}
