//! A second version of the contract, in tests alone: `tests/fixtures/wit-next`. A real one takes no
//! more than this: bindings of its WIT, its imports over the same [`CallState`], and a translation
//! of its words into those of 0.1.

use wasmtime::Store;

use crate::contract::bindings::countersign::policy::types as v0_1;
use crate::sandbox::call_state::CallState;

wasmtime::component::bindgen!({
    path: "tests/fixtures/wit-next",
    world: "risk-plugin",
    imports: { default: trappable },
    exports: { default: async },
    require_store_data_send: true,
});

use countersign::policy::{config, types};

impl types::Host for CallState {}

impl config::Host for CallState {
    fn document(&mut self) -> wasmtime::Result<String> {
        Ok(self.context.document.to_string())
    }
}

pub(crate) async fn describe(
    plugin: &RiskPlugin,
    store: &mut Store<CallState>,
) -> wasmtime::Result<v0_1::Info> {
    let types::Info { name, version } = plugin
        .countersign_policy_plugin()
        .call_describe(store)
        .await?;
    Ok(v0_1::Info {
        name,
        version,
        description: String::new(),
        config_schema: None,
    })
}

pub(crate) async fn check(
    plugin: &RiskPlugin,
    store: &mut Store<CallState>,
) -> wasmtime::Result<Result<(), v0_1::Failure>> {
    let checked = plugin.countersign_policy_plugin().call_check(store).await?;
    Ok(checked.map_err(v0_1::Failure::Misconfigured))
}

pub(crate) async fn evaluate(
    plugin: &RiskPlugin,
    store: &mut Store<CallState>,
    task: &v0_1::Task,
) -> wasmtime::Result<Result<v0_1::Verdict, v0_1::Failure>> {
    let tag = |statement: &v0_1::Statement| format!("{}={}", statement.name, statement.value);
    let task = types::Task {
        id: task.id.clone(),
        attempt: task.attempt.into(),
        tags: task.extra.iter().map(tag).collect(),
        raw: task.raw.clone(),
    };
    Ok(
        match plugin
            .countersign_policy_plugin()
            .call_evaluate(store, &task)
            .await?
        {
            types::Verdict::Approve => Ok(v0_1::Verdict::Approve),
            types::Verdict::Reject(types::Rejection { code, reason }) => {
                Ok(v0_1::Verdict::Reject(v0_1::Rejection { code, reason }))
            }
            types::Verdict::Abstain => Err(v0_1::Failure::Unsupported(
                "the plugin has no say in this".into(),
            )),
        },
    )
}
