//! `slidegate generate --output`: what is left of files that cannot all be written.

use std::fs;

use crate::generate::file_names;
use crate::generate::generate;

#[test]
fn what_cannot_be_written_whole_leaves_the_directory_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path();
    fs::write(output.join("backend-authz.yaml"), "as: before\n").unwrap();
    // Nothing can be put in the place of a directory.
    fs::create_dir(output.join("httproute-chat.yaml")).unwrap();
    let before = file_names(output);
    let done = generate(&["config/imprun", "--output", output.to_str().unwrap()]);
    let complaint = String::from_utf8(done.stderr).unwrap();
    let expected = format!(
        "slidegate: cannot write {}/httproute-chat.yaml: is a directory\n",
        output.display()
    );
    assert_eq!(complaint, expected);
    assert_eq!((done.status.code(), done.stdout), (Some(1), Vec::new()));
    assert_eq!(file_names(output), before);
    let kept = fs::read_to_string(output.join("backend-authz.yaml")).unwrap();
    assert_eq!(kept, "as: before\n");
}
