//! Waiting for a store that another process holds briefly: a command that reads it, or this node's
//! predecessor on its way out. A daemon that gave up at once would stay down just because somebody
//! had run a command.

use std::path::Path;
use std::time::{Duration, Instant};

use countersign_store::{Journal, JournalOpenError, OpenError, Passphrase};

use crate::config::Config;
use crate::vault::Vault;

/// Maximum wait at startup. A process that holds a store for longer is another daemon.
const PATIENCE: Duration = Duration::from_secs(5);
/// Interval between two attempts.
const EVERY: Duration = Duration::from_millis(50);

/// Opens the node's journal, retrying for a while if it is locked.
pub fn open_journal(dir: &Path) -> Result<Journal, JournalOpenError> {
    patiently(
        PATIENCE,
        |error| matches!(error, JournalOpenError::Locked { .. }),
        || Journal::open(dir),
    )
}

/// Opens the node's secrets, retrying for a while if they are locked.
pub fn open_vault(config: &Config, passphrase: &Passphrase) -> Result<Vault, OpenError> {
    let open = || Vault::open(&config.dir, passphrase, &config.recipients);
    patiently(
        PATIENCE,
        |error| matches!(error, OpenError::Locked { .. }),
        open,
    )
}

/// Retries `open` while it is `held` and `patience` lasts. Any other error is returned at once.
fn patiently<T, E>(
    patience: Duration,
    held: impl Fn(&E) -> bool,
    open: impl Fn() -> Result<T, E>,
) -> Result<T, E> {
    let end = Instant::now() + patience;
    loop {
        match open() {
            Err(error) if held(&error) && Instant::now() < end => std::thread::sleep(EVERY),
            opened => return opened,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_journal_that_is_read_for_a_moment_is_waited_for_and_no_other() {
        let private = std::fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new()
            .permissions(private)
            .tempdir()
            .unwrap();
        let began = Instant::now();
        let missing = open_journal(dir.path());
        assert!(
            matches!(missing, Err(JournalOpenError::Missing { .. })),
            "no patience with what is not there"
        );
        assert!(began.elapsed() < PATIENCE);
        let held = Journal::create(dir.path()).unwrap();
        assert!(matches!(
            Journal::open(dir.path()),
            Err(JournalOpenError::Locked { .. })
        ));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(2 * EVERY);
                drop(held);
            });
            assert!(open_journal(dir.path()).is_ok());
        });
    }

    #[test]
    fn a_store_that_is_not_held_is_tried_once() {
        let tries = std::cell::Cell::new(0);
        let open = || {
            tries.set(tries.get() + 1);
            Err::<(), _>("missing")
        };
        let opened = patiently(PATIENCE, |error| *error == "held", open);
        assert_eq!((opened, tries.get()), (Err("missing"), 1));
    }

    #[test]
    fn a_store_that_stays_held_is_given_up_with_its_own_error() {
        let opened = patiently(Duration::ZERO, |_| true, || Err::<(), _>("held"));
        assert_eq!(opened, Err("held"));
    }

    #[test]
    fn a_store_that_opens_at_once_costs_no_patience() {
        let opened = patiently(Duration::ZERO, |_: &()| true, || Ok(7));
        assert_eq!(opened, Ok(7));
    }
}
