//! What a day of one home costs as shares, beside Prio3SumVec: bytes and processor time of a client's report, and of a report at an
//! aggregator.

use std::fmt;

use protocol::hpke_box::Suite;
use protocol::policy::Policy;
use protocol::record::{Head, Kind};
use protocol::share::{Batch, ShareMessage, seal};
use protocol::unit::{Register, Slot, SlotLength, SlotRange, Timestamp, WattHours};
use serde_json::{Value, json};

use crate::bench::step;
use deployment::{Deployment, Plan};

/// Values a report: quarter-hours of a day.
const VALUES: u32 = 96;

/// One system's report.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which system, with how many aggregators.
    pub system: String,
    /// Bytes that a client sends, to all aggregators together.
    pub bytes: usize,
    /// Microseconds of a client's processor.
    pub client: f64,
    /// Microseconds of one aggregator's processor until the report is ready to be summed.
    pub aggregator: f64,
}

/// Measures ours, and Prio3SumVec if this program was built with it.
///
/// # Errors
///
/// If a step fails.
pub(super) fn measure() -> anyhow::Result<Vec<Report>> {
    #[cfg(feature = "prio")]
    let theirs = Some(prio::measure()?);
    #[cfg(not(feature = "prio"))]
    let theirs = None;
    Ok([ours(4, 2)?, ours(2, 2)?].into_iter().chain(theirs).collect())
}

/// The values: watt-hours as far as a share carries them, 15 bits and a sign.
fn value(slot: u32) -> u32 {
    slot * 7_919 % 32_768
}

fn ours(aggregators: usize, threshold: usize) -> anyhow::Result<Report> {
    let mut rng = runtime::entropy()?;
    let plan = Plan {
        name: "bench".into(),
        aggregators,
        threshold,
        suite: Suite::X25519,
        slot: SlotLength::try_from(900)?,
        policy: Policy::production(),
        homes: vec!["home".into()],
        group: 1,
        valid_from: Timestamp(0),
        valid_to: Timestamp(u64::MAX),
    };
    let deployment = Deployment::create(&plan, &mut rng)?;
    let (keys, roster) = (&deployment.meters[0], &deployment.roster);
    let energies: Vec<WattHours> = (0..VALUES).map(|slot| WattHours(value(slot).into())).collect();
    let batch = Batch::new(&energies, Register::try_from(1_000_000)?)?;
    let head = Head {
        kind: Kind::Import,
        roster_epoch: 1,
        meter: keys.meter,
        seq: 1,
        version: 0,
        slots: SlotRange::new(Slot(0), Slot(VALUES))?,
    };
    let now = Timestamp(1);
    let client = step("", "", false, || seal(&batch, head, &keys.key, roster, now, &mut rng)).micros;
    let sealed = seal(&batch, head, &keys.key, roster, now, &mut rng)?;
    let bytes = &sealed.messages[0].1;
    let (key, identity) =
        (keys.key.verifying_key(), deployment.aggregator_identity(&deployment.aggregators[0]));
    let take = || -> anyhow::Result<_> {
        let vector = ShareMessage::parse(bytes)?.verify(&key, roster)?.open(&identity.box_keys, roster)?;
        let check = vector.check(&sealed.rid);
        Ok((vector, check))
    };
    take()?;
    Ok(Report {
        system: format!("this one, {aggregators} aggregators, any {threshold} of them"),
        bytes: sealed.messages.iter().map(|(_, bytes)| bytes.len()).sum(),
        client,
        aggregator: step("", "", false, take).micros,
    })
}

#[cfg(feature = "prio")]
mod prio {
    use anyhow::Context as _;
    use prio::codec::Encode as _;
    use prio::vdaf::prio3::Prio3;
    use prio::vdaf::{Aggregator as _, Client as _, VerifyTransition};

    use super::{Report, VALUES, value};
    use crate::bench::step;

    /// Elements that are proved together: about the square root of 96 × 16, where a proof is shortest.
    const CHUNK: usize = 39;

    /// Two aggregators, as DAP has; without the HPKE and the TLS that DAP puts around it.
    pub(super) fn measure() -> anyhow::Result<Report> {
        let (context, key, nonce) = (b"bench", [7; 32], [9; 16]);
        let vdaf = Prio3::new_sum_vec(2, u128::from(u16::MAX), VALUES as usize, CHUNK)?;
        let values: Vec<u128> = (0..VALUES).map(|slot| value(slot).into()).collect();
        let client = step("", "", false, || vdaf.shard(context, &values, &nonce)).micros;
        let (public, shares) = vdaf.shard(context, &values, &nonce)?;
        let mut bytes = public.encoded_len().context("a share that has no length")?;
        for share in &shares {
            bytes += share.encoded_len().context("a share that has no length")?;
        }
        let (_, other) = vdaf.verify_init(&key, context, 1, &(), &nonce, &public, &shares[1])?;
        // the leader's: its share is the long one
        let verify = || -> anyhow::Result<_> {
            let (state, own) = vdaf.verify_init(&key, context, 0, &(), &nonce, &public, &shares[0])?;
            let message = vdaf.verifier_shares_to_message(context, &(), [own, other.clone()])?;
            match vdaf.verify_next(context, state, message)? {
                VerifyTransition::Finish(output) => Ok(output),
                VerifyTransition::Continue(..) => anyhow::bail!("Prio3 takes one round"),
            }
        };
        verify()?;
        let aggregator = step("", "", false, verify).micros;
        let system = "Prio3SumVec, 2 aggregators, both of them, no HPKE".to_owned();
        Ok(Report { system, bytes, client, aggregator })
    }
}

impl Report {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "system": self.system,
            "bytes": self.bytes,
            "client_micros": self.client,
            "aggregator_micros": self.aggregator,
        })
    }
}

/// A table with each system's ratio to the first.
pub(super) fn write(f: &mut fmt::Formatter<'_>, reports: &[Report]) -> fmt::Result {
    writeln!(f, "\n{VALUES} values of 16 bits, a report; µs of a processor")?;
    let heads = ["bytes", "client", "an aggregator"];
    writeln!(f, "{:<52} {:>14} {:>14} {:>14}", "", heads[0], heads[1], heads[2])?;
    let Some(first) = reports.first() else { return Ok(()) };
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    for report in reports {
        write!(f, "{:<52}", report.system)?;
        for (own, ours) in [
            (number(report.bytes), number(first.bytes)),
            (report.client, first.client),
            (report.aggregator, first.aggregator),
        ] {
            write!(f, " {own:>7.0} {:>6}", format!("{:.1} ×", own / ours))?;
        }
        writeln!(f)?;
    }
    if cfg!(not(feature = "prio")) {
        writeln!(
            f,
            "with Prio3SumVec beside it: cargo run --release -p wattveil --features prio -- bench pipeline"
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report carries its 96 values to every aggregator, and is taken by one.
    #[test]
    fn a_report_is_taken() {
        for report in measure().unwrap() {
            assert!(
                report.bytes > 2 * 96 * 8 && report.client > 0.0 && report.aggregator > 0.0,
                "{report:?}"
            );
        }
    }
}
