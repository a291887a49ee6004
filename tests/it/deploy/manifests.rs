//! The plain manifests: what a cautious cluster asks of them, and the program that they start.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;
use slidegate::settings::Command;
use slidegate::settings::Serve;
use slidegate::settings::Settings;
use tempfile::TempDir;

use crate::support::crd::documents;
use crate::support::http::Call;
use crate::support::in_project;
use crate::support::service::Service;

#[test]
fn the_pod_may_do_nothing_that_it_need_not() {
    let pod = pod();
    let container = &pod["containers"][0];
    for (of, pointer, expected) in [
        (container, "/securityContext/runAsNonRoot", json!(true)),
        (container, "/securityContext/runAsUser", json!(65_534)),
        (container, "/securityContext/runAsGroup", json!(65_534)),
        (
            container,
            "/securityContext/readOnlyRootFilesystem",
            json!(true),
        ),
        (
            container,
            "/securityContext/allowPrivilegeEscalation",
            json!(false),
        ),
        (
            container,
            "/securityContext/capabilities",
            json!({"drop": ["ALL"]}),
        ),
        (
            container,
            "/securityContext/seccompProfile/type",
            json!("RuntimeDefault"),
        ),
        (container, "/volumeMounts/0/readOnly", json!(true)),
        (&pod, "/automountServiceAccountToken", json!(false)),
    ] {
        assert_eq!(of.pointer(pointer), Some(&expected), "{pointer}");
    }
    assert!(container["resources"]["requests"]["cpu"].is_string());
    assert!(container["resources"]["requests"]["memory"].is_string());
}

#[test]
fn the_arguments_are_those_of_the_program_and_the_ports_those_that_it_opens() {
    let serve = serve();
    assert_eq!(
        serve.replicas, None,
        "they know from Redis how many they are"
    );
    let volume = &pod()["containers"][0]["volumeMounts"][0];
    let path = volume["mountPath"].as_str().unwrap();
    assert_eq!(serve.rules, [PathBuf::from(path)]);
    for (name, address) in [
        ("grpc", serve.grpc_addr),
        ("http", serve.http_addr),
        ("metrics", serve.metrics_addr),
    ] {
        assert_eq!(container_port(name), address.port(), "{name}");
        assert!(
            address.ip().is_unspecified(),
            "{name}: at the pod's address"
        );
    }
    let annotations = of_kind("Deployment")["spec"]["template"]["metadata"]["annotations"].clone();
    assert_eq!(annotations["prometheus.io/path"], *serve.metrics_path);
    let port = serve.metrics_addr.port().to_string();
    assert_eq!(annotations["prometheus.io/port"], *port);
    // The drain has to end before the kubelet's patience.
    let grace = pod()["terminationGracePeriodSeconds"].as_u64().unwrap();
    let drain = serve.drain_delay + serve.drain_timeout;
    assert!(drain.as_secs() < grace, "{drain:?} of {grace} s");
}

#[test]
fn the_program_starts_with_the_rules_and_answers_the_probes() {
    let folder = TempDir::new().unwrap();
    let files = of_kind("ConfigMap")["data"].clone();
    for (name, text) in files.as_object().unwrap() {
        fs::write(folder.path().join(name), text.as_str().unwrap()).unwrap();
    }
    let service = Service::start(&["--rules", folder.path().to_str().unwrap()]);
    let serve = serve();
    let listens = |address: SocketAddr| match address.port() {
        port if port == serve.http_addr.port() => service.http(),
        port => panic!("no probe is for port {port}"),
    };
    let container = pod()["containers"][0].clone();
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let get = &container[probe]["httpGet"];
        let port = container_port(get["port"].as_str().unwrap());
        let address = listens(([0, 0, 0, 0], port).into());
        let answer = Call::get(get["path"].as_str().unwrap()).send(address);
        assert_eq!(answer.status, 200, "{probe}");
    }
    let limits = Call::get("/rlconfig").send(service.debug()).body;
    assert!(limits.starts_with("demo.user: "), "{limits}");
}

#[test]
fn everything_is_selected_by_what_it_is_labelled_with() {
    let deployment = of_kind("Deployment");
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    let spread = &pod()["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"];
    for (what, selector) in [
        ("Deployment", &deployment["spec"]["selector"]["matchLabels"]),
        ("Service", &of_kind("Service")["spec"]["selector"]),
        (
            "PodDisruptionBudget",
            &of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        ),
        ("topologySpreadConstraints", spread),
    ] {
        assert_eq!(selector, labels, "{what}");
    }
    for port in of_kind("Service")["spec"]["ports"].as_array().unwrap() {
        let target = container_port(port["targetPort"].as_str().unwrap());
        assert_eq!(port["port"], target);
    }
    let namespaces = manifests();
    let mut namespaces = namespaces.iter().filter(|it| it["kind"] != "Namespace");
    assert!(namespaces.all(|it| it["metadata"]["namespace"] == "slidegate"));
    let volume = &pod()["volumes"][0]["configMap"]["name"];
    assert_eq!(*volume, of_kind("ConfigMap")["metadata"]["name"]);
}

/// The settings that the container's arguments come to.
fn serve() -> Serve {
    let arguments = pod()["containers"][0]["args"].clone();
    let arguments = arguments.as_array().unwrap().iter();
    let arguments = arguments.map(|it| OsString::from(it.as_str().unwrap()));
    let program = OsString::from("/bin/slidegate");
    match Settings::read([program].into_iter().chain(arguments)) {
        Ok(Settings {
            command: Command::Serve(serve),
        }) => *serve,
        Ok(other) => panic!("{other:?}"),
        Err(usage) => panic!("{usage}"),
    }
}

fn container_port(name: &str) -> u16 {
    let ports = pod()["containers"][0]["ports"].clone();
    let port = ports
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == name);
    let port = port.unwrap_or_else(|| panic!("no port `{name}`"));
    port["containerPort"].as_u64().unwrap().try_into().unwrap()
}

fn pod() -> Value {
    of_kind("Deployment")["spec"]["template"]["spec"].clone()
}

fn of_kind(kind: &str) -> Value {
    let found = manifests().into_iter().find(|it| it["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind}"))
}

fn manifests() -> Vec<Value> {
    documents(&fs::read_to_string(in_project("deploy/slidegate.yaml")).unwrap())
}
