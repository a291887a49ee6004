//! What is told of rules: series in bounded number, which end with their rule.

use std::fs;

use tempfile::TempDir;

use crate::support::eventually;
use crate::support::http::Call;
use crate::support::rls::request;
use crate::support::service::Service;

#[tokio::test]
async fn a_rule_tells_a_thousand_values_apart_and_its_series_go_when_it_goes() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("shop.yaml");
    let limit = "rate_limit: {unit: hour, requests_per_unit: 10}";
    let lasting = format!("domain: shop\ndescriptors:\n- {{key: lasting, {limit}}}\n");
    let passing = format!("- {{key: user, value_to_metric: true, {limit}}}\n");
    fs::write(&file, lasting.clone() + &passing).unwrap();
    let service = Service::start(&["--rules", folder.path().to_str().unwrap()]);
    let mut rls = service.rls().await;
    for n in 0..1_007 {
        let value = format!("u{n}");
        assert!(rls.admits(request("shop", &[&[("user", &value)]])).await);
    }
    let within = |rule: &str| {
        let labels = format!(r#"domain="shop",key1="{rule}""#);
        service.metric(&format!(
            "ratelimit_service_rate_limit_within_limit{{{labels}}}"
        ))
    };
    assert_eq!(within("user_u0"), 1.0);
    assert_eq!(within("user_u999"), 1.0);
    assert_eq!(within("user_u1000"), 0.0);
    assert_eq!(within("user_other"), 7.0);
    let page = || Call::get("/metrics").send(service.metrics()).body;
    assert_eq!(page().matches("_within_limit{").count(), 1_000 + 4);

    fs::write(&file, lasting).unwrap();
    eventually("the series are gone", || {
        (!page().contains("user")).then_some(())
    });
    assert!(page().contains("lasting"));
}
