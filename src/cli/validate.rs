//! `slidegate validate`: rules, platform documents and manifests are read, and every fault is
//! reported; of manifests also what Envoy Gateway drops or merges without a word.

use std::io::Write;

use crate::rule::document;
use crate::settings::validate::Validate;
use crate::shutdown::TaskError;
use crate::source;
use crate::source::documents::Loaded;

/// Reads the paths; says on `output` what stands there, or on `errors` what is wrong.
///
/// # Errors
///
/// When there are faults, with how many. Warnings are none.
pub fn run(
    settings: &Validate,
    output: &mut impl Write,
    errors: &mut impl Write,
) -> Result<(), TaskError> {
    match source::load_mixed(&settings.paths, &settings.namespace) {
        Ok(Loaded {
            domains,
            warnings,
            passed_over,
        }) => {
            for warning in &warnings {
                writeln!(errors, "warning: {warning}")?;
            }
            if !passed_over.is_empty() {
                let kinds = passed_over.iter();
                let kinds: Vec<String> = kinds.map(|(kind, n)| format!("{n} {kind}")).collect();
                let kinds = kinds.join(", ");
                writeln!(
                    errors,
                    "passed over: {kinds}, which decide nothing about limits"
                )?;
            }
            let n_domains = count(domains.len(), "domain");
            let n_rules = count(document::count(&domains), "limit");
            writeln!(output, "valid: {n_domains}, {n_rules}")?;
            Ok(())
        }
        Err(faults) => {
            for fault in &faults {
                writeln!(errors, "{fault}")?;
            }
            Err(count(faults.count(), "fault").into())
        }
    }
}

/// A number with what it counts: `1 domain`, `2 domains`.
fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
