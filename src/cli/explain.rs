//! `slidegate explain`: what becomes of a request, for people or as JSON.

use std::fmt;
use std::fmt::Write as _;
use std::io::Write;

use crate::manifest::explain;
use crate::manifest::explain::Answer;
use crate::manifest::explain::Explanation;
use crate::manifest::explain::call::Applied;
use crate::manifest::explain::call::Hits;
use crate::manifest::explain::call::Sent;
use crate::manifest::explain::call::Written;
use crate::manifest::explain::entities::Entities;
use crate::manifest::explain::local::LocalLimit;
use crate::manifest::explain::request::Request;
use crate::rule::tree::RuleSet;
use crate::settings::explain::Explain;
use crate::shutdown::TaskError;
use crate::source;
use crate::source::file;

/// Writes to `output` what becomes of the request at each port that it can come to.
///
/// # Errors
///
/// Every fault of the documents, or that no gateway listens on the port.
pub fn run(settings: &Explain, output: &mut impl Write) -> Result<(), TaskError> {
    let files = file::read(&settings.paths)?;
    let deployed = source::deployed(&files, &settings.namespace)?;
    let rules = RuleSet::new(deployed.domains);
    let request = Request {
        method: settings.method.clone(),
        host: settings.host.clone(),
        port: settings.port,
        path: settings.path.clone(),
        headers: settings.header.clone(),
        auth_headers: settings.auth_header.clone(),
        address: settings.ip,
    };
    let mut answers = explain::explain(&deployed.manifests, &rules, &request)?;
    if let Some((platform, namespace)) = &deployed.platform {
        for met in answers.iter_mut().filter_map(|answer| answer.met.as_mut()) {
            Entities::name_in(met, platform, namespace);
        }
    }
    if answers.is_empty() {
        return Err(match settings.port {
            Some(port) => format!("no gateway speaks HTTP on port {port}").into(),
            None => "no gateway speaks HTTP".into(),
        });
    }
    let text = if settings.json {
        serde_json::to_string_pretty(&answers)? + "\n"
    } else {
        let texts: Result<Vec<String>, fmt::Error> = answers.iter().map(text).collect();
        texts?.join("\n")
    };
    Ok(output.write_all(text.as_bytes())?)
}

fn text(answer: &Answer) -> Result<String, fmt::Error> {
    let mut text = format!("gateway {}, port {}\n", answer.gateway, answer.port);
    match &answer.met {
        None => text.push_str("  no route matches: the answer is 404\n"),
        Some(met) => write(&mut text, met)?,
    }
    Ok(text)
}

fn write(text: &mut String, met: &Explanation) -> fmt::Result {
    writeln!(text, "  listener {}, host {}", met.listener, met.hostname)?;
    write!(text, "  {}, rule {}", met.route, met.rule)?;
    if let Some(name) = &met.rule_name {
        write!(text, " ({name})")?;
    }
    writeln!(text, ", match {}", met.match_index)?;
    for removed in &met.removed {
        let (header, policy) = (&removed.header, &removed.policy);
        writeln!(
            text,
            "  header `{header}` is removed before anything sees it, by {policy}"
        )?;
    }
    for header in &met.not_added {
        writeln!(
            text,
            "  header `{header}` is not added: no authentication in force sets it"
        )?;
    }
    if let Some(entities) = &met.entities {
        write_entities(text, entities)?;
    }
    let Some((first, merged)) = met.policies.split_first() else {
        return writeln!(text, "  no policy is for it: nothing is limited");
    };
    writeln!(text, "  in force: {first}")?;
    for policy in merged {
        writeln!(text, "  merged with it: {policy}")?;
    }
    for policy in &met.overridden {
        writeln!(text, "  overridden by {first}: {policy}")?;
    }
    for limit in &met.local {
        write_local(text, limit)?;
    }
    if met.calls.is_empty() {
        let beside = match met.local.as_slice() {
            [] => "no limit counts this request",
            _ => "no other limit counts this request",
        };
        writeln!(text, "  Envoy asks nothing: {beside}")?;
    }
    for call in &met.calls {
        let when = if call.after_response {
            "after the response Envoy reports to"
        } else {
            "Envoy asks"
        };
        writeln!(text, "  {when} {}", call.domain)?;
        for sent in &call.descriptors {
            write_sent(text, sent)?;
        }
    }
    for limit in &met.passed_over {
        let Written { policy, field, .. } = &limit.at;
        let reason = &limit.reason;
        match entity(&limit.at) {
            Some(entity) => writeln!(
                text,
                "  not counted by {entity} ({policy}, {field}): {reason}"
            )?,
            None => writeln!(text, "  not counted by {policy}, {field}: {reason}")?,
        }
    }
    if !met.headers.is_empty() {
        writeln!(text, "  if nothing has been counted before, the answer has")?;
    }
    for (name, value) in &met.headers {
        writeln!(text, "    {name}: {value}")?;
    }
    Ok(())
}

fn write_entities(text: &mut String, entities: &Entities) -> fmt::Result {
    if let Some(plan) = &entities.plan {
        writeln!(text, "  plan: {plan} holds for the consumer")?;
    }
    for policy in &entities.policies {
        write!(text, "  {}: {} is in force", policy.kind, policy.in_force)?;
        if !policy.overridden.is_empty() {
            write!(text, " and overrides {}", policy.overridden.join(", "))?;
        }
        writeln!(text)?;
    }
    Ok(())
}

fn write_sent(text: &mut String, sent: &Sent) -> fmt::Result {
    let pairs = sent.entries.iter();
    let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
    writeln!(text, "    {}", pairs.join(", "))?;
    let limit = sent.limit.as_ref().map_or("no limit".to_owned(), limit);
    let hits = match &sent.hits {
        Hits::Number(0) => "0 hits (is one left?)".to_owned(),
        Hits::Number(1) => "1 hit".to_owned(),
        Hits::Number(hits) => format!("{hits} hits"),
        Hits::Metadata(place) => format!("the hits in metadata {place}"),
    };
    writeln!(text, "      {hits} of {limit}, from {}", place(&sent.at))
}

fn write_local(text: &mut String, limit: &LocalLimit) -> fmt::Result {
    let (requests, unit) = (limit.requests, limit.unit);
    let each = each(&limit.each);
    let shadow = if limit.shadow { ", in shadow mode" } else { "" };
    let place = place(&limit.at);
    writeln!(
        text,
        "  each Envoy alone lets {requests} per {unit}{each} pass{shadow}, from {place}"
    )
}

/// Where a limit is written, with what says it on the platform.
fn place(at: &Written) -> String {
    let Written { policy, field, .. } = at;
    match entity(at) {
        Some(entity) => format!("{entity} ({policy}, {field})"),
        None => format!("{policy}, {field}"),
    }
}

fn entity(at: &Written) -> Option<String> {
    let entity = at.entity.as_ref()?;
    Some(match entity.part {
        Some(part) => format!("{}, its {part}", entity.name),
        None => entity.name.clone(),
    })
}

fn each(each: &[String]) -> String {
    match each {
        [] => String::new(),
        each => format!(" for each {}", each.join(" and ")),
    }
}

fn limit(limit: &Applied) -> String {
    let each = each(&limit.each);
    let mut text = format!("{} per {}{each}", limit.requests, limit.unit);
    if limit.burst > 0 {
        text.push_str(&format!(" and {} at once", limit.burst));
    }
    if let Some(place) = &limit.from_metadata {
        text.push_str(&format!(" (or the limit in metadata {place})"));
    }
    if limit.shadow {
        text.push_str(", in shadow mode");
    }
    text
}
