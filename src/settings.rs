//! How the process runs: flags and environment, read once.

pub mod answer;
pub mod counting;
pub mod drop_in;
pub mod duration;
pub mod explain;
pub mod generate;
pub mod load;
pub mod log;
pub mod redis;
pub mod stats;
pub mod store;
pub mod tls;
pub mod tracing;
pub mod validate;
pub mod xds;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::num::NonZeroUsize;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::CommandFactory;
use clap::FromArgMatches;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;

use crate::rule::limit::Algorithm;
use crate::rule::limit::OnStoreFailure;
use crate::settings::answer::Answer;
use crate::settings::counting::Counting;
use crate::settings::explain::Explain;
use crate::settings::generate::Generate;
use crate::settings::load::Load;
use crate::settings::log::LogLevel;
use crate::settings::redis::Redis;
use crate::settings::stats::Stats;
use crate::settings::store::StoreAddress;
use crate::settings::store::StoreParser;
use crate::settings::tls::Tls;
use crate::settings::tracing::Tracing;
use crate::settings::validate::Validate;
use crate::settings::xds::Xds;
use crate::source::runtime::Runtime;

/// Global rate limits for Envoy: at most N requests in any window.
///
/// Without a command the service starts, as with `serve`.
#[derive(Debug, Parser)]
#[command(version, subcommand_required = true)]
pub struct Settings {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tells what becomes of a request: its route, its limits, what Envoy asks
    Explain(Explain),
    /// Writes Kubernetes manifests for platform documents
    Generate(Generate),
    /// Sends requests to rate-limit services and measures their answers
    Load(Load),
    /// Runs the rate-limit service (the default)
    Serve(Box<Serve>),
    /// Checks rule files, platform documents and manifests, and reports every fault
    Validate(Validate),
}

/// How `serve` runs.
#[derive(Args, Debug)]
pub struct Serve {
    /// Takes the place of envoyproxy/ratelimit: reads that service's environment as well
    ///
    /// So does the program when it is started under the name `ratelimit`, without arguments.
    #[arg(long, env = "SLIDEGATE_DROP_IN")]
    pub drop_in: bool,

    /// A rule file, or a directory with rule files; may be given several times
    ///
    /// Without --rules, --platform and --xds-server the rules of config/demo apply.
    #[arg(
        long,
        env = "SLIDEGATE_RULES",
        value_name = "PATH",
        value_delimiter = ','
    )]
    pub rules: Vec<PathBuf>,

    /// Platform documents or Kubernetes manifests, in a file or a directory; may be given several times
    #[arg(
        long,
        env = "SLIDEGATE_PLATFORM",
        value_name = "PATH",
        value_delimiter = ','
    )]
    pub platform: Vec<PathBuf>,

    /// The Kubernetes namespace that platform documents are deployed to
    #[arg(
        long,
        env = "SLIDEGATE_NAMESPACE",
        value_name = "NAME",
        default_value = "default"
    )]
    pub namespace: String,

    /// The xDS server that rules come from.
    #[command(flatten)]
    pub xds: Xds,

    /// Where hits are counted: `memory` or `redis://host:port/db`
    ///
    /// Also unix:///path/of/socket, redis+sentinel://host:port,host:port/master/db and
    /// redis+cluster://host:port,host:port; rediss in place of redis for TLS. Before the host may stand
    /// user:password@, in percent encoding.
    #[arg(
        long,
        env = "SLIDEGATE_STORE",
        hide_env_values = true,
        value_name = "STORE",
        default_value = "memory",
        value_parser = StoreParser
    )]
    pub store: StoreAddress,

    /// How Redis is reached.
    #[command(flatten)]
    pub redis: Redis,

    /// The longest wait for the store's answer, such as 5ms
    ///
    /// A request waits no longer than its gRPC deadline less 2 ms, or 10 ms when it has none;
    /// this can only shorten the wait.
    #[arg(
        long,
        env = "SLIDEGATE_STORE_TIMEOUT",
        value_name = "DURATION",
        value_parser = duration::read
    )]
    pub store_timeout: Option<Duration>,

    /// What becomes of hits while the store does not answer, unless a rule says otherwise
    ///
    /// deny: they are refused; allow: they pass; error: the request fails and Envoy's failure mode
    /// decides; local: this process counts on its own, up to its share of the limit.
    #[arg(
        long,
        env = "SLIDEGATE_ON_STORE_FAILURE",
        value_name = "CHOICE",
        default_value = "local",
        value_parser = on_store_failure_parser()
    )]
    pub on_store_failure: OnStoreFailure,

    /// How many replicas share the limits that each counts on its own in the meantime; as many as
    /// made themselves known in the store unless given
    #[arg(long, env = "SLIDEGATE_REPLICAS", value_name = "COUNT")]
    pub replicas: Option<NonZeroU32>,

    /// How hits are counted unless a rule says otherwise
    #[arg(
        long,
        env = "SLIDEGATE_ALGORITHM",
        value_name = "NAME",
        default_value = "sliding_window",
        value_parser = algorithm_parser()
    )]
    pub algorithm: Algorithm,

    /// Whether hits of busy keys are leased from Redis ahead of need; off, every request asks it
    #[arg(
        long,
        env = "SLIDEGATE_LEASES",
        action = clap::ArgAction::Set,
        value_name = "ON|OFF",
        default_value = "on",
        value_parser = on_off_parser()
    )]
    pub leases: bool,

    /// Refuses nothing; statuses and metrics still say what would be refused
    #[arg(long, env = "SLIDEGATE_SHADOW_MODE")]
    pub shadow_mode: bool,

    /// Takes every limit for one in quota mode, and descriptors without a limit as well
    #[arg(long, env = "SLIDEGATE_QUOTA_MODE")]
    pub quota_mode: bool,

    /// How hits are counted, apart from where.
    #[command(flatten)]
    pub counting: Counting,

    /// What answers carry beside the codes.
    #[command(flatten)]
    pub answer: Answer,

    /// The address of the gRPC services: rate limit, health, reflection
    #[arg(
        long,
        env = "SLIDEGATE_GRPC_ADDR",
        value_name = "ADDR",
        default_value = "0.0.0.0:8081"
    )]
    pub grpc_addr: SocketAddr,

    /// A unix socket for the gRPC services, in place of --grpc-addr
    #[arg(long, env = "SLIDEGATE_GRPC_SOCKET", value_name = "PATH")]
    pub grpc_socket: Option<PathBuf>,

    /// The certificates of the gRPC port.
    #[command(flatten)]
    pub tls: Tls,

    /// After how long a gRPC connection gets a GOAWAY, give or take a tenth
    ///
    /// Envoy then opens another one, perhaps to another replica.
    #[arg(
        long,
        env = "SLIDEGATE_MAX_CONNECTION_AGE",
        value_name = "DURATION",
        default_value = "24h",
        value_parser = duration::read
    )]
    pub max_connection_age: Duration,

    /// How long the requests of such a connection may go on
    #[arg(
        long,
        env = "SLIDEGATE_MAX_CONNECTION_AGE_GRACE",
        value_name = "DURATION",
        default_value = "1h",
        value_parser = duration::read
    )]
    pub max_connection_age_grace: Duration,

    /// The address of /healthcheck and /json
    #[arg(
        long,
        env = "SLIDEGATE_HTTP_ADDR",
        value_name = "ADDR",
        default_value = "0.0.0.0:8080"
    )]
    pub http_addr: SocketAddr,

    /// The address of /rlconfig
    #[arg(
        long,
        env = "SLIDEGATE_DEBUG_ADDR",
        value_name = "ADDR",
        default_value = "127.0.0.1:6070"
    )]
    pub debug_addr: SocketAddr,

    /// The address of /metrics
    #[arg(
        long,
        env = "SLIDEGATE_METRICS_ADDR",
        value_name = "ADDR",
        default_value = "0.0.0.0:9090"
    )]
    pub metrics_addr: SocketAddr,

    /// The path of the metrics at that address
    #[arg(
        long,
        env = "SLIDEGATE_METRICS_PATH",
        value_name = "PATH",
        default_value = "/metrics",
        value_parser = page
    )]
    pub metrics_path: String,

    /// Listens only once the first rules have come from the xDS server
    #[arg(long, env = "SLIDEGATE_WAIT_FOR_RULES")]
    pub wait_for_rules: bool,

    /// Fails /healthcheck and gRPC health while no domain has rules
    #[arg(long, env = "SLIDEGATE_HEALTH_NEEDS_RULES")]
    pub health_needs_rules: bool,

    /// Fails /healthcheck while the store does not answer; gRPC health does so anyway
    #[arg(long, env = "SLIDEGATE_HEALTH_NEEDS_STORE")]
    pub health_needs_store: bool,

    /// How many threads serve gRPC; one for each processor unless given
    #[arg(long, env = "SLIDEGATE_THREADS", value_name = "COUNT")]
    pub threads: Option<NonZeroUsize>,

    /// How long everything goes on after SIGTERM while health says that it will not
    ///
    /// Meanwhile callers are to look for another replica; then connections get a GOAWAY.
    #[arg(
        long,
        env = "SLIDEGATE_DRAIN_DELAY",
        value_name = "DURATION",
        default_value = "5s",
        value_parser = duration::read_or_none
    )]
    pub drain_delay: Duration,

    /// How long requests in flight may take to end after that
    #[arg(
        long,
        env = "SLIDEGATE_DRAIN_TIMEOUT",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = duration::read
    )]
    pub drain_timeout: Duration,

    /// The statsd server that gets metrics.
    #[command(flatten)]
    pub stats: Stats,

    /// Where spans of requests go.
    #[command(flatten)]
    pub tracing: Tracing,

    /// How log lines look on standard error
    #[arg(
        long,
        env = "SLIDEGATE_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub log_format: LogFormat,

    /// How much is logged: a level, or a list such as `warn,slidegate::store=debug`
    #[arg(
        long,
        env = "SLIDEGATE_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info",
        value_parser = log::read
    )]
    pub log_level: LogLevel,

    /// Rule files in envoyproxy/ratelimit's layout.
    #[arg(skip)]
    pub runtime: Option<Runtime>,

    /// Whether the rules of equal domains are put together.
    #[arg(skip)]
    pub merge_domains: bool,

    /// Whether metrics are served.
    #[arg(skip = true)]
    pub has_metrics: bool,

    /// Whether gRPC health is content with a store that has answered once.
    #[arg(skip)]
    pub forgives_store: bool,

    /// What to say at the start of settings that have no effect.
    #[arg(skip)]
    pub notes: Vec<String>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line
    Json,
    /// For people
    Text,
}

impl Settings {
    /// Reads the arguments, the program's name first, and the environment.
    ///
    /// # Errors
    ///
    /// Also when help or the version is asked for: the error is then what to print.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut arguments: Vec<OsString> = arguments.into_iter().collect();
        if arguments.len() <= 1 {
            let name = arguments.first().map(Path::new).and_then(Path::file_name);
            let is_other = name.is_some_and(|name| name == "ratelimit");
            arguments = vec!["slidegate".into(), "serve".into()];
            arguments.extend(is_other.then(|| "--drop-in".into()));
        }
        let matches = Self::command().try_get_matches_from(arguments)?;
        let mut settings = Self::from_arg_matches(&matches)?;
        if let Command::Serve(serve) = &mut settings.command
            && serve.drop_in
        {
            let given = matches.subcommand_matches("serve");
            let is_given = |name: &str| {
                let source = given.and_then(|given| given.value_source(name));
                source.is_some_and(|it| it != ValueSource::DefaultValue)
            };
            drop_in::apply(serve, &is_given, &variable).map_err(|error| {
                clap::Error::raw(ErrorKind::ValueValidation, format!("{error}\n"))
            })?;
        }
        Ok(settings)
    }
}

/// A variable of the environment; one that is not UTF-8 is seen with what can be read of it.
fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?;
    Some(value.to_string_lossy().into_owned())
}

fn page(text: &str) -> Result<String, &'static str> {
    let is_path = text.starts_with('/') && !text.contains(['{', '}', '?', '#']);
    is_path
        .then(|| text.to_owned())
        .ok_or("expected a path such as /metrics")
}

fn on_store_failure_parser() -> impl TypedValueParser<Value = OnStoreFailure> {
    let names = OnStoreFailure::NAMES.map(|(name, _)| name);
    PossibleValuesParser::new(names).map(|chosen| {
        let mut all = OnStoreFailure::NAMES.iter();
        let named = all.find(|(name, _)| *name == chosen);
        named.expect("the parser lets only these names pass").1
    })
}

fn on_off_parser() -> impl TypedValueParser<Value = bool> {
    PossibleValuesParser::new(["on", "off"]).map(|chosen| chosen == "on")
}

fn algorithm_parser() -> impl TypedValueParser<Value = Algorithm> {
    let names = Algorithm::NAMES.map(|(name, _)| name);
    PossibleValuesParser::new(names).map(|chosen| {
        let named = Algorithm::NAMES.iter().find(|(name, _)| *name == chosen);
        named.expect("the parser lets only these names pass").1
    })
}
