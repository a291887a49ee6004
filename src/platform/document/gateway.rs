//! `kind: Gateway`.

use std::collections::HashMap;

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::platform::Certificate;
use crate::platform::Gateway;
use crate::platform::Listener;
use crate::platform::Protocol;
use crate::platform::document::entities::Read;
use crate::platform::document::text;
use crate::platform::hostname::is_dns_label;
use crate::platform::hostname::is_dns_name;

pub(super) fn read(name: &str, fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Read<Gateway> {
    let class = fields.optional("gateway_class");
    let expected = "the name of a GatewayClass";
    let class = class.and_then(|at| text::checked(&at, faults, expected, is_dns_name));
    let listeners = listeners(fields, faults);
    let labels = fields.optional("labels");
    let labels = labels.map(|at| text::labels(&at, faults));
    let is_active = text::status(fields, faults);
    let entity = listeners.map(|listeners| Gateway {
        name: name.to_owned(),
        gateway_class: class.unwrap_or_else(|| "envoy-gateway".to_owned()),
        listeners,
        labels: labels.unwrap_or_default(),
    });
    Read { entity, is_active }
}

/// The listeners, when all of them are good.
fn listeners(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<Vec<Listener>> {
    let at = fields.required("listeners", faults)?;
    let items = at.items(faults);
    if items.is_empty() {
        faults.push(at.fault("expected at least one listener"));
        return None;
    }
    let instead = "make several gateways of it";
    text::at_most(
        MAX_LISTENERS,
        "listeners",
        instead,
        &at,
        items.len(),
        faults,
    );
    let n_items = items.len();
    let (mut names, mut ports) = (HashMap::new(), HashMap::new());
    let mut listeners = Vec::with_capacity(n_items);
    for at in items {
        let Some(read) = listener(&at, faults) else {
            continue;
        };
        if let Some(name) = read.name
            && let Some(line) = names.insert(name.clone(), at.line())
        {
            faults.push(at.fault(format!("listener `{name}` stands on line {line} already")));
        }
        if let Some(port) = read.port
            && let Some(line) = ports.insert(port, at.line())
        {
            faults.push(at.fault(format!("port {port} stands on line {line} already")));
        }
        listeners.extend(read.listener);
    }
    (listeners.len() == n_items).then_some(listeners)
}

/// How many listeners Gateway API lets a gateway have.
const MAX_LISTENERS: usize = 64;

/// A listener, unless it has faults, and what others may not have as well.
struct ListenerRead {
    name: Option<String>,
    port: Option<u16>,
    listener: Option<Listener>,
}

fn listener(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<ListenerRead> {
    let mut fields = at.mapping(faults)?;
    let name = fields.required("name", faults);
    let expected = "a name: 1 to 63 of a-z, 0-9 and inner hyphens";
    let name = name.and_then(|at| text::checked(&at, faults, expected, is_dns_label));
    let port = fields.required("port", faults);
    let port = port.and_then(|at| text::port(&at, faults));
    let protocol = protocol(&mut fields, faults);
    let hostname = fields.optional("hostname");
    let hostname = hostname.and_then(|at| text::hostname(&at, faults));
    fields.finish(faults);
    let listener = match (&name, port, protocol) {
        (Some(name), Some(port), Some(protocol)) => Some(Listener {
            name: name.clone(),
            port,
            protocol,
            hostname,
        }),
        _ => None,
    };
    Some(ListenerRead {
        name,
        port,
        listener,
    })
}

#[derive(Clone, Copy)]
enum Spoken {
    Http,
    Https,
    Tls,
}

#[derive(Clone, Copy)]
enum Mode {
    Passthrough,
    Terminate,
}

fn protocol(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<Protocol> {
    let at = fields.required("protocol", faults);
    let tls = fields.optional("tls");
    let at = at?;
    let spoken = text::supported(
        &at,
        &[
            ("HTTP", Some(Spoken::Http)),
            ("HTTPS", Some(Spoken::Https)),
            ("TLS", Some(Spoken::Tls)),
            ("TCP", None),
            ("UDP", None),
        ],
        faults,
    );
    match (spoken?, tls) {
        (Spoken::Http, None) => Some(Protocol::Http),
        (Spoken::Http, Some(tls)) => {
            faults.push(tls.fault("a listener of protocol HTTP has no `tls`"));
            None
        }
        (Spoken::Https | Spoken::Tls, None) => {
            let protocol = at.text(faults)?;
            faults.push(at.fault(format!("a listener of protocol {protocol} needs `tls`")));
            None
        }
        (Spoken::Https, Some(tls)) => match ending(&tls, faults)? {
            Some(certificate) => Some(Protocol::Https(certificate)),
            None => {
                let message = "mode Passthrough is for protocol TLS, HTTPS needs Terminate";
                faults.push(tls.fault(message));
                None
            }
        },
        (Spoken::Tls, Some(tls)) => Some(match ending(&tls, faults)? {
            Some(certificate) => Protocol::Tls(certificate),
            None => Protocol::TlsPassthrough,
        }),
    }
}

/// The certificate with which TLS ends here, or none when a backend ends it.
fn ending(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Option<Certificate>> {
    let mut fields = at.mapping(faults)?;
    let mode = match fields.optional("mode") {
        None => Some(Mode::Terminate),
        Some(at) => {
            let names = [
                ("Terminate", Mode::Terminate),
                ("Passthrough", Mode::Passthrough),
            ];
            at.one_of(&names, faults)
        }
    };
    let reference = match mode {
        Some(Mode::Terminate) => fields.required("certificate_ref", faults),
        None | Some(Mode::Passthrough) => fields.optional("certificate_ref"),
    };
    fields.finish(faults);
    match (mode?, reference) {
        (Mode::Terminate, None) => None,
        (Mode::Terminate, Some(at)) => {
            let expected = "the name of a secret";
            let name = text::checked(&at, faults, expected, is_dns_name)?;
            Some(Some(Certificate(name)))
        }
        (Mode::Passthrough, None) => Some(None),
        (Mode::Passthrough, Some(at)) => {
            faults.push(at.fault("mode Passthrough has no certificate"));
            None
        }
    }
}
