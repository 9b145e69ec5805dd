//! Meter certificates: the registrar's word that a key is a meter at a service point, in a group.

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::id::{Deployment, GroupId, MeterId, ServicePoint};
use crate::signature::{Context, Document, OpenError, Signed, VerifyingKey, hash};
use crate::unit::Timestamp;

/// What the registrar signs for a meter.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct MeterCertificate {
    /// The meter's pseudonym.
    pub meter: MeterId,
    /// The key it signs records with, made on the device.
    pub key: VerifyingKey,
    /// Where it measures: a name that is no address, since certificates travel in the clear.
    pub service_point: ServicePoint,
    /// Its one group.
    pub group: GroupId,
    /// First second of validity.
    pub valid_from: Timestamp,
    /// First second after validity.
    pub valid_to: Timestamp,
    /// The meter it replaces at the service point.
    pub previous: Option<MeterId>,
}

impl Document for MeterCertificate {
    const KIND: &'static str = "certificate";
}

/// What the registrar's signatures are bound to: certificates outlive rosters.
pub fn deployment_context(deployment: &Deployment) -> Context {
    Context::from(hash("deployment", &[deployment.as_ref().as_bytes()]))
}

impl MeterCertificate {
    /// Takes a certificate and checks that the registrar signed it for this deployment.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(
        bytes: &[u8],
        registrar: &VerifyingKey,
        deployment: &Deployment,
    ) -> Result<Signed<Self>, OpenError> {
        Signed::open(bytes, registrar, &deployment_context(deployment))
    }

    /// Whether it is valid at `time`.
    pub fn covers(&self, time: Timestamp) -> bool {
        (self.valid_from..self.valid_to).contains(&time)
    }
}
