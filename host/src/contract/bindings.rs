//! Bindings that wasmtime generates from `policy.wit`. A later major version of the contract gets a
//! module of its own beside this.
#![allow(missing_docs)]

wasmtime::component::bindgen!({
    path: "../wit",
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

/// The world of receivers of events. It shares its types with the world of plugins.
pub mod event {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "event-plugin",
        exports: { default: async },
        require_store_data_send: true,
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        with: {
            "countersign:policy/types": crate::contract::bindings::countersign::policy::types,
            "countersign:policy/config": crate::contract::bindings::countersign::policy::config,
            "countersign:policy/clock": crate::contract::bindings::countersign::policy::clock,
            "countersign:policy/logging": crate::contract::bindings::countersign::policy::logging,
            "countersign:policy/keys": crate::contract::bindings::countersign::policy::keys,
            "countersign:policy/http": crate::contract::bindings::countersign::policy::http,
        },
    });
}
