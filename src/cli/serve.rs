//! `slidegate serve`: wires settings, metrics, store, limiter, sources and ports.

mod announce;
mod logging;
mod rules;
mod secure;
mod spans;
mod stats;
mod store;

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;

use crate::cli::serve::rules::Rules;
use crate::cli::serve::store::Link;
use crate::limiter::Limiter;
use crate::limiter::Options;
use crate::limiter::clock::Clock;
use crate::limiter::clock::SystemClock;
use crate::limiter::fallback::Choice;
use crate::metrics::Metrics;
use crate::rule::Domain;
use crate::rule::tree::RuleSet;
use crate::server;
use crate::server::answer::Additions;
use crate::server::answer::HeaderNames;
use crate::server::connection::Connecting;
use crate::server::grpc;
use crate::server::grpc::Serving;
use crate::server::health;
use crate::server::health::Health;
use crate::server::http;
use crate::server::listener::Listener;
use crate::server::listener::Socket;
use crate::server::pages;
use crate::server::rls::Rls;
use crate::server::services::Services;
use crate::settings::Serve;
use crate::settings::answer::Answer;
use crate::settings::store::StoreAddress;
use crate::shutdown::TaskError;
use crate::shutdown::Tasks;

/// Serves until a signal comes or a task fails.
pub fn run(settings: &Serve) -> Result<(), TaskError> {
    logging::start(settings)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let served = runtime.block_on(serve(settings));
    // What was cut off is not waited for.
    runtime.shutdown_background();
    served
}

/// Everything but gRPC runs here: the link to the store, the sources, plain HTTP.
async fn serve(settings: &Serve) -> Result<(), TaskError> {
    let mut signals = Signals::catch()?;
    let mut tasks = Tasks::default();
    let clock = SystemClock::start();
    for note in &settings.notes {
        warn!("{note}");
    }
    let rules = Rules::of(settings, &mut tasks, clock)?;
    let early = match settings.wait_for_rules {
        true => None,
        false => Some(Ports::bind(settings).await?),
    };

    let stop = tasks.stop_token();
    let metrics = Arc::new(Metrics::new());
    metrics.runtimes().add(runtime::Handle::current());
    // The plain ports and the link to the store stay until the last gRPC request has ended: probes
    // and scrapes see that, and the request is answered.
    let drained = CancellationToken::new();
    let let_go = CancellationToken::new();
    let Link { store, kind } = store::link(settings, &mut tasks, &let_go, clock, &metrics)?;
    let store_metrics = metrics.store(kind);
    let connected = store_metrics.connected.clone();
    let limiter = Limiter::new(
        store,
        Arc::new(clock),
        options(settings),
        Arc::clone(&metrics),
        store_metrics,
    );
    let spans = spans::open(&settings.tracing, &mut tasks, clock)?;
    let limiter = limiter.tracing(spans.clone());
    let limiter = match settings.store {
        StoreAddress::Memory => Arc::new(limiter),
        StoreAddress::Redis(_) => {
            let choice = Choice {
                default: settings.on_store_failure,
                replicas: settings.replicas,
            };
            let limiter = limiter.falling_back(choice);
            let link = Arc::new(let_go.drop_guard());
            let limiter = match settings.leases {
                true => {
                    let (limiter, courier) = limiter.leasing();
                    let runtimes = metrics.runtimes();
                    let (stop, link) = (drained.clone(), Arc::clone(&link));
                    store::carry(courier, &mut tasks, &runtimes, stop, link)?;
                    limiter
                }
                false => limiter,
            };
            let limiter = Arc::new(limiter);
            tasks.spawn(
                "store",
                store::watch(Arc::clone(&limiter), drained.clone(), link),
            );
            limiter
        }
    };
    announce::modes(settings);
    let (n_domains, mut domains) = watch::channel(None);
    let apply = {
        let (limiter, last_load) = (Arc::clone(&limiter), metrics.source().last_load);
        move |domains: Vec<Domain>| {
            let n = domains.len();
            limiter.replace_rules(RuleSet::new(domains));
            last_load.set(clock.now().wall.0 as f64 / 1e6);
            n_domains.send_replace(Some(n));
        }
    };
    rules.follow(apply, metrics.source(), &mut tasks);
    let hurry = CancellationToken::new();
    let ports = match early {
        Some(ports) => ports,
        None => {
            info!("waiting for the first rules before anything is listened on");
            tokio::select! {
                // Nobody is left to apply rules only when that task has ended.
                _ = domains.wait_for(Option::is_some) => Ports::bind(settings).await?,
                () = signals.told_to_stop(&hurry) => return Ok(()),
            }
        }
    };
    stats::send(&settings.stats, &metrics, &mut tasks, drained.clone());
    tasks.spawn("metrics", upkeep(Arc::clone(&metrics), stop.clone()));

    let health = Health {
        store: limiter.answers(),
        domains,
        needs_rules: settings.health_needs_rules,
        needs_store: settings.health_needs_store,
        forgives_store: settings.forgives_store && !settings.health_needs_store,
    };
    let reporter = health::reporter().await;
    tasks.spawn(
        "health",
        health::report(reporter.clone(), health.clone(), connected, stop.clone()),
    );
    let rls = Rls::new(
        Arc::clone(&limiter),
        metrics.service(),
        settings.store_timeout,
        additions(&settings.answer),
    )
    .tracing(spans.clone());
    let services = Services::new(rls.clone(), reporter)?;
    let main = pages::main(rls, health, stop);
    let debug = pages::debug(limiter);
    tasks.spawn("HTTP port", http::serve(ports.http, main, drained.clone()));
    tasks.spawn(
        "debug port",
        http::serve(ports.debug, debug, drained.clone()),
    );
    if let Some(port) = ports.metrics {
        let scrape = pages::metrics(&settings.metrics_path, Arc::clone(&metrics));
        tasks.spawn("metrics port", http::serve(port, scrape, drained.clone()));
    }
    let tls = secure::port(settings, &mut tasks, &metrics, clock)?;
    let leave = CancellationToken::new();
    tasks.spawn(
        "drain delay",
        delay(
            settings.drain_delay,
            tasks.stop_token(),
            hurry.clone(),
            leave.clone(),
        ),
    );
    let serving = Serving {
        threads: threads(settings),
        connecting: Connecting {
            tls,
            max_age: settings.max_connection_age,
            grace: settings.max_connection_age_grace,
        },
        stop: leave,
        drained: drained.drop_guard(),
    };
    grpc::start(
        &mut tasks,
        ports.grpc,
        &services,
        &metrics.service(),
        serving,
    )?;
    let told = async || signals.told_to_stop(&hurry).await;
    let grace = settings.drain_delay + settings.drain_timeout;
    let ended = tasks.run(told, grace).await;
    spans::finish(spans).await;
    ended?;
    info!("stopped");
    Ok(())
}

/// The bound ports.
struct Ports {
    grpc: Listener,
    http: tokio::net::TcpListener,
    debug: tokio::net::TcpListener,
    metrics: Option<tokio::net::TcpListener>,
}

impl Ports {
    /// Binds all of them before any is served, and says where they are.
    async fn bind(settings: &Serve) -> Result<Self, TaskError> {
        let ports = Self {
            grpc: match &settings.grpc_socket {
                Some(path) => Listener::Unix(Socket::bind(path)?),
                None => {
                    let bound = server::bind("--grpc-addr", settings.grpc_addr).await?;
                    Listener::Tcp(bound)
                }
            },
            http: server::bind("--http-addr", settings.http_addr).await?,
            debug: server::bind("--debug-addr", settings.debug_addr).await?,
            metrics: match settings.has_metrics {
                true => Some(server::bind("--metrics-addr", settings.metrics_addr).await?),
                false => None,
            },
        };
        let serves = "rate limits, health, reflection";
        match (&ports.grpc, &settings.grpc_socket) {
            (Listener::Tcp(listener), _) => {
                let address = listener.local_addr()?;
                info!(port = "gRPC", %address, serves, "listening");
            }
            (Listener::Unix(_), path) => info!(port = "gRPC", ?path, serves, "listening"),
        }
        for (port, serves, listener) in [
            ("HTTP", "/healthcheck, /json", Some(&ports.http)),
            ("debug", "/rlconfig", Some(&ports.debug)),
            ("metrics", &settings.metrics_path, ports.metrics.as_ref()),
        ] {
            if let Some(listener) = listener {
                let address = listener.local_addr()?;
                info!(port, %address, serves, "listening");
            }
        }
        Ok(ports)
    }
}

fn options(settings: &Serve) -> Options {
    Options {
        algorithm: settings.algorithm,
        shadow: settings.shadow_mode,
        quota: settings.quota_mode,
        key_prefix: settings.counting.key_prefix.clone(),
        near_limit_ratio: settings.counting.near_limit_ratio,
    }
}

fn additions(settings: &Answer) -> Additions {
    let names = || HeaderNames {
        limit: settings.limit_header.clone(),
        remaining: settings.remaining_header.clone(),
        reset: settings.reset_header.clone(),
    };
    let in_requests = || match settings.request_names.clone() {
        Some([limit, remaining, reset]) => HeaderNames {
            limit,
            remaining,
            reset,
        },
        None => names(),
    };
    Additions {
        headers: settings.limit_headers.then(names),
        request_headers: settings.limit_request_headers.then(in_requests),
        dynamic_metadata: settings.response_metadata,
    }
}

fn threads(settings: &Serve) -> NonZeroUsize {
    let all = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    settings.threads.unwrap_or_else(all)
}

/// Sums up the histograms, which otherwise grow while nobody scrapes.
async fn upkeep(metrics: Arc<Metrics>, stop: CancellationToken) -> Result<(), TaskError> {
    let upkeep = async {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            metrics.upkeep();
        }
    };
    stop.run_until_cancelled(upkeep).await.unwrap_or(Ok(()))
}

/// What tells the process to stop.
struct Signals {
    terminate: Signal,
    hangup: Signal,
    interrupt: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one. At a terminal nobody waits for callers to look elsewhere.
    async fn told_to_stop(&mut self, hurry: &CancellationToken) {
        let name = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hangup.recv() => "SIGHUP",
            _ = self.interrupt.recv() => {
                hurry.cancel();
                "SIGINT"
            }
        };
        info!(signal = name, "stopping");
    }
}

/// Lets the gRPC port go on for a while after it is time to stop, unless there is a hurry.
async fn delay(
    delay: Duration,
    stop: CancellationToken,
    hurry: CancellationToken,
    leave: CancellationToken,
) -> Result<(), TaskError> {
    stop.cancelled().await;
    hurry.run_until_cancelled(tokio::time::sleep(delay)).await;
    leave.cancel();
    Ok(())
}

const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
