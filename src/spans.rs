//! Spans of requests, as OpenTelemetry has them.
//!
//! Who does not trace holds no [`Spans`], and then nothing is done for a request.

pub mod collector;
mod dial;
mod post;
mod watched;

use std::time::Duration;

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::KeyValue;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::FutureExt;
use opentelemetry::trace::Span;
use opentelemetry::trace::SpanKind;
use opentelemetry::trace::Status;
use opentelemetry::trace::TraceContextExt;
use opentelemetry::trace::Tracer;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_sdk::trace::SdkTracerProvider;

/// Makes spans of the requests that are to be traced.
#[derive(Clone, Debug)]
pub struct Spans {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
}

/// A request that is traced, from its arrival to its answer.
#[derive(Clone, Debug)]
pub struct Traced {
    tracer: SdkTracer,
    context: Context,
}

/// A wait of a traced request for the ledger or the store.
#[derive(Debug)]
pub struct Waiting(Context);

impl Spans {
    /// The span of a request with these headers, unless it is not to be traced: a caller that traces
    /// decides, else the sampling ratio does.
    pub fn request(&self, headers: &HeaderMap) -> Option<Traced> {
        let propagator = TraceContextPropagator::new();
        let none = Context::new();
        let caller = propagator.extract_with_context(&none, &HeaderExtractor(headers));
        let builder = self.tracer.span_builder(METHOD).with_kind(SpanKind::Server);
        let mut span = builder.start_with_context(&self.tracer, &caller);
        if !span.span_context().is_sampled() {
            return None;
        }
        span.set_attributes([
            KeyValue::new("rpc.system", "grpc"),
            KeyValue::new("rpc.service", SERVICE),
            KeyValue::new("rpc.method", "ShouldRateLimit"),
        ]);
        Some(Traced {
            tracer: self.tracer.clone(),
            context: caller.with_span(span),
        })
    }

    /// The span of a wait for `takes` takes, if the request that is decided here is traced.
    pub fn waiting(&self, takes: usize) -> Option<Waiting> {
        let context = Context::current();
        if !context.span().span_context().is_sampled() {
            return None;
        }
        let count = i64::try_from(takes).unwrap_or(i64::MAX);
        let span = self
            .tracer
            .span_builder("Take")
            .with_kind(SpanKind::Client)
            .with_attributes([KeyValue::new("takes", count)])
            .start_with_context(&self.tracer, &context);
        Some(Waiting(context.with_span(span)))
    }

    /// Notes in the span of the decision that it is made without the store, and why.
    pub fn falls_back(&self, why: String) {
        let context = Context::current();
        let why = vec![KeyValue::new("reason", why)];
        context.span().add_event("decided without the store", why);
    }

    /// Sends what has not been sent, waiting for so long at most. It blocks the thread.
    pub fn finish(&self, wait: Duration) {
        // Spans that nobody takes are lost, and that was logged.
        self.provider
            .shutdown_with_timeout(wait)
            .unwrap_or_default();
    }
}

impl Traced {
    /// The decision about the request, with a span of its own.
    pub async fn decision<T, E>(
        &self,
        domain: &str,
        descriptors: usize,
        over_limit: impl Fn(&T) -> bool,
        decide: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let count = i64::try_from(descriptors).unwrap_or(i64::MAX);
        let span = self
            .tracer
            .span_builder("ShouldRateLimit Execution")
            .with_attributes([
                KeyValue::new("domain", domain.to_owned()),
                KeyValue::new("descriptors", count),
            ])
            .start_with_context(&self.tracer, &self.context);
        let context = self.context.with_span(span);
        let decided = decide.with_context(context.clone()).await;
        let span = context.span();
        match &decided {
            Ok(answer) => span.set_attribute(KeyValue::new("over_limit", over_limit(answer))),
            Err(_) => span.set_status(Status::error("no verdict")),
        }
        span.end();
        decided
    }

    /// Ends the request's span with its status in gRPC: the code, and what is said of a failure.
    pub fn answered(self, code: i32, failure: Option<&str>) {
        let span = self.context.span();
        let code = i64::from(code);
        span.set_attribute(KeyValue::new("rpc.grpc.status_code", code));
        if let Some(failure) = failure {
            span.set_status(Status::error(failure.to_owned()));
        }
        span.end();
    }
}

impl Waiting {
    /// Ends the wait: who answered, and why there is no answer if there is none.
    pub fn end(self, by: &'static str, failure: Option<String>) {
        let span = self.0.span();
        span.set_attribute(KeyValue::new("by", by));
        if let Some(failure) = failure {
            span.set_status(Status::error(failure));
        }
        span.end();
    }
}

const METHOD: &str = "envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
const SERVICE: &str = "envoy.service.ratelimit.v3.RateLimitService";
