//! Requests to the sample platform, one for each way in which it limits, and what is explained of them.

use std::net::IpAddr;

use slidegate::document::Faults;
use slidegate::manifest::Manifest;
use slidegate::manifest::emit;
use slidegate::manifest::explain::Explanation;
use slidegate::manifest::explain::explain;
use slidegate::manifest::explain::request::Request;
use slidegate::rule::tree::RuleSet;
use slidegate::source;
use slidegate::source::file;
use slidegate::source::file::File;
use slidegate::source::platform;

use crate::support::in_project;

/// The sample platform, as an argument.
pub(crate) const PLATFORM: &str = "config/imprun";

/// The requests, each of which is counted apart from the others.
pub(crate) fn requests() -> Vec<Request> {
    let get = |path: &str| request("GET", path);
    let of_user = |name: &str| with_header(get("/orders"), "x-user-id", name);
    let catalog = |path: &str, last: u8| Request {
        address: Some(IpAddr::from([127, 0, 0, last])),
        ..with_header(get(path), "x-api-version", "1")
    };
    vec![
        get("/payments/1"),
        request("POST", "/payments"),
        of_user("one"),
        of_user("two"),
        get("/orders"),
        catalog("/catalog/books", 2),
        catalog("/catalog/maps?page=2", 3),
        get("/catalog/books"),
        get("/refunds?debug=on"),
        get("/chat/completions"),
        get("/models"),
        get("/search?q=x"),
        get("/nowhere"),
    ]
}

/// The manifests of a platform, or its faults.
pub(crate) fn manifests(files: Vec<File>) -> Result<Vec<Manifest>, Faults> {
    let (platform, namespace) = platform::read(files, "default")?;
    Ok(emit::manifests(&platform, &namespace))
}

/// What is explained of a request to the port in the clear; nothing if no route is for it.
pub(crate) fn explained(request: &Request) -> Option<Explanation> {
    let files = file::read(&[in_project(PLATFORM)]).unwrap();
    let deployed = source::deployed(&files, "default").unwrap();
    let rules = RuleSet::new(deployed.domains);
    let answers = explain(&deployed.manifests, &rules, request).unwrap();
    let of_gateway = |gateway: &str| gateway == "default/api-gw";
    let answer = answers.into_iter().find(|it| of_gateway(&it.gateway));
    answer.unwrap().met
}

fn request(method: &str, path: &str) -> Request {
    Request {
        method: method.to_owned(),
        host: "api.example.com".to_owned(),
        port: Some(80),
        path: path.to_owned(),
        headers: Vec::new(),
        auth_headers: Vec::new(),
        address: Some(IpAddr::from([127, 0, 0, 1])),
    }
}

fn with_header(mut request: Request, name: &str, value: &str) -> Request {
    request.headers.push((name.to_owned(), value.to_owned()));
    request
}
