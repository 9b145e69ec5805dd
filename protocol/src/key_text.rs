//! Keys as text, for files: a comment for people and one line `LABEL HEX`.
//!
//! The label says what the key is, so that a meter's key is never taken for an aggregator's.

use std::str::FromStr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

use crate::hpke_box::{OpeningKey, Suite};
use crate::signature::{SigningKey, VerifyingKey};

const SIGNING: &str = "wattveil-ed25519-secret";
const VERIFYING: &str = "wattveil-ed25519-public";
const X25519: &str = "wattveil-x25519-secret";
const XWING: &str = "wattveil-xwing-secret";

/// A text that holds no key of the kind that was expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected a line `{0} HEX`, found none")]
pub struct KeyTextError(&'static str);

impl SigningKey {
    /// The key as text.
    pub fn to_text(&self) -> Zeroizing<String> {
        secret(SIGNING, &[self.as_bytes()])
    }
}

impl FromStr for SigningKey {
    type Err = KeyTextError;

    fn from_str(text: &str) -> Result<Self, KeyTextError> {
        Ok(Self::from_bytes(&*bytes::<32>(text, SIGNING)?))
    }
}

impl OpeningKey {
    /// The key as text; its number is in it.
    pub fn to_text(&self) -> Zeroizing<String> {
        let label = match self.suite() {
            Suite::X25519 => X25519,
            Suite::XWing => XWING,
        };
        secret(label, &[&self.key_id().to_be_bytes(), self.as_bytes()])
    }
}

impl FromStr for OpeningKey {
    type Err = KeyTextError;

    fn from_str(text: &str) -> Result<Self, KeyTextError> {
        let (label, suite) = match bytes::<36>(text, XWING) {
            Ok(_) => (XWING, Suite::XWing),
            Err(_) => (X25519, Suite::X25519),
        };
        let key = bytes::<36>(text, label)?;
        let (id, secret) = key.split_at(4);
        let id = id.iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
        Self::from_bytes(id, suite, secret).ok_or(KeyTextError(label))
    }
}

impl VerifyingKey {
    /// The key as text.
    pub fn to_text(&self) -> String {
        line("# public\n", VERIFYING, &[&self.to_bytes()[..]]).to_string()
    }
}

impl FromStr for VerifyingKey {
    type Err = KeyTextError;

    fn from_str(text: &str) -> Result<Self, KeyTextError> {
        Self::from_bytes(&*bytes::<32>(text, VERIFYING)?).map_err(|_| KeyTextError(VERIFYING))
    }
}

fn secret(label: &str, parts: &[&[u8]]) -> Zeroizing<String> {
    line("# secret: keep it on this machine\n", label, parts)
}

fn line(comment: &str, label: &str, parts: &[&[u8]]) -> Zeroizing<String> {
    // large enough at once: a buffer that grows leaves copies behind
    let mut text = Zeroizing::new(String::with_capacity(256));
    text.push_str(comment);
    text.push_str(label);
    text.push(' ');
    for part in parts {
        HEXLOWER.encode_append(part, &mut text);
    }
    text.push('\n');
    text
}

fn bytes<const N: usize>(text: &str, label: &'static str) -> Result<Zeroizing<[u8; N]>, KeyTextError> {
    let hex = text.lines().find_map(|line| line.strip_prefix(label)?.strip_prefix(' '));
    let hex = hex.map(str::trim).filter(|hex| hex.len() == 2 * N).ok_or(KeyTextError(label))?;
    let mut bytes = Zeroizing::new([0; N]);
    HEXLOWER_PERMISSIVE.decode_mut(hex.as_bytes(), &mut *bytes).map_err(|_| KeyTextError(label))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    /// Keys come back from their text, and are not taken for one another.
    #[test]
    fn keys_are_kept_apart() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let key = SigningKey::generate(&mut rng);
        let text = key.to_text();
        let read: SigningKey = text.parse().unwrap();
        assert_eq!(read.verifying_key(), key.verifying_key());
        for suite in [Suite::X25519, Suite::XWing] {
            let box_key = OpeningKey::generate(7, suite, &mut rng);
            let read: OpeningKey = box_key.to_text().parse().unwrap();
            assert_eq!(read.sealing_key(), box_key.sealing_key());
        }
        let public = key.verifying_key();
        assert_eq!(public.to_text().parse::<VerifyingKey>().unwrap(), public);
        assert!(text.parse::<OpeningKey>().is_err() && text.parse::<VerifyingKey>().is_err());
        let refused = public.to_text().parse::<SigningKey>().unwrap_err().to_string();
        assert_eq!(refused, "expected a line `wattveil-ed25519-secret HEX`, found none");
    }
}
