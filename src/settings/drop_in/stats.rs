//! Where metrics go by the variables of envoyproxy/ratelimit.

use regex::Regex;

use crate::metrics::statsd::Rename;
use crate::settings::Serve;
use crate::settings::drop_in::Environment;
use crate::settings::drop_in::go;
use crate::settings::stats::StatsdProtocol;

impl Environment {
    pub(super) fn stats(&mut self, serve: &mut Serve, is_given: &dyn Fn(&str) -> bool) {
        if self.boolean("DISABLE_STATS") {
            serve.has_metrics &= is_given("metrics_addr");
            return;
        }
        let is_dog = self.boolean("USE_DOG_STATSD");
        // There it is a fault to want two of the three, although the first is wanted unless it is not.
        let is_other = is_dog || self.boolean("USE_PROMETHEUS");
        let is_plain = match self.set("USE_STATSD") {
            None => !is_other,
            Some(_) => self.boolean("USE_STATSD"),
        };
        if is_given("statsd_addr") || !(is_dog || is_plain) {
            return;
        }
        let protocol = |text: &str| match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(StatsdProtocol::Tcp),
            "udp" => Ok(StatsdProtocol::Udp),
            _ => Err("tcp or udp".to_owned()),
        };
        let protocol = self.parsed("STATSD_PROTOCOL", protocol);
        let port = |text: &str| {
            let port = go::number(text).ok();
            let port = port.and_then(|it| u16::try_from(it).ok());
            port.ok_or_else(|| "a port from 0 to 65535".to_owned())
        };
        let port = self.parsed("STATSD_PORT", port).unwrap_or_default();
        let tags = match self.set("EXTRA_TAGS") {
            None => None,
            Some(_) => self.parsed("EXTRA_TAGS", |text| go::pairs(text, ':')),
        };
        let stats = &mut serve.stats;
        stats.statsd_protocol = match protocol {
            _ if is_dog => StatsdProtocol::Dog,
            Some(protocol) => protocol,
            None => stats.statsd_protocol,
        };
        stats.statsd_addr = Some(format!("{}:{port}", self.text("STATSD_HOST")));
        stats.statsd_interval = self.duration("STATS_FLUSH_INTERVAL");
        stats.statsd_tag.extend(tags.unwrap_or_default());
        if is_dog {
            self.mogrifiers(serve);
        }
        if serve.stats.statsd_interval.is_zero() {
            let text = self.text("STATS_FLUSH_INTERVAL").to_owned();
            self.fault("STATS_FLUSH_INTERVAL", &text, "expected more than nothing");
        }
    }

    fn mogrifiers(&mut self, serve: &mut Serve) {
        self.set("USE_DOG_STATSD_MOGRIFIERS");
        for (mogrifier, [pattern, name, tags]) in std::mem::take(&mut self.mogrifiers) {
            let variable = |part: &str| format!("{MOGRIFIER}{mogrifier}_{part}");
            if name.is_empty() {
                self.fault(&variable("NAME"), "", "expected what names become");
            }
            let pairs = match tags.as_str() {
                "" => Ok(Vec::new()),
                tags => go::pairs(tags, ':'),
            };
            match (Regex::new(&pattern), pairs) {
                (Ok(fits), Ok(tags)) if !pattern.is_empty() => serve.stats.renames.push(Rename {
                    pattern: fits,
                    name,
                    tags,
                }),
                (_, Err(expected)) => {
                    self.fault(&variable("TAGS"), &tags, format!("expected {expected}"));
                }
                (_, Ok(_)) => {
                    let expected = "expected a regular expression";
                    self.fault(&variable("PATTERN"), &pattern, expected);
                }
            }
        }
    }
}

/// A mogrifier's name as its variables have it, and what these say: pattern, name, tags.
pub(super) fn mogrifier(
    name: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> (String, [String; 3]) {
    let name = name.trim().to_ascii_uppercase();
    let value = |part| lookup(&format!("{MOGRIFIER}{name}_{part}")).unwrap_or_default();
    let values = ["PATTERN", "NAME", "TAGS"].map(value);
    (name, values)
}

const MOGRIFIER: &str = "DOG_STATSD_MOGRIFIER_";
