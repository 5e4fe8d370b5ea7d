//! The libraries that the gate in front of threshold ECDSA was written beside.

/// A gate is an argument about one text. Another version of the library is another text: read its
/// signing, its auxiliary information and its key generation anew, beside
/// `engine/src/ecdsa/gate.rs` and SECURITY.md, before this line is changed.
const READ: &str = "0.7.0-alpha.3";

#[test]
fn the_gate_and_the_library_belong_together() {
    let lock = include_str!("../../../Cargo.lock");
    for name in ["cggmp24", "cggmp24-keygen", "paillier-zk"] {
        let versions: Vec<&str> = lock
            .split("[[package]]")
            .filter(|package| package.contains(&format!("\nname = \"{name}\"\n")))
            .filter_map(|package| package.split("\nversion = \"").nth(1)?.split('"').next())
            .collect();
        assert_eq!(
            versions,
            [READ],
            "{name}: read it again before you change its version"
        );
    }
}
