//! What wit-bindgen makes of `policy.wit`. Nobody edits or imports this by name: see the re-exports of the crate root.
#![allow(missing_docs, clippy::all)]

wit_bindgen::generate!({
    path: "wit",
    world: "monitored-plugin",
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "countersign_sdk::bindings",
    runtime_path: "countersign_sdk::private::wit_bindgen::rt",
    additional_derives: [PartialEq],
});
