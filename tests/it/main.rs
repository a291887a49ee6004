//! Every integration test, in one binary.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails; clippy.toml's exception does not reach helpers"
)]

mod answers;
mod bad_input;
mod batch;
mod cli;
mod complaints;
mod crd;
mod decisions;
mod deploy;
mod dropin;
mod envoy;
mod explain;
mod extremes;
mod failure;
mod fuzz;
mod generate;
mod http;
mod leases;
mod load;
mod metrics;
mod pod;
mod proxy;
mod readme;
mod reference;
mod reload;
mod rls;
mod shared_counters;
mod socket;
mod statsd;
mod store;
mod strictness;
mod support;
mod tidy;
mod tls;
mod topology;
mod tracing;
mod validate;
mod variables;
mod vectors;
mod verdicts;
mod xds;
