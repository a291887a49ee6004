//! What several files come to together.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::metrics::Metrics;

#[test]
fn the_domains_of_all_files_are_loaded() {
    let dir = dir(&[
        ("a.yaml", "domain: a\n---\ndomain: b\n"),
        ("b.yaml", "domain: c\n"),
        ("empty.yaml", "# nothing yet\n"),
    ]);
    assert_eq!(loaded(&dir, &[""], &[]), "a b c");
}

#[test]
fn a_domain_stands_in_one_file_only() {
    let dir = dir(&[
        ("a.yaml", "domain: a\n"),
        ("b.yaml", "# twice\ndomain: a\n"),
    ]);
    assert_eq!(
        loaded(&dir, &[""], &[]),
        "b.yaml:2: domain: domain `a` stands in a.yaml:1 already"
    );
}

#[test]
fn the_faults_of_all_files_are_reported_together() {
    let dir = dir(&[
        ("a.yaml", "domain: [\n"),
        ("b.yaml", "domain: ''\n"),
        ("c.yaml", "domain: c\n"),
    ]);
    let faults = loaded(&dir, &["a.yaml", "b.yaml", "absent.yaml"], &[]);
    assert_eq!(
        faults,
        "a.yaml:1: not YAML: unclosed bracket '['\n\
         absent.yaml: cannot be read: No such file or directory (os error 2)\n\
         b.yaml:1: domain: expected a string that is not empty"
    );
}

#[test]
fn a_platform_is_derived_beside_the_rules() {
    let dir = dir(&[("a.yaml", "domain: a\n")]);
    let domains = loaded(&dir, &["a.yaml"], &[SAMPLE]);
    assert_eq!(
        domains,
        "default/api-gw/http default/api-gw/https default/partner-gw/https default/platform.gateways a"
    );
}

#[test]
fn a_domain_of_the_platform_cannot_be_written_as_well() {
    let dir = dir(&[("a.yaml", "domain: default/api-gw/http\n")]);
    assert_eq!(
        loaded(&dir, &["a.yaml"], &[SAMPLE]),
        "a.yaml:1: domain: domain `default/api-gw/http` stands in the platform documents already"
    );
}

#[test]
fn a_platform_that_cannot_be_read_whole_is_not_looked_at_further() {
    let dir = dir(&[
        ("broken.yaml", "kind: [\n"),
        ("route.yaml", "kind: Nonsense\nname: x\n"),
    ]);
    assert_eq!(
        loaded(&dir, &[], &[""]),
        "broken.yaml:1: not YAML: unclosed bracket '['"
    );
    let fault = loaded(&dir, &[], &["route.yaml"]);
    assert!(fault.starts_with("route.yaml:1: kind: "), "{fault}");
}

#[test]
fn mixed_documents_are_told_apart_by_their_kind() {
    let dir = dir(&[("a.yaml", "domain: a\n---\nkind: Nonsense\n---\ndomian: b\n")]);
    let faults = load_mixed(&[dir.path().to_owned()], "default").unwrap_err();
    let faults: Vec<(usize, &str)> = faults
        .iter()
        .map(|it| (it.line, it.path.as_str()))
        .collect();
    assert_eq!(faults, [(3, "kind"), (5, ""), (5, "domian")]);

    let sample = load_mixed(&[SAMPLE.into()], "default").unwrap();
    assert_eq!(
        names(&sample.domains),
        "default/api-gw/http default/api-gw/https default/partner-gw/https default/platform.gateways"
    );
}

#[test]
fn unchanged_contents_come_to_nothing_new_whether_good_or_bad() {
    let dir = dir(&[("rules.yaml", "domain: a\n")]);
    let write = |text: &str| fs::write(dir.path().join("rules.yaml"), text).unwrap();
    let sources = sources(&dir, &["rules.yaml"], &[]);
    let first = Look::at(&sources, None);
    assert!(matches!(first.outcome, Some(Ok(_))));
    write("domain: a\n");
    assert!(Look::at(&sources, Some(&first.contents)).outcome.is_none());
    write("domain: ''\n");
    let bad = Look::at(&sources, Some(&first.contents));
    assert!(matches!(bad.outcome, Some(Err(_))));
    assert!(Look::at(&sources, Some(&bad.contents)).outcome.is_none());
    fs::remove_file(dir.path().join("rules.yaml")).unwrap();
    let gone = Look::at(&sources, Some(&bad.contents));
    assert!(matches!(gone.outcome, Some(Err(_))));
    assert!(Look::at(&sources, Some(&gone.contents)).outcome.is_none());
}

#[tokio::test]
async fn each_change_is_applied() {
    let dir = dir(&[("rules.yaml", "domain: a\n")]);
    let write = |text: &str| fs::write(dir.path().join("rules.yaml"), text).unwrap();
    let sources = sources(&dir, &["rules.yaml"], &[]);
    let (applied, mut applications) = tokio::sync::mpsc::unbounded_channel();
    let apply = move |domains: Vec<Domain>| applied.send(names(&domains)).unwrap();
    let (metrics, stop) = (Metrics::new(), CancellationToken::new());
    let user = async {
        assert_eq!(applications.recv().await.unwrap(), "a");
        write("domain: b\n");
        assert_eq!(applications.recv().await.unwrap(), "b");
        stop.cancel();
    };
    let start = Start::read(sources).unwrap();
    let watch = start.apply(&apply, &metrics.source());
    let watching = watch.run(apply, metrics.source(), stop.clone());
    let (ended, ()) = tokio::join!(watching, user);
    ended.unwrap();
    let page = metrics.render();
    assert!(
        page.contains("slidegate_config_loads_total{result=\"loaded\"} 2"),
        "{page}"
    );
    assert!(page.contains("slidegate_config_domains 1"), "{page}");
}

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/imprun");

/// The names of the domains that are loaded, or the faults.
#[track_caller]
fn loaded(dir: &TempDir, rules: &[&str], platform: &[&str]) -> String {
    match Start::read(sources(dir, rules, platform)) {
        Ok(start) => names(start.domains()),
        Err(faults) => {
            let root = format!("{}/", dir.path().display());
            faults.to_string().replace(&root, "")
        }
    }
}

fn sources(dir: &TempDir, rules: &[&str], platform: &[&str]) -> Sources {
    let paths = |names: &[&str]| names.iter().map(|name| dir.path().join(name)).collect();
    Sources {
        rules: paths(rules),
        platform: paths(platform),
        namespace: "default".to_owned(),
        ..Sources::default()
    }
}

fn names(domains: &[Domain]) -> String {
    let names: Vec<&str> = domains.iter().map(|domain| domain.name.as_str()).collect();
    names.join(" ")
}

/// A directory with these files.
fn dir(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}
