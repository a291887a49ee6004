//! slidegate: a global rate-limit service for Envoy Gateway that counts in sliding windows.
//!
//! The modules stand on floors; a module imports only from floors below its own
//! (ARCHITECTURE.md, checked by a test).

// Floor 0, words: pure, without I/O, clock, protobuf, Redis or Kubernetes.
pub mod algorithm;
pub mod document;
pub mod platform;
pub mod rule;

// Floor 1, translations: pure as well.
pub mod manifest;

// Floor 2, edges: each meets one outside thing.
pub mod metrics;
pub mod shutdown;
pub mod source;
pub mod spans;
pub mod store;
pub mod tls;

// Floor 3: a request becomes a verdict.
pub mod limiter;

// Floor 4: the ports.
pub mod server;

// Floor 5: wires everything.
pub mod cli;
pub mod settings;
