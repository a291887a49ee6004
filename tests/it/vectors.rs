//! What was copied from the recordings beside the project still equals them.

use std::fs;
use std::path::Path;

use crate::support;
use crate::support::in_project;
use crate::tidy::files_below;

#[test]
fn the_copied_vectors_are_the_recorded_ones() {
    let recorded = in_project("../shared/vectors");
    if !recorded.is_dir() {
        support::skip("REQUIRE_SHARED", "no ../shared/vectors to compare with");
        return;
    }
    let copied = in_project("tests/vectors");
    for path in files_below(&copied) {
        let name = path.strip_prefix(&copied).unwrap();
        let original = read(&recorded.join(name));
        assert!(read(&path) == original, "{} differs", name.display());
    }
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
