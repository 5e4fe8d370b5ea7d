//! The library versions that the gate in front of threshold ECDSA was written for.

/// A gate is an argument about one version of the source. Before this line is
/// changed, review the new version's signing, auxiliary information and key
/// generation against `engine/src/ecdsa/gate.rs` and SECURITY.md.
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
