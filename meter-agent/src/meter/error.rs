//! Why a meter can't start or continue.

use protocol::id::{Hash, MeterId};
use protocol::record::MAX_BATCH;
use protocol::roster::chain::ChainError;
use protocol::share::SealError;
use protocol::signature::OpenError;
use protocol::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Store, StoreError, Table};

/// Why a meter can't start or continue.
#[derive(Debug, thiserror::Error)]
pub enum MeterError {
    /// The store failed: nothing is known to be durable any more.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A batch could not be sealed.
    #[error("cannot seal a batch")]
    Seal(#[from] SealError),
    /// A row of the store is not what this program wrote.
    #[error("the meter's store is damaged: cannot read {what}")]
    Damaged {
        /// The row.
        what: &'static str,
        /// Why, if its bytes could not be decoded.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The registrar is not the one pinned.
    #[error(
        "expected the registrar's key with the fingerprint {wanted}, which the floor pins; found {found}"
    )]
    Registrar {
        /// The key's fingerprint.
        found: Hash,
        /// The floor's.
        wanted: String,
    },
    /// The roster does not continue those that were in force.
    #[error("cannot use the roster")]
    Roster(#[from] ChainError),
    /// A certificate that the registrar did not sign for this deployment.
    #[error("cannot use the meter's certificate")]
    Certificate(#[from] OpenError),
    /// A certificate that is for another meter.
    #[error("expected the certificate of meter {wanted}; found that of meter {found}")]
    AnotherMeter {
        /// The meter that the certificate names.
        found: MeterId,
        /// This meter.
        wanted: MeterId,
    },
    /// A certificate that is for another key.
    #[error(
        "expected the signing key that the certificate of meter {0} names; found another. Configure that key, or ask the registrar \
         for a new certificate"
    )]
    AnotherKey(MeterId),
    /// A batch size that does not fit.
    #[error("expected 1 to {MAX_BATCH} slots a batch, for example `batch_slots = 4`; found {0}")]
    BatchSlots(u32),
}

impl MeterError {
    /// The key of a row can't be read.
    pub(super) fn damaged(what: &'static str) -> Self {
        Self::Damaged { what, source: None }
    }

    /// Decodes a row's value.
    pub(super) fn decode<T: DeserializeOwned + Serialize>(
        bytes: &[u8],
        what: &'static str,
    ) -> Result<T, Self> {
        wire::decode_own(bytes).map_err(|error| Self::Damaged { what, source: Some(Box::new(error)) })
    }

    /// Reads and decodes a row, if there is one.
    pub(crate) fn read<T: DeserializeOwned + Serialize>(
        table: Table,
        key: &[u8],
        what: &'static str,
        store: &dyn Store,
    ) -> Result<Option<T>, Self> {
        store.get(table, key)?.map(|bytes| Self::decode(&bytes, what)).transpose()
    }
}
