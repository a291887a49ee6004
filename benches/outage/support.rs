//! What the tests have too: a proxy that delays, stalls, cuts and loses.

#[expect(
    clippy::unwrap_used,
    reason = "it is a helper of tests, which fail then"
)]
#[path = "../../tests/it/support/proxy.rs"]
pub(crate) mod proxy;
