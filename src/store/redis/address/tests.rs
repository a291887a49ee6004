//! URLs, read and printed.

use super::*;

#[test]
fn a_url_is_printed_as_it_was_read() {
    for (text, printed) in [
        ("redis://localhost", "redis://localhost:6379/0"),
        ("redis://localhost:6380/", "redis://localhost:6380/0"),
        (
            "rediss://redis.ns.svc:6379/3",
            "rediss://redis.ns.svc:6379/3",
        ),
        ("redis://[::1]", "redis://[::1]:6379/0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock?db=0"),
        ("redis+unix:///run/r.sock?db=2", "unix:///run/r.sock?db=2"),
        (
            "redis+sentinel://a,b:7/main",
            "redis+sentinel://a:26379,b:7/main/0",
        ),
        (
            "rediss+sentinel://a:1/main/4",
            "rediss+sentinel://a:1/main/4",
        ),
        ("redis+cluster://a,b:7", "redis+cluster://a:6379,b:7"),
        ("rediss+cluster://[::1]:7/", "rediss+cluster://[::1]:7"),
    ] {
        assert_eq!(Address::read(text).unwrap().to_string(), printed);
    }
}

#[test]
fn anything_else_is_named_in_the_error() {
    for text in [
        "",
        "localhost:6379",
        "redis://",
        "redis://:6379",
        "redis://host:port/db",
        "redis://localhost:0",
        "redis://localhost:70000",
        "redis://localhost:6379/x",
        "redis://[localhost]:6379",
        "redis://a b",
        "redis://a,b",
        "http://localhost",
        "unix://run/redis.sock",
        "unix:///run/redis.sock?database=0",
        "redis+sentinel://a:1",
        "redis+sentinel://a:1/",
        "redis+sentinel:///main",
        "redis+cluster://",
        "redis+cluster://a,,b",
        "redis+cluster://a/1",
    ] {
        let fault = Address::read(text).unwrap_err();
        assert!(
            fault.starts_with(&format!("`{text}`: expected ")),
            "{fault}"
        );
    }
}

#[test]
fn credentials_may_be_encoded_and_may_lack_a_part() {
    check("redis://user:pass@h", Some("user"), Some("pass"));
    check("redis://:pass@h", None, Some("pass"));
    check("redis://user@h", Some("user"), None);
    check("redis://u:p@ss:w@h", Some("u"), Some("p@ss:w"));
    check("redis+cluster://u:p%40%2f%25@h,i", Some("u"), Some("p@/%"));
    check("unix://:secret@/run/r.sock", None, Some("secret"));
    check("redis://h", None, None);
}

#[test]
fn credentials_are_never_printed() {
    for text in [
        "redis://user:secret@host:x",
        "redis+sentinel://user:secret@host",
        "http://user:secret@host",
        "user:secret@host",
        "redis://user:%ff secret@host",
    ] {
        let fault = Address::read(text).unwrap_err();
        assert!(!fault.contains("secret"), "{fault}");
    }
    let address = Address::read("redis://user:se@cret@host").unwrap();
    for text in [format!("{address:?}"), address.to_string()] {
        assert!(!text.contains("cret") && !text.contains("user:"), "{text}");
    }
}

#[test]
fn a_login_is_a_password_or_a_user_with_one() {
    let read = |text| {
        let login = Login::read(text);
        (login.user, login.password)
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(read("secret"), (None, some("secret")));
    assert_eq!(read("user:se:cret"), (some("user"), some("se:cret")));
    assert_eq!(read(""), (None, None));
}

#[track_caller]
fn check(url: &str, user: Option<&str>, password: Option<&str>) {
    let login = Address::read(url).unwrap().login;
    let read = (login.user.as_deref(), login.password.as_deref());
    assert_eq!(read, (user, password), "{url}");
}
