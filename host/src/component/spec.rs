//! One plugin entry as the operator wrote it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::capability::table;
use crate::contract::digest::sha256;
use crate::contract::grants::Grants;
use crate::contract::role::{Role, Shadow};
use crate::contract::services::Services;
use crate::sandbox::context::Context;
use crate::sandbox::terms::SealedServices;

/// One plugin as the operator configured it.
#[derive(Clone, Debug)]
pub struct PluginSpec {
    /// The component's own name, e.g. `rules`; with several entries
    /// of one component, `rules:<label>`.
    pub name: String,
    /// The component. Links are followed: what counts is the digest of what is behind them.
    pub file: PathBuf,
    /// SHA-256 that the file must have. Without it any file of that name runs.
    pub digest: Option<[u8; 32]>,
    /// Configuration document; null is passed on as `{}`.
    pub config: serde_json::Value,
    /// Keys, URLs and resources that it may use.
    pub grants: Grants,
    /// The tasks that it guards.
    pub role: Role,
    /// The source of its configuration, for messages. Nothing depends on it.
    pub written: Option<Arc<dyn Written>>,
}

/// A document written by people, in which the place of a value can be found.
pub trait Written: fmt::Debug + Send + Sync + 'static {
    /// File and line of `path`, such as `limits[2].amount`, or of what is nearest
    /// to it; for people.
    fn place(&self, path: &str) -> String;
}

impl PluginSpec {
    /// The configuration as the plugin sees it.
    pub(crate) fn document(&self) -> Arc<str> {
        match &self.config {
            serde_json::Value::Null => "{}".into(),
            config => config.to_string().into(),
        }
    }

    /// SHA-256 of the configuration as the plugin sees it, by which decisions name it.
    pub fn revision(&self) -> [u8; 32] {
        sha256(self.document().as_bytes())
    }

    /// Everything that the host knows of the entry before any of it runs.
    pub(crate) fn context(&self, document: Arc<str>, services: Arc<dyn Services>) -> Context {
        let revision = sha256(document.as_bytes());
        let shadowed = self.role.shadow.as_ref().and_then(Shadow::entry);
        let memory_of = shadowed.unwrap_or(&self.name).to_owned();
        let anchors = table::anchors(&self.grants, &*services).into();
        let name = self.name.clone();
        let grants = self.grants.clone();
        Context {
            name,
            document,
            revision,
            grants,
            anchors,
            services: SealedServices::new(services),
            memory_of,
        }
    }
}
