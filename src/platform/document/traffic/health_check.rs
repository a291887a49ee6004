//! How endpoints are found that do not work: `health_check` of a backend.

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::platform::document::text;
use crate::platform::document::traffic::MAX_INT32;
use crate::platform::document::traffic::number;
use crate::platform::document::traffic::positive;
use crate::platform::document::traffic::status;
use crate::platform::traffic::HealthCheck;
use crate::platform::traffic::Probe;

#[derive(Clone, Copy)]
enum Type {
    Grpc,
    Http,
    Tcp,
}

pub(in crate::platform::document) fn read(
    at: &At<'_>,
    faults: &mut Vec<Fault>,
) -> Option<HealthCheck> {
    let mut fields = at.mapping(faults)?;
    let names = [
        ("HTTP", Type::Http),
        ("TCP", Type::Tcp),
        ("GRPC", Type::Grpc),
    ];
    let check_type = fields.required("type", faults);
    let check_type = check_type.and_then(|at| at.one_of(&names, faults));
    let mut span = |key, faults: &mut Vec<Fault>| {
        let at = fields.optional(key)?;
        positive(&at, faults)
    };
    let (interval, timeout) = (span("interval", faults), span("timeout", faults));
    let healthy_threshold = number("healthy_threshold", 1, MAX_INT32, &mut fields, faults);
    let unhealthy_threshold = number("unhealthy_threshold", 1, MAX_INT32, &mut fields, faults);
    let probe = probe(check_type, &mut fields, faults);
    fields.finish(faults);
    Some(HealthCheck {
        interval,
        timeout,
        healthy_threshold,
        unhealthy_threshold,
        probe: probe?,
    })
}

/// What is asked: the field of the type, with a fault where there is one of another.
fn probe(
    check_type: Option<Type>,
    fields: &mut Mapping<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Probe> {
    let (http, grpc) = (fields.optional("http"), fields.optional("grpc"));
    let mut misplaced = |at: &Option<At<'_>>, key: &str, named: &str| {
        if let Some(at) = at {
            faults.push(at.fault(format!("`{key}` is for type {named}")));
        }
    };
    match check_type? {
        Type::Grpc => {
            misplaced(&http, "http", "HTTP");
            match grpc {
                None => Some(Probe::Grpc { service: None }),
                Some(at) => grpc_of(&at, faults),
            }
        }
        Type::Http => {
            misplaced(&grpc, "grpc", "GRPC");
            match http {
                Some(at) => http_of(&at, faults),
                None => {
                    faults.push(
                        fields
                            .at()
                            .fault("a health check of type HTTP needs `http`"),
                    );
                    None
                }
            }
        }
        Type::Tcp => {
            misplaced(&http, "http", "HTTP");
            misplaced(&grpc, "grpc", "GRPC");
            Some(Probe::Tcp)
        }
    }
}

fn grpc_of(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Probe> {
    let mut fields = at.mapping(faults)?;
    let service = fields.optional("service");
    let expected = "the name of a service of gRPC";
    let service = service.and_then(|at| text::checked(&at, faults, expected, is_plain));
    fields.finish(faults);
    Some(Probe::Grpc { service })
}

fn http_of(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Probe> {
    let mut fields = at.mapping(faults)?;
    let path = fields.required("path", faults);
    let expected = "a path that begins with `/`";
    let is_path = |text: &str| text.starts_with('/') && is_plain(text);
    let path = path.and_then(|at| text::checked(&at, faults, expected, is_path));
    let statuses = fields.optional("expected_statuses");
    let statuses = statuses.map(|at| statuses_of(&at, faults));
    fields.finish(faults);
    Some(Probe::Http {
        path: path?,
        expected_statuses: statuses.unwrap_or_default(),
    })
}

fn statuses_of(at: &At<'_>, faults: &mut Vec<Fault>) -> Vec<u16> {
    let items = at.items(faults);
    if items.is_empty() {
        faults.push(at.fault("expected at least one status, such as `200`"));
    }
    let mut statuses = Vec::with_capacity(items.len());
    for item in items {
        let Some(status) = status(&item, faults) else {
            continue;
        };
        if statuses.contains(&status) {
            faults.push(item.fault(format!("`{status}` stands here twice")));
        }
        statuses.push(status);
    }
    statuses
}

/// Whether a text can stand in the first line of a request.
fn is_plain(text: &str) -> bool {
    (1..=text::MAX_PATH).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_graphic())
}
