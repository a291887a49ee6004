//! Counters whose series end when nobody counts in them any more, as those of rules that are gone.
//!
//! The recorder of the other metrics knows no end of a series.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use metrics::Counter;
use metrics_exporter_prometheus::formatting;
use parking_lot::Mutex;

/// What a counter is called.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Series {
    /// Its name for Prometheus.
    pub(super) name: &'static str,
    /// Names and values of its labels. Several series may share them: Prometheus sees their sum.
    pub(super) labels: Vec<(&'static str, String)>,
    /// Its name for statsd, if it has one there.
    pub(super) path: Option<String>,
}

/// All counters of this kind.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<BTreeMap<Series, Arc<AtomicU64>>>);

impl Counters {
    /// The counter of a series, the same again while somebody holds it.
    pub(super) fn counter(&self, series: Series) -> Counter {
        let mut known = self.0.lock();
        Counter::from_arc(Arc::clone(known.entry(series).or_default()))
    }

    /// Forgets what nobody counts in any more.
    pub(super) fn sweep(&self) {
        self.0
            .lock()
            .retain(|_, count| Arc::strong_count(count) > 1);
    }

    /// What was counted under each name for statsd.
    pub(super) fn by_path(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for (series, count) in self.0.lock().iter() {
            if let Some(path) = &series.path {
                *sums.entry(path.clone()).or_default() += count.load(Ordering::Relaxed);
            }
        }
        sums
    }

    /// All series in Prometheus' text format, with the help texts of their names.
    pub(super) fn render(&self, help: impl Fn(&str) -> &'static str) -> String {
        let known = self.0.lock();
        let mut sums: BTreeMap<_, BTreeMap<_, u64>> = BTreeMap::new();
        for (series, count) in known.iter() {
            let sums = sums.entry(series.name).or_default();
            *sums.entry(&series.labels).or_default() += count.load(Ordering::Relaxed);
        }
        let mut text = String::new();
        for (name, sums) in sums {
            formatting::write_help_line(&mut text, name, None, None, help(name));
            formatting::write_type_line(&mut text, name, None, None, "counter");
            for (labels, sum) in sums {
                write_line(&mut text, name, labels, sum);
            }
            text.push('\n');
        }
        text
    }
}

fn write_line(text: &mut String, name: &str, labels: &[(&'static str, String)], value: u64) {
    text.push_str(name);
    for (index, (label, value)) in labels.iter().enumerate() {
        text.push(if index == 0 { '{' } else { ',' });
        text.push_str(&format!("{label}=\"{}\"", escaped(value)));
    }
    if !labels.is_empty() {
        text.push('}');
    }
    text.push_str(&format!(" {value}\n"));
}

/// A label's value as it is written. That of the exporter takes two backslashes for one.
fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}
