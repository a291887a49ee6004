//! Where spans of requests go, and which requests have some.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::ValueEnum;

/// The flags of tracing.
#[derive(Args, Debug)]
pub struct Tracing {
    /// An OpenTelemetry collector to send spans of requests to, such as http://collector:4318
    ///
    /// Over HTTP they go to /v1/traces below it. Without a collector nothing is traced. The SDK's own
    /// OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_COMPRESSION and OTEL_BSP_ variables hold as well.
    #[arg(long, env = "SLIDEGATE_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// How the collector is spoken to
    #[arg(
        long,
        env = "SLIDEGATE_OTLP_PROTOCOL",
        value_name = "PROTOCOL",
        default_value = "http"
    )]
    pub otlp_protocol: OtlpProtocol,

    /// The authorities to trust where the collector's URL says https; those of the system unless given
    #[arg(long, env = "SLIDEGATE_OTLP_CA", value_name = "FILE")]
    pub otlp_ca: Option<PathBuf>,

    /// The certificate to show to the collector, in PEM
    #[arg(
        long,
        env = "SLIDEGATE_OTLP_CERT",
        value_name = "FILE",
        requires = "otlp_key"
    )]
    pub otlp_cert: Option<PathBuf>,

    /// The key of that certificate, in PEM
    #[arg(
        long,
        env = "SLIDEGATE_OTLP_KEY",
        value_name = "FILE",
        requires = "otlp_cert"
    )]
    pub otlp_key: Option<PathBuf>,

    /// Which part of the requests is traced, from 0 to 1; a caller that traces decides for its own
    #[arg(
        long,
        env = "SLIDEGATE_TRACE_RATIO",
        value_name = "RATIO",
        default_value = "1",
        value_parser = ratio
    )]
    pub trace_ratio: f64,

    /// The name of this service in traces
    #[arg(
        long,
        env = "SLIDEGATE_TRACE_SERVICE",
        value_name = "NAME",
        default_value = "slidegate"
    )]
    pub trace_service: String,

    /// The namespace of that name
    #[arg(long, env = "SLIDEGATE_TRACE_NAMESPACE", value_name = "NAME")]
    pub trace_namespace: Option<String>,

    /// The name of this process in traces; a random one unless given
    #[arg(long, env = "SLIDEGATE_TRACE_INSTANCE", value_name = "NAME")]
    pub trace_instance: Option<String>,

    /// The whole URL of traces, where it is not below the collector's.
    #[arg(skip)]
    pub traces_url: Option<String>,

    /// How long sending may take.
    #[arg(skip = Duration::from_secs(10))]
    pub otlp_timeout: Duration,
}

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum OtlpProtocol {
    /// OTLP over gRPC
    Grpc,
    /// OTLP in protobuf over HTTP
    Http,
}

impl Tracing {
    /// Where spans go, if anywhere.
    pub fn url(&self) -> Option<String> {
        if let Some(url) = &self.traces_url {
            return Some(url.clone());
        }
        let base = self.otlp_endpoint.as_ref()?;
        Some(match self.otlp_protocol {
            OtlpProtocol::Grpc => base.clone(),
            OtlpProtocol::Http => format!("{}/v1/traces", base.trim_end_matches('/')),
        })
    }
}

fn ratio(text: &str) -> Result<f64, &'static str> {
    let ratio = text.parse().ok();
    let ratio = ratio.filter(|it| (0.0..=1.0).contains(it));
    ratio.ok_or("expected a number from 0 to 1")
}
