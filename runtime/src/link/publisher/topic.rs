//! Topics that a broker takes.

/// Whether a broker takes it. One that it does not take would be sent again for ever, since all that a broker of
/// MQTT 3.1.1 can say is to cut the connection.
pub(super) fn is_fit(topic: &str) -> bool {
    (1..=512).contains(&topic.len())
        && !topic.starts_with('$')
        && topic.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'+' && byte != b'#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_printable_ascii_without_wildcards() {
        for good in ["a", "a/b", "/", "wv/1/home/agg/1/share/meter-1", "a b~"] {
            assert!(is_fit(good), "{good}");
        }
        for bad in ["", "$SYS/x", "a/+", "a#", "é", "a\0", "a\n", &"a".repeat(513)] {
            assert!(!is_fit(bad), "{bad:?}");
        }
    }
}
