//! Who got how many hits between when and when.

/// Hits that were used somewhere in a stretch of true time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) hits: u64,
    /// N when they were asked for; none for a report.
    pub(super) limit: Option<u64>,
}

/// A window that certainly held too much: its last hit, how much there was, and how much may be.
pub(super) type Breach = (u64, u64, u64);

/// The first window that certainly holds more than the limit of an ask in it, wherever in their
/// stretches hits were used.
pub(super) fn breach(uses: &mut [Use], window: u64) -> Option<Breach> {
    uses.sort_by_key(|it| it.begin);
    let lowest = uses.iter().filter_map(|it| it.limit).min()?;
    let (mut after, mut begun) = (0, 0);
    for (index, first) in uses.iter().enumerate() {
        while after < uses.len() && uses[after].begin < first.begin + window {
            begun += uses[after].hits;
            after += 1;
        }
        // Most windows are nowhere near the limit, which need not be looked at one by one.
        let most_in_window = begun;
        begun -= first.hits;
        if most_in_window <= lowest {
            continue;
        }
        let in_window = || {
            let begun = uses[index..after].iter();
            begun.filter(|it| it.end < first.begin + window)
        };
        let asks = || in_window().filter_map(|it| it.limit.map(|limit| (it, limit)));
        // Of all asks in it, one is the last: it saw all the others.
        let total: u64 = asks().map(|(it, _)| it.hits).sum();
        let Some((last, _)) = asks().max_by_key(|(it, _)| it.begin) else {
            continue;
        };
        let reports = in_window().filter(|it| it.limit.is_none() && it.end < last.begin);
        let total = total + reports.map(|it| it.hits).sum::<u64>();
        let most = asks().map(|(_, limit)| limit).max().unwrap_or(0);
        if total > most {
            return Some((last.end, total, most));
        }
    }
    None
}
