//! The gRPC port: one thread with a runtime of its own for each processor, and an acceptor that
//! hands each connection to the thread with the fewest.
//!
//! A connection and its requests stay on one thread, which costs less than moving them about.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitService;
use tokio::runtime;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;
use tracing::debug;
use tracing::error;

use crate::metrics::ServiceMetrics;
use crate::server::connection::Connecting;
use crate::server::connection::serve;
use crate::server::listener::Listener;
use crate::server::listener::Stream;
use crate::server::services::Services;
use crate::shutdown::TaskError;
use crate::shutdown::Tasks;

/// How the port is served.
#[derive(Debug)]
pub struct Serving {
    /// How many threads serve connections.
    pub threads: NonZeroUsize,
    /// How connections are taken and kept.
    pub connecting: Connecting,
    /// Ends the serving: connections get a GOAWAY then.
    pub stop: CancellationToken,
    /// Dropped after the last request.
    pub drained: DropGuard,
}

/// Serves until it is told to stop, then lets requests in flight end.
///
/// # Errors
///
/// A thread cannot be started.
pub fn start<S: RateLimitService + Clone>(
    tasks: &mut Tasks,
    listener: Listener,
    services: &Services<S>,
    metrics: &ServiceMetrics,
    serving: Serving,
) -> io::Result<()> {
    let Serving {
        threads,
        connecting,
        stop,
        drained,
    } = serving;
    let drained = Arc::new(drained);
    let mut workers = Vec::with_capacity(threads.get());
    for index in 0..threads.get() {
        let (hand_over, connections) = mpsc::channel(MAX_HANDED_OVER);
        workers.push(Handle::new(hand_over));
        let worker = Worker {
            services: services.apart(),
            connections,
            metrics: metrics.clone(),
            connecting: connecting.clone(),
            stop: stop.clone(),
        };
        let (ended, end) = oneshot::channel();
        std::thread::Builder::new()
            .name(format!("grpc-{index}"))
            .spawn(move || {
                // Nobody listens only when the process is ending without its threads.
                drop(ended.send(worker.run()));
            })?;
        let drained = Arc::clone(&drained);
        tasks.spawn("gRPC thread", async move {
            let _drained = drained;
            end.await.map_err(|_| "the thread panicked")??;
            Ok(())
        });
    }
    let metrics = metrics.clone();
    tasks.spawn("gRPC port", async move {
        let _drained = drained;
        let accepted = accept(&listener, &workers, &metrics);
        stop.run_until_cancelled(accepted).await.unwrap_or(Ok(()))
    });
    Ok(())
}

/// Hands connections to the workers. A worker that is behind holds up the others: the kernel keeps
/// what waits, and refuses when that is too much.
async fn accept(
    listener: &Listener,
    workers: &[Handle],
    metrics: &ServiceMetrics,
) -> Result<(), TaskError> {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let stream = listener.accept().await?;
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            debug!(
                open = MAX_CONNECTIONS,
                "connection refused: too many are open"
            );
            metrics.connections_refused.increment(1);
            continue;
        };
        let worker = idlest(workers).ok_or("there are no threads")?;
        let accepted = Accepted {
            stream,
            place,
            open: Arc::clone(&worker.open),
        };
        let handed_over = worker.connections.send(accepted).await;
        handed_over.map_err(|_| "a thread has ended")?;
    }
}

/// The worker with the fewest connections. Envoy's are few and stay for long, so that a turn for
/// each would leave them uneven for long as well, once some have ended.
fn idlest(workers: &[Handle]) -> Option<&Handle> {
    workers
        .iter()
        .min_by_key(|worker| Arc::strong_count(&worker.open))
}

/// A worker as the acceptor sees it.
#[derive(Debug)]
struct Handle {
    connections: mpsc::Sender<Accepted>,
    /// Held by each of its connections.
    open: Arc<()>,
}

impl Handle {
    fn new(connections: mpsc::Sender<Accepted>) -> Self {
        Self {
            connections,
            open: Arc::default(),
        }
    }
}

/// A connection on its way to a worker, with its place among [`MAX_CONNECTIONS`].
#[derive(Debug)]
struct Accepted {
    stream: Stream,
    place: OwnedSemaphorePermit,
    open: Arc<()>,
}

/// What serves the connections of one thread.
struct Worker<S> {
    services: Services<S>,
    connections: mpsc::Receiver<Accepted>,
    metrics: ServiceMetrics,
    connecting: Connecting,
    stop: CancellationToken,
}

impl<S: RateLimitService + Clone> Worker<S> {
    fn run(self) -> io::Result<()> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        self.metrics.runtimes.add(runtime.handle().clone());
        runtime.block_on(self.serve());
        Ok(())
    }

    /// Serves until the acceptor is gone and the last connection has ended.
    async fn serve(mut self) {
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.connections.recv() => match accepted {
                    Some(accepted) => {
                        open.spawn(self.connection(accepted));
                        self.metrics.connections.increment(1.0);
                    }
                    None => break,
                },
                Some(ended) = open.join_next() => self.ended(ended),
            }
        }
        while let Some(ended) = open.join_next().await {
            self.ended(ended);
        }
    }

    fn ended(&self, ended: Result<(), tokio::task::JoinError>) {
        self.metrics.connections.decrement(1.0);
        if let Err(error) = ended {
            error!(%error, "a connection's task panicked");
        }
    }

    fn connection(&self, accepted: Accepted) -> impl Future<Output = ()> + Send + use<S> {
        let services = self.services.clone();
        let connecting = self.connecting.clone();
        let stop = self.stop.clone();
        async move {
            let served = serve(accepted.stream, services, &connecting, &stop).await;
            drop((accepted.place, accepted.open));
            if let Err(error) = served {
                debug!(%error, "connection broken");
            }
        }
    }
}

/// Envoy opens one connection for each of its threads.
const MAX_CONNECTIONS: usize = 4_096;
/// Connections between the acceptor and a thread.
const MAX_HANDED_OVER: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_goes_to_the_thread_with_the_fewest() {
        let workers = [(); 3].map(|()| Handle::new(mpsc::channel(1).0));
        let mut open: Vec<Vec<Arc<()>>> = vec![Vec::new(); 3];
        let connect = |open: &mut Vec<Vec<Arc<()>>>| {
            let worker = idlest(&workers).unwrap();
            let index = workers
                .iter()
                .position(|it| Arc::ptr_eq(&it.open, &worker.open));
            let index = index.unwrap();
            open[index].push(Arc::clone(&worker.open));
            index
        };
        let first: Vec<usize> = (0..6).map(|_| connect(&mut open)).collect();
        assert_eq!(first, [0, 1, 2, 0, 1, 2]);
        open[1].clear();
        open[2].pop();
        assert_eq!(connect(&mut open), 1);
        assert_eq!([connect(&mut open), connect(&mut open)], [1, 2]);
    }
}
