//! The receivers of events, each replaceable by itself while the node runs. One that cannot be
//! loaded keeps its own events waiting and costs nobody else anything.

use std::fmt;
use std::sync::{Arc, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use countersign_host::{CodeCache, Host, LoadError, Receiver, Services};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::config::{Policy, ReceiverEntry};
use crate::risk::{Fingerprint, NodeServices, SandboxError, SpecError};

/// Why a receiver cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiverError {
    /// Its entry.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Its component.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// All configured receivers.
pub struct Receivers {
    policy: Policy,
    services: ArcSwap<NodeServices>,
    places: Vec<Place>,
    /// What their files looked like before any of them was loaded.
    loaded: Fingerprint,
}

/// The place of one receiver.
struct Place {
    entry: ReceiverEntry,
    host: Host,
    /// Nothing until it could be loaded.
    receiver: ArcSwapOption<Receiver>,
    /// Why it could not be loaded last time, if it could not.
    trouble: std::sync::Mutex<Option<String>>,
    /// Held while it is loaded.
    loading: Mutex<()>,
}

/// A receiver as the node that runs knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveReceiver {
    /// Its entry.
    pub name: String,
    /// By its own description; absent as long as it could not be loaded, as is the digest.
    pub version: Option<String>,
    /// SHA-256 of the component, hex.
    pub digest: Option<String>,
    /// Why what is on disk is not in force.
    pub trouble: Option<String>,
}

/// The receivers that were not renewed, by name, and why.
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
    /// Prepares a place for each entry. `cache` keeps machine code between starts.
    pub async fn new(
        policy: &Policy,
        entries: &[ReceiverEntry],
        cache: CodeCache,
        services: Arc<NodeServices>,
    ) -> Result<Self, SandboxError> {
        let loaded = crate::risk::look(policy, entries.iter().map(|entry| &entry.plugin)).await;
        let services = ArcSwap::new(services);
        let mut receivers = Self {
            policy: policy.clone(),
            services,
            places: Vec::new(),
            loaded,
        };
        if !entries.is_empty() {
            // Of their own, so that a receiver takes no plugin's place.
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

    /// What their files looked like before any of them was loaded.
    pub(crate) fn loaded(&self) -> &Fingerprint {
        &self.loaded
    }

    /// The receiver in place `index`, loaded now if it could not be before.
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

    /// Loads each anew with these services, and puts it in its place if it is good. Tells what is
    /// in place now, or which of those that worked stay as they were, and why.
    pub(crate) async fn reload(
        &self,
        services: Arc<NodeServices>,
    ) -> Result<String, ReloadReceiversError> {
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

    /// Loads each for the first time. One that cannot be loaded is tried again when there is
    /// something to deliver.
    pub(crate) async fn load_all(&self) {
        for (index, place) in self.places.iter().enumerate() {
            if let Err(error) = self.get(index).await {
                let receiver = &place.entry.plugin.name;
                tracing::error!(receiver, %error, "the receiver cannot be used yet; its events wait");
            }
        }
    }

    /// Where they run; `None` if there are none.
    pub(crate) fn host(&self) -> Option<&Host> {
        self.places.first().map(|place| &place.host)
    }

    /// SHA-256 of the components in place.
    pub(crate) fn digests(&self) -> Vec<[u8; 32]> {
        self.places
            .iter()
            .filter_map(|place| Some(place.receiver.load().as_ref()?.digest()))
            .collect()
    }

    /// How each fares, in the order of the configuration.
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
            &self.policy,
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

/// Loads every receiver as `start` does, and says what each is; or whose fault it is that one is
/// not loaded.
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
