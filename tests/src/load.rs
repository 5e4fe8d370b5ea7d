//! People who sign all the while, so that a test sees whether an update is noticed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use countersign_client::{Client, ClientError, Profile};
use countersign_protocol::KeyId;
use tokio::task::JoinHandle;

use crate::Cluster;

/// Signatures under way at a time.
const AT_A_TIME: usize = 4;
/// Pause between two attempts to order something.
const PAUSE: Duration = Duration::from_millis(50);

/// Signs without a pause until it is told to stop. Every signature counts; every failure is kept.
pub struct Load {
    stop: Arc<AtomicBool>,
    pause: Arc<AtomicBool>,
    signed: Arc<AtomicUsize>,
    workers: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    /// Begins to sign the message `pay 7` with the wallet.
    pub fn start(cluster: &Cluster, wallet: KeyId) -> anyhow::Result<Self> {
        let stop = Arc::<AtomicBool>::default();
        let pause = Arc::<AtomicBool>::default();
        let signed = Arc::<AtomicUsize>::default();
        let mut workers = Vec::new();
        for number in 0..AT_A_TIME {
            let client = Client::new(Profile::load(&cluster.profile())?)?;
            let order = cluster.order(wallet, &format!("m/0/{number}"), b"pay 7", None)?;
            let stop = stop.clone();
            let pause = pause.clone();
            let signed = signed.clone();
            workers.push(tokio::spawn(async move {
                let mut failures = Vec::new();
                while !stop.load(Relaxed) {
                    if pause.load(Relaxed) {
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                    match client.sign(&order, |_| {}).await {
                        Ok(_) => drop(signed.fetch_add(1, Relaxed)),
                        // Nothing was ordered.
                        Err(ClientError::Unreachable { sent: false, .. }) => {
                            tokio::time::sleep(PAUSE).await;
                        }
                        Err(error) => failures.push(error.to_string()),
                    }
                }
                failures
            }));
        }
        Ok(Self {
            stop,
            pause,
            signed,
            workers,
        })
    }

    /// Orders nothing more for now, or goes on.
    pub fn pause(&self, pause: bool) {
        self.pause.store(pause, Relaxed);
    }

    /// The number of signatures so far.
    pub fn signed(&self) -> usize {
        self.signed.load(Relaxed)
    }

    /// Waits for this many further signatures.
    pub async fn more(&self, number: usize) -> anyhow::Result<()> {
        let wanted = self.signed() + number;
        let enough = async {
            while self.signed() < wanted {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let limit = Duration::from_secs(60);
        Ok(tokio::time::timeout(limit, enough).await?)
    }

    /// Ends it, and returns the failures.
    pub async fn end(self) -> anyhow::Result<Vec<String>> {
        self.stop.store(true, Relaxed);
        let mut failures = Vec::new();
        for worker in self.workers {
            failures.extend(worker.await?);
        }
        Ok(failures)
    }
}
