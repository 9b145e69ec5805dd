//! A line that people carry from one party to another: CBOR with a check of its end, in base64 behind a prefix that names
//! its kind.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::id::Hash;
use protocol::signature::hash;
use protocol::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that show whether all of the line was pasted.
const CHECK: usize = 4;

/// The line of a value.
pub(crate) fn to_line<T: Serialize>(prefix: &str, value: &T) -> String {
    let mut bytes = wire::encode(value);
    bytes.extend_from_slice(&check(prefix, &bytes).as_bytes()[..CHECK]);
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The value of a line, which may be folded.
///
/// # Errors
///
/// A line of another kind, or not all of one.
pub(crate) fn from_line<T: Serialize + DeserializeOwned>(prefix: &str, line: &str) -> anyhow::Result<T> {
    let text: String = line.chars().filter(|letter| !letter.is_whitespace()).collect();
    let text = text.strip_prefix(prefix).with_context(|| {
        format!("expected a line that begins with {prefix}; paste all of it from there on")
    })?;
    let whole = || "a part of the line is missing: paste all of it";
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() > CHECK).with_context(whole)?;
    let (body, found) = bytes.split_at(bytes.len() - CHECK);
    anyhow::ensure!(check(prefix, body).as_bytes()[..CHECK] == *found, whole());
    wire::decode(body).context("the line is of another version of wattveil; install one version everywhere")
}

fn check(prefix: &str, body: &[u8]) -> Hash {
    hash("line", &[prefix.as_bytes(), body])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half a line, and a line of another kind, are refused; a folded one is not.
    #[test]
    fn lines_are_whole_and_of_their_kind() {
        let line = to_line("a-", &("agg-1", 7_u32));
        let folded = format!(" {}\n{}\n", &line[..9], &line[9..]);
        assert_eq!(from_line::<(String, u32)>("a-", &folded).unwrap(), ("agg-1".to_owned(), 7));
        for (prefix, bad) in [("a-", &line[..line.len() - 2]), ("b-", &line), ("a-", ""), ("a-", "a-!")] {
            assert!(from_line::<(String, u32)>(prefix, bad).is_err(), "{bad}");
        }
    }
}
