//! A whole deployment at once: registrar, roster, aggregators, utility, meters; in memory or in a directory.
//!
//! For demonstrations and tests, where one owner plays all parties. In a real deployment every party makes its own keys
//! and the registrar sees public halves only.

use anyhow::Context as _;
use protocol::certificate::{MeterCertificate, deployment_context};
use protocol::hpke_box::{OpeningKey, Suite};
use protocol::id::{AggregatorId, GroupId, MeterId};
use protocol::policy::Policy;
use protocol::roster::floor::Floor;
use protocol::roster::{self, Aggregator, BoxKey, Roster, RosterDocument, Utility};
use protocol::shamir::Point;
use protocol::signature::{Signed, SigningKey};
use protocol::unit::{SlotLength, Timestamp};
use rand::CryptoRng;

pub use self::authority::Authority;
pub use self::files::{Access, Files, MeterFiles, Setup};

/// A tariff with one price, as `init` writes it.
pub const FLAT_TARIFF: &str = include_str!("../assets/flat.toml");

/// A tariff with prices by time of use, as `init` writes it.
pub const TIME_OF_USE_TARIFF: &str = include_str!("../assets/tou.toml");

mod authority;
pub mod directory;
mod files;

/// What a deployment is to be like.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// n.
    pub aggregators: usize,
    /// t.
    pub threshold: usize,
    /// How shares are sealed.
    pub suite: Suite,
    /// The slot length.
    pub slot: SlotLength,
    /// What every release must keep to.
    pub policy: Policy,
    /// The homes' names; each gets a meter.
    pub homes: Vec<String>,
    /// The most homes in a group.
    pub group: usize,
    /// First second of the roster and the certificates.
    pub valid_from: Timestamp,
    /// First second after.
    pub valid_to: Timestamp,
}

/// An aggregator's secrets.
#[derive(Debug)]
pub struct AggregatorKeys {
    /// Its name.
    pub id: AggregatorId,
    /// Its evaluation point.
    pub point: Point,
    /// The key it signs with.
    pub key: SigningKey,
    /// The key that shares are sealed to.
    pub box_key: OpeningKey,
}

/// A meter's secrets and certificate.
#[derive(Debug)]
pub struct MeterKeys {
    /// The home it is in.
    pub home: String,
    /// Its pseudonym.
    pub meter: MeterId,
    /// The key it signs with.
    pub key: SigningKey,
    /// Its group.
    pub group: GroupId,
    /// Its certificate.
    pub certificate: Signed<MeterCertificate>,
}

/// A whole deployment.
#[derive(Debug)]
pub struct Deployment {
    /// The registrar's key.
    pub registrar: SigningKey,
    /// The roster.
    pub roster: Roster,
    /// The aggregators.
    pub aggregators: Vec<AggregatorKeys>,
    /// The key the utility signs with.
    pub utility: SigningKey,
    /// The key that results are sealed to.
    pub utility_box: OpeningKey,
    /// The meters.
    pub meters: Vec<MeterKeys>,
}

impl Deployment {
    /// Makes all keys, the roster and the certificates.
    ///
    /// # Errors
    ///
    /// If the plan's numbers can't keep the promises, or a name is none.
    pub fn create<R: CryptoRng>(plan: &Plan, rng: &mut R) -> anyhow::Result<Self> {
        let registrar = SigningKey::generate(rng);
        let (utility, utility_box) = (SigningKey::generate(rng), OpeningKey::generate(1, plan.suite, rng));
        let mut aggregators = Vec::new();
        for x in 1..=plan.aggregators {
            aggregators.push(AggregatorKeys {
                id: format!("agg-{x}").parse()?,
                point: Point::try_from(u8::try_from(x).context("too many aggregators")?)?,
                key: SigningKey::generate(rng),
                box_key: OpeningKey::generate(1, plan.suite, rng),
            });
        }
        let rows = aggregators.iter().map(|keys| Aggregator {
            id: keys.id.clone(),
            point: keys.point,
            organisation: format!("Organisation {}", keys.point),
            key: keys.key.verifying_key(),
            box_keys: vec![BoxKey { key: keys.box_key.sealing_key(), not_after: plan.valid_to }],
        });
        let (n, t) = (plan.aggregators, plan.threshold);
        let document = RosterDocument {
            deployment: plan.name.parse()?,
            epoch: 1,
            previous: None,
            valid_from: plan.valid_from,
            valid_to: plan.valid_to,
            threshold: u8::try_from(t).context("the threshold is too large")?,
            quorum: u8::try_from(roster::smallest_quorum(n, t)).context("the quorum is too large")?,
            slot: plan.slot,
            aggregators: rows.collect(),
            utility: Utility { key: utility.verifying_key(), box_key: utility_box.sealing_key() },
            policy: plan.policy.clone(),
        };
        let accepting: Vec<(Point, &SigningKey)> = aggregators.iter().map(|a| (a.point, &a.key)).collect();
        let roster = roster::assemble(document, &registrar, &accepting)?;
        let mut deployment =
            Self { registrar, roster, aggregators, utility, utility_box, meters: Vec::new() };
        let groups = plan.homes.len().div_ceil(plan.group.max(1)).max(1);
        for (index, home) in plan.homes.iter().enumerate() {
            // groups of equal size, so that no rest is smaller than k
            let group = format!("group-{}", index * groups / plan.homes.len() + 1);
            let meter = deployment.issue(home, group.parse()?, rng)?;
            deployment.meters.push(meter);
        }
        Ok(deployment)
    }

    /// Makes a meter's keys and certificate.
    ///
    /// # Errors
    ///
    /// If the home's name is none.
    pub fn issue<R: CryptoRng>(&self, home: &str, group: GroupId, rng: &mut R) -> anyhow::Result<MeterKeys> {
        let (meter, key) = (MeterId::random(rng), SigningKey::generate(rng));
        let document = self.roster.document();
        let certificate = MeterCertificate {
            meter,
            key: key.verifying_key(),
            service_point: home.parse()?,
            group: group.clone(),
            valid_from: document.valid_from,
            valid_to: document.valid_to.max(document.valid_from.plus(MeterCertificate::DAYS * 86_400)),
            previous: None,
        };
        let context = deployment_context(&document.deployment);
        let certificate = Signed::sign(certificate, &self.registrar, &context);
        Ok(MeterKeys { home: home.to_owned(), meter, key, group, certificate })
    }

    /// The floor that this deployment's meters pin.
    pub fn floor(&self) -> Floor {
        Floor::of(&self.roster, self.registrar.verifying_key().fingerprint())
    }

    /// Who a meter is.
    pub fn meter_identity(&self, keys: &MeterKeys) -> meter_agent::meter::Identity {
        meter_agent::meter::Identity {
            meter: keys.meter,
            key: keys.key.clone(),
            certificate: keys.certificate.bytes().to_vec(),
            registrar: self.registrar.verifying_key(),
        }
    }

    /// Who an aggregator is.
    pub fn aggregator_identity(&self, keys: &AggregatorKeys) -> aggregator_worker::aggregator::Identity {
        aggregator_worker::aggregator::Identity {
            point: keys.point,
            key: keys.key.clone(),
            box_keys: vec![copy(&keys.box_key)],
            registrar: self.registrar.verifying_key(),
        }
    }

    /// Who the sink is.
    pub fn sink_identity(&self) -> utility_sink::sink::Identity {
        utility_sink::sink::Identity {
            key: self.utility.clone(),
            box_keys: vec![copy(&self.utility_box)],
            registrar: self.registrar.verifying_key(),
        }
    }
}

/// A second holder of the same key: the one who plays all parties hands each its own.
fn copy(key: &OpeningKey) -> OpeningKey {
    OpeningKey::from_bytes(key.key_id(), key.suite(), key.as_bytes()).expect("a key's own bytes are a key")
}
