//! `slidegate generate`: platform documents → manifests, or the rules that follow from either.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use crate::manifest;
use crate::manifest::Manifest;
use crate::manifest::emit::MANAGED_BY;
use crate::manifest::settings::commented;
use crate::manifest::settings::needed;
use crate::rule::document;
use crate::settings::generate::Form;
use crate::settings::generate::Generate;
use crate::shutdown::TaskError;
use crate::source;
use crate::source::file;
use crate::source::file::File;
use crate::source::platform;

/// Writes a stream to `output`, or files to the directory that the settings name.
///
/// Files of an earlier run that this one does not write are left where they are, and named.
pub fn run(settings: &Generate, output: &mut impl Write) -> Result<(), TaskError> {
    let files = file::read(&settings.paths)?;
    let Some(directory) = &settings.output else {
        let stream = match settings.form {
            Form::Manifests => {
                let manifests = manifests(settings, &files)?;
                let hint = needed(&manifests).map(|it| commented(&it));
                hint.unwrap_or_default() + &manifest::write(&manifests)
            }
            Form::RateLimitConfig => rules(settings, &files)?,
        };
        return Ok(output.write_all(stream.as_bytes())?);
    };
    let contents = match settings.form {
        Form::Manifests => {
            let manifests = manifests(settings, &files)?;
            let hint = needed(&manifests).map(|it| (HINT.to_owned(), it));
            manifests.iter().map(named).chain(hint).collect()
        }
        Form::RateLimitConfig => {
            let rules = rules(settings, &files)?;
            BTreeMap::from([("rate-limit-config.yaml".to_owned(), rules)])
        }
    };
    save(directory, &contents)?;
    writeln!(
        output,
        "{} files written to {}",
        contents.len(),
        directory.display()
    )?;
    for path in left_over(directory, &contents)? {
        let path = path.display();
        writeln!(
            output,
            "{path} is of an earlier run and was left: delete it, and its resource"
        )?;
    }
    Ok(())
}

/// The file that says what Envoy Gateway needs; not called `.yaml`, because it is nothing to apply.
const HINT: &str = "envoy-gateway-settings.txt";

fn manifests(settings: &Generate, files: &[File]) -> Result<Vec<Manifest>, TaskError> {
    Ok(platform::manifests(files, &settings.namespace)?)
}

fn rules(settings: &Generate, files: &[File]) -> Result<String, TaskError> {
    let derived = source::derived(files, &settings.namespace)?;
    Ok(document::write(&derived.domains))
}

/// A manifest with the name of its file, which is its own: no kind has a hyphen in it.
fn named(manifest: &Manifest) -> (String, String) {
    let kind = manifest.kind().to_ascii_lowercase();
    let name = &manifest.metadata().name;
    (format!("{kind}-{name}.yaml"), manifest::write_one(manifest))
}

fn save(directory: &Path, contents: &BTreeMap<String, String>) -> Result<(), Unwritable> {
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |source| Unwritable { path, source }
    };
    fs::create_dir_all(directory).map_err(unwritable(directory))?;
    for (name, text) in contents {
        let path = directory.join(name);
        fs::write(&path, text).map_err(unwritable(&path))?;
    }
    Ok(())
}

/// The manifests in a directory that we have generated, but not now.
fn left_over(directory: &Path, contents: &BTreeMap<String, String>) -> io::Result<Vec<PathBuf>> {
    let mark = format!("{MANAGED_BY}: slidegate");
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.ends_with(".yaml") || contents.contains_key(&*name) {
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

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
struct Unwritable {
    path: PathBuf,
    source: io::Error,
}
