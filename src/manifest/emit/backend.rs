//! Backend → `Backend`.

use std::net::IpAddr;
use std::net::Ipv6Addr;

use crate::manifest::Namespace;
use crate::manifest::Object;
use crate::manifest::backend;
use crate::manifest::backend::BackendSpec;
use crate::manifest::backend::BackendTls;
use crate::manifest::backend::FqdnEndpoint;
use crate::manifest::backend::H2C;
use crate::manifest::backend::IpEndpoint;
use crate::manifest::emit::metadata;
use crate::platform::Platform;
use crate::platform::backend::Backend;
use crate::platform::backend::Endpoint;
use crate::platform::backend::Host;
use crate::platform::backend::Scheme;
use crate::platform::backend::Trust;
use crate::platform::effective::Source;
use crate::platform::share::Part;

/// One resource for each part of each backend, by name.
pub(super) fn objects<'p>(
    platform: &'p Platform,
    namespace: &'p Namespace,
) -> impl Iterator<Item = Object<BackendSpec>> + use<'p> {
    let backends = platform.backends.iter();
    let parts = backends.flat_map(|backend| {
        let parts = backend.parts().into_iter();
        parts.map(move |part| (backend, part))
    });
    let mut parts: Vec<_> = parts.collect();
    parts.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
    let parts = parts.into_iter();
    parts.map(|(backend, part)| object(backend, &part, namespace))
}

fn object(backend: &Backend, part: &Part<'_>, namespace: &Namespace) -> Object<BackendSpec> {
    let from = Source::Backend(&backend.name).to_string();
    let (is_grpc, trust) = match &backend.scheme {
        Scheme::Http => (false, None),
        Scheme::Https(trust) => (false, Some(trust)),
        Scheme::Grpc => (true, None),
        Scheme::Grpcs(trust) => (true, Some(trust)),
    };
    let has_names = part.endpoints.iter().any(|it| it.is_named());
    let spec = BackendSpec {
        app_protocols: is_grpc.then(|| H2C.to_owned()).into_iter().collect(),
        endpoints: part.endpoints.iter().copied().map(endpoint).collect(),
        tls: trust.map(|trust| tls(trust, has_names)),
    };
    Object::new(metadata(&part.name, namespace, from), spec)
}

fn endpoint(endpoint: &Endpoint) -> backend::Endpoint {
    let (mut fqdn, mut ip) = (None, None);
    let port = endpoint.port;
    match &endpoint.host {
        Host::Address(address) => {
            let address = written(*address);
            ip = Some(IpEndpoint { address, port });
        }
        Host::Name(hostname) => {
            let hostname = hostname.clone();
            fqdn = Some(FqdnEndpoint { hostname, port });
        }
    }
    let zone = endpoint.zone.clone();
    backend::Endpoint { fqdn, ip, zone }
}

/// The address in full: the CRD's pattern refuses some that are shortened.
fn written(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => full(address),
    }
}

fn full(address: Ipv6Addr) -> String {
    let segments = address.segments().map(|segment| format!("{segment:x}"));
    segments.join(":")
}

fn tls(trust: &Trust, has_names: bool) -> BackendTls {
    let skip = trust.insecure_skip_verify;
    BackendTls {
        // Without it Envoy Gateway sends the host that the client asked for.
        auto_sni_from_endpoint_hostname: (trust.sni.is_none() && has_names).then_some(true),
        insecure_skip_verify: skip.then_some(true),
        sni: trust.sni.clone(),
        well_known_ca_certificates: (!skip).then(|| "System".to_owned()),
    }
}
