//! Where spans go: an OpenTelemetry collector, by OTLP over HTTP or gRPC.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_otlp::WithHttpConfig;
use opentelemetry_otlp::WithTonicConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::Sampler;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::transport::Endpoint;

use crate::spans::Spans;
use crate::spans::dial::Dial;
use crate::spans::dial::Tls;
use crate::spans::post::Post;
use crate::spans::watched::Watched;
use crate::tls::Kept;
use crate::tls::client::ClientFiles;

/// A collector, and what it is told.
#[derive(Debug)]
pub struct Collector {
    /// The whole URL with HTTP; with gRPC its path means nothing.
    pub url: String,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// How long sending may take, with further attempts.
    pub timeout: Duration,
    /// Whom to trust and what to show, where the URL says `https`.
    pub tls: Option<Arc<Kept<ClientFiles>>>,
    /// Which part of the requests is traced that come from callers who do not trace.
    pub ratio: f64,
    /// Who this process is: `service.name` and the like.
    pub identity: Vec<(&'static str, String)>,
}

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP in protobuf over HTTP.
    Http,
}

/// A collector cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The URL is none.
    #[error("unknown collector `{0}`: expected a URL such as http://collector:4318")]
    Url(String),
    /// The variables of OpenTelemetry's own say something that has no meaning.
    #[error("spans cannot be sent")]
    Variables(#[source] ExporterBuildError),
}

/// Whether a collector is spoken to over TLS.
///
/// # Errors
///
/// The URL is none.
pub fn is_secured(url: &str) -> Result<bool, Unusable> {
    let unknown = || Unusable::Url(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| unknown())?;
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    match uri.scheme_str() {
        Some("https") if has_host => Ok(true),
        Some("http") if has_host => Ok(false),
        Some(_) | None => Err(unknown()),
    }
}

impl Collector {
    /// Spans that go there, gathered on a thread of their own. At most 2,048 wait; the rest are lost
    /// while nobody takes them.
    ///
    /// # Errors
    ///
    /// The URL is none, or OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_HEADERS`,
    /// `OTEL_BSP_MAX_QUEUE_SIZE` and the like) say what has no meaning.
    pub fn open(self) -> Result<Spans, Unusable> {
        let dial = self.dial()?;
        let exporter = match self.protocol {
            Protocol::Http => SpanExporter::builder()
                .with_http()
                .with_http_client(Post::new(dial, self.timeout))
                .with_endpoint(&self.url)
                .with_timeout(self.timeout)
                .build(),
            Protocol::Grpc => {
                // The scheme that has tonic leave TLS to us.
                let endpoint = Endpoint::from_shared(format!("http://{}", dial.address));
                let endpoint = endpoint.map_err(|_| Unusable::Url(self.url.clone()))?;
                let origin: Uri = self
                    .url
                    .parse()
                    .map_err(|_| Unusable::Url(self.url.clone()))?;
                let endpoint = endpoint.origin(origin).connect_timeout(self.timeout);
                SpanExporter::builder()
                    .with_tonic()
                    .with_channel(endpoint.connect_with_connector_lazy(dial))
                    .with_timeout(self.timeout)
                    .build()
            }
        };
        let exporter = Watched::new(exporter.map_err(Unusable::Variables)?, self.url);
        let identity = self.identity.into_iter();
        let identity = identity.map(|(name, value)| KeyValue::new(name, value));
        let ratio = Sampler::TraceIdRatioBased(self.ratio);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(Resource::builder_empty().with_attributes(identity).build())
            .with_sampler(Sampler::ParentBased(Box::new(ratio)))
            .build();
        Ok(Spans {
            tracer: provider.tracer("slidegate"),
            provider,
        })
    }

    fn dial(&self) -> Result<Dial, Unusable> {
        let unknown = || Unusable::Url(self.url.clone());
        let is_secured = is_secured(&self.url)?;
        let uri: Uri = self.url.parse().map_err(|_| unknown())?;
        let host = uri.host().ok_or_else(unknown)?;
        let port = match (uri.port_u16(), self.protocol) {
            (Some(port), _) => port,
            (None, Protocol::Grpc) => GRPC_PORT,
            (None, Protocol::Http) if is_secured => 443,
            (None, Protocol::Http) => 80,
        };
        let tls = match &self.tls {
            Some(files) if is_secured => {
                let name = host.trim_start_matches('[').trim_end_matches(']');
                let name = ServerName::try_from(name.to_owned()).map_err(|_| unknown())?;
                Some(Tls {
                    files: Arc::clone(files),
                    name,
                    http_1: self.protocol == Protocol::Http,
                })
            }
            Some(_) | None => None,
        };
        Ok(Dial {
            address: format!("{host}:{port}"),
            tls,
        })
    }
}

/// Where collectors listen for gRPC.
const GRPC_PORT: u16 = 4317;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_a_url_with_a_host() {
        assert!(!is_secured("http://collector:4318/v1/traces").unwrap());
        assert!(is_secured("https://collector").unwrap());
        for text in [
            "",
            "collector:4318",
            "ftp://collector",
            "http://",
            "http:///x",
        ] {
            let error = is_secured(text).unwrap_err().to_string();
            assert!(error.starts_with("unknown collector `"), "{text}: {error}");
        }
    }

    #[test]
    fn without_a_port_it_is_that_of_the_protocol() {
        for (url, protocol, expected) in [
            ("http://a/v1/traces", Protocol::Http, "a:80"),
            ("https://a/v1/traces", Protocol::Http, "a:443"),
            ("http://a", Protocol::Grpc, "a:4317"),
            ("http://[::1]:9", Protocol::Grpc, "[::1]:9"),
        ] {
            let collector = Collector {
                url: url.to_owned(),
                protocol,
                timeout: Duration::from_secs(1),
                tls: None,
                ratio: 1.0,
                identity: Vec::new(),
            };
            assert_eq!(collector.dial().unwrap().address, expected);
        }
    }
}
