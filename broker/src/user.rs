//! Somebody who may connect, and how it proves who it is.

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordHasher as _, PasswordVerifier as _};
use serde::{Deserialize, Serialize};

/// The most memory in KiB and the most passes that a stored hash may ask of the broker at a login.
const MOST: (u32, u32) = (256 << 10, 10);

/// Somebody who may connect: by a password, or by a certificate that bears its name.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The user's name: 1 to 64 of `a-z`, `A-Z`, `0-9`, `-`, `_` and `.`.
    pub name: String,
    /// The role, a row of the table of permissions.
    pub role: String,
    /// The password's hash, as `broker --hash-password` prints it: `$argon2id$…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// Whether it may log in by a certificate of the configured authority whose common name is the user's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub certificate: bool,
}

impl User {
    /// A user with a password of at least 128 random bits, which needs no stretching: its hash takes some 50 µs to
    /// check, so that thousands of devices can come back at once.
    ///
    /// # Panics
    ///
    /// When the operating system gives no salt.
    pub fn with_random_password(name: impl Into<String>, role: impl Into<String>, password: &str) -> Self {
        let hash = hash(password, Params::new(64, 1, 1, None).expect("within argon2's limits"));
        Self { name: name.into(), role: role.into(), password_hash: Some(hash), certificate: false }
    }

    /// A user with a certificate.
    pub fn with_certificate(name: impl Into<String>, role: impl Into<String>) -> Self {
        Self { name: name.into(), role: role.into(), password_hash: None, certificate: true }
    }

    /// The hash of a password that a person has chosen: argon2id, 19 MiB, some 20 ms.
    ///
    /// # Panics
    ///
    /// When the operating system gives no salt.
    pub fn hash_password(password: &str) -> String {
        hash(password, Params::default())
    }

    pub(crate) fn has_fit_name(&self) -> bool {
        let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (1..=64).contains(&self.name.len()) && self.name.bytes().all(fit)
    }
}

fn hash(password: &str, params: Params) -> String {
    let hashed = Argon2::from(params).hash_password(password.as_bytes());
    hashed.expect("the operating system gives a salt").to_string()
}

/// A stored hash, found to be one.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct StoredHash {
    phc: PasswordHash,
    /// Whether checking it takes no more than a millisecond or so.
    pub(crate) cheap: bool,
}

impl StoredHash {
    /// `None` when it is no argon2 hash, or one that would take the broker too long.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let phc = PasswordHash::new(text).ok()?;
        let params = Params::try_from(&phc).ok()?;
        let complete =
            phc.hash.is_some() && phc.salt.is_some() && phc.algorithm.as_str().starts_with("argon2");
        let bearable = params.m_cost() <= MOST.0 && params.t_cost() <= MOST.1;
        (complete && bearable).then(|| Self { phc, cheap: params.m_cost() * params.t_cost() <= 1024 })
    }

    /// Compares in constant time, after as long as the hash asks for.
    pub(crate) fn accepts(&self, password: &[u8]) -> bool {
        Argon2::default().verify_password(password, &self.phc).is_ok()
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_accepts_its_password_and_no_other() {
        let user = User::with_random_password("m", "meter", "right");
        let hash = user.password_hash.unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        let stored = StoredHash::parse(&hash).unwrap();
        assert!(
            stored.cheap && stored.accepts(b"right") && !stored.accepts(b"Right") && !stored.accepts(b"")
        );
        let chosen = StoredHash::parse(&User::hash_password("hunter2")).unwrap();
        assert!(!chosen.cheap && chosen.accepts(b"hunter2") && !chosen.accepts(b"hunter"));
    }

    #[test]
    fn what_is_no_bearable_hash_is_refused() {
        for bad in [
            "",
            "hunter2",
            "$argon2id$v=19$m=64,t=1,p=1",
            "$argon2id$v=19$m=4194304,t=3,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
        ] {
            assert!(StoredHash::parse(bad).is_none(), "{bad}");
        }
    }
}
