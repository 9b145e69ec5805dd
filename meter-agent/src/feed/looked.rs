//! A replay of a meter's registers, looked at as a live meter's are.

use protocol::unit::{Register, Slot, Timestamp};
use rust_decimal::Decimal;
use tokio::time::Instant;

use super::complaints::{Complaints, tell};
use crate::measurement::{Measurement, Quantity};
use crate::meter::Reading;
use crate::register::{Boundary, Limits, Registers};

/// What is believed of replayed registers.
#[derive(Debug)]
pub(super) struct Looked {
    registers: Registers,
    limits: Limits,
    complaints: Complaints,
}

impl Looked {
    /// Goes on from what is known.
    pub(super) fn new(registers: Registers, limits: Limits) -> Self {
        Self { registers, limits, complaints: Complaints::default() }
    }

    /// Goes on from the last register that was taken, if nothing else is known.
    pub(super) fn resume(&mut self, last: (Slot, Register)) {
        self.registers = std::mem::take(&mut self.registers).or_from(Some(last), self.limits.slot);
    }

    /// What is believed of a reading.
    pub(super) fn take(&mut self, reading: Reading) -> Vec<Boundary> {
        let Reading { at, register, export } = reading;
        let quantity = |register: Register| Quantity::Register(Decimal::from(register.watt_hours()));
        let at: Timestamp = self.limits.slot.start_of(at);
        let measurement =
            Measurement { at, import: quantity(register), export: export.map(quantity), device: None };
        let vetted = self.registers.observe(&measurement, None, &self.limits);
        for anomaly in &vetted.anomalies {
            let words = (!anomaly.is_everyday()).then(|| anomaly.to_string());
            self.complaints.hear(anomaly, words.as_deref());
        }
        tell(self.complaints.due(Instant::now()));
        vetted.boundaries
    }

    pub(super) fn tell_all(&mut self) {
        self.complaints.tell_all();
    }

    /// Says what was counted only.
    pub(super) fn tell_rest(&mut self) {
        tell(self.complaints.rest(Instant::now()));
    }

    /// What is believed.
    pub(super) fn registers(&self) -> &Registers {
        &self.registers
    }
}

#[cfg(test)]
mod tests {
    use protocol::unit::{SlotLength, Timestamp};
    use store::{MemoryStore, Store as _};

    use super::super::*;
    use crate::measurement::{Measurement, Quantity};
    use crate::register::Rebase;

    fn limits() -> Limits {
        Limits::new(SlotLength::try_from(900).unwrap())
    }

    /// What of (slot, watt-hours) is taken, by an agent that goes on from the last register taken.
    async fn replay(
        readings: &[(u32, u64)],
        last: &mut Option<(Slot, Register)>,
        store: &mut MemoryStore,
    ) -> Vec<(u32, u64, bool)> {
        let reading = |(at, register)| Reading {
            at: Slot(at),
            register: Register::try_from(register).unwrap(),
            export: None,
        };
        let readings = readings.iter().copied().map(reading).collect();
        let mut feed = Feed::replay(readings, 0.0).looking(limits(), store).unwrap();
        feed.resume(*last).unwrap();
        let mut taken = Vec::new();
        while !feed.has_ended() {
            for Boundary { at, import, anew, .. } in feed.next().await.boundaries {
                taken.push((at.0, import.watt_hours(), anew));
                *last = Some((at, import));
            }
        }
        feed.save(store).unwrap();
        store.commit().unwrap();
        taken
    }

    /// Another device's file is held back however long it goes on, also after a restart and by an agent that knew nothing of
    /// registers; a rebase takes it up, and typing what the log says is enough.
    #[tokio::test]
    async fn another_devices_file_waits_for_a_rebase() {
        let first: Vec<_> = (100..110).map(|at| (at, 278_000 + u64::from(at))).collect();
        let second: Vec<_> = (110..1_000).map(|at| (at, 7_000_000 + 300 * u64::from(at - 110))).collect();
        for legacy in [false, true] {
            let (mut last, mut store) = (None, MemoryStore::default());
            assert_eq!(replay(&first, &mut last, &mut store).await.len(), 10);
            if legacy {
                store.remove(REGISTERS, b"").unwrap();
            }
            assert_eq!(replay(&second, &mut last, &mut store).await, []);
            assert_eq!(replay(&second, &mut last, &mut store).await, [], "after a restart");
            let mut registers = load(&store).unwrap();
            let rebase = Rebase::NewLevel { closing: Some(278_200.into()), opening: Some(7_000_000.into()) };
            let adds = registers.rebase(rebase, false, Timestamp(0), &limits()).unwrap();
            assert_eq!(adds, 91.into());
            save(&registers, &mut store).unwrap();
            let taken = replay(&second, &mut last, &mut store).await;
            assert_eq!(taken[..2], [(110, 278_200, true), (111, 278_500, false)]);
            assert_eq!(taken.len(), second.len());
        }
    }

    /// A meter that is listened to after a replay of energies goes on from what these came to, or waits for a word.
    #[tokio::test]
    async fn a_live_meter_goes_on_from_a_replay() {
        let (heard, hears) = mpsc::channel(8);
        let mut feed = Feed::live(hears, limits(), &MemoryStore::default()).unwrap();
        feed.resume(Some((Slot(100), Register::try_from(30_000).unwrap()))).unwrap();
        for slot in 101..1_000 {
            let import = Quantity::Register((5_000_000 + 100 * slot).into());
            let at = limits().slot.start_of(Slot(slot));
            heard.send(Ok(Measurement { at, import, export: None, device: None })).await.unwrap();
            assert_eq!(feed.next().await.boundaries, []);
        }
    }

    /// A jump within a file is held back; said to be real, the same file goes on with every slot.
    #[tokio::test]
    async fn a_jump_of_a_file_waits_for_a_word() {
        let step = |at: u32| if at < 104 { 0 } else { 6_000_000 };
        let file: Vec<_> = (100..600).map(|at| (at, 1_000 + 100 * u64::from(at - 100) + step(at))).collect();
        let (mut last, mut store) = (None, MemoryStore::default());
        assert_eq!(replay(&file, &mut last, &mut store).await.len(), 4);
        let mut registers = load(&store).unwrap();
        registers.rebase(Rebase::JumpIsReal, false, Timestamp(0), &limits()).unwrap();
        save(&registers, &mut store).unwrap();
        let taken = replay(&file, &mut last, &mut store).await;
        assert_eq!((taken.len(), taken[0], taken[1].2), (496, (104, 6_001_400, true), false));
    }
}
