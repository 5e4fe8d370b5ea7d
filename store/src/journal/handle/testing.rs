//! A disk for tests that loses, tears or holds back unsynced writes.

use std::io::{Error, ErrorKind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use redb::StorageBackend;

const SECTOR: usize = 512;

/// A disk, shared by the database and the test that pulls the plug.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last sync, which a power cut may lose.
    unsynced: Vec<(usize, Vec<u8>)>,
    /// Bytes that were ever written.
    written: u64,
    full: bool,
    held: bool,
    /// True while a caller waits in a held sync.
    waiting: bool,
    /// The number of syncs before the plug is pulled.
    syncs_left: Option<usize>,
}

impl Disk {
    pub(super) fn with(content: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.state().durable = content.clone();
        disk.state().live = content;
        disk
    }

    /// Blocks every sync until [`release`](Self::release).
    pub(super) fn hold(&self) {
        self.state().held = true;
    }

    /// Waits until a caller is blocked in a held sync.
    pub(super) fn wait_for_sync(&self) {
        let long = Duration::from_secs(20);
        let (_state, waited) = self
            .0
            .1
            .wait_timeout_while(self.state(), long, |state| !state.waiting)
            .unwrap();
        assert!(!waited.timed_out(), "nobody synced the disk");
    }

    pub(super) fn release(&self) {
        self.state().held = false;
        self.0.1.notify_all();
    }

    /// The number of bytes that were written so far.
    pub(super) fn written(&self) -> u64 {
        self.state().written
    }

    /// Refuses every write from now on.
    pub(super) fn fill(&self) {
        self.state().full = true;
    }

    /// Fails everything after `syncs` more syncs.
    pub(super) fn pull_plug_after(&self, syncs: usize) {
        self.state().syncs_left = Some(syncs);
    }

    /// The content after a power cut: everything that was synced, and of the rest those sectors
    /// that `keep` chooses.
    pub(super) fn after_power_cut(&self, mut keep: impl FnMut() -> bool) -> Vec<u8> {
        let state = self.state();
        let mut content = state.durable.clone();
        if keep() {
            content.resize(state.live.len(), 0);
        }
        for (offset, data) in &state.unsynced {
            for (index, sector) in data.chunks(SECTOR).enumerate() {
                let at = offset + index * SECTOR;
                if keep() && at + sector.len() <= content.len() {
                    content[at..at + sector.len()].copy_from_slice(sector);
                }
            }
        }
        content
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }
}

impl State {
    fn check(&self) -> Result<(), Error> {
        if self.syncs_left == Some(0) || self.full {
            return Err(Error::from(ErrorKind::StorageFull));
        }
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.state().live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let state = self.state();
        let at = offset as usize;
        let found = state
            .live
            .get(at..at + out.len())
            .ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        let mut state = self.state();
        state.check()?;
        state.live.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        let mut state = self.state();
        while state.held {
            state.waiting = true;
            self.0.1.notify_all();
            state = self.0.1.wait(state).unwrap();
        }
        state.check()?;
        state.syncs_left = state.syncs_left.map(|left| left - 1);
        state.check()?;
        state.durable = state.live.clone();
        state.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let mut state = self.state();
        state.check()?;
        let at = offset as usize;
        state.live[at..at + data.len()].copy_from_slice(data);
        state.unsynced.push((at, data.to_vec()));
        state.written += data.len() as u64;
        Ok(())
    }
}
