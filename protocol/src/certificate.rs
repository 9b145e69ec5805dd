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
    /// For how many days a meter is certified, unless somebody says otherwise: 20 years, more than a meter lasts. Who leaves
    /// before is revoked, which every aggregator keeps.
    pub const DAYS: u64 = 7_305;

    /// Whether it may take the place of one that is known: it is of the same meter with the same key, at the same service
    /// point and in the same group, and begins no later. Else a registrar could move a meter, and two groups' curves, or two
    /// bills, would differ by one home; or the meter would be without a certificate for a while.
    pub fn renews(&self, known: &Self) -> bool {
        let moved = Self { valid_from: known.valid_from, valid_to: known.valid_to, ..self.clone() };
        moved == *known && self.valid_from <= known.valid_from
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::SigningKey;

    /// A certificate is renewed by one of another validity, and by nothing else.
    #[test]
    fn only_validity_is_renewed() {
        let key = |byte| SigningKey::from_bytes(&[byte; 32]).verifying_key();
        let known = MeterCertificate {
            meter: MeterId::from([1; 16]),
            key: key(1),
            service_point: "home-1".parse().unwrap(),
            group: "group-1".parse().unwrap(),
            valid_from: Timestamp(10),
            valid_to: Timestamp(20),
            previous: None,
        };
        let later = MeterCertificate { valid_to: Timestamp(30), ..known.clone() };
        assert!(later.renews(&known) && known.renews(&later) && known.renews(&known));
        for other in [
            MeterCertificate { meter: MeterId::from([2; 16]), ..later.clone() },
            MeterCertificate { key: key(2), ..later.clone() },
            MeterCertificate { service_point: "home-2".parse().unwrap(), ..later.clone() },
            MeterCertificate { group: "group-2".parse().unwrap(), ..later.clone() },
            MeterCertificate { previous: Some(MeterId::from([3; 16])), ..later.clone() },
            MeterCertificate { valid_from: Timestamp(11), ..later },
        ] {
            assert!(!other.renews(&known), "{other:?}");
        }
    }
}
