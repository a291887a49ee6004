//! The schemas that manifests are read by are the CRDs', condensed.
//!
//! `UPDATE_GOLDEN=1` writes them anew from the CRDs beside the project.

use std::fmt::Write;
use std::fs;

use serde_json::Value;

use crate::support;
use crate::support::crd::documents;
use crate::support::in_project;

#[test]
fn manifests_are_read_by_the_schemas_of_the_crds() {
    let crds = in_project("../shared/crds");
    if !crds.is_dir() {
        support::skip("REQUIRE_SHARED", "no ../shared/crds to read schemas from");
        return;
    }
    for (crd, version, kind) in [
        ("gateway.envoyproxy.io_backends", "v1alpha1", "backend"),
        (
            "gateway.envoyproxy.io_backendtrafficpolicies",
            "v1alpha1",
            "backendtrafficpolicy",
        ),
        (
            "gateway.envoyproxy.io_securitypolicies",
            "v1alpha1",
            "securitypolicy",
        ),
        (
            "gateway.networking.k8s.io_gatewayclasses",
            "v1",
            "gatewayclass",
        ),
        ("gateway.networking.k8s.io_gateways", "v1", "gateway"),
        ("gateway.networking.k8s.io_grpcroutes", "v1", "grpcroute"),
        ("gateway.networking.k8s.io_httproutes", "v1", "httproute"),
    ] {
        let crd = fs::read_to_string(crds.join(format!("{crd}.yaml"))).unwrap();
        let condensed = condensed(&documents(&crd)[0], version);
        let path = in_project("src/manifest/schema").join(format!("{kind}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
            fs::write(&path, &condensed).unwrap();
        }
        let actual = fs::read_to_string(&path).unwrap();
        assert_eq!(actual, condensed, "{} differs", path.display());
    }
}

/// What stands under `spec` in a version of a CRD, a line a field.
fn condensed(crd: &Value, version: &str) -> String {
    let versions = crd["spec"]["versions"].as_array().unwrap();
    let version = versions.iter().find(|it| it["name"] == version).unwrap();
    assert_eq!(version["served"], true);
    let root = &version["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut root = root.clone();
    for (kind, pointer, fields) in EXPERIMENTAL {
        if crd["spec"]["names"]["kind"] == *kind {
            let place = root.pointer_mut(pointer).unwrap();
            for field in *fields {
                place[*field] = Value::from(serde_json::Map::new());
            }
        }
    }
    let mut text = String::new();
    write("spec", true, &root, 0, &mut text);
    text
}

/// What the CRDs of the experimental channel have besides, which Envoy Gateway installs. None of it
/// decides about limits.
const EXPERIMENTAL: &[(&str, &str, &[&str])] = &[
    ("GRPCRoute", "/properties", &["useDefaultGateways"]),
    (
        "GRPCRoute",
        "/properties/rules/items/properties",
        &["sessionPersistence"],
    ),
    ("Gateway", "/properties", &["defaultScope"]),
    ("HTTPRoute", "/properties", &["useDefaultGateways"]),
    (
        "HTTPRoute",
        "/properties/rules/items/properties",
        &["retry", "sessionPersistence"],
    ),
    (
        "HTTPRoute",
        "/properties/rules/items/properties/filters/items/properties",
        &["externalAuth"],
    ),
];

fn write(name: &str, is_required: bool, schema: &Value, depth: usize, text: &mut String) {
    let mark = if is_required { "!" } else { "" };
    write!(text, "{}{name}{mark}", "  ".repeat(depth)).unwrap();
    if let Some(fields) = schema["properties"].as_object() {
        writeln!(text, " object").unwrap();
        let required = schema["required"].as_array();
        for (name, field) in fields {
            let is_named = required.is_some_and(|it| it.contains(&Value::from(name.as_str())));
            // What has a default is put in before it is missed.
            let is_required = is_named && field["default"].is_null();
            write(name, is_required, field, depth + 1, text);
        }
        return;
    }
    if schema["additionalProperties"].is_object() {
        writeln!(text, " map").unwrap();
        write(
            "{}",
            false,
            &schema["additionalProperties"],
            depth + 1,
            text,
        );
        return;
    }
    if schema["items"].is_object() {
        writeln!(text, " list{}", limits(schema, &["minItems", "maxItems"])).unwrap();
        write("[]", false, &schema["items"], depth + 1, text);
        return;
    }
    let (kind, limits) = match schema["type"].as_str() {
        Some("boolean") => ("boolean", String::new()),
        Some("integer") => ("integer", limits(schema, &["minimum", "maximum"])),
        Some("string") if schema["enum"].is_array() => ("string", choices(schema)),
        Some("string") => ("string", limits(schema, &["minLength", "maxLength"])),
        // Numbers or strings, and what the CRD leaves open.
        _ => ("any", String::new()),
    };
    writeln!(text, " {kind}{limits}").unwrap();
}

fn limits(schema: &Value, names: &[&str]) -> String {
    let limit = |name: &&str| Some(format!(" {name}={}", schema[*name].as_i64()?));
    names.iter().filter_map(limit).collect()
}

fn choices(schema: &Value) -> String {
    let names = schema["enum"].as_array().unwrap().iter();
    let names: Vec<&str> = names.map(|name| name.as_str().unwrap()).collect();
    assert!(names.iter().all(|name| !name.contains([' ', '|'])));
    format!(" enum={}", names.join("|"))
}
