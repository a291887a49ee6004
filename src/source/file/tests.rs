//! Which files are read, in which order.

use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

#[test]
fn a_directory_is_read_with_its_subdirectories_by_name() {
    let dir = dir(&[
        "b.yaml",
        "a/z.yml",
        "a/a.YAML",
        "c.yaml.bak",
        "notes.txt",
        ".hidden.yaml",
        ".git/x.yaml",
    ]);
    check(&dir, &[""], &["a/a.YAML", "a/z.yml", "b.yaml"]);
}

#[test]
fn a_file_is_read_whatever_its_name_and_in_the_given_order() {
    let dir = dir(&["b.conf", "a.yaml"]);
    check(&dir, &["b.conf", "a.yaml"], &["b.conf", "a.yaml"]);
}

#[test]
fn a_file_that_is_given_twice_is_read_once() {
    let dir = dir(&["a.yaml", "b.yaml"]);
    symlink("a.yaml", dir.path().join("c.yaml")).unwrap();
    check(&dir, &["b.yaml", "", "a.yaml"], &["b.yaml", "a.yaml"]);
}

#[test]
fn a_mounted_config_map_is_read_once() {
    let dir = dir(&["..2026_01/a.yaml"]);
    symlink("..2026_01", dir.path().join("..data")).unwrap();
    symlink("..data/a.yaml", dir.path().join("a.yaml")).unwrap();
    check(&dir, &[""], &["a.yaml"]);
}

#[test]
fn linked_directories_are_followed_but_not_in_circles() {
    let dir = dir(&["a/a.yaml"]);
    symlink("..", dir.path().join("a/up")).unwrap();
    symlink("a", dir.path().join("b")).unwrap();
    check(&dir, &[""], &["a/a.yaml"]);
}

#[test]
fn what_cannot_be_read_is_a_fault_beside_what_can() {
    let dir = dir(&["good.yaml", "none/x.txt"]);
    let path = |name: &str| dir.path().join(name);
    fs::write(path("latin.yaml"), b"a: 1\nb: \xe9\n").unwrap();
    fs::File::create(path("large.yaml"))
        .unwrap()
        .set_len(MAX_BYTES + 1)
        .unwrap();
    let paths = [
        "good.yaml",
        "absent.yaml",
        "none",
        "latin.yaml",
        "large.yaml",
    ]
    .map(path);
    let mut faults = Vec::new();
    let files = read_all(&paths, &mut faults);
    assert_eq!(files.len(), 1);
    let root = format!("{}/", dir.path().display());
    let shown: Vec<String> = faults
        .iter()
        .map(|fault| fault.to_string().replace(&root, ""))
        .collect();
    assert_eq!(
        shown,
        [
            "absent.yaml: cannot be read: No such file or directory (os error 2)",
            "none: no `.yaml` or `.yml` file in this directory",
            "latin.yaml:2: not UTF-8",
            "large.yaml: larger than 64 MiB",
        ]
    );
    assert_eq!(read(&paths).unwrap_err().count(), 4);
}

/// Reads paths below `dir` and compares the names of what was read.
#[track_caller]
fn check(dir: &TempDir, paths: &[&str], expected: &[&str]) {
    let paths: Vec<PathBuf> = paths.iter().map(|path| dir.path().join(path)).collect();
    let files = read(&paths).unwrap();
    let root = format!("{}/", dir.path().display());
    let names: Vec<String> = files
        .iter()
        .map(|file| file.name.replace(&root, ""))
        .collect();
    assert_eq!(names, expected);
}

/// A directory with these files, each of which holds its own name.
fn dir(names: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    dir
}
