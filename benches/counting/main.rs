//! What a decision costs: on the memory store, on Redis, and as a whole gRPC call.
//!
//! `cargo bench --bench counting`; each figure is time per decision.

mod child;
mod grpc;
mod memory;
mod redis;

use std::time::Instant;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    memory::bench(&mut criterion);
    redis::bench(&mut criterion);
    grpc::bench(&mut criterion);
    criterion.final_summary();
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}
