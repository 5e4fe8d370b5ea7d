//! The output of wit-bindgen for `policy.wit`. It is generated, and not meant to be imported by
//! name: use the re-exports of the crate root.
#![allow(missing_docs, clippy::all)]

wit_bindgen::generate!({
    path: "wit",
    world: "counting-plugin",
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "countersign_sdk::bindings",
    runtime_path: "countersign_sdk::private::wit_bindgen::rt",
    additional_derives: [PartialEq],
});

/// The world of event receivers. It shares its types with that of plugins.
pub mod event {
    wit_bindgen::generate!({
        path: "wit",
        world: "event-plugin",
        pub_export_macro: true,
        export_macro_name: "export_event_component",
        default_bindings_module: "countersign_sdk::bindings::event",
        runtime_path: "countersign_sdk::private::wit_bindgen::rt",
        additional_derives: [PartialEq],
        with: {
            "countersign:policy/types@0.1.0": crate::bindings::countersign::policy::types,
            "countersign:policy/config@0.1.0": crate::bindings::countersign::policy::config,
            "countersign:policy/clock@0.1.0": crate::bindings::countersign::policy::clock,
            "countersign:policy/logging@0.1.0": crate::bindings::countersign::policy::logging,
            "countersign:policy/keys@0.1.0": crate::bindings::countersign::policy::keys,
            "countersign:policy/http@0.1.0": crate::bindings::countersign::policy::http,
        },
    });
}
