//! A service under load behind a proxy, and what it holds.

use std::fs;

use tempfile::NamedTempFile;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::failure::traffic;
use crate::failure::traffic::Kind;
use crate::failure::traffic::Leases;
use crate::failure::traffic::Traffic;
use crate::support::proxy::Proxy;
use crate::support::redis::Redis;
use crate::support::service::Service;

/// A Redis, a proxy before it, and the service behind both, which is asked all the time.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) redis: Redis,
    pub(crate) proxy: Proxy,
    pub(crate) service: Service,
    pub(crate) traffic: Traffic,
    leases: Leases,
    held: Held,
    _rules: NamedTempFile,
}

impl Scene {
    /// Starts it and waits until limits that can be used up are.
    pub(crate) async fn start(leases: Leases) -> Option<Self> {
        let redis = Redis::start()?;
        let proxy = Proxy::before(redis.address());
        let rules = traffic::rules(leases);
        let (path, url) = (rules.path(), format!("redis://{}", proxy.address()));
        let service = serve(path.to_str().unwrap(), leases, &[&url]).await;
        let traffic = Traffic::start(service.grpc(), leases).await;
        let mut scene = Self {
            redis,
            proxy,
            held: Held::by(&service),
            service,
            traffic,
            leases,
            _rules: rules,
        };
        scene.traffic.settles().await;
        scene.held = Held::by(&scene.service);
        Some(scene)
    }

    /// Waits until the circuit is open, and sees that every choice holds, in time.
    pub(crate) async fn does_without(&mut self) {
        self.service.reports(ServingStatus::NotServing).await;
        self.traffic.is_used_up_alone().await;
        self.traffic.is_decided_by_choice().await;
    }

    /// Waits until the store is asked again, and sees that it decides and that nothing is lost: what
    /// passed alone counts there.
    pub(crate) async fn recovers(&mut self) {
        self.service.serves().await;
        let limit = self.leases.limit();
        let scarce = self.traffic.passed(Kind::Scarce);
        match self.leases {
            Leases::Off => {
                self.traffic.is_counted().await;
                assert_eq!(scarce, limit);
            }
            Leases::On => {
                // A key of which an answer never came is asked again after a second.
                self.traffic.settles().await;
                // What was given back late may be there to be taken.
                assert!(scarce <= limit, "{scarce} of {limit}");
            }
        }
        let local = self.traffic.passed(Kind::Local);
        assert!(local <= 2 * limit, "{local} of {limit}");
        self.holds_no_more();
    }

    /// Sees that an outage has left nothing behind: one line in the log for each change, no descriptors,
    /// threads or memory.
    pub(crate) fn holds_no_more(&self) {
        let log = self.service.log();
        assert_eq!(log.matches("the store does not answer").count(), 1, "{log}");
        let others = log.lines().filter(|it| !it.contains("over limit")).count();
        assert!(others <= MOST_LINES, "{log}");
        let (before, now) = (&self.held, Held::by(&self.service));
        assert_eq!(now.threads, before.threads);
        // Each request that is being answered has one.
        assert!(now.tasks <= before.tasks + 12.0, "{before:?}, {now:?}");
        assert!(
            now.descriptors <= before.descriptors + 3,
            "{before:?}, {now:?}"
        );
        assert!(
            now.kilobytes <= before.kilobytes + 32_768,
            "{before:?}, {now:?}"
        );
    }
}

/// Starts the service on a store, with more patience than a busy machine needs.
pub(crate) async fn serve(rules: &str, leases: Leases, store: &[&str]) -> Service {
    let patient = ["--store-timeout", "250ms", "--leases", leases.flag()];
    let arguments = [&["--rules", rules], patient.as_slice(), &["--store"], store];
    let service = Service::start(&arguments.concat());
    service.serves().await;
    service
}

/// What a process holds.
#[derive(Debug)]
struct Held {
    descriptors: usize,
    kilobytes: u64,
    tasks: f64,
    threads: u64,
}

impl Held {
    fn by(service: &Service) -> Self {
        let folder = format!("/proc/{}", service.pid());
        let status = fs::read_to_string(format!("{folder}/status")).unwrap();
        let number = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        Self {
            descriptors: fs::read_dir(format!("{folder}/fd")).unwrap().count(),
            tasks: service.metric("slidegate_tasks"),
            kilobytes: number("VmRSS:"),
            threads: number("Threads:"),
        }
    }
}

/// Those of the start, and a few for each change.
const MOST_LINES: usize = 40;
