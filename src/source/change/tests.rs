//! Which changes are seen, and which do not matter.

use std::fs;
use std::os::unix::fs::symlink;

use notify::EventKind;
use notify::event::AccessKind;
use notify::event::CreateKind;
use notify::event::Flag;
use tempfile::TempDir;

use super::*;

#[tokio::test]
async fn a_file_that_is_written_replaced_removed_or_created_is_seen() {
    let dir = dir(&["rules/a.yaml", "new.yaml"]);
    let at = |name: &str| dir.path().join(name);
    let file = [at("rules/a.yaml")];
    sees(&file, || fs::write(at("rules/a.yaml"), "b")).await;
    sees(&file, || fs::rename(at("new.yaml"), at("rules/a.yaml"))).await;
    sees(&file, || fs::remove_file(at("rules/a.yaml"))).await;
    sees(&file, || fs::write(at("rules/a.yaml"), "c")).await;
}

#[tokio::test]
async fn what_happens_below_a_directory_is_seen() {
    let dir = dir(&["rules/deep/a.yaml"]);
    let at = |name: &str| dir.path().join(name);
    let rules = [at("rules")];
    sees(&rules, || fs::write(at("rules/deep/a.yaml"), "b")).await;
    sees(&rules, || fs::write(at("rules/deep/b.yaml"), "b")).await;
    sees(&rules, || fs::create_dir(at("rules/deep/er"))).await;
    sees(&rules, || fs::remove_dir_all(at("rules"))).await;
    sees(&rules, || fs::create_dir(at("rules"))).await;
}

#[tokio::test]
async fn a_path_whose_directories_do_not_exist_yet_is_seen_to_appear() {
    let dir = dir(&[]);
    let at = |name: &str| dir.path().join(name);
    let file = [at("a/b/c.yaml")];
    sees(&file, || fs::create_dir(at("a"))).await;
    sees(&file, || fs::create_dir(at("a/b"))).await;
    sees(&file, || fs::write(at("a/b/c.yaml"), "c")).await;
}

#[tokio::test]
async fn the_swap_of_a_config_map_is_seen_by_file_and_by_directory() {
    let dir = dir(&["..1/a.yaml", "..2/a.yaml", "..3/a.yaml"]);
    let at = |name: &str| dir.path().join(name);
    let swap = |to: &str| {
        symlink(to, at("..new"))?;
        fs::rename(at("..new"), at("..data"))
    };
    swap("..1").unwrap();
    symlink("..data/a.yaml", at("a.yaml")).unwrap();
    sees(&[at("a.yaml")], || swap("..2")).await;
    sees(&[at("")], || swap("..3")).await;
}

#[tokio::test]
async fn links_on_the_way_are_seen_to_be_pointed_elsewhere() {
    let dir = dir(&[
        "releases/1/rules/a.yaml",
        "releases/2/rules/a.yaml",
        "srv/x",
    ]);
    let at = |name: &str| dir.path().join(name);
    symlink("../releases/1", at("srv/current")).unwrap();
    let rules = [at("srv/current/rules")];
    sees(&rules, || fs::write(at("releases/1/rules/a.yaml"), "b")).await;
    sees(&rules, || {
        fs::remove_file(at("srv/current"))?;
        symlink("../releases/2", at("srv/current"))
    })
    .await;
    sees(&rules, || fs::write(at("releases/2/rules/a.yaml"), "b")).await;
}

#[test]
fn what_happens_beside_a_path_does_not_matter() {
    let dir = dir(&["rules/a.yaml", "b.yaml"]);
    let root = dir.path().canonicalize().unwrap();
    let places = Places::of(&[root.join("rules"), root.join("b.yaml")]);
    let created = EventKind::Create(CreateKind::File);
    let concern = |kind, name: &str| places.concern(&Event::new(kind).add_path(root.join(name)));
    assert!(concern(created, "rules/x"));
    assert!(concern(created, "rules"));
    assert!(concern(created, "b.yaml"));
    assert!(!concern(created, "c.yaml"));
    assert!(!concern(created, "rules/deep/x"));
    assert!(!concern(
        EventKind::Access(AccessKind::Read),
        "rules/a.yaml"
    ));
    let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
    assert!(places.concern(&overflow));
}

#[test]
fn a_circle_of_links_ends() {
    let dir = dir(&[]);
    let at = |name: &str| dir.path().join(name);
    symlink("b", at("a")).unwrap();
    symlink("a", at("b")).unwrap();
    let changes = Changes::of(&[at("a")]);
    assert!(!changes.lead_elsewhere(&[at("a")]));
}

#[test]
fn other_directories_are_noticed() {
    let dir = dir(&["rules/a.yaml"]);
    let rules = [dir.path().join("rules")];
    let changes = Changes::of(&rules);
    assert!(!changes.lead_elsewhere(&rules));
    fs::create_dir(dir.path().join("rules/deep")).unwrap();
    assert!(changes.lead_elsewhere(&rules));
}

#[tokio::test(start_paused = true)]
async fn without_a_change_patience_ends() {
    let dir = dir(&["a.yaml"]);
    let changes = Changes::of(&[dir.path().join("a.yaml")]);
    assert!(!changes.settle(Duration::from_secs(60)).await);
}

/// Whether a change is seen: else the test takes as long as `settle` may wait, and fails.
#[track_caller]
fn sees(
    paths: &[PathBuf],
    change: impl FnOnce() -> std::io::Result<()>,
) -> impl Future<Output = ()> {
    let changes = Changes::of(paths);
    assert_eq!(changes.unwatched(), [] as [String; 0]);
    change().unwrap();
    async move { assert!(changes.settle(Duration::from_secs(30)).await) }
}

/// A directory with these files.
fn dir(names: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    dir
}
