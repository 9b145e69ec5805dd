//! What a share message costs whatever the program around it: one signature check, one HPKE opening, one signature of a receipt, and
//! its part of an fsync; measured in the same run on the same machine.

use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use protocol::share::ShareMessage;
use serde_json::{Value, json};

use super::load::Load;
use super::{millis, town};
use crate::bench::step;

/// Bytes that are written before each fsync: a group of a hundred records.
const GROUP_BYTES: usize = 64 << 10;

/// How often fsync is measured.
const SYNCS: usize = 50;

/// The floor.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    /// Microseconds of one Ed25519 verification.
    pub verify: f64,
    /// Microseconds of one HPKE opening (X25519).
    pub open: f64,
    /// Microseconds of one Ed25519 signature, of a receipt.
    pub sign: f64,
    /// Milliseconds of writing 64 KiB to the end of a file and one fsync: the median.
    pub sync: f64,
}

impl Floor {
    /// Measures it; a file is written to `directory`.
    ///
    /// # Errors
    ///
    /// If the file can't be written.
    pub(super) fn measure(directory: &Path, slots: u32) -> anyhow::Result<Self> {
        let mut rng = runtime::entropy()?;
        let deployment = town::deployment(1, &mut rng)?;
        let load = Load::seal(&deployment, (1, 1), slots)?;
        let bytes = load.payload(0).context("a load of one record has a message")?;
        let (meter, roster) = (&deployment.meters[0], &deployment.roster);
        let key = meter.key.verifying_key();
        let signature = meter.key.sign("bench", &roster.context(), &[7; 32]);
        let verify = step("", "", false, || key.verify("bench", &roster.context(), &[7; 32], &signature));
        let verified = ShareMessage::parse(bytes)?.verify(&key, roster)?;
        let identity = deployment.aggregator_identity(&deployment.aggregators[0]);
        let open = step("", "", false, || verified.open(&identity.box_keys, roster));
        let sign = step("", "", false, || identity.key.sign("bench", &roster.context(), &[7; 200]));
        let sync = sync(directory)?;
        Ok(Self { verify: verify.micros, open: open.micros, sign: sign.micros, sync })
    }

    /// Microseconds of a processor that a message can't do without: signature check, opening.
    fn micros(&self) -> f64 {
        self.verify + self.open
    }

    pub(super) fn to_json(self) -> Value {
        json!({
            "verify_micros": self.verify,
            "open_micros": self.open,
            "sign_micros": self.sign,
            "fsync_millis": self.sync,
        })
    }

    /// How far a measured message is from the floor.
    pub(super) fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        micros: f64,
        per_second: f64,
        cores: usize,
    ) -> fmt::Result {
        let Self { verify, open, sign, sync } = self;
        let (floor, cores) = (self.micros(), f64::from(u32::try_from(cores).unwrap_or(u32::MAX)));
        writeln!(
            f,
            "floor of a message: Ed25519 check {verify:.0} µs + HPKE open {open:.0} µs = {floor:.0} µs, {:.0} messages a \
             second on {cores} cores with nothing else;\n  measured {micros:.0} µs, {:.1} × the floor, and {:.0} % of its \
             messages. A receipt's signature is {sign:.0} µs, an fsync of 64 KiB {sync:.1} ms.",
            cores * 1e6 / floor,
            micros / floor,
            100.0 * per_second / (cores * 1e6 / floor),
        )
    }
}

/// The median of appending a group and syncing it, in milliseconds.
fn sync(directory: &Path) -> anyhow::Result<f64> {
    let mut file = tempfile::tempfile_in(directory)
        .with_context(|| format!("cannot write in {}", directory.display()))?;
    let group = vec![7; GROUP_BYTES];
    let append = |file: &mut File| -> std::io::Result<()> {
        file.write_all(&group)?;
        file.sync_data()
    };
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let start = Instant::now();
        append(&mut file).context("cannot write to the disk")?;
        times.push(millis(start.elapsed()));
    }
    times.sort_by(f64::total_cmp);
    Ok(times[SYNCS / 2])
}
