//! Policy bundles, which come from publishers.

use std::collections::BTreeMap;

use countersign_node::bundle::file::sha256;
use countersign_node::bundle::manifest::{FORMAT, FileRecord};
use countersign_node::bundle::{Bundle, BundleEntry, Manifest};
use countersign_node::config::{RawGrants, RawScope};
use countersign_protocol::UnixMillis;

pub(super) fn run(input: &[u8]) -> bool {
    let Ok(bundle) = Bundle::decode(input) else {
        return false;
    };
    let written = bundle.encode().expect("what was read can be written");
    let again = Bundle::decode(&written).expect("what was written can be read");
    assert!(again == bundle, "a bundle is read as it is written");
    true
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    [1, 2].map(bundle).into()
}

/// A bundle with this many entries.
fn bundle(entries: usize) -> Vec<u8> {
    let component = b"component".to_vec();
    let config = b"limit: 5".to_vec();
    let entry = |number: usize| BundleEntry {
        name: format!("rules:{number}"),
        component: sha256(&component),
        config: sha256(&config),
        signature: None,
        scope: RawScope::default(),
        monitor_interval: "30s".into(),
        grants: RawGrants {
            keys: vec!["approver".into()],
            ..RawGrants::default()
        },
    };
    let entries = (0..entries).map(entry).collect();
    let files = BTreeMap::from([component, config].map(|file| (sha256(&file), file)));
    let record = |(sha256, file): (&_, &Vec<u8>)| FileRecord {
        sha256: *sha256,
        bytes: file.len() as u64,
    };
    let manifest = Manifest {
        format: FORMAT,
        name: "treasury".into(),
        version: 1,
        created: UnixMillis(1),
        previous: None,
        entries,
        files: files.iter().map(record).collect(),
    };
    let bundle = Bundle::new(manifest, files).expect("a seed is valid");
    bundle.encode().expect("a seed can be written")
}
