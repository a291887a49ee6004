//! The configuration of Envoy Gateway: it exchanges the image, and nothing that would not be read.

use std::fs;

use serde_json::Value;
use slidegate::settings::drop_in::variables::State;
use slidegate::settings::drop_in::variables::VARIABLES;

use crate::support::in_project;

#[test]
fn one_image_is_exchanged_and_every_variable_is_one_that_is_honoured() {
    let configuration = configuration();
    let container = &configuration["provider"]["kubernetes"]["rateLimitDeployment"]["container"];
    let fields: Vec<_> = container.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["env", "image"]);
    for variable in container["env"].as_array().unwrap() {
        let (name, value) = (&variable["name"], variable["value"].as_str().unwrap());
        let known = VARIABLES.iter().find(|it| name == it.name);
        assert_eq!(known.map(|it| it.state), Some(State::Honoured), "{name}");
        // The one volume that Envoy Gateway mounts.
        assert!(value.starts_with("/certs/"), "{value}");
    }
}

#[test]
fn what_envoy_gateway_asks_for_is_there() {
    let configuration = configuration();
    for (pointer, expected) in [
        ("/apiVersion", "gateway.envoyproxy.io/v1alpha1"),
        ("/kind", "EnvoyGateway"),
        ("/provider/type", "Kubernetes"),
        // In another case the section is passed over, and nothing is limited.
        ("/rateLimit/backend/type", "Redis"),
    ] {
        let value = configuration.pointer(pointer).and_then(Value::as_str);
        assert_eq!(value, Some(expected), "{pointer}");
    }
    let redis = configuration["rateLimit"]["backend"]["redis"]
        .as_object()
        .unwrap();
    assert_eq!(
        redis.keys().collect::<Vec<_>>(),
        ["url"],
        "or urlRef, never both"
    );
    let (host, port) = redis["url"].as_str().unwrap().split_once(':').unwrap();
    assert!(!host.is_empty() && port.parse::<u16>().is_ok());
}

#[test]
fn the_page_shows_the_same() {
    let page = fs::read_to_string(in_project("docs/drop-in.md")).unwrap();
    let shown = page.split("```yaml\n").nth(1).unwrap();
    let shown: Value = serde_saphyr::from_str(shown.split("```").next().unwrap()).unwrap();
    let container = "/provider/kubernetes/rateLimitDeployment/container";
    assert_eq!(shown.pointer(container), configuration().pointer(container));
}

fn configuration() -> Value {
    let text = fs::read_to_string(in_project("deploy/envoy-gateway.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}
