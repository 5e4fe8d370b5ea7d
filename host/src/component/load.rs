//! From the operator's entry to a plugin that may run. The order is fixed: size, digest, signature,
//! compilation, imports against grants, linking, `describe`, `check`.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::component::admit::PATIENCE;
use crate::component::ask;
use crate::component::compile::Compiled;
use crate::component::error::{LoadError, check_name};
use crate::component::host::Host;
use crate::component::plugin::Plugin;
use crate::component::pre_init::PreInitialised;
use crate::component::receiver::{self, Receiver};
use crate::component::spec::PluginSpec;
use crate::component::version::Prepared;
use crate::contract::services::Services;
use crate::sandbox::stop::CallFailure;

/// Bytes of a configuration document. It is kept with the decisions that are made under it.
const DOCUMENT: usize = 4 << 20;

impl Host {
    /// Loads one plugin. None of it runs until every check before `describe` has passed.
    pub async fn load(
        &self,
        spec: &PluginSpec,
        services: Arc<dyn Services>,
    ) -> Result<Plugin, LoadError> {
        let document = spec.document();
        if document.len() > DOCUMENT {
            return Err(LoadError::Document { limit: DOCUMENT });
        }
        let (compiled, bytes) = self.compiled(spec).await?;
        let mut plugin = self.prepare(spec, document, compiled, services).await?;
        let checked = plugin.check(Instant::now() + PATIENCE).await;
        checked.map_err(|(code, reason)| LoadError::check(spec, code, reason))?;
        let pre_initialised = self.shared.pre_initialiser.pre_initialise(
            &bytes,
            &plugin.compiled.component,
            &plugin.context,
        );
        if let Some(PreInitialised { prepared, seed }) = pre_initialised.await {
            plugin.prepared = prepared;
            plugin.pre_init_seed = Some(seed);
        }
        self.keep(&spec.file, plugin.digest(), bytes).await;
        Ok(plugin)
    }

    /// Links the plugin and asks it to `describe` itself.
    pub(crate) async fn prepare(
        &self,
        spec: &PluginSpec,
        document: Arc<str>,
        compiled: Arc<Compiled>,
        services: Arc<dyn Services>,
    ) -> Result<Plugin, LoadError> {
        let sandbox = self.shared.sandbox.clone();
        let prepared = Prepared::new(&sandbox.linker, &compiled.component)?;
        let context = Arc::new(spec.context(document, services));
        let deadline = Instant::now() + PATIENCE;
        let described = ask::describe(&sandbox, &prepared, &context, deadline).await;
        let info = described.map_err(LoadError::describe)?;
        check_name(&spec.name, &info.name)?;
        Ok(Plugin {
            sandbox,
            compiled,
            prepared,
            pre_init_seed: None,
            context,
            info,
        })
    }

    /// Loads one receiver, in the order in which plugins are loaded.
    pub async fn load_receiver(
        &self,
        spec: &PluginSpec,
        services: Arc<dyn Services>,
    ) -> Result<Receiver, LoadError> {
        let (compiled, _) = self.compiled(spec).await?;
        let sandbox = self.shared.sandbox.clone();
        let linked = receiver::link(&sandbox, &compiled.component)?;
        let context = Arc::new(spec.context(spec.document(), services));
        let deadline = Instant::now() + PATIENCE;
        let described = receiver::describe(&sandbox, &linked, &context, deadline).await;
        let info = described.map_err(LoadError::describe)?;
        check_name(&spec.name, &info.name)?;
        let deadline = Instant::now() + PATIENCE;
        let checked = receiver::check(&sandbox, &linked, &context, deadline).await;
        checked.map_err(|CallFailure { code, reason }| LoadError::check(spec, code, reason))?;
        Ok(Receiver {
            sandbox,
            compiled,
            linked,
            context,
            info,
        })
    }

    /// Copies the component to the installed ones, so that its decisions can be replayed after its
    /// file has changed. A failure is logged and changes nothing else.
    async fn keep(&self, file: &Path, digest: [u8; 32], bytes: Arc<[u8]>) {
        let Some(store) = self.components.clone() else {
            return;
        };
        let folder = store.folder().to_owned();
        let kept = tokio::task::spawn_blocking(move || store.keep(&digest, &bytes)).await;
        if let Err(error) = kept.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            let file = file.display();
            let folder = folder.display();
            tracing::warn!(%file, %folder, %error, "the component is not kept: once its file has changed, what it decided cannot be replayed");
        }
    }
}
