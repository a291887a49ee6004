//! What a decision costs.
//!
//! - `cargo bench --bench counting`: time per decision on the memory store, on Redis, and as a whole
//!   gRPC call, beside a server that answers without looking;
//! - `cargo bench --bench counting -- served`: the service and Redis as processes, in tables; of all
//!   their parts, or of some: `served latency quota`;
//! - `cargo bench --bench counting -- null 127.0.0.1:8082 2`: only the server that does not look, on
//!   two threads; `stealing 127.0.0.1:8082`: on tokio's work-stealing runtime.

#![expect(clippy::print_stdout, reason = "tables are what it is for")]

mod child;
mod grpc;
mod limiter;
mod null;
mod redis;
mod served;

use std::time::Instant;

use criterion::Criterion;
use mimalloc::MiMalloc;
use slidegate::shutdown::TaskError;

/// That of the service.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> Result<(), TaskError> {
    // Cargo adds a flag of its own.
    let arguments = std::env::args().skip(1).filter(|it| it != "--bench");
    let arguments: Vec<String> = arguments.collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["null", address, threads, ..] => return null::serve(address.parse()?, threads.parse()?),
        ["stealing", address, ..] => return null::serve_stealing(address.parse()?),
        ["served", ref parts @ ..] => served::measure(parts),
        _ => criterion(),
    }
    Ok(())
}

fn criterion() {
    let mut criterion = Criterion::default().configure_from_args();
    limiter::bench(&mut criterion);
    redis::bench(&mut criterion);
    grpc::bench(&mut criterion);
    criterion.final_summary();
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}
