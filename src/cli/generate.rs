//! `slidegate generate`: platform documents → manifests, or the rules that follow from either.

mod saved;

use std::io::BufWriter;
use std::io::Write;
use std::path::Path;

use crate::cli::generate::saved::Saved;
use crate::manifest;
use crate::manifest::Manifest;
use crate::manifest::emit::Emission;
use crate::manifest::settings::commented;
use crate::manifest::settings::needed;
use crate::rule::document;
use crate::settings::generate::Form;
use crate::settings::generate::Generate;
use crate::shutdown::TaskError;
use crate::source;
use crate::source::file;
use crate::source::platform;

/// Writes a stream to `output`, or files to the directory that the settings name.
///
/// Nothing is written before all documents have been found to be without faults.
pub fn run(settings: &Generate, output: &mut impl Write) -> Result<(), TaskError> {
    let files = file::read(&settings.paths)?;
    match settings.form {
        Form::Manifests => {
            let (platform, namespace) = platform::read(files, &settings.namespace)?;
            let emission = Emission::of(&platform, &namespace);
            match &settings.output {
                None => stream(&emission, output),
                Some(directory) => save(&emission, directory)?.tell(output),
            }
        }
        Form::RateLimitConfig => {
            let derived = source::derived(&files, &settings.namespace)?;
            let rules = document::write(&derived.domains);
            let Some(directory) = &settings.output else {
                return Ok(output.write_all(rules.as_bytes())?);
            };
            let mut saved = Saved::into(directory)?;
            saved.add("rate-limit-config.yaml", &rules)?;
            saved.finish()?.tell(output)
        }
    }
}

/// Writes each manifest as soon as it is made: all of them at once would take much memory.
fn stream(emission: &Emission<'_>, output: &mut impl Write) -> Result<(), TaskError> {
    let mut output = BufWriter::with_capacity(BUFFER, output);
    if let Some(settings) = needed(emission) {
        output.write_all(commented(&settings).as_bytes())?;
    }
    let mut text = String::new();
    for manifest in emission.manifests() {
        text.clear();
        manifest::write_next(&mut text, &manifest);
        output.write_all(text.as_bytes())?;
    }
    Ok(output.flush()?)
}

/// How many bytes are gathered before they are written.
const BUFFER: usize = 1 << 16;

fn save(emission: &Emission<'_>, directory: &Path) -> Result<saved::Finished, TaskError> {
    let mut saved = Saved::into(directory)?;
    if let Some(settings) = needed(emission) {
        saved.add(HINT, &settings)?;
    }
    for manifest in emission.manifests() {
        saved.add(&file_name(&manifest), &manifest::write_one(&manifest))?;
    }
    Ok(saved.finish()?)
}

/// The file that says what Envoy Gateway needs; not called `.yaml`, because it is nothing to apply.
const HINT: &str = "envoy-gateway-settings.txt";

/// The name of a manifest's file, which is its own: no kind has a hyphen in it.
fn file_name(manifest: &Manifest) -> String {
    let kind = manifest.kind().to_ascii_lowercase();
    format!("{kind}-{}.yaml", manifest.metadata().name)
}
