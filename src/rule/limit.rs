//! A limit: N hits per window, with its algorithm and modes.

use std::num::NonZeroU32;

/// At most `requests` hits in any window of `unit_multiplier` units.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limit {
    /// The rule's own name, sent back in `current_limit`; most rules have none.
    pub name: Option<String>,
    /// N: how many hits pass in one window; 0 refuses everything.
    pub requests: u32,
    /// How many hits more one window may hold, as long as N is kept on average; 0 for none, and
    /// only for sliding windows.
    pub burst: u32,
    /// The unit of the window.
    pub unit: Unit,
    /// How many units one window has; [`Window::of`] says the bound.
    pub unit_multiplier: NonZeroU32,
    /// How hits are counted; none leaves it to [`Limit::algorithm_or`].
    pub algorithm: Option<Algorithm>,
    /// What an explicit `hits_addend` of a descriptor means; none is learned from the traffic.
    pub cost: Option<Cost>,
    /// Counts and answers as always, but refuses nothing.
    pub shadow: bool,
    /// Refuses a request only together with all others of this kind that hold for it.
    pub quota: bool,
    /// What becomes of hits while the store does not answer; none leaves it to the process.
    pub on_store_failure: Option<OnStoreFailure>,
}

impl Limit {
    /// `requests` in any window of one unit, and nothing else.
    pub fn new(requests: u32, unit: Unit) -> Self {
        Self {
            name: None,
            requests,
            burst: 0,
            unit,
            unit_multiplier: NonZeroU32::MIN,
            algorithm: None,
            cost: None,
            shadow: false,
            quota: false,
            on_store_failure: None,
        }
    }

    /// W: the length of the window, at most [`Window::MAX_SECONDS`].
    pub fn window(&self) -> Window {
        Window::of(self.unit, self.unit_multiplier).unwrap_or(Window::LONGEST)
    }

    /// How hits are counted, where the process counts by `default`. A burst needs sliding windows.
    pub fn algorithm_or(&self, default: Algorithm) -> Algorithm {
        let default = match self.burst {
            0 => default,
            _ => Algorithm::SlidingWindow,
        };
        self.algorithm.unwrap_or(default)
    }
}

/// A unit of time, as in Envoy's API; months have 30 days and years 365.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Unit {
    /// 86,400 seconds.
    Day,
    /// 3,600 seconds.
    Hour,
    /// 60 seconds.
    Minute,
    /// 30 days.
    Month,
    /// One second.
    Second,
    /// 7 days.
    Week,
    /// 365 days.
    Year,
}

impl Unit {
    /// Every unit, shortest first.
    pub const ALL: [Self; 7] = [
        Self::Second,
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Year,
    ];

    /// The unit's name in rule files, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The unit with this name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        let is_named = |unit: &Self| unit.name().eq_ignore_ascii_case(name);
        Self::ALL.into_iter().find(is_named)
    }

    /// The unit's length in seconds.
    pub fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Week => 604_800,
            Self::Month => 2_592_000,
            Self::Year => 31_536_000,
        }
    }
}

/// How hits are counted.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Algorithm {
    /// Windows aligned to the clock, counted as envoyproxy/ratelimit does.
    FixedWindow,
    /// Any window of that length, wherever it begins.
    #[default]
    SlidingWindow,
}

impl Algorithm {
    /// Both, with their names in rule files and flags.
    pub const NAMES: [(&'static str, Self); 2] = [
        ("sliding_window", Self::SlidingWindow),
        ("fixed_window", Self::FixedWindow),
    ];

    /// The name in rule files and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::FixedWindow => "fixed_window",
            Self::SlidingWindow => "sliding_window",
        }
    }
}

/// What hits above one mean that a request brings for a single descriptor.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Cost {
    /// Hits that may be refused, because they come before the work.
    Ask,
    /// Hits already used, booked whatever they come to.
    Report,
}

impl Cost {
    /// Both, with their names in rule files.
    pub const NAMES: [(&'static str, Self); 2] = [("ask", Self::Ask), ("report", Self::Report)];

    /// The name in rule files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Report => "report",
        }
    }
}

/// What becomes of hits while the store does not answer.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum OnStoreFailure {
    /// They pass.
    Allow,
    /// They are refused.
    Deny,
    /// The request fails, and the failure mode of whoever asks decides.
    Error,
    /// This process counts on its own, up to its share of the limit.
    #[default]
    Local,
}

impl OnStoreFailure {
    /// All of them, with their names in rule files and flags.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("deny", Self::Deny),
        ("allow", Self::Allow),
        ("error", Self::Error),
        ("local", Self::Local),
    ];

    /// The name in rule files and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Error => "error",
            Self::Local => "local",
        }
    }
}

/// The length of a window, at most [`Window::MAX_SECONDS`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Window(u32);

impl Window {
    /// The longest window: ten years of 365 days.
    pub const MAX_SECONDS: u64 = Self::LONGEST.0 as u64;

    const LONGEST: Self = Self(315_360_000);

    /// The window of `multiplier` units, unless it is too long.
    pub fn of(unit: Unit, multiplier: NonZeroU32) -> Option<Self> {
        let seconds = unit.seconds() * u64::from(multiplier.get());
        let seconds = (seconds <= Self::MAX_SECONDS).then_some(seconds)?;
        u32::try_from(seconds).ok().map(Self)
    }

    /// The window of one unit.
    pub fn of_one(unit: Unit) -> Self {
        Self(u32::try_from(unit.seconds()).expect("no unit is longer than a year"))
    }

    /// The length in seconds, at least 1.
    pub fn seconds(self) -> u64 {
        self.0.into()
    }

    /// The length in microseconds.
    pub fn micros(self) -> u64 {
        self.seconds() * 1_000_000
    }
}
