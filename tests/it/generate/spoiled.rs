//! Documents and manifests with random changes in them are faults, or as good as before.

use std::cell::Cell;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use slidegate::manifest;
use slidegate::manifest::explain::explain;
use slidegate::manifest::read;
use slidegate::rule::tree::RuleSet;
use slidegate::source;
use slidegate::source::file::File;

use crate::generate::arbitrary::generated;
use crate::generate::arbitrary::runner;
use crate::generate::text;
use crate::support::in_project;
use crate::support::sample;

#[test]
fn spoiled_documents_are_faults_and_never_a_panic() {
    let samples = [
        ["gateway", "plans", "policies", "routes"]
            .map(|file| text(&in_project(&format!("config/imprun/{file}.yaml"))))
            .join("---\n"),
        text(&in_project("tests/golden/every-field.yaml")),
    ];
    for sample in &samples {
        generated(sample).unwrap();
    }
    let spoils = prop::collection::vec(spoil(), 1..4);
    let n_refused = Cell::new(0);
    runner(256)
        .run(&(0..samples.len(), spoils), |(chosen, spoils)| {
            let mut stream = samples[chosen].clone();
            for spoil in &spoils {
                stream = spoil.applied(&stream);
            }
            match generated(&stream) {
                // A letter in a name or a comment hurts nobody.
                Ok(manifests) => {
                    let again = read::read(&Arc::from("stream"), &manifest::write(&manifests));
                    prop_assert_eq!(again.unwrap(), manifests);
                }
                Err(faults) => {
                    n_refused.set(n_refused.get() + 1);
                    prop_assert!(faults.starts_with("t.yaml"), "{faults}");
                }
            }
            Ok(())
        })
        .unwrap();
    let n_refused = n_refused.get();
    assert!((64..256).contains(&n_refused), "{n_refused} of 256 refused");
}

#[test]
fn spoiled_manifests_are_faults_and_never_a_panic() {
    let samples = [
        "tests/vectors/selectors/input.yaml",
        "tests/vectors/plans/input.yaml",
        "tests/golden/every-field-manifests.yaml",
    ];
    let samples = samples.map(|sample| text(&in_project(sample)));
    let deployed = |stream: &str| {
        let file = File {
            name: Arc::from("t.yaml"),
            text: stream.to_owned(),
        };
        source::deployed(&[file], "default")
    };
    for sample in &samples {
        deployed(sample).unwrap();
    }
    let spoils = prop::collection::vec(spoil(), 1..4);
    let n_refused = Cell::new(0);
    runner(256)
        .run(&(0..samples.len(), spoils), |(chosen, spoils)| {
            let mut stream = samples[chosen].clone();
            for spoil in &spoils {
                stream = spoil.applied(&stream);
            }
            match deployed(&stream) {
                Ok(deployed) => {
                    let rules = RuleSet::new(deployed.domains);
                    let request = sample::requests().remove(0).request;
                    let answers = explain(&deployed.manifests, &rules, &request);
                    prop_assert!(answers.is_ok(), "{answers:?}");
                }
                Err(faults) => {
                    n_refused.set(n_refused.get() + 1);
                    let faults = faults.to_string();
                    prop_assert!(faults.starts_with("t.yaml"), "{faults}");
                }
            }
            Ok(())
        })
        .unwrap();
    let n_refused = n_refused.get();
    assert!((64..256).contains(&n_refused), "{n_refused} of 256 refused");
}

/// A change to a text.
#[derive(Clone, Debug)]
enum Spoil {
    /// Puts this in place of a character.
    Character(Index, String),
    /// Takes a line away.
    Line(Index),
    /// Puts one line's value in place of another's.
    Value(Index, Index),
    /// Puts a word in place of another.
    Word(Index, Index),
}

impl Spoil {
    fn applied(&self, text: &str) -> String {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        match self {
            Self::Character(place, instead) => {
                let mut characters: Vec<String> = text.chars().map(String::from).collect();
                *place.get_mut(&mut characters) = instead.clone();
                return characters.concat();
            }
            Self::Line(place) => {
                lines.remove(place.index(lines.len()));
            }
            Self::Value(from, to) => {
                let value = |line: &str| line.split_once(": ").map(|(_, value)| value.to_owned());
                let value = value(&lines[from.index(lines.len())]).unwrap_or_default();
                let line = to.get_mut(&mut lines);
                *line = format!("{}: {value}", line.split(": ").next().unwrap_or_default());
            }
            Self::Word(from, to) => {
                let words: Vec<&str> = text.split_whitespace().collect();
                let (from, to) = (from.get(&words), to.get(&words));
                return text.replacen(to, from, 1);
            }
        }
        lines.join("\n")
    }
}

fn spoil() -> impl Strategy<Value = Spoil> {
    let index = || any::<Index>();
    let character = prop_oneof![
        Just(String::new()),
        "[ -~]",
        any::<char>().prop_map(String::from)
    ];
    prop_oneof![
        (index(), character).prop_map(|(place, instead)| Spoil::Character(place, instead)),
        index().prop_map(Spoil::Line),
        (index(), index()).prop_map(|(from, to)| Spoil::Value(from, to)),
        (index(), index()).prop_map(|(from, to)| Spoil::Word(from, to)),
    ]
}
