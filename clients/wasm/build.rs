//! Has the linker leave the module as it is: hosts that know no components run it too.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = std::env::var("CARGO_CFG_TARGET_ARCH");
    if target.as_deref() == Ok("wasm32") {
        println!("cargo:rustc-link-arg-cdylib=--skip-wit-component");
    }
}
