//! Requests to the sample platform, one for each way in which it limits, and what is explained of them.

use std::net::IpAddr;

use slidegate::document::Faults;
use slidegate::manifest::Manifest;
use slidegate::manifest::emit;
use slidegate::manifest::explain::Answer;
use slidegate::manifest::explain::Explanation;
use slidegate::manifest::explain::explain;
use slidegate::manifest::explain::request::Request;
use slidegate::platform::security::CONSUMER;
use slidegate::platform::security::PLAN;
use slidegate::rule::tree::RuleSet;
use slidegate::source;
use slidegate::source::file;
use slidegate::source::file::File;
use slidegate::source::platform;

use crate::support::in_project;

/// The sample platform, as an argument.
pub(crate) const PLATFORM: &str = "config/imprun";

/// A request to one of the sample's listeners.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// The listener's domain.
    pub(crate) listener: &'static str,
    /// The request.
    pub(crate) request: Request,
}

/// The requests to all listeners, each of which is counted apart from the others.
pub(crate) fn requests() -> Vec<Sent> {
    let get = |path: &str| request("GET", path);
    let of_user = |name: &str| with_header(get("/orders"), "x-user-id", name);
    let catalog = |path: &str, last: u8| Request {
        address: Some(IpAddr::from([127, 0, 0, last])),
        ..with_header(get(path), "x-api-version", "1")
    };
    // It would be counted as the consumer `c2` if it could say so itself.
    let stranger = with_header(get("/models"), PLAN, "trial");
    let stranger = with_header(stranger, CONSUMER, "c2");
    let plain = vec![
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
        stranger,
        get("/search?q=x"),
        with_header(get("/nowhere"), "x-tenant-id", "acme"),
        with_header(get("/orders"), "x-tenant-id", "acme"),
    ];
    let secured = vec![get("/refunds?debug=on"), get("/payments/1")];
    let partner = vec![
        of_partner("c1", Some("gold")),
        of_partner("c2", Some("trial")),
        of_partner("c3", Some("silver")),
        of_partner("c4", None),
        Request {
            host: "elsewhere.example.com".to_owned(),
            ..of_partner("c5", None)
        },
    ];
    let all = [
        ("default/api-gw/http", 80, plain),
        ("default/api-gw/https", 443, secured),
        ("default/partner-gw/https", 443, partner),
    ];
    let sent = all.into_iter().flat_map(|(listener, port, requests)| {
        let to_port = move |request: Request| Sent {
            listener,
            request: Request {
                port: Some(port),
                ..request
            },
        };
        requests.into_iter().map(to_port)
    });
    sent.collect()
}

/// A request with the key of a consumer, perhaps one with a plan.
fn of_partner(consumer: &str, plan: Option<&str>) -> Request {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let auth_headers = match plan {
        Some(plan) => vec![pair(CONSUMER, consumer), pair(PLAN, plan)],
        // A key of one word names nobody.
        None => Vec::new(),
    };
    let key = format!("{consumer} {}", plan.unwrap_or_default());
    Request {
        host: "orders.partners.example.com".to_owned(),
        auth_headers,
        ..with_header(request("GET", "/anything"), "x-api-key", key.trim())
    }
}

/// The manifests of a platform, or its faults.
pub(crate) fn manifests(files: Vec<File>) -> Result<Vec<Manifest>, Faults> {
    let (platform, namespace) = platform::read(files, "default")?;
    Ok(emit::manifests(&platform, &namespace))
}

/// The sample, ready to be asked.
#[derive(Debug)]
pub(crate) struct Sample {
    manifests: Vec<Manifest>,
    rules: RuleSet,
}

impl Sample {
    pub(crate) fn load() -> Self {
        let files = file::read(&[in_project(PLATFORM)]).unwrap();
        let deployed = source::deployed(&files, "default").unwrap();
        Self {
            manifests: deployed.manifests,
            rules: RuleSet::new(deployed.domains),
        }
    }

    /// What is explained of a request; nothing if no route is for it.
    pub(crate) fn explained(&self, sent: &Sent) -> Option<Explanation> {
        let answers = explain(&self.manifests, &self.rules, &sent.request).unwrap();
        let of_gateway = |it: &Answer| sent.listener.starts_with(&format!("{}/", it.gateway));
        let answer = answers.into_iter().find(of_gateway);
        answer.unwrap().met
    }
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
