//! What is read as which nodes, and what is refused.

use proptest::prelude::*;

use super::*;

#[test]
fn scalars_are_kept_as_they_are_written() {
    check("[0123, 1.50, yes, ~]", "[0123@1 1.50@1 yes@1 ~@1]@1");
    check("a: 'x: y'\nb: \"\\u00e4\"\n", "{a@1='x: y'@1 b@2='ä'@2}@1");
    check("a: |\n  x\n  y\n", "{a@1='x\ny\n'@2}@1");
}

#[test]
fn every_node_knows_its_line() {
    check(
        "# one\n\na:\n- b: 1\n\n- c\n",
        "{a@3=[{b@4=1@4}@4 c@6]@4}@3",
    );
    check("a: 1\n---\n# two\nb: 2\n", "{a@1=1@1}@1 {b@4=2@4}@4");
}

#[test]
fn line_breaks_and_a_byte_order_mark_do_not_matter() {
    check("a: 1\r\nb:\r\n- c\r\n", "{a@1=1@1 b@2=[c@3]@3}@1");
    check("\u{feff}a: 1\n", "{a@1=1@1}@1");
}

#[test]
fn documents_without_content_are_left_out() {
    check("", "");
    check("# nothing\n", "");
    check("---\n---\na: 1\n---\n~\n...\n", "{a@3=1@3}@3");
}

#[test]
fn aliases_stand_for_what_is_anchored() {
    check("a: &x [1]\nb: *x\n", "{a@1=[1@1]@1 b@2=[1@1]@2}@1");
    check("- &x 1\n- &x 2\n- *x\n", "[1@1 2@2 2@3]@1");
}

#[test]
fn merge_keys_fill_in_what_is_not_there() {
    check(
        "- &x {a: 1, b: 2}\n- <<: *x\n  b: 3\n",
        "[{a@1=1@1 b@1=2@1}@1 {b@3=3@3 a@1=1@1}@2]@1",
    );
    check(
        "- &x {a: 1}\n- &y {a: 2, b: 2}\n- <<: [*x, *y]\n",
        "[{a@1=1@1}@1 {a@2=2@2 b@2=2@2}@2 {a@1=1@1 b@2=2@2}@3]@1",
    );
    check("\"<<\": 1\n", "{'<<'@1=1@1}@1");
    check("a: 1\na: 2\n", "{a@1=1@1 a@2=2@2}@1");
}

#[test]
fn only_a_mapping_can_be_merged() {
    check_fault(
        "a:\n  <<: 5\n",
        2,
        "expected a mapping, or a list of mappings, under `<<`",
    );
    check_fault(
        "<<: [[a]]\n",
        1,
        "expected a mapping, or a list of mappings, under `<<`",
    );
}

#[test]
fn a_string_tag_makes_a_string_and_other_tags_are_refused() {
    let documents = parse(&"f".into(), "[!!str 5, ! 5, !!int 5]").unwrap();
    let Kind::Sequence(items) = &documents[0].kind else {
        panic!("{documents:?}");
    };
    let is_plain = |node: &Node| matches!(&node.kind, Kind::Scalar(scalar) if scalar.plain);
    let plain: Vec<bool> = items.iter().map(is_plain).collect();
    assert_eq!(plain, [false, false, true]);
    check_fault("a: 1\nb: !ref x\n", 2, "the tag `!ref` is not supported");
    check_fault(
        "a: !!set {x, y}\n",
        1,
        "the tag `tag:yaml.org,2002:set` is not supported",
    );
}

#[test]
fn what_is_not_yaml_is_refused_at_its_place() {
    for (text, line) in [
        ("a: 1\nb: [1,\n", 2),
        ("a:\n\tb: 2\n", 2),
        ("a: 1\n  b: 2\n", 2),
        ("a: \"x\n", 1),
        ("a: *x\n", 1),
        ("a: &x 1\n---\nb: *x\n", 3),
        ("a: 1\n%\n", 2),
        ("a: \u{1}\n", 1),
        ("}", 1),
    ] {
        let fault = parse(&"f".into(), text).unwrap_err();
        assert!(fault.message.starts_with("not YAML: "), "{fault}");
        assert_eq!(fault.line, line, "{text:?}: {fault}");
    }
}

#[test]
fn a_node_cannot_contain_itself() {
    check_fault("a: &x\n- *x\n", 2, "an alias to a node that contains it");
}

#[test]
fn aliases_of_aliases_are_counted_before_they_are_copied() {
    let mut text = String::from("- &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..40 {
        let below = format!("*a{}", level - 1);
        let copies = [below.as_str(); 9].join(", ");
        text.push_str(&format!("- &a{level} [{copies}]\n"));
    }
    let fault = parse(&"f".into(), &text).unwrap_err();
    assert_eq!(
        fault.message,
        "too large: with its aliases resolved, more than 256 MiB"
    );

    let long = "x".repeat(1 << 20);
    let text = format!("- &a {long}\n{}", "- *a\n".repeat(1_000));
    let fault = parse(&"f".into(), &text).unwrap_err();
    assert_eq!(
        fault.message,
        "too large: with its aliases resolved, more than 256 MiB"
    );
}

#[test]
fn nesting_is_bounded_whether_written_or_made_of_aliases() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&"f".into(), &nested(MAX_DEPTH - 1)).is_ok());
    check_fault(
        &nested(MAX_DEPTH),
        1,
        "nested too deep: at most 100 levels are read",
    );
    assert!(parse(&"f".into(), &nested(100_000)).is_err());
    assert!(parse(&"f".into(), &"- ".repeat(100_000)).is_err());
    assert!(parse(&"f".into(), &"? ".repeat(100_000)).is_err());

    let mut text = String::from("- &a0 [x]\n");
    for level in 1..MAX_DEPTH {
        text.push_str(&format!("- &a{level} [*a{}]\n", level - 1));
    }
    let fault = parse(&"f".into(), &text).unwrap_err();
    assert_eq!(
        fault.message,
        "nested too deep: at most 100 levels are read"
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[-a:?\\[\\]{}&*<!|>'\"%#, \n\t~1]{0,40}") {
        if let Err(fault) = parse(&"f".into(), &text) {
            prop_assert!((1..=text.lines().count() + 1).contains(&fault.line), "{}", fault);
        }
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let documents = parse(&"f".into(), text).unwrap();
    let shown: Vec<String> = documents.iter().map(show).collect();
    let shown = shown.join(" ");
    assert_eq!(shown, expected);
}

#[track_caller]
fn check_fault(text: &str, line: usize, message: &str) {
    let fault = parse(&"f".into(), text).unwrap_err();
    assert_eq!((fault.line, fault.message.as_str()), (line, message));
}

fn show(node: &Node) -> String {
    let text = match &node.kind {
        Kind::Scalar(Scalar { text, plain: true }) => text.clone(),
        Kind::Scalar(Scalar { text, plain: false }) => format!("'{text}'"),
        Kind::Sequence(items) => {
            let items: Vec<String> = items.iter().map(show).collect();
            format!("[{}]", items.join(" "))
        }
        Kind::Mapping(entries) => {
            let entry = |(key, value): &(Node, Node)| format!("{}={}", show(key), show(value));
            let entries: Vec<String> = entries.iter().map(entry).collect();
            format!("{{{}}}", entries.join(" "))
        }
    };
    format!("{text}@{}", node.line)
}
