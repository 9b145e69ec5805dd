//! Topics and filters that the router can bear.

use super::Refusal;

const MAX_BYTES: usize = 512;

fn bearable(text: &[u8]) -> bool {
    // the router compares the first byte as if it were the first character
    (1..=MAX_BYTES).contains(&text.len())
        && text[0] != b'$'
        && text.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A topic to publish to.
pub(super) fn admit(topic: &[u8]) -> Result<(), Refusal> {
    let plain = !topic.iter().any(|byte| matches!(byte, b'+' | b'#'));
    if plain && bearable(topic) { Ok(()) } else { Err(Refusal::Topic) }
}

/// A filter to subscribe to.
pub(super) fn admit_filter(filter: &str) -> Result<(), Refusal> {
    let mut levels = filter.split('/').rev();
    let last = levels.next();
    let placed = last.is_none_or(|last| last.len() == 1 || !last.contains(['+', '#']))
        && levels.all(|level| !level.contains('#') && (level.len() == 1 || !level.contains('+')));
    if placed && bearable(filter.as_bytes()) { Ok(()) } else { Err(Refusal::Filter) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_printable_ascii_without_wildcards() {
        for good in ["a", "a/b", "/", "wv/1/home/agg/1/share/meter-1", "a b~"] {
            assert!(admit(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in ["", "$SYS/x", "a/+", "a#", "é", "a\0", "a\n", "\u{1f4a1}/x", &"a".repeat(513)] {
            assert!(admit(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(admit(&[0xff, 0xfe]).is_err());
    }

    #[test]
    fn filters_have_their_wildcards_in_place() {
        for good in ["a", "#", "+", "+/a/+", "a/#", "/#", "+/+", "/"] {
            assert!(admit_filter(good).is_ok(), "{good}");
        }
        for bad in ["", "$share/g/a", "$SYS/#", "a#", "#/a", "a/#/b", "a+", "+a/b", "a/b+", "++", "##", "é/#"]
        {
            assert!(admit_filter(bad).is_err(), "{bad}");
        }
    }
}
