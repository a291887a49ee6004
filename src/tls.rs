//! Certificates and keys, used anew when their files change; for servers and clients.
//!
//! What cannot be used is refused with the reason, and what was used before stays in use.

mod certificate;
pub mod client;
mod name;
pub mod server;

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use sha2::Digest;
use sha2::Sha256;
use tokio_rustls::rustls;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::ring;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;

use crate::shutdown::TaskError;
use crate::tls::certificate::Dates;

/// Files of which a configuration is made.
pub trait Files: Send + Sync + 'static {
    /// What is made of them.
    type Config: Clone + Send + Sync + 'static;

    /// The files, in the order in which [`Files::make`] takes their contents.
    fn paths(&self) -> Vec<&Path>;

    /// Makes it of their contents.
    ///
    /// # Errors
    ///
    /// A file does not hold what it should, or they do not go together.
    fn make(&self, contents: &[Vec<u8>]) -> Result<Made<Self::Config>, Unusable>;
}

/// A configuration and when its certificate holds.
#[derive(Debug)]
pub struct Made<C> {
    config: C,
    /// None where there is no certificate.
    dates: Option<Dates>,
}

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The certificate has ended.
    #[error("the certificate in {} expired at {at}", path.display())]
    Expired {
        /// Its file.
        path: PathBuf,
        /// When.
        at: String,
    },
    /// The certificate has not begun.
    #[error("the certificate in {} is not valid before {at}", path.display())]
    NotYetValid {
        /// Its file.
        path: PathBuf,
        /// When it begins.
        at: String,
    },
    /// A file has no such thing in it.
    #[error("no {what} in {}: expected PEM", path.display())]
    Missing {
        /// What was looked for.
        what: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// A certificate or key is not formed as it should be.
    #[error("{} cannot be used: {reason}", path.display())]
    Malformed {
        /// Its file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The key is that of another certificate, or of a kind that is not known.
    #[error("the key in {} does not go with the certificate in {}", key.display(), certificate.display())]
    Unpaired {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No file names the authorities to trust, and the system knows none.
    #[error("no trusted certificates: the system has none, and no file was given")]
    NothingTrusted,
}

/// A configuration that follows its files.
#[derive(Debug)]
pub struct Kept<F: Files> {
    files: F,
    made: ArcSwap<Made<F::Config>>,
    first: Seen,
}

impl<F: Files> Kept<F> {
    /// Reads the files. A certificate that has expired is used until a better one comes: its peers
    /// decide.
    ///
    /// # Errors
    ///
    /// The files cannot be used.
    pub fn new(files: F) -> Result<Self, Unusable> {
        let (seen, contents) = read(&files);
        let made = files.make(&contents?)?;
        Ok(Self {
            made: ArcSwap::from_pointee(made),
            files,
            first: seen,
        })
    }

    /// What the files held when they were last of use.
    pub fn config(&self) -> F::Config {
        self.made.load().config.clone()
    }

    /// Looks at the files every second until told to stop; `now` says the seconds since the Unix
    /// epoch.
    ///
    /// # Errors
    ///
    /// None: what cannot be used is logged, once.
    pub async fn follow(
        self: Arc<Self>,
        now: impl Fn() -> u64,
        stop: CancellationToken,
    ) -> Result<(), TaskError> {
        let mut follower = Follower {
            seen: self.first.clone(),
            has_complained: false,
        };
        loop {
            let (kept, now) = (Arc::clone(&self), now());
            let look = tokio::task::spawn_blocking(move || {
                follower.look(&kept, now);
                follower
            });
            follower = look.await?;
            let again = tokio::time::sleep(INTERVAL);
            if stop.run_until_cancelled(again).await.is_none() {
                return Ok(());
            }
        }
    }
}

/// What is known from the last look at the files.
#[derive(Debug)]
struct Follower {
    seen: Seen,
    /// Whether it was said that the certificate in use does not hold now.
    has_complained: bool,
}

impl Follower {
    fn look<F: Files>(&mut self, kept: &Kept<F>, now: u64) {
        let (seen, contents) = read(&kept.files);
        if seen != self.seen {
            self.seen = seen;
            let made = contents.and_then(|contents| kept.files.make(&contents));
            let held = made.and_then(|made| {
                let dates = made.dates.as_ref().map_or(Ok(()), |it| it.hold(now));
                dates.map(|()| made)
            });
            match held {
                Ok(made) => {
                    kept.made.store(Arc::new(made));
                    self.has_complained = false;
                    info!(files = %list(&kept.files), "certificates reloaded");
                }
                Err(error) => warn!(
                    reason = chain(&error),
                    "certificates refused, what was used before stays in use"
                ),
            }
        }
        let made = kept.made.load();
        match made.dates.as_ref().map_or(Ok(()), |it| it.hold(now)) {
            Ok(()) => self.has_complained = false,
            Err(_) if self.has_complained => {}
            Err(error) => {
                self.has_complained = true;
                warn!("{error}: peers may refuse it until the files change");
            }
        }
    }
}

/// What was in the files, without keeping the keys: a digest of each, or why there is none.
type Seen = Vec<Result<[u8; 32], io::ErrorKind>>;

fn read<F: Files>(files: &F) -> (Seen, Result<Vec<Vec<u8>>, Unusable>) {
    let paths = files.paths();
    let read: Vec<_> = paths.iter().map(|path| (path, fs::read(path))).collect();
    let seen = read.iter().map(|(_, read)| match read {
        Ok(bytes) => Ok(Sha256::digest(bytes).into()),
        Err(error) => Err(error.kind()),
    });
    let seen = seen.collect();
    let contents = read.into_iter().map(|(path, read)| {
        let path = path.to_path_buf();
        read.map_err(|source| Unusable::Unread { path, source })
    });
    (seen, contents.collect())
}

fn list<F: Files>(files: &F) -> String {
    let paths = files.paths();
    let names: Vec<_> = paths.iter().map(|it| it.display().to_string()).collect();
    names.join(", ")
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// HTTP/2, the only protocol spoken.
const H2: &[u8] = b"h2";

/// Between two looks at the files.
const INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
