//! Where spans go by the variables of envoyproxy/ratelimit and of OpenTelemetry.

use std::time::Duration;

use crate::settings::Serve;
use crate::settings::drop_in::Environment;
use crate::settings::drop_in::go;
use crate::settings::tracing::OtlpProtocol;

impl Environment {
    pub(super) fn tracing(&mut self, serve: &mut Serve, is_given: &dyn Fn(&str) -> bool) {
        if is_given("otlp_endpoint") || !self.boolean("TRACING_ENABLED") {
            return;
        }
        let protocol = |text: &str| match text {
            "http" => Ok(OtlpProtocol::Http),
            "grpc" => Ok(OtlpProtocol::Grpc),
            _ => Err("http or grpc".to_owned()),
        };
        let protocol = self.parsed("TRACING_EXPORTER_PROTOCOL", protocol);
        // OpenTelemetry's SDK reads these two by itself, and passes over what it cannot read.
        for name in [
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        ] {
            if self.set(name).is_some() {
                self.parsed(name, go::headers);
            }
        }
        for name in [
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
        ] {
            if self.set(name).is_some() {
                let expected = || "gzip or none".to_owned();
                let known = |text: &str| {
                    ["gzip", "none"]
                        .iter()
                        .any(|it| it.eq_ignore_ascii_case(text))
                };
                self.parsed(name, |text| known(text).then_some(()).ok_or_else(expected));
            }
        }
        let tracing = &mut serve.tracing;
        tracing.otlp_protocol = protocol.unwrap_or(tracing.otlp_protocol);
        tracing.trace_ratio = go::fraction(self.text("TRACING_SAMPLING_RATE"))
            .unwrap_or_default()
            .clamp(0.0, 1.0);
        tracing.trace_service = self.text("TRACING_SERVICE_NAME").to_owned();
        let namespace = self.set("TRACING_SERVICE_NAMESPACE");
        tracing.trace_namespace = namespace.map(str::to_owned);
        let instance = self.set("TRACING_SERVICE_INSTANCE_ID");
        tracing.trace_instance = instance.map(str::to_owned);
        let at_home = match tracing.otlp_protocol {
            OtlpProtocol::Grpc => "http://localhost:4317",
            OtlpProtocol::Http => "http://localhost:4318",
        };
        let endpoint = self.set("OTEL_EXPORTER_OTLP_ENDPOINT").unwrap_or(at_home);
        tracing.otlp_endpoint = Some(endpoint.to_owned());
        let traces = self.set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        tracing.traces_url = traces.map(str::to_owned);
        let timeout = match self.set("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT") {
            Some(_) => self.number("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"),
            None => self.number("OTEL_EXPORTER_OTLP_TIMEOUT"),
        };
        tracing.otlp_timeout = Duration::from_millis(timeout);
        tracing.otlp_ca = self.path("OTEL_EXPORTER_OTLP_CERTIFICATE");
        tracing.otlp_cert = self.path("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE");
        tracing.otlp_key = self.path("OTEL_EXPORTER_OTLP_CLIENT_KEY");
    }
}
