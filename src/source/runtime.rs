//! Rule files in the layout of envoyproxy/ratelimit.

use std::fs;
use std::fs::DirEntry;
use std::path::Path;
use std::path::PathBuf;

use crate::document::Fault;
use crate::source::file;
use crate::source::file::File;

/// Where the files lie, and which of them are rules.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Runtime {
    /// The directory, with all below it; none holds no rules.
    pub directory: Option<PathBuf>,
    /// What a file's key has to begin with: its path below the directory, with dots for slashes.
    pub prefix: Option<String>,
    /// Whether names that begin with a dot are skipped.
    pub skips_dot_files: bool,
}

impl Runtime {
    /// Reads every file, whatever its name ends with. Links to directories are not followed.
    pub fn read_all(&self, faults: &mut Vec<Fault>) -> Vec<File> {
        let mut paths = Vec::new();
        if let Some(directory) = &self.directory {
            self.walk(directory, "", &mut paths, faults);
        }
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            match file::read_file(&path) {
                Ok(file) => files.push(file),
                Err(fault) => faults.push(fault),
            }
        }
        files
    }

    fn walk(&self, path: &Path, key: &str, paths: &mut Vec<PathBuf>, faults: &mut Vec<Fault>) {
        let listed: Result<Vec<_>, _> = fs::read_dir(path).and_then(Iterator::collect);
        let mut entries = match listed {
            Ok(entries) => entries,
            Err(error) => {
                faults.push(file::unreadable(path, &error));
                return;
            }
        };
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            if self.skips_dot_files && name.starts_with('.') {
                continue;
            }
            let path = entry.path();
            let key = format!("{key}{name}");
            if entry.file_type().is_ok_and(|it| it.is_dir()) {
                self.walk(&path, &format!("{key}."), paths, faults);
            } else if path.is_file() {
                let is_rules = self.prefix.as_ref().is_none_or(|it| key.starts_with(it));
                paths.extend(is_rules.then_some(path));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_file_below_the_directory_is_read_whatever_its_name() {
        check(
            None,
            false,
            ".hidden a.yaml config/b config/deep/c config.x",
        );
        check(None, true, "a.yaml config/b config/deep/c config.x");
    }

    #[test]
    fn a_prefix_chooses_by_the_path_with_dots_for_slashes() {
        check(Some("config."), false, "config/b config/deep/c config.x");
        check(Some("config.deep."), false, "config/deep/c");
        check(Some("other."), false, "");
    }

    #[test]
    fn no_directory_is_no_rules_and_an_absent_one_is_a_fault() {
        let mut faults = Vec::new();
        assert_eq!(Runtime::default().read_all(&mut faults), []);
        assert_eq!(faults, []);
        let absent = Runtime {
            directory: Some("absent".into()),
            ..Runtime::default()
        };
        assert_eq!(absent.read_all(&mut faults), []);
        assert_eq!(faults.len(), 1);
    }

    #[track_caller]
    fn check(prefix: Option<&str>, skips_dot_files: bool, expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("config/deep")).unwrap();
        for name in ["a.yaml", ".hidden", "config.x", "config/b", "config/deep/c"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        symlink("config", dir.path().join("link")).unwrap();
        let runtime = Runtime {
            directory: Some(dir.path().to_owned()),
            prefix: prefix.map(str::to_owned),
            skips_dot_files,
        };
        let mut faults = Vec::new();
        let files = runtime.read_all(&mut faults);
        assert_eq!(faults, []);
        let root = format!("{}/", dir.path().display());
        let names: Vec<_> = files.iter().map(|it| it.name.replace(&root, "")).collect();
        assert_eq!(names.join(" "), expected);
    }
}
