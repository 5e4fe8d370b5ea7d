//! What wasmtime makes of `policy.wit`. A later major version of the contract gets a module of its own beside this.
#![allow(missing_docs)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "risk-plugin",
    imports: {
        "countersign:policy/clock.sleep": async | trappable,
        "countersign:policy/http.send": async | trappable,
        "countersign:policy/http.send-all": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    require_store_data_send: true,
    additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
});
