//! Who is let in, and how the broker proves who it is itself: what may change while it runs.

use std::sync::{Arc, PoisonError, RwLock};

use crate::accounts::{Accounts, Before};
use crate::tls::Tls;
use crate::{BrokerError, Config};

/// Users, certificates and key, as they were read at one time.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) accounts: Accounts,
    pub(crate) tls: Option<Tls>,
}

/// The one that is in force.
#[derive(Debug)]
pub(crate) struct CurrentCredentials(RwLock<Arc<Credentials>>);

impl Credentials {
    /// Reads what a configuration names, after what was in force.
    ///
    /// # Errors
    ///
    /// [`BrokerError`] for users that cannot be, and files that cannot be used.
    pub(crate) fn load(config: &Config, before: Option<&Self>) -> Result<Self, BrokerError> {
        let tls = config.tls.as_ref().map(Tls::load).transpose()?;
        let before = before.map(|before| Before {
            accounts: &before.accounts,
            same_authority: match (&before.tls, &tls) {
                (Some(before), Some(now)) => now.has_same_authority(before),
                (before, now) => before.is_none() && now.is_none(),
            },
        });
        Ok(Self { accounts: Accounts::new(config, before.as_ref())?, tls })
    }
}

impl CurrentCredentials {
    pub(crate) fn new(entry: Credentials) -> Self {
        Self(RwLock::new(Arc::new(entry)))
    }

    pub(crate) fn now(&self) -> Arc<Credentials> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn replace(&self, entry: Arc<Credentials>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = entry;
    }
}
