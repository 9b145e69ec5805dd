//! Keys.

mod galois;
mod public;
mod secret;
mod switching;

pub use galois::{Automorphism, GaloisKey, GaloisKeys};
pub use public::PublicKey;
pub use secret::SecretKey;
pub use switching::RelinKey;
pub(crate) use switching::{KeyPart, SwitchingKey};
