//! The event receivers, each replaceable on its own while the node runs. If one cannot be loaded,
//! only its own events wait.

use std::fmt;
use std::sync::{Arc, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use countersign_host::{CodeCache, Host, LoadError, Receiver, Services};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::config::{Policy, ReceiverEntry};
use crate::risk::{Fingerprint, NodeServices, SandboxError, SpecError};

/// Reasons why a receiver cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiverError {
    /// Its configuration entry cannot be used.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Its component cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// All configured receivers, in the order of the configuration.
pub struct Receivers {
    policy: ArcSwap<Policy>,
    services: ArcSwap<NodeServices>,
    places: Vec<Place>,
    /// Fingerprint of their files, taken before the first one was loaded.
    loaded: Fingerprint,
}

/// A slot for one receiver.
struct Place {
    entry: ReceiverEntry,
    host: Host,
    /// Empty until the receiver has been loaded.
    receiver: ArcSwapOption<Receiver>,
    /// The error of the last attempt to load it, if that failed.
    trouble: std::sync::Mutex<Option<String>>,
    /// Held while the receiver is being loaded.
    loading: Mutex<()>,
}

/// The state of a receiver in a running node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveReceiver {
    /// Name of its configuration entry.
    pub name: String,
    /// Version that it states itself. Absent, like the digest, until it has been loaded.
    pub version: Option<String>,
    /// SHA-256 of the component, in hex.
    pub digest: Option<String>,
    /// The reason why the files on disk are not in force, if they are not.
    pub trouble: Option<String>,
}

/// Names of the receivers that were not renewed, with the reasons.
#[derive(Debug, thiserror::Error)]
pub(crate) struct ReloadReceiversError(Vec<(String, ReceiverError)>);

impl fmt::Display for ReloadReceiversError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, error)) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}{name}: {error}")?;
        }
        Ok(())
    }
}

impl Receivers {
    /// Prepares a slot for each entry. `cache` keeps machine code between starts.
    pub async fn new(
        policy: &Policy,
        entries: &[ReceiverEntry],
        cache: CodeCache,
        services: Arc<NodeServices>,
    ) -> Result<Self, SandboxError> {
        let loaded = crate::risk::look(policy, entries.iter().map(|entry| &entry.plugin)).await;
        let services = ArcSwap::new(services);
        let mut receivers = Self {
            policy: ArcSwap::from_pointee(policy.clone()),
            services,
            places: Vec::new(),
            loaded,
        };
        if !entries.is_empty() {
            // A separate sandbox, so that receivers do not use up the plugins' capacity.
            let host = crate::risk::sandbox(policy, Some(cache))?;
            let place = |entry: &ReceiverEntry| Place {
                entry: entry.clone(),
                host: host.clone(),
                receiver: ArcSwapOption::empty(),
                trouble: std::sync::Mutex::default(),
                loading: Mutex::default(),
            };
            receivers.places.extend(entries.iter().map(place));
        }
        Ok(receivers)
    }

    /// Fingerprint of their files, taken before the first one was loaded.
    pub(crate) fn loaded(&self) -> &Fingerprint {
        &self.loaded
    }

    /// Returns the receiver in slot `index`, loading it if that has not succeeded before.
    pub(super) async fn get(&self, index: usize) -> Result<Arc<Receiver>, ReceiverError> {
        let place = &self.places[index];
        if let Some(receiver) = place.receiver.load_full() {
            return Ok(receiver);
        }
        let _alone = place.loading.lock().await;
        if let Some(receiver) = place.receiver.load_full() {
            return Ok(receiver);
        }
        let receiver = Arc::new(self.load(place).await?);
        place.receiver.store(Some(receiver.clone()));
        Ok(receiver)
    }

    /// Reloads each receiver with the keys of `policy` and these services, and replaces it if that
    /// succeeds. Returns a
    /// description of the new ones, or the errors of those that stay as they were.
    pub(crate) async fn reload(
        &self,
        policy: Arc<Policy>,
        services: Arc<NodeServices>,
    ) -> Result<String, ReloadReceiversError> {
        self.policy.store(policy);
        self.services.store(services);
        let mut good = Vec::new();
        let mut bad = Vec::new();
        for place in &self.places {
            let _alone = place.loading.lock().await;
            match self.load(place).await {
                Ok(receiver) => {
                    good.push(describe(&receiver));
                    place.receiver.store(Some(Arc::new(receiver)));
                }
                Err(error) => bad.push((place.entry.plugin.name.clone(), error)),
            }
        }
        if bad.is_empty() {
            Ok(good.join("; "))
        } else {
            Err(ReloadReceiversError(bad))
        }
    }

    /// Loads each receiver for the first time. A failed one is retried at its next delivery.
    pub(crate) async fn load_all(&self) {
        for (index, place) in self.places.iter().enumerate() {
            if let Err(error) = self.get(index).await {
                let receiver = &place.entry.plugin.name;
                tracing::error!(receiver, %error, "the receiver cannot be used yet; its events wait");
            }
        }
    }

    /// Returns the host that they run in; `None` if there are none.
    pub(crate) fn host(&self) -> Option<&Host> {
        self.places.first().map(|place| &place.host)
    }

    /// Returns the SHA-256 of each loaded component.
    pub(crate) fn digests(&self) -> Vec<[u8; 32]> {
        self.places
            .iter()
            .filter_map(|place| Some(place.receiver.load().as_ref()?.digest()))
            .collect()
    }

    /// Returns the state of each receiver, in the order of the configuration.
    pub fn live(&self) -> Vec<LiveReceiver> {
        let live = |place: &Place| {
            let receiver = place.receiver.load();
            LiveReceiver {
                name: place.entry.plugin.name.clone(),
                version: receiver
                    .as_ref()
                    .map(|receiver| receiver.info().version.clone()),
                digest: receiver
                    .as_ref()
                    .map(|receiver| hex::encode(receiver.digest())),
                trouble: place
                    .trouble
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone(),
            }
        };
        self.places.iter().map(live).collect()
    }

    async fn load(&self, place: &Place) -> Result<Receiver, ReceiverError> {
        let loaded = load(
            &self.policy.load(),
            &place.entry,
            &place.host,
            self.services.load_full(),
        )
        .await;
        let trouble = loaded.as_ref().err().map(ToString::to_string);
        *place.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        loaded
    }
}

/// Loads every receiver as `start` does, and returns a description of each. On failure returns the
/// name and error of the first that was not loaded.
pub async fn check(
    policy: &Policy,
    entries: &[ReceiverEntry],
    host: &Host,
    services: Arc<dyn Services>,
) -> Result<Vec<String>, (String, ReceiverError)> {
    let mut described = Vec::new();
    for entry in entries {
        let receiver = load(policy, entry, host, services.clone()).await;
        described.push(describe(
            &receiver.map_err(|error| (entry.plugin.name.clone(), error))?,
        ));
    }
    Ok(described)
}

async fn load(
    policy: &Policy,
    entry: &ReceiverEntry,
    host: &Host,
    services: Arc<dyn Services>,
) -> Result<Receiver, ReceiverError> {
    let spec = crate::risk::spec(policy, &entry.plugin)?;
    Ok(host.load_receiver(&spec, services).await?)
}

fn describe(receiver: &Receiver) -> String {
    let digest = hex::encode(receiver.digest());
    format!(
        "{} {} sha256:{digest}",
        receiver.name(),
        receiver.info().version
    )
}

#[cfg(test)]
#[path = "receivers_tests.rs"]
pub(super) mod tests;
