//! Where the rules come from: files, or an xDS server.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::Struct;
use envoy_types::pb::google::protobuf::Value;
use envoy_types::pb::google::protobuf::value::Kind;
use tonic::metadata::Ascii;
use tonic::metadata::MetadataKey;
use tonic::metadata::MetadataMap;
use tracing::info;

use crate::cli::serve::announce;
use crate::cli::serve::secure;
use crate::document::Faults;
use crate::limiter::clock::SystemClock;
use crate::metrics::SourceMetrics;
use crate::rule::Domain;
use crate::settings::Serve;
use crate::settings::xds::Xds;
use crate::shutdown::TaskError;
use crate::shutdown::Tasks;
use crate::source::Sources;
use crate::source::Start;
use crate::source::join::Joined;
use crate::source::xds::Client;
use crate::source::xds::backoff::Backoff;
use crate::source::xds::connect::Dial;
use crate::source::xds::session::Session;

/// A source that is ready to be followed.
#[derive(Debug)]
pub(super) enum Rules {
    /// Files, as they were read first.
    Files(Box<Start>),
    /// An xDS server that has not been asked yet, and what a platform adds to what it pushes.
    Xds(Box<Client>, Option<Box<Start>>),
}

/// The rules cannot be used, and there are no earlier ones.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has faults\n{0}")]
struct Faulty(Faults);

impl Rules {
    /// Reads files, or prepares for the xDS server.
    pub(super) fn of(
        settings: &Serve,
        tasks: &mut Tasks,
        clock: SystemClock,
    ) -> Result<Self, TaskError> {
        if let Some(address) = &settings.xds.xds_server {
            let client = client(address, &settings.xds, tasks, clock)?;
            info!(server = address, "rules come from an xDS server");
            let beside = match settings.platform.as_slice() {
                [] => None,
                _ => Some(Box::new(Start::read(beside(settings)).map_err(Faulty)?)),
            };
            return Ok(Self::Xds(Box::new(client), beside));
        }
        let start = Start::read(sources(settings)).map_err(Faulty)?;
        announce::rules(start.domains(), settings.algorithm);
        Ok(Self::Files(Box::new(start)))
    }

    /// Applies what there is, and what comes.
    pub(super) fn follow(
        self,
        apply: impl Fn(Vec<Domain>) + Send + Sync + 'static,
        metrics: SourceMetrics,
        tasks: &mut Tasks,
    ) {
        let stop = tasks.stop_token();
        match self {
            Self::Files(start) => {
                let watch = start.apply(&apply, &metrics);
                tasks.spawn("configuration", watch.run(apply, metrics, stop));
            }
            Self::Xds(client, None) => {
                tasks.spawn("configuration", client.run(apply, metrics, stop));
            }
            Self::Xds(client, Some(start)) => {
                let (domains, watch) = start.taken();
                let joined = Arc::new(Joined::new(domains, apply));
                let of_platform = {
                    let joined = Arc::clone(&joined);
                    move |domains| joined.platform(domains)
                };
                let watched = watch.run(of_platform, metrics.beside(), stop.clone());
                tasks.spawn("platform", watched);
                let pushed = move |domains| joined.push(domains);
                tasks.spawn("configuration", client.run(pushed, metrics, stop));
            }
        }
    }
}

fn sources(settings: &Serve) -> Sources {
    let mut sources = Sources {
        rules: settings.rules.clone(),
        runtime: settings.runtime.clone(),
        merge_domains: settings.merge_domains,
        platform: settings.platform.clone(),
        namespace: settings.namespace.clone(),
    };
    let has_others = sources.runtime.is_some() || !sources.platform.is_empty();
    if sources.rules.is_empty() && !has_others {
        sources.rules.push(PathBuf::from(DEMO));
    }
    sources
}

/// The platform alone, for what it adds to pushed rules.
fn beside(settings: &Serve) -> Sources {
    Sources {
        platform: settings.platform.clone(),
        namespace: settings.namespace.clone(),
        ..Sources::default()
    }
}

fn client(
    address: &str,
    settings: &Xds,
    tasks: &mut Tasks,
    clock: SystemClock,
) -> Result<Client, TaskError> {
    let host = match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => host,
        _ => return Err(format!("unknown xDS server `{address}`: expected host:port").into()),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok(Client {
        dial: Dial {
            address: address.to_owned(),
            tls: secure::link(settings, host, tasks, clock)?,
        },
        session: Session::new(node(settings)),
        headers: headers(settings)?,
        backoff: Backoff::new(
            settings.xds_backoff,
            settings.xds_max_backoff,
            !settings.is_regular,
        ),
        max_message_bytes: settings.xds_max_message,
    })
}

fn node(settings: &Xds) -> Node {
    let text = |(key, value): &(String, String)| {
        let kind = Some(Kind::StringValue(value.clone()));
        (key.clone(), Value { kind })
    };
    let fields: HashMap<_, _> = settings.xds_node_metadata.iter().map(text).collect();
    Node {
        id: settings.xds_node_id.clone(),
        metadata: (!fields.is_empty()).then_some(Struct { fields }),
        ..Node::default()
    }
}

fn headers(settings: &Xds) -> Result<MetadataMap, TaskError> {
    let mut headers = MetadataMap::new();
    for (name, value) in &settings.headers {
        let name: MetadataKey<Ascii> = name.to_ascii_lowercase().parse()?;
        headers.append(name, value.parse()?);
    }
    Ok(headers)
}

const DEMO: &str = "config/demo";
