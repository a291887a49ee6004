//! Requests without a pause, one limit for each choice, with every answer kept.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use tempfile::NamedTempFile;
use tokio::task::JoinSet;

use crate::support::PATIENCE;
use crate::support::now;
use crate::support::rls::Rls;
use crate::support::rls::request;

/// Requests of every [`Kind`], each kind one after the other on a connection of its own.
#[derive(Debug)]
pub(crate) struct Traffic {
    answers: Arc<Mutex<Vec<Answer>>>,
    clients: JoinSet<()>,
    leases: Leases,
}

/// Whether hits are taken ahead of need, which only limits that are large enough allow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Leases {
    Off,
    On,
}

/// What a request is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A limit that is used up, so that only the choice lets it pass.
    Allow,
    /// No limit, so that no store is asked.
    Control,
    /// A limit that is never reached, so that only the choice refuses it.
    Deny,
    /// The same, so that only the choice has it fail.
    Error,
    /// A limit that is used up, and then counted alone.
    Local,
    /// The same under a choice that admits nothing alone.
    Scarce,
}

/// What was answered to one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) kind: Kind,
    begin: Instant,
    pub(crate) took: Duration,
    pub(crate) said: Said,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Said {
    Failed,
    Over,
    Passes,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Allow,
        Self::Control,
        Self::Deny,
        Self::Error,
        Self::Local,
        Self::Scarce,
    ];

    /// The key of its rule, or of none.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Control => "nothing",
            Self::Deny => "deny",
            Self::Error => "error",
            Self::Local => "local",
            Self::Scarce => "scarce",
        }
    }

    /// What the store says once limits that can be used up are.
    pub(crate) fn by_store(self) -> Said {
        match self {
            Self::Allow | Self::Local | Self::Scarce => Said::Over,
            Self::Control | Self::Deny | Self::Error => Said::Passes,
        }
    }

    /// What is said by choice, once what is counted alone is used up.
    pub(crate) fn by_choice(self) -> Said {
        match self {
            Self::Allow | Self::Control => Said::Passes,
            Self::Deny | Self::Local | Self::Scarce => Said::Over,
            Self::Error => Said::Failed,
        }
    }
}

impl Leases {
    pub(crate) const BOTH: [Self; 2] = [Self::Off, Self::On];

    /// N of the limits that are used up.
    pub(crate) fn limit(self) -> usize {
        match self {
            Self::Off => 5,
            Self::On => 200,
        }
    }

    /// As `--leases` takes it.
    pub(crate) fn flag(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
        }
    }
}

impl Traffic {
    /// Starts to send.
    pub(crate) async fn start(to: SocketAddr, leases: Leases) -> Self {
        let answers: Arc<Mutex<Vec<Answer>>> = Arc::default();
        let mut clients = JoinSet::new();
        for kind in Kind::ALL {
            let mut rls = Rls::connect(to).await;
            let answers = Arc::clone(&answers);
            clients.spawn(async move {
                loop {
                    let begin = now();
                    let asked = rls.ask(request("traffic", &[&[(kind.key(), "v")]])).await;
                    let said = match asked.as_ref().map(|it| it.overall_code()) {
                        Ok(Code::Ok) => Said::Passes,
                        Ok(_) => Said::Over,
                        Err(status) => {
                            assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
                            Said::Failed
                        }
                    };
                    let took = begin.elapsed();
                    let answer = Answer {
                        kind,
                        begin,
                        took,
                        said,
                    };
                    answers.lock().unwrap().push(answer);
                    // The others, and what is measured, need the machine too.
                    tokio::time::sleep(BETWEEN).await;
                }
            });
        }
        Self {
            answers,
            clients,
            leases,
        }
    }

    /// Waits for enough requests of every kind that begin from now on; their answers.
    pub(crate) async fn phase(&mut self) -> Vec<Answer> {
        let from = now();
        let since = || -> Vec<Answer> {
            let answers = self.answers.lock().unwrap();
            answers
                .iter()
                .filter(|it| it.begin >= from)
                .copied()
                .collect()
        };
        let enough = async {
            loop {
                let answers = since();
                let of = |kind: Kind| answers.iter().filter(|it| it.kind == kind).count();
                if Kind::ALL.iter().all(|kind| of(*kind) >= ENOUGH) {
                    return answers;
                }
                tokio::time::sleep(BETWEEN).await;
            }
        };
        tokio::select! {
            answers = tokio::time::timeout(PATIENCE, enough) => answers.unwrap(),
            Some(ended) = self.clients.join_next() => panic!("{:?}", ended.unwrap_err()),
        }
    }

    /// Waits until all answers are the store's, and limits that can be used up are.
    pub(crate) async fn settles(&mut self) {
        let begin = now();
        loop {
            let answers = self.phase().await;
            if answers.iter().all(|it| it.said == it.kind.by_store()) {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{answers:?}");
        }
    }

    /// Waits until what is counted alone is used up.
    pub(crate) async fn is_used_up_alone(&mut self) {
        let begin = now();
        let is_local = |it: &&Answer| it.kind == Kind::Local;
        while !(self.phase().await.iter().filter(is_local)).all(|it| it.said == Said::Over) {
            assert!(
                begin.elapsed() < PATIENCE,
                "more passes alone than there is"
            );
        }
    }

    /// Sees that of limits which can be used up so many times N have passed at most.
    pub(crate) async fn passed_at_most(&mut self, times: usize) {
        self.phase().await;
        for kind in [Kind::Local, Kind::Scarce] {
            let passed = self.passed(kind);
            let limit = self.leases.limit();
            assert!(passed <= times * limit, "{kind:?}: {passed} of {limit}");
        }
    }

    /// The same, each answer of which has to be the store's.
    pub(crate) async fn is_counted(&mut self) {
        for answer in self.phase().await {
            assert_eq!(answer.said, answer.kind.by_store(), "{answer:?}");
        }
    }

    /// The same, each answer of which has to be the choice of its limit, given in time. What is counted
    /// alone has to be used up.
    pub(crate) async fn is_decided_by_choice(&mut self) {
        let answers = self.phase().await;
        for answer in &answers {
            assert_eq!(answer.said, answer.kind.by_choice(), "{answer:?}");
        }
        let of = |is_control: bool| {
            let is_it = move |it: &&Answer| (it.kind == Kind::Control) == is_control;
            let mut took: Vec<_> = answers.iter().filter(is_it).map(|it| it.took).collect();
            took.sort_unstable();
            took
        };
        let (took, control) = (of(false), of(true));
        // Half of them, in the time that is promised; what the machine makes slow is slow for both.
        let median = took[took.len() / 2];
        let allowed = PROMISED + control[control.len() - 1];
        assert!(median <= allowed, "{median:?}, {allowed:?}");
    }

    /// How many of a kind have passed in all.
    pub(crate) fn passed(&self, kind: Kind) -> usize {
        let answers = self.answers.lock().unwrap();
        let passed = |it: &&Answer| it.kind == kind && it.said == Said::Passes;
        answers.iter().filter(passed).count()
    }
}

/// Limits for every kind.
pub(crate) fn rules(leases: Leases) -> NamedTempFile {
    let limit = leases.limit();
    let mut file = NamedTempFile::with_suffix(".yaml").unwrap();
    writeln!(file, "domain: traffic\ndescriptors:").unwrap();
    for (key, choice, requests) in [
        ("allow", "allow", limit),
        ("deny", "deny", 1_000_000),
        ("error", "error", 1_000_000),
        ("local", "local", limit),
        ("scarce", "deny", limit),
    ] {
        let limit =
            format!("unit: hour, requests_per_unit: {requests}, on_store_failure: {choice}");
        writeln!(file, "- {{key: {key}, rate_limit: {{{limit}}}}}").unwrap();
    }
    file
}

/// In how long a request is answered whatever happens to the store.
const PROMISED: Duration = Duration::from_millis(15);
/// How many requests of a kind show what holds.
const ENOUGH: usize = 12;
const BETWEEN: Duration = Duration::from_millis(2);
