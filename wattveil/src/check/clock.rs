//! What this machine's clock is worth, by what the aggregators' statuses say of the time.

use protocol::unit::Timestamp;

use super::findings::Grade;

/// How many seconds clocks may differ without a word.
const SKEW: u64 = 60;

/// How many seconds old the newest of what running aggregators say may be: each says its status once a minute.
const STALE: u64 = 60 + SKEW;

/// Judges a clock by who said a status, and when by its own clock. Nothing is said in advance, so that a clock that two are
/// ahead of is slow; and what all say of the past is a clock that is fast, unless none of them runs.
pub(super) fn judge(now: Timestamp, heard: &[(String, Timestamp)]) -> (Grade, String) {
    let mut latest: Vec<&(String, Timestamp)> = heard.iter().collect();
    latest.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
    let Some(newest_row @ (name, newest)) = latest.first().copied() else {
        return (
            Grade::Note,
            "no aggregator says what time it is, so that this machine's clock was not compared".to_owned(),
        );
    };
    let ahead = |at: Timestamp| at.0.saturating_sub(now.0);
    if let Some((other, second)) = latest.get(1)
        && ahead(*second) > SKEW
    {
        let text = format!(
            "this machine's clock is {} s behind those of {name} and {other}; type: timedatectl set-ntp true",
            ahead(*second)
        );
        return (Grade::Wrong, text);
    }
    if ahead(*newest) > SKEW {
        let seconds = ahead(*newest);
        return (
            Grade::Note,
            format!("this machine's clock is {seconds} s behind that of {name}; one of them is wrong"),
        );
    }
    // one that agrees may be as wrong: where there are several, two have to
    let (_, recent) = latest.get(1).copied().unwrap_or(newest_row);
    let behind = now.0.saturating_sub(recent.0);
    if behind > STALE {
        let text = format!(
            "what aggregators said last is {behind} s old by this machine's clock: either no two of them run, or the clock is fast (type: \
             timedatectl)"
        );
        return (Grade::Note, text);
    }
    let agree = heard.iter().filter(|(_, at)| now.0.abs_diff(at.0) <= STALE).count();
    (Grade::Fine, format!("the clock agrees with those of {agree} of {} aggregators", heard.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(now: u64, heard: &[u64]) -> (Grade, String) {
        let named = heard.iter().enumerate();
        let heard: Vec<_> = named.map(|(index, at)| (format!("agg-{}", index + 1), Timestamp(*at))).collect();
        judge(Timestamp(now), &heard)
    }

    /// Two make a clock slow, one makes it doubtful, and nobody's recent word makes it doubtful the other way.
    #[test]
    fn two_others_are_needed() {
        assert_eq!(judged(1_000, &[1_000, 1_030, 950, 1_060]).0, Grade::Fine);
        let (grade, text) = judged(1_000, &[1_500, 1_000, 1_400]);
        assert!(grade == Grade::Wrong && text.contains("400 s behind those of agg-1 and agg-3"), "{text}");
        assert!(text.contains("timedatectl set-ntp true"), "{text}");
        let (grade, text) = judged(1_000, &[1_500, 1_000]);
        assert!(grade == Grade::Note && text.contains("500 s behind that of agg-1"), "{text}");
        let (grade, text) = judged(1_000, &[500, 700]);
        assert!(grade == Grade::Note && text.contains("500 s old"), "{text}");
        assert_eq!(judged(1_000, &[]).0, Grade::Note);
        let (grade, text) = judged(1_000, &[1_000, 700, 690, 710]);
        assert!(grade == Grade::Note && text.contains("290 s old"), "one may be as wrong: {text}");
        let (grade, text) = judged(1_000, &[1_000, 990, 100]);
        assert!(grade == Grade::Fine && text.contains("2 of 3 aggregators"), "{text}");
    }
}
