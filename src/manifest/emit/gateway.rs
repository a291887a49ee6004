//! Gateway → `Gateway`.

use crate::manifest::Namespace;
use crate::manifest::Object;
use crate::manifest::emit::metadata;
use crate::manifest::gateway;
use crate::manifest::gateway::GatewaySpec;
use crate::manifest::gateway::ListenerTls;
use crate::manifest::gateway::SecretRef;
use crate::manifest::gateway::TlsMode;
use crate::platform::Certificate;
use crate::platform::Gateway;
use crate::platform::Listener;
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
