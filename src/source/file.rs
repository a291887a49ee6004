//! YAML files, given one by one or by their directory.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::fs::DirEntry;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::document::Fault;
use crate::document::Faults;

/// A file as it was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct File {
    /// The name for messages: the path that was given, joined with the way to the file.
    pub name: Arc<str>,
    /// What stands in it.
    pub text: String,
}

/// Reads files and directories, each file once: paths in the order in which they are given, files
/// of a directory by name.
///
/// Of a directory, `*.yaml` and `*.yml` are read, those of its subdirectories as well; names that
/// begin with a dot are skipped, so that a mounted ConfigMap is read once.
///
/// # Errors
///
/// A fault for each path that cannot be read, holds no YAML file or is too large.
pub fn read(paths: &[PathBuf]) -> Result<Vec<File>, Faults> {
    let mut faults = Vec::new();
    let files = read_all(paths, &mut faults);
    Faults::none_or(faults, files)
}

/// As [`read`], with what can be read in spite of faults.
pub fn read_all(paths: &[PathBuf], faults: &mut Vec<Fault>) -> Vec<File> {
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    for path in paths {
        for path in Found::at(path, faults).files {
            let identity = path.canonicalize().unwrap_or_else(|_| path.clone());
            if !seen.insert(identity) {
                continue;
            }
            match read_file(&path) {
                Ok(file) => files.push(file),
                Err(fault) => faults.push(fault),
            }
        }
    }
    files
}

/// How many bytes a file may have.
pub const MAX_BYTES: u64 = 64 << 20;

/// What a given path stands for.
#[derive(Debug, Default)]
pub struct Found {
    /// The file itself, or the YAML files of the directory in order.
    pub files: Vec<PathBuf>,
    /// The directory and those below it.
    pub directories: Vec<PathBuf>,
}

impl Found {
    /// Looks for files, with a fault for each directory that cannot be listed or has none.
    pub fn at(path: &Path, faults: &mut Vec<Fault>) -> Self {
        let mut found = Self::default();
        if !path.is_dir() {
            found.files.push(path.to_owned());
            return found;
        }
        let n_faults = faults.len();
        found.walk(path, &mut Vec::new(), faults);
        if found.files.is_empty() && faults.len() == n_faults {
            faults.push(fault(
                path,
                0,
                "no `.yaml` or `.yml` file in this directory",
            ));
        }
        found
    }

    /// Adds a directory. One that is linked to from below itself is not entered again.
    fn walk(&mut self, path: &Path, above: &mut Vec<PathBuf>, faults: &mut Vec<Fault>) {
        let listed = path.canonicalize().and_then(|identity| {
            let entries: io::Result<Vec<_>> = fs::read_dir(path)?.collect();
            Ok((identity, entries?))
        });
        let (identity, mut entries) = match listed {
            Ok(listed) => listed,
            Err(error) => {
                faults.push(unreadable(path, &error));
                return;
            }
        };
        if above.contains(&identity) {
            return;
        }
        above.push(identity);
        self.directories.push(path.to_owned());
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            if path.is_dir() {
                self.walk(&path, above, faults);
            } else if is_yaml(&path) {
                self.files.push(path);
            }
        }
        above.pop();
    }
}

fn is_yaml(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    extension.is_some_and(|it| it.eq_ignore_ascii_case("yaml") || it.eq_ignore_ascii_case("yml"))
}

pub(super) fn read_file(path: &Path) -> Result<File, Fault> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(fault(path, 0, "larger than 64 MiB"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let read = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + read.iter().filter(|byte| **byte == b'\n').count();
        fault(path, line, "not UTF-8")
    })?;
    Ok(File {
        name: name(path),
        text,
    })
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Fault {
    fault(path, 0, format!("cannot be read: {error}"))
}

fn fault(path: &Path, line: usize, message: impl Into<String>) -> Fault {
    Fault {
        file: name(path),
        line,
        path: String::new(),
        message: message.into(),
    }
}

fn name(path: &Path) -> Arc<str> {
    path.to_string_lossy().into()
}

#[cfg(test)]
mod tests;
