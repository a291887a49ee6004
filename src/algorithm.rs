//! How hits are counted: pure arithmetic on counts and times passed in.

pub mod burst;
pub mod fixed;
pub mod sliding;

/// A moment in microseconds since the Unix epoch, on the clock of whoever counts.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The moment `micros` later, at most the end of time.
    pub fn plus(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// How many microseconds lie between `earlier` and this; 0 when it is not earlier.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The hits of one request on one key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hits {
    /// Admitted only if they fit whole; 0 is a check, which passes while one hit would fit.
    Ask(u64),
    /// Used already: booked whatever they come to.
    Report(u64),
}

impl Hits {
    /// How many there are.
    pub fn count(self) -> u64 {
        let (Self::Ask(count) | Self::Report(count)) = self;
        count
    }
}

/// How an ask may be granted that stands for several, and what may be granted ahead of need.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Terms {
    /// The fewest hits that are of use: with fewer left, none are granted.
    pub least: u64,
    /// The most hits that one of those asks has: the wait is told for so many.
    pub largest: u64,
    /// How many hits are wished for ahead of need.
    pub extra: u64,
    /// In microseconds: how far ahead hits are booked that may be used later, at most
    /// [`sliding::Quota::life`].
    pub life: u64,
    /// Whether all hits may be used later, not only when some are granted ahead of need.
    pub keeps: bool,
}

impl Terms {
    /// All of these hits or none, and no more.
    pub fn whole(hits: Hits) -> Self {
        let (Hits::Ask(count) | Hits::Report(count)) = hits;
        Self {
            least: count,
            largest: count,
            extra: 0,
            life: 0,
            keeps: false,
        }
    }
}

/// Tells the log of a key from those that it had before: a new one has another.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct LogId(pub u64);

/// As what hits were booked, for giving back those that were not used.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Booked {
    /// In which log.
    pub id: LogId,
    /// When, on the clock of whoever counts; of hits that may be used later, until when at least.
    pub date: Timestamp,
}

/// What counting says of the hits of one request on one key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decision {
    /// Whether the hits fitted when they came.
    pub fits: bool,
    /// How many hits would still be admitted now.
    pub remaining: u64,
    /// In microseconds: for hits that did not fit, until they would; else until nothing is counted.
    pub reset: u64,
}

/// The most hits that one take books; more are counted as this many. Every limit is far below.
pub const MAX_HITS: u64 = (1 << 40) - 1;
