//! Which costs are asked for, and which are reported.

use super::*;

#[tokio::test]
async fn costs_after_checks_are_reports_and_booked_whatever_they_come_to() {
    let service = Service::new(vec![limited("tokens", 21)]);
    for _ in 0..3 {
        assert!(service.ok(&[ask("tokens", 0)]).await);
        service.decide(&[ask("tokens", 10)]).await;
    }
    assert!(!service.ok(&[ask("tokens", 0)]).await);
}

#[tokio::test]
async fn one_cost_for_every_request_is_asked_for() {
    let service = Service::new(vec![limited("tokens", 21)]);
    assert!(service.ok(&[ask("tokens", 10)]).await);
    assert!(service.ok(&[ask("tokens", 10)]).await);
    assert!(!service.ok(&[ask("tokens", 10)]).await);
    assert_eq!(service.decide(&[ask("tokens", 0)]).await, [(false, 1)]);
}

#[tokio::test]
async fn a_rule_says_what_its_costs_are() {
    let mut rule = limited("tokens", 21);
    rule.cost = Some(Cost::Ask);
    let service = Service::new(vec![rule]);
    assert!(service.ok(&[ask("tokens", 0)]).await);
    assert!(service.ok(&[ask("tokens", 20)]).await);
    assert!(!service.ok(&[ask("tokens", 20)]).await);
    assert!(service.ok(&[ask("tokens", 1)]).await);
}

#[tokio::test]
async fn a_cost_of_one_counts_as_none() {
    let service = Service::new(vec![limited("tokens", 21)]);
    assert!(service.ok(&[ask("tokens", 1)]).await);
    // Beside it, another cost is a report: booked in full, and told as an ask would be.
    assert_eq!(service.decide(&[ask("tokens", 30)]).await, [(true, 0)]);
    assert!(!service.ok(&[ask("tokens", 1)]).await);
}

#[tokio::test]
async fn the_hits_of_a_whole_request_are_asked_for_whatever_the_rule_has() {
    let mut rule = limited("tokens", 21);
    rule.cost = Some(Cost::Report);
    let service = Service::new(vec![rule]);
    let whole = Request {
        hits_addend: 30,
        ..request(&[Descriptor {
            hits_addend: None,
            ..ask("tokens", 0)
        }])
    };
    let verdict = service.limiter.decide(&whole, PATIENCE).await.unwrap();
    assert!(verdict.over_limit);
    assert_eq!(service.decide(&[ask("tokens", 0)]).await, [(false, 21)]);
}

#[tokio::test]
async fn costs_that_leave_open_what_they_are_count_as_reports_and_are_counted() {
    let service = Service::new(vec![limited("tokens", 21)]);
    let unclear = |page: &str| {
        let series = "slidegate_rule_cost_unclear_total{domain=\"d\",rule=\"tokens\"} ";
        page.lines()
            .find_map(|line| line.strip_prefix(series)?.parse().ok())
            .unwrap_or(0)
    };
    assert!(service.ok(&[ask("tokens", 5)]).await);
    assert_eq!(unclear(&service.metrics.render()), 0);
    assert!(service.ok(&[ask("tokens", 6)]).await);
    assert!(
        !service.ok(&[ask("tokens", 20)]).await,
        "booked all the same"
    );
    assert!(!service.ok(&[ask("tokens", 1)]).await);
    assert_eq!(unclear(&service.metrics.render()), 1, "once an hour");
}
