//! A disk that fails when told to: the oracle's half of the crash tests.

use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

/// What was asked of the disk since the last sync.
#[derive(Clone, Debug)]
enum Write {
    Length(usize),
    Bytes(usize, Vec<u8>),
}

impl Write {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Length(length) => bytes.resize(*length, 0),
            Self::Bytes(offset, data) => {
                let end = offset + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(data);
            }
        }
    }
}

#[derive(Debug, Default)]
struct State {
    /// What is seen by reads.
    current: Vec<u8>,
    /// What survives a power cut for sure.
    durable: Vec<u8>,
    /// What may survive it.
    unsynced: Vec<Write>,
    calls: usize,
    fail_at: Option<usize>,
}

/// A disk in memory; every clone is the same disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Counts a call, which fails from the appointed one on, as a full disk does.
    fn call(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        let number = state.calls;
        state.calls += 1;
        match state.fail_at {
            Some(failing) if number >= failing => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(state),
        }
    }

    pub(super) fn start_counting(&self) {
        self.state().calls = 0;
    }

    pub(super) fn calls(&self) -> usize {
        self.state().calls
    }

    /// Lets call number `call` and all after it fail.
    pub(super) fn fail_at(&self, call: usize) {
        self.state().fail_at = Some(call);
    }

    pub(super) fn repair(&self) {
        self.state().fail_at = None;
    }

    /// Keeps, of the writes since the last sync, those whose bit of a hash of `seed` and their number is set.
    pub(super) fn power_cut(&self, seed: u64) {
        let mut state = self.state();
        state.fail_at = None;
        let unsynced = mem::take(&mut state.unsynced);
        for (number, write) in (0_u64..).zip(&unsynced) {
            let hash = (seed * 0x9e37_79b9 + number).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40;
            if hash & 1 == 1 {
                write.apply(&mut state.durable);
            }
        }
        state.current = state.durable.clone();
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.call()?.current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.call()?;
        let start = usize::try_from(offset).unwrap();
        let bytes = state.current.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.call()?;
        let write = Write::Length(usize::try_from(len).unwrap());
        write.apply(&mut state.current);
        state.unsynced.push(write);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.call()?;
        state.durable = state.current.clone();
        state.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.call()?;
        let write = Write::Bytes(usize::try_from(offset).unwrap(), data.to_vec());
        write.apply(&mut state.current);
        state.unsynced.push(write);
        Ok(())
    }
}
