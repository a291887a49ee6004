//! `kind: Backend`.

use std::net::IpAddr;

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::platform::backend::Backend;
use crate::platform::backend::Endpoint;
use crate::platform::backend::Host;
use crate::platform::backend::Scheme;
use crate::platform::backend::Trust;
use crate::platform::document::entities::Read;
use crate::platform::document::text;
use crate::platform::document::traffic::circuit_breaker;
use crate::platform::document::traffic::health_check;
use crate::platform::document::traffic::load_balancer;
use crate::platform::document::traffic::retry;
use crate::platform::document::traffic::timeout;
use crate::platform::hostname::is_dns_name;

pub(super) fn read(name: &str, fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Read<Backend> {
    let scheme = scheme(fields, faults);
    let endpoints = endpoints(fields, faults);
    let n_faults = faults.len();
    let load_balancer = load_balancer::read(fields, faults);
    let timeout = timeout::milliseconds(fields, faults);
    let health_check = fields.optional("health_check");
    let health_check = health_check.and_then(|at| health_check::read(&at, faults));
    let breaker = fields.optional("circuit_breaker");
    let circuit_breaker = breaker.and_then(|at| circuit_breaker::read(&at, faults));
    let retry = fields.optional("retry");
    let retry = retry.and_then(|at| retry::read(&at, faults));
    // Backends are compared with each other, so that half of one would make faults of its own.
    let is_whole = faults.len() == n_faults;
    let is_active = text::status(fields, faults);
    let entity = scheme
        .zip(endpoints)
        .filter(|_| is_whole)
        .and_then(|(scheme, endpoints)| {
            let has_addresses = endpoints.iter().any(|it| !it.is_named());
            if let Scheme::Https(trust) | Scheme::Grpcs(trust) = &scheme
                && trust.sni.is_none()
                && !trust.insecure_skip_verify
                && has_addresses
            {
                let message =
                    "endpoints that are addresses need `tls.sni`: the name in their certificate";
                faults.push(fields.at().fault(message));
                return None;
            }
            let name = name.to_owned();
            Some(Backend {
                name,
                scheme,
                endpoints,
                retry,
                timeout,
                circuit_breaker,
                load_balancer,
                health_check,
            })
        });
    Read { entity, is_active }
}

#[derive(Clone, Copy)]
enum Spoken {
    Http,
    Https,
    Grpc,
    Grpcs,
}

fn scheme(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<Scheme> {
    let at = fields.required("scheme", faults);
    let tls_at = fields.optional("tls");
    let tls = match &tls_at {
        None => Some(Trust::default()),
        Some(at) => trust(at, faults),
    };
    let at = at?;
    let spoken = at.one_of(
        &[
            ("http", Spoken::Http),
            ("https", Spoken::Https),
            ("grpc", Spoken::Grpc),
            ("grpcs", Spoken::Grpcs),
        ],
        faults,
    )?;
    let plain = match spoken {
        Spoken::Https => return tls.map(Scheme::Https),
        Spoken::Grpcs => return tls.map(Scheme::Grpcs),
        Spoken::Http => Scheme::Http,
        Spoken::Grpc => Scheme::Grpc,
    };
    if let Some(tls) = tls_at {
        let scheme = at.text(faults)?;
        faults.push(tls.fault(format!(
            "scheme {scheme} has no TLS: expected https or grpcs"
        )));
        return None;
    }
    Some(plain)
}

fn trust(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Trust> {
    let mut fields = at.mapping(faults)?;
    let sni = fields.optional("sni");
    let is_host = |text: &str| is_dns_name(text) && text.parse::<IpAddr>().is_err();
    let sni = sni.and_then(|at| text::checked(&at, faults, "a host name", is_host));
    let skip = fields.optional("insecure_skip_verify");
    let skip = skip.and_then(|at| at.boolean(faults));
    fields.finish(faults);
    Some(Trust {
        sni,
        insecure_skip_verify: skip.unwrap_or(false),
    })
}

/// The endpoints, when all of them are good.
fn endpoints(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<Vec<Endpoint>> {
    let at = fields.required("endpoints", faults)?;
    let items = at.items(faults);
    if items.is_empty() {
        faults.push(at.fault("expected at least one endpoint"));
        return None;
    }
    let instead = "make several backends of it";
    text::at_most(
        MAX_ENDPOINTS,
        "endpoints",
        instead,
        &at,
        items.len(),
        faults,
    );
    let n_items = items.len();
    let read: Vec<Endpoint> = items.iter().filter_map(|at| endpoint(at, faults)).collect();
    if read.len() < n_items {
        return None;
    }
    let weights: Vec<u8> = read.iter().filter_map(|it| it.weight).collect();
    if !weights.is_empty() && weights.len() < n_items {
        faults.push(at.fault("expected a weight for each endpoint or for none"));
        return None;
    }
    if !weights.is_empty() && weights.iter().all(|it| *it == 0) {
        faults.push(at.fault("expected at least one endpoint with a weight of more than 0"));
        return None;
    }
    Some(read)
}

/// How many endpoints Envoy Gateway lets a backend have.
const MAX_ENDPOINTS: usize = 256;

fn endpoint(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Endpoint> {
    let mut fields = at.mapping(faults)?;
    let host = fields.required("host", faults);
    let host = host.and_then(|at| host_of(&at, faults));
    let port = fields.required("port", faults);
    let port = port.and_then(|at| text::port(&at, faults));
    let zone = fields.optional("zone");
    let zone = zone.and_then(|at| text::checked(&at, faults, "a zone", |text| !text.is_empty()));
    let weight_at = fields.optional("weight");
    let weight = weight_at.as_ref().and_then(|at| at.number(0, 100, faults));
    fields.finish(faults);
    let weight = weight.and_then(|weight| u8::try_from(weight).ok());
    let endpoint = Endpoint {
        host: host?,
        port: port?,
        zone,
        weight,
    };
    (weight_at.is_some() == weight.is_some()).then_some(endpoint)
}

fn host_of(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Host> {
    let text = at.text(faults)?;
    let message = match text.parse::<IpAddr>() {
        Ok(address) if address.to_canonical().is_loopback() => {
            "is a loopback address, which Envoy Gateway refuses"
        }
        Ok(address) if address.to_canonical().is_unspecified() => "is no address to connect to",
        Ok(address) => return Some(Host::Address(address)),
        Err(_) if !is_dns_name(text) => "is neither a host name nor an address",
        Err(_) if !text.contains('.') => {
            "has one label only, which Envoy Gateway refuses: expected one such as `api.example.com`"
        }
        Err(_) => return Some(Host::Name(text.to_owned())),
    };
    faults.push(at.fault(format!("`{text}` {message}")));
    None
}
