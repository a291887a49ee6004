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
fn a_typo_is_named_with_what_was_expected() {
    for (text, expected) in [
        ("", "redis://host:port/db, unix:///path, "),
        ("localhost:6379", "redis://host:port/db, unix:///path, "),
        ("http://localhost", "redis://host:port/db, unix:///path, "),
        ("redis://", "a host, as in redis://host:port/db"),
        ("redis://[localhost]:6379", "a host, as in redis"),
        ("redis://a b", "a host, as in redis://host:port/db"),
        ("redis://a,b", "a host, as in redis://host:port/db"),
        (
            "redis+cluster://",
            "a host, as in redis+cluster://host:port,h",
        ),
        ("redis+cluster://a,,b", "a host, as in redis+cluster://"),
        ("redis+sentinel:///main", "a host, as in redis+sentinel://"),
        ("redis://localhost:6379/x", "a number as the database"),
        ("unix:///run/redis.sock?db=x", "a number as the database"),
        ("redis+sentinel://a:1/main/x", "a number as the database"),
        ("unix://run/redis.sock", "the path of a socket, as in unix:"),
        ("unix:///run/r.sock?database=0", "the path of a socket, as"),
        (
            "rediss+sentinel://a:1",
            "the name of the master, as in rediss+",
        ),
        (
            "redis+sentinel://a:1/",
            "the name of the master, as in redis+",
        ),
        (
            "redis+cluster://a/1",
            "nothing behind the nodes of a cluster",
        ),
    ] {
        let fault = Address::read(text).unwrap_err().to_string();
        let expected = format!("`{text}`: expected {expected}");
        assert!(fault.starts_with(&expected), "{fault}");
    }
}

#[test]
fn what_is_no_port_may_be_a_password_and_is_not_shown() {
    for (text, shown) in [
        ("redis://host:port/db", "redis://host:***"),
        ("redis://localhost:0", "redis://localhost:***"),
        ("redis://localhost:70000", "redis://localhost:***"),
        ("redis://[::1]:x", "redis://[::1]:***"),
        ("redis+cluster://a:1,b:x/", "redis+cluster://a:1,b:***"),
        (
            "redis+sentinel://user:secret/main",
            "redis+sentinel://user:***",
        ),
        ("redis://user:sec/ret", "redis://user:***"),
    ] {
        let fault = Address::read(text).unwrap_err().to_string();
        let expected = format!("`{shown}`: expected a port from 1 to 65535 behind the host");
        assert!(fault.starts_with(&expected), "{fault}");
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
    for text in [
        "redis://u:50%@h",
        "redis://u:%zz@h",
        "redis://%1:p@h",
        "redis://u:%ff@h",
    ] {
        let fault = Address::read(text).unwrap_err().to_string();
        let expected = "`redis://***@h`: expected the user and the password in percent encoding";
        assert!(fault.starts_with(expected), "{fault}");
    }
}

#[test]
fn credentials_are_never_printed() {
    for text in [
        "redis://user:secret@host:x",
        "redis+sentinel://user:secret@host",
        "http://user:secret@host",
        "user:secret@host",
        "redis://user:%ff secret@host",
        "redis://:secret%40host:6379",
        "redis://:12345:secret",
        "redis://:12345",
        "unix://:secret/run/redis.sock",
        "redis:secret",
    ] {
        let fault = Address::read(text).unwrap_err().to_string();
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
