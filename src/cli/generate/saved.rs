//! Files in a directory, which get their names when all of them are written: of what cannot be written
//! whole nothing is left.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use crate::manifest::emit::MANAGED_BY;
use crate::shutdown::TaskError;

/// Files on their way to a directory.
#[derive(Debug)]
pub(super) struct Saved {
    directory: PathBuf,
    /// Where they are until then.
    aside: PathBuf,
    names: BTreeSet<String>,
    is_finished: bool,
}

/// Files in a directory.
#[derive(Debug)]
pub(super) struct Finished {
    directory: PathBuf,
    names: BTreeSet<String>,
}

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub(super) struct Unwritable {
    path: PathBuf,
    source: io::Error,
}

// === impl Saved ===

impl Saved {
    /// Makes the directory where there is none.
    pub(super) fn into(directory: &Path) -> Result<Self, Unwritable> {
        // A dot hides it from whoever reads the directory meanwhile.
        let aside = directory.join(format!(".slidegate-{}", std::process::id()));
        fs::create_dir_all(&aside).map_err(unwritable(directory))?;
        Ok(Self {
            directory: directory.to_owned(),
            aside,
            names: BTreeSet::new(),
            is_finished: false,
        })
    }

    /// Writes a file aside.
    pub(super) fn add(&mut self, name: &str, text: &str) -> Result<(), Unwritable> {
        let path = self.aside.join(name);
        fs::write(path, text).map_err(unwritable(&self.directory.join(name)))?;
        self.names.insert(name.to_owned());
        Ok(())
    }

    /// Gives all files their names, in place of those that had them.
    pub(super) fn finish(mut self) -> Result<Finished, Unwritable> {
        let names = std::mem::take(&mut self.names);
        // A name that is taken by a directory is found before any file is replaced.
        for path in names.iter().map(|name| self.directory.join(name)) {
            if path.is_dir() {
                let source = io::Error::from(io::ErrorKind::IsADirectory);
                return Err(Unwritable { path, source });
            }
        }
        for name in &names {
            let path = self.directory.join(name);
            fs::rename(self.aside.join(name), &path).map_err(unwritable(&path))?;
        }
        fs::remove_dir(&self.aside).map_err(unwritable(&self.aside))?;
        self.is_finished = true;
        Ok(Finished {
            directory: self.directory.clone(),
            names,
        })
    }
}

/// What was not finished goes.
impl Drop for Saved {
    fn drop(&mut self) {
        if !self.is_finished {
            // What keeps files from being written may keep them from being removed.
            drop(fs::remove_dir_all(&self.aside));
        }
    }
}

// === impl Finished ===

impl Finished {
    /// Says on `output` what was written. Files of an earlier run that this one did not write are left
    /// where they are, and named.
    pub(super) fn tell(&self, output: &mut impl Write) -> Result<(), TaskError> {
        let directory = self.directory.display();
        writeln!(output, "{} files written to {directory}", self.names.len())?;
        for path in self.left_over()? {
            let path = path.display();
            writeln!(
                output,
                "{path} is of an earlier run and was left: delete it, and its resource"
            )?;
        }
        Ok(())
    }

    /// The manifests in the directory that we have generated, but not now.
    fn left_over(&self) -> io::Result<Vec<PathBuf>> {
        let mark = format!("{MANAGED_BY}: slidegate");
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if !name.ends_with(".yaml") || self.names.contains(&*name) {
                continue;
            }
            // What cannot be read as text is none of ours.
            if fs::read_to_string(entry.path()).is_ok_and(|text| text.contains(&mark)) {
                paths.push(entry.path());
            }
        }
        paths.sort();
        Ok(paths)
    }
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> Unwritable {
    let path = path.to_owned();
    move |source| Unwritable { path, source }
}
