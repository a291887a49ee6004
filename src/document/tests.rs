//! How a document is walked, and how its faults read.

use super::*;

#[test]
fn a_fault_names_its_file_line_and_path_on_one_line() {
    let fault = |line, path: &str, message: &str| Fault {
        file: "a.yaml".into(),
        line,
        path: path.to_owned(),
        message: message.to_owned(),
    };
    let shown = |fault: Fault| fault.to_string();
    assert_eq!(
        shown(fault(3, "a[0].b", "wrong")),
        "a.yaml:3: a[0].b: wrong"
    );
    assert_eq!(shown(fault(3, "", "wrong")), "a.yaml:3: wrong");
    assert_eq!(shown(fault(0, "", "wrong")), "a.yaml: wrong");
    assert_eq!(
        shown(fault(1, "a\nb", "found `\n\u{1b}[0m`ä")),
        "a.yaml:1: a\\nb: found `\\n\\u{1b}[0m`ä",
    );
}

#[test]
fn faults_come_line_by_line() {
    let fault = |file: &str, line| Fault {
        file: file.into(),
        line,
        path: String::new(),
        message: "wrong".to_owned(),
    };
    let faults = vec![fault("b", 1), fault("a", 10), fault("a", 9)];
    let faults = Faults::none_or(faults, ()).unwrap_err();
    assert_eq!(faults.count(), 3);
    assert_eq!(faults.to_string(), "a:9: wrong\na:10: wrong\nb:1: wrong");
    assert_eq!(Faults::none_or(Vec::new(), 5), Ok(5));
}

#[test]
fn a_whole_number_is_digits_without_quotes_in_its_range() {
    let number = |text: &str| {
        walk(text, |root, faults| {
            root.number(1, 99, faults).map(|number| number.to_string())
        })
    };
    assert_eq!(number("1"), "1");
    assert_eq!(number("99"), "99");
    for text in [
        "0",
        "100",
        "-1",
        "+1",
        "1.0",
        "1e1",
        "0x1",
        "010",
        "1_0",
        "a",
        "99999999999999999999",
    ] {
        let expected = format!("f:1: expected a whole number from 1 to 99, found `{text}`");
        assert_eq!(number(text), expected);
    }
    assert_eq!(
        number("\"5\""),
        "f:1: expected a whole number from 1 to 99, found `5`"
    );
    assert_eq!(
        number("[1]"),
        "f:1: expected a whole number from 1 to 99, found a list"
    );
}

#[test]
fn a_boolean_is_true_or_false_without_quotes() {
    let boolean = |text: &str| {
        walk(text, |root, faults| {
            root.boolean(faults).map(|it| it.to_string())
        })
    };
    assert_eq!(boolean("true"), "true");
    assert_eq!(boolean("False"), "false");
    assert_eq!(boolean("yes"), "f:1: expected true or false, found `yes`");
    assert_eq!(
        boolean("'true'"),
        "f:1: expected true or false, found `true`"
    );
    assert_eq!(
        boolean("{a: 1}"),
        "f:1: expected true or false, found a mapping"
    );
}

#[test]
fn text_is_any_scalar_as_it_is_written() {
    let text = |text: &str| walk(text, |root, faults| root.text(faults).map(str::to_owned));
    for scalar in ["0123", "1.50", "true", "a b", "1e3"] {
        assert_eq!(text(scalar), scalar);
    }
    assert_eq!(text("'~'"), "~");
    assert_eq!(text("[a]"), "f:1: expected a string, found a list");
    assert_eq!(text("[~]").as_str(), "f:1: expected a string, found a list");
}

#[test]
fn a_fraction_is_told_from_text() {
    let is_fraction = |text: &str| {
        let documents = node::parse(&"f".into(), text).unwrap();
        At::root(&"f".into(), &documents[0]).is_fraction()
    };
    for text in [
        "1.5",
        "-1.5",
        "+.5",
        "1.",
        "1e3",
        "1E-3",
        "1.5e3",
        ".inf",
        "-.INF",
        ".NaN",
        "99999999999999999999",
    ] {
        assert!(is_fraction(text), "{text}");
    }
    for text in [
        "1",
        "-1",
        "18446744073709551615",
        "0123",
        "'1.5'",
        "1.2.3",
        "inf",
        "nan",
        "infinity",
        "e3",
        "1e",
        "v1.5",
        "10.0.0.0/8",
        "1:30",
        "[1.5]",
    ] {
        assert!(!is_fraction(text), "{text}");
    }
}

#[test]
fn a_name_out_of_a_few_is_found_or_the_few_are_named() {
    let one_of = |text: &str| {
        walk(text, |root, faults| {
            let names = [("ask", 1), ("report", 2), ("none", 3)];
            root.one_of(&names, faults).map(|it| it.to_string())
        })
    };
    assert_eq!(one_of("report"), "2");
    assert_eq!(
        one_of("Report"),
        "f:1: unknown value `Report`: did you mean `report`?"
    );
}

#[test]
fn every_key_that_nobody_asks_for_is_a_fault() {
    let text = "a: 1\nold: 2\nb: ~\nc: {d: [x]}\n";
    let faults = walk(text, |root, faults| {
        let mut fields = root.mapping(faults)?;
        assert_eq!(fields.optional("a")?.line(), 1);
        assert!(fields.optional("b").is_none());
        assert!(fields.optional("absent").is_none());
        fields.unsupported("old", faults);
        fields.unsupported("new", faults);
        fields.finish(faults);
        None
    });
    assert_eq!(
        faults,
        "f:2: old: `old` is not supported yet\nf:4: c: unknown key `c`: expected a, b or absent"
    );
}

#[test]
fn a_missing_key_and_a_null_one_are_the_same_fault() {
    let required = |text: &str| {
        walk(text, |root, faults| {
            let mut fields = root.mapping(faults)?;
            let at = fields.required("a", faults);
            fields.finish(faults);
            Some(at?.line().to_string())
        })
    };
    assert_eq!(required("a: 1"), "1");
    assert_eq!(required("a: ~"), "f:1: `a` is missing");
    assert_eq!(required("a:"), "f:1: `a` is missing");
    assert_eq!(required("{}"), "f:1: `a` is missing");
    assert_eq!(required("a: ''"), "1");
}

#[test]
fn a_key_stands_once_and_is_a_string() {
    let faults = walk("a: 1\na: 2\n? [b]\n: 3\n", |root, faults| {
        let mut fields = root.mapping(faults)?;
        fields.optional("a")?;
        fields.finish(faults);
        None
    });
    assert_eq!(
        faults,
        "f:2: a: key `a` stands here twice\nf:3: ?: expected a string as key, found a list"
    );
}

#[test]
fn paths_lead_through_mappings_and_lists() {
    let faults = walk("a:\n- b: 1\n- b: [x]\n", |root, faults| {
        let mut fields = root.mapping(faults)?;
        for item in fields.optional("a")?.items(faults) {
            let mut fields = item.mapping(faults)?;
            fields.optional("b")?.text(faults);
            fields.finish(faults);
        }
        fields.finish(faults);
        None
    });
    assert_eq!(faults, "f:3: a[1].b: expected a string, found a list");
}

#[test]
fn a_message_repeats_a_long_text_in_part_only() {
    let long = "ä".repeat(1_000);
    let shown = walk(&format!("{long}: 1"), |root, faults| {
        root.mapping(faults)?.finish(faults);
        None
    });
    let short = "ä".repeat(80);
    assert_eq!(
        shown,
        format!("f:1: {short}…: unknown key `{short}…`: expected nothing")
    );
}

/// What a reader of the first document answers, or its faults.
#[track_caller]
fn walk(text: &str, read: impl FnOnce(&At<'_>, &mut Vec<Fault>) -> Option<String>) -> String {
    let file = "f".into();
    let documents = node::parse(&file, text).unwrap();
    let mut faults = Vec::new();
    let answer = read(&At::root(&file, &documents[0]), &mut faults);
    match Faults::none_or(faults, answer) {
        Ok(answer) => answer.unwrap_or_default(),
        Err(faults) => faults.to_string(),
    }
}
