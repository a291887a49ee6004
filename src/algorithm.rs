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
