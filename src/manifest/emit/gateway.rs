//! Gateway → `GatewayClass` and `Gateway`.

use std::collections::BTreeMap;

use crate::manifest::Metadata;
use crate::manifest::Namespace;
use crate::manifest::Object;
use crate::manifest::emit::annotations;
use crate::manifest::emit::labels;
use crate::manifest::emit::metadata;
use crate::manifest::gateway;
use crate::manifest::gateway::GatewayClassSpec;
use crate::manifest::gateway::GatewaySpec;
use crate::manifest::gateway::ListenerTls;
use crate::manifest::gateway::SecretRef;
use crate::manifest::gateway::TlsMode;
use crate::platform::Certificate;
use crate::platform::Gateway;
use crate::platform::Listener;
use crate::platform::Platform;
use crate::platform::Protocol;

pub(super) fn object(gateway: &Gateway, namespace: &Namespace) -> Object<GatewaySpec> {
    let from = format!("Gateway/{}", gateway.name);
    let mut metadata = metadata(&gateway.name, namespace, from);
    metadata.labels.extend(gateway.labels.clone());
    let spec = GatewaySpec {
        gateway_class_name: gateway.gateway_class.clone(),
        listeners: gateway.listeners.iter().map(listener).collect(),
    };
    Object::new(metadata, spec)
}

/// The classes of the gateways, each once: they have no namespace.
pub(super) fn classes(platform: &Platform) -> Vec<Object<GatewayClassSpec>> {
    let mut classes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for gateway in &platform.gateways {
        let from = classes.entry(&gateway.gateway_class).or_default();
        from.push(format!("Gateway/{}", gateway.name));
    }
    let object = |(name, from): (&str, Vec<String>)| {
        let controller_name = CONTROLLER.to_owned();
        let metadata = Metadata {
            name: name.to_owned(),
            namespace: None,
            creation_timestamp: None,
            labels: labels(),
            annotations: annotations(from.join(", ")),
        };
        Object::new(metadata, GatewayClassSpec { controller_name })
    };
    classes.into_iter().map(object).collect()
}

/// What Envoy Gateway calls itself.
const CONTROLLER: &str = "gateway.envoyproxy.io/gatewayclass-controller";

fn listener(listener: &Listener) -> gateway::Listener {
    let (protocol, tls) = match &listener.protocol {
        Protocol::Http => (gateway::Protocol::Http, None),
        Protocol::Https(certificate) => (gateway::Protocol::Https, Some(terminate(certificate))),
        Protocol::Tls(certificate) => (gateway::Protocol::Tls, Some(terminate(certificate))),
        Protocol::TlsPassthrough => {
            let (mode, certificate_refs) = (Some(TlsMode::Passthrough), Vec::new());
            let tls = ListenerTls {
                mode,
                certificate_refs,
            };
            (gateway::Protocol::Tls, Some(tls))
        }
    };
    gateway::Listener {
        name: listener.name.clone(),
        port: listener.port,
        protocol,
        hostname: listener.hostname.as_ref().map(ToString::to_string),
        tls,
        allowed_routes: None,
    }
}

fn terminate(certificate: &Certificate) -> ListenerTls {
    let Certificate(name) = certificate.clone();
    ListenerTls {
        mode: Some(TlsMode::Terminate),
        certificate_refs: vec![SecretRef { name }],
    }
}
