//! Everything that is in force in a chain, as one JSON document whose SHA-256 is the chain's
//! revision. It is kept with the decisions made under it, so that a revision in a record can be
//! looked up.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::component::plugin::Plugin;
use crate::contract::anchor::Anchor;
use crate::contract::capabilities::capabilities;
use crate::contract::digest::sha256;
use crate::contract::grants::Grants;
use crate::contract::role::Role;
use crate::decision::entry::Entry;

/// The deciding entries, in the order of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// Version of this format: 3. (1 and 2 were hashes without a document.)
    pub format: u16,
    /// All entries, broken ones and shadows too.
    pub entries: Vec<EntryInForce>,
}

/// One entry of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryInForce {
    /// Name of the entry in the configuration.
    pub name: String,
    /// Kinds of operation that it guards; empty: all. So are the next two.
    pub operations: Vec<String>,
    /// Keys that it guards.
    pub keys: Vec<String>,
    /// Schemes that it guards.
    pub schemes: Vec<String>,
    /// Absent: it decides. Empty: it is compared with all that decide; else with the
    /// entry of this name.
    pub shadow: Option<String>,
    /// The loaded plugin. Absent if the entry is broken and refuses.
    pub plugin: Option<PluginInForce>,
}

macro_rules! in_force {
    ($($file:ident::$capability:ident {
        $($(#[$doc:meta])* grant $grant:ident: $type:ty, trial $trial:expr;)*
        $($number:literal => $answer:ident($answered:ty),)*
    })*) => {
        /// The plugin that was loaded for an entry. Documents that were recorded before there was a
        /// certain grant lack its field.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct PluginInForce {
            /// SHA-256 of the component, hex.
            pub component: String,
            /// SHA-256 of the configuration document, hex.
            pub config: String,
            /// Keys and authorities that its answers depend on.
            pub anchors: Vec<Anchor>,
            /// Keys that are granted, each with its use.
            pub granted_keys: Vec<(String, String)>,
            /// URL prefixes that requests may go to.
            pub http: Vec<String>,
            $($($(#[$doc])*
            #[serde(default)]
            pub $grant: $type,)*)*
            /// CPU time of a call, in milliseconds.
            pub cpu_ms: u64,
            /// Duration of a call, in milliseconds.
            pub wall_ms: u64,
            /// Memory of a call, in bytes.
            pub memory_bytes: u64,
        }

        fn plugin(plugin: &Plugin) -> PluginInForce {
            let Grants {
                keys,
                http,
                $($($grant,)*)*
                cpu_ms,
                wall_ms,
                memory_bytes,
            } = plugin.grants();
            PluginInForce {
                component: hex::encode(plugin.digest()),
                config: hex::encode(plugin.revision()),
                anchors: plugin.anchors().to_vec(),
                granted_keys: keys
                    .iter()
                    .map(|key| (key.name.clone(), key.usage.name().into()))
                    .collect(),
                http: http.iter().map(ToString::to_string).collect(),
                $($($grant: $grant.clone(),)*)*
                cpu_ms: *cpu_ms,
                wall_ms: *wall_ms,
                memory_bytes: *memory_bytes as u64,
            }
        }
    };
}

capabilities!(in_force);

impl InForce {
    /// Reads the document; `None` if it is none.
    pub fn parse(document: &str) -> Option<Self> {
        serde_json::from_str(document).ok()
    }

    /// The anchors of the entry `name`.
    pub fn anchors(&self, name: &str) -> &[Anchor] {
        let entry = self.entries.iter().find(|entry| entry.name == name);
        entry
            .and_then(|entry| entry.plugin.as_ref())
            .map_or(&[], |plugin| &plugin.anchors)
    }

    /// All anchors, each once.
    pub fn all_anchors(&self) -> Vec<&Anchor> {
        let plugins = self
            .entries
            .iter()
            .filter_map(|entry| entry.plugin.as_ref());
        let mut anchors: Vec<_> = plugins.flat_map(|plugin| &plugin.anchors).collect();
        anchors.sort();
        anchors.dedup();
        anchors
    }
}

/// The document of these entries, and its SHA-256.
pub(crate) fn describe(entries: &[Entry]) -> (Arc<str>, [u8; 32]) {
    let in_force = InForce {
        format: 3,
        entries: entries.iter().map(entry).collect(),
    };
    let document = serde_json::to_string(&in_force)
        .unwrap_or_else(|error| unreachable!("plain data: {error}"));
    let revision = sha256(document.as_bytes());
    (document.into(), revision)
}

fn entry(entry: &Entry) -> EntryInForce {
    let Role {
        scope,
        shadow,
        monitor: _,
    } = &entry.role;
    EntryInForce {
        name: entry.name.clone(),
        operations: scope
            .operations
            .iter()
            .map(|operation| operation.name().into())
            .collect(),
        keys: scope.keys.clone(),
        schemes: scope.schemes.clone(),
        shadow: shadow
            .as_ref()
            .map(|shadow| shadow.entry().unwrap_or_default().into()),
        plugin: entry.plugin().map(plugin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::anchor::AnchorKind;

    /// A document as it is kept in journals: under its hash, so not a byte may change.
    const KEPT: &str = r#"{"format":3,"entries":[{"name":"jwt-callback","operations":["keysign"],"keys":["csk1"],"schemes":["ed25519"],"shadow":"other","plugin":{"component":"0a","config":"0b","anchors":[{"kind":"public-key","name":"server","sha256":"0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c"}],"granted_keys":[["server","verify"]],"http":["https://a.example/"],"state_bytes":1,"cpu_ms":2,"wall_ms":3,"memory_bytes":4}},{"name":"broken","operations":[],"keys":[],"schemes":[],"shadow":null,"plugin":null}]}"#;

    fn kept() -> InForce {
        let mut plugin = PluginInForce {
            component: "0a".into(),
            config: "0b".into(),
            anchors: vec![Anchor {
                kind: AnchorKind::PublicKey,
                name: "server".into(),
                sha256: Some([12; 32]),
            }],
            granted_keys: vec![("server".into(), "verify".into())],
            http: vec!["https://a.example/".into()],
            cpu_ms: 2,
            wall_ms: 3,
            memory_bytes: 4,
            ..PluginInForce::default()
        };
        plugin.state_bytes = 1;
        let jwt_callback = EntryInForce {
            name: "jwt-callback".into(),
            operations: vec!["keysign".into()],
            keys: vec!["csk1".into()],
            schemes: vec!["ed25519".into()],
            shadow: Some("other".into()),
            plugin: Some(plugin),
        };
        let broken = EntryInForce {
            name: "broken".into(),
            operations: Vec::new(),
            keys: Vec::new(),
            schemes: Vec::new(),
            shadow: None,
            plugin: None,
        };
        InForce {
            format: 3,
            entries: vec![jwt_callback, broken],
        }
    }

    #[test]
    fn a_document_that_is_kept_is_read() {
        assert_eq!(InForce::parse(KEPT), Some(kept()));
    }

    #[test]
    fn a_document_without_a_grant_that_came_later_is_read() {
        let older = KEPT.replace(r#""state_bytes":1,"#, "");
        let mut expected = kept();
        if let Some(plugin) = &mut expected.entries[0].plugin {
            plugin.state_bytes = 0;
        }
        assert_eq!(InForce::parse(&older), Some(expected));
        let broken = KEPT.replace(r#""granted_keys":[["server","verify"]],"#, "");
        assert_eq!(InForce::parse(&broken), None, "no grant of a row");
    }

    /// A grant that came later follows those that the document has.
    #[test]
    fn a_document_is_written_as_it_was() {
        let written = serde_json::to_string(&kept()).unwrap();
        let end = r#","cpu_ms":2"#;
        let (before, after) = KEPT.split_once(end).unwrap();
        assert!(written.starts_with(before), "{written}");
        assert!(written.ends_with(&format!("{end}{after}")), "{written}");
    }
}
