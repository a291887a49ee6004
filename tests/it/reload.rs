//! Rules that change while the service runs.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::eventually;
use crate::support::http::Call;
use crate::support::in_project;
use crate::support::service::Service;

#[test]
fn a_changed_file_changes_the_limit_and_goes_on_with_the_count() {
    let rules = Rules::new();
    rules.write("rules.yaml", &limit("shop", 1));
    let service = rules.serve("rules.yaml");
    assert_eq!(admitted(&service, "shop", 3), [true, false, false]);

    rules.write("rules.yaml", &limit("shop", 3));
    eventually("the new limit holds", || {
        admits(&service, "shop").then_some(())
    });
    assert_eq!(admitted(&service, "shop", 3), [true, false, false]);
    assert_eq!(service.metric(LOADED), 2.0);
    assert_eq!(service.metric("slidegate_config_rules"), 1.0);
}

#[test]
fn a_bad_change_is_refused_with_all_its_faults_and_the_last_good_set_stays() {
    let rules = Rules::new();
    rules.write("rules.yaml", &limit("shop", 0));
    let service = rules.serve("");
    assert!(!admits(&service, "shop"));

    rules.write(
        "rules.yaml",
        "domain: shop\ndescriptors:\n- {key: user, rate_limit: {unit: moon, requests_per_unit: -1}}\n",
    );
    rules.write("more.yaml", "descriptors: []\n");
    let file = |name: &str| rules.path(name).display().to_string();
    let place = format!("{}:3: descriptors[0].rate_limit", file("rules.yaml"));
    service.wait_for_log(&format!(
        "{place}.unit: unknown unit `moon`: expected second,"
    ));
    service.wait_for_log(&format!(
        "{place}.requests_per_unit: expected a whole number"
    ));
    service.wait_for_log(&format!("{}:1: `domain` is missing", file("more.yaml")));
    service.wait_for_log("rules refused, the last good set stays in force");
    assert!(!admits(&service, "shop"));
    assert_eq!(service.metric(LOADED), 1.0);
    assert!(service.metric(REFUSED) >= 1.0);

    rules.remove("more.yaml");
    rules.write("rules.yaml", &limit("shop", 1_000));
    eventually("the mended file is in force", || {
        admits(&service, "shop").then_some(())
    });
}

#[test]
fn the_swap_of_a_config_map_is_seen() {
    for path in ["", "rules.yaml"] {
        let rules = Rules::new();
        rules.write("..2026_01/rules.yaml", &limit("shop", 0));
        rules.write("..2026_02/rules.yaml", &limit("shop", 1_000));
        rules.link("..2026_01", "..data").unwrap();
        rules.link("..data/rules.yaml", "rules.yaml").unwrap();
        let service = rules.serve(path);
        assert!(!admits(&service, "shop"));

        // As the kubelet does it: a new link takes the place of the old one at once.
        rules.link("..2026_02", "..data_tmp").unwrap();
        fs::rename(rules.path("..data_tmp"), rules.path("..data")).unwrap();
        fs::remove_dir_all(rules.path("..2026_01")).unwrap();
        eventually("the new version is in force", || {
            admits(&service, "shop").then_some(())
        });
    }
}

#[test]
fn files_come_and_go_in_a_directory() {
    let rules = Rules::new();
    rules.write("shop.yaml", &limit("shop", 0));
    let service = rules.serve("");
    assert!(admits(&service, "bank"));

    rules.write("deep/er/bank.yaml", &limit("bank", 0));
    eventually("the new file is in force", || {
        (!admits(&service, "bank")).then_some(())
    });
    assert!(!admits(&service, "shop"));

    rules.remove("deep/er/bank.yaml");
    eventually("the removed file is no longer in force", || {
        admits(&service, "bank").then_some(())
    });
    assert!(!admits(&service, "shop"));
}

#[test]
fn a_path_that_vanishes_leaves_its_limits_until_it_is_back() {
    let rules = Rules::new();
    rules.write("mount/rules.yaml", &limit("shop", 0));
    let service = rules.serve("mount");
    fs::rename(rules.path("mount"), rules.path("gone")).unwrap();
    service.wait_for_log("mount: cannot be read: No such file or directory");
    service.wait_for_log("rules refused, the last good set stays in force");
    assert!(!admits(&service, "shop"));

    rules.write("mount/rules.yaml", &limit("shop", 1_000));
    eventually("the limits of the path that is back", || {
        admits(&service, "shop").then_some(())
    });
}

#[test]
fn a_changed_platform_changes_the_rules_that_are_derived() {
    let rules = Rules::new();
    let sample = in_project("config/imprun");
    for entry in fs::read_dir(sample).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), rules.path(entry.file_name())).unwrap();
    }
    let service = watching(&["--platform", &rules.path("").display().to_string()]);
    let is_listed = || {
        let listed = Call::get("/rlconfig").send(service.debug()).body;
        listed.contains("requests_per_unit=12345,")
    };
    assert!(!is_listed());

    let policies = fs::read_to_string(rules.path("policies.yaml")).unwrap();
    let (before, after) = policies.split_once("requests_per_unit: 3,").unwrap();
    rules.write(
        "policies.yaml",
        &format!("{before}requests_per_unit: 12345,{after}"),
    );
    eventually("the derived rule has changed", || is_listed().then_some(()));
}

/// A directory whose files are a service's rules.
struct Rules(TempDir);

impl Rules {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file beside its place and moves it there, so that nobody reads half of it.
    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let beside = self.path(".beside");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, path).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    fn link(&self, to: &str, name: &str) -> io::Result<()> {
        symlink(to, self.path(name))
    }

    #[track_caller]
    fn serve(&self, path: &str) -> Service {
        watching(&["--rules", &self.path(path).display().to_string()])
    }
}

/// A service that has begun to watch its files.
#[track_caller]
fn watching(arguments: &[&str]) -> Service {
    let service = Service::start(arguments);
    eventually("the files are watched", || {
        (service.metric(LOADED) > 0.0).then_some(())
    });
    service
}

/// A domain in which each user may have so many requests an hour.
fn limit(domain: &str, requests: u32) -> String {
    format!(
        "domain: {domain}\n\
         descriptors:\n\
         - key: user\n  \
           rate_limit: {{unit: hour, requests_per_unit: {requests}}}\n"
    )
}

/// Whether one hit of a user is admitted.
#[track_caller]
fn admits(service: &Service, domain: &str) -> bool {
    let answer = service.json(&format!(
        r#"{{"domain": "{domain}", "descriptors": [{{"entries": [{{"key": "user", "value": "u"}}]}}]}}"#
    ));
    match answer.status {
        200 => true,
        429 => false,
        status => panic!("{status}: {}", answer.body),
    }
}

fn admitted(service: &Service, domain: &str, times: usize) -> Vec<bool> {
    (0..times).map(|_| admits(service, domain)).collect()
}

const LOADED: &str = "slidegate_config_loads_total{result=\"loaded\"}";
const REFUSED: &str = "slidegate_config_loads_total{result=\"refused\"}";
