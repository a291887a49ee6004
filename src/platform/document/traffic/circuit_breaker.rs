//! How much may be under way to backends: `circuit_breaker`, or a policy of that type.

use crate::document::At;
use crate::document::Fault;
use crate::platform::document::traffic::number;
use crate::platform::traffic::CircuitBreaker;

pub(in crate::platform::document) fn read(
    at: &At<'_>,
    faults: &mut Vec<Fault>,
) -> Option<CircuitBreaker> {
    let mut fields = at.mapping(faults)?;
    let n_faults = faults.len();
    let mut most = |key| number(key, 0, u32::MAX, &mut fields, faults);
    let breaker = CircuitBreaker {
        max_connections: most("max_connections"),
        max_pending_requests: most("max_pending_requests"),
        max_requests: most("max_requests"),
        max_retries: most("max_retries"),
    };
    if breaker == CircuitBreaker::default() && faults.len() == n_faults {
        let expected = "expected at least one of max_connections, max_pending_requests, \
                        max_requests and max_retries";
        faults.push(at.fault(expected));
    }
    fields.finish(faults);
    Some(breaker)
}
