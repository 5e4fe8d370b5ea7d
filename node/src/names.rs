//! Node names in log lines. A node's id has 62 characters, and nobody knows a node by it, so the
//! log shows its name in the roster. The audit log and machine-readable output keep the ids.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use countersign_protocol::NodeId;

/// Length of a node's id in characters.
const ID: usize = 62;

/// The names that are shown, which may change meanwhile. Clones share them.
#[derive(Clone)]
pub struct Names(Arc<ArcSwap<HashMap<String, String>>>);

impl Names {
    /// The names of a roster.
    pub fn of(roster: &BTreeMap<NodeId, String>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(by_id(roster))))
    }

    /// Replaces them.
    pub fn set(&self, roster: &BTreeMap<NodeId, String>) {
        self.0.store(Arc::new(by_id(roster)));
    }

    /// The text with names in the place of the ids of these nodes.
    pub fn put_into<'l>(&self, text: &'l str) -> Cow<'l, str> {
        let start = format!("{}1", NodeId::PREFIX);
        let names = self.0.load();
        let mut named = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(&start) {
            let (before, id) = rest.split_at(at);
            let known = id.get(..ID).and_then(|id| names.get(id));
            let (shown, length) =
                known.map_or((start.as_str(), start.len()), |name| (name.as_str(), ID));
            named.push_str(before);
            named.push_str(shown);
            rest = &id[length..];
        }
        if named.is_empty() {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(named + rest)
        }
    }
}

fn by_id(roster: &BTreeMap<NodeId, String>) -> HashMap<String, String> {
    let named = roster.iter();
    named
        .map(|(node, name)| (node.to_string(), name.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    fn node(seed: u8) -> NodeId {
        let identity = countersign_link::Identity::from_seed(&[seed; 32]).unwrap();
        NodeId::from_bytes(identity.public().0).unwrap()
    }

    #[test]
    fn nodes_of_the_roster_have_their_names_and_everything_else_stays() {
        let roster = BTreeMap::from([(node(1), "alice".to_owned()), (node(2), "bob".to_owned())]);
        let names = Names::of(&roster);
        let line = format!(
            "{} never stored, {}: {} csn1 csn1qq \u{fc}\n",
            node(1),
            node(2),
            node(3)
        );
        let expected = format!("alice never stored, bob: {} csn1 csn1qq \u{fc}\n", node(3));
        assert_eq!(names.put_into(&line), expected);
        assert_eq!(names.put_into("no id\n"), "no id\n");
    }

    #[test]
    fn a_refusal_names_the_plugin_in_plain_words() {
        let lines: Shared = Shared::default();
        let layer = tracing_subscriber::fmt()
            .with_writer(lines.clone())
            .with_ansi(false);
        tracing::subscriber::with_default(layer.finish(), || {
            let plugin = Some("rules".to_owned());
            tracing::warn!(plugin = plugin.as_deref(), "refused");
            tracing::warn!(plugin = None::<&str>, "refused");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(
            text.contains("plugin=\"rules\"") && !text.contains("Some(") && !text.contains("None"),
            "{text}"
        );
    }

    fn shown(line: &str) -> String {
        let roster = BTreeMap::from([(node(1), "alice".to_owned())]);
        Names::of(&roster).put_into(line).into_owned()
    }

    #[test]
    fn an_id_is_named_wherever_it_stands_and_however_often() {
        let id = node(1);
        let line = format!("node={id} [{id}] {id}{id}x");
        assert_eq!(shown(&line), "node=alice [alice] alicealicex");
    }

    #[test]
    fn an_id_that_is_cut_off_or_mistyped_stays_as_it_is() {
        let mut id = node(1).to_string();
        let last = id.pop().unwrap();
        let cut = format!("{id}\n");
        assert_eq!(shown(&cut), cut);
        let other = if last == 'q' { 'p' } else { 'q' };
        let mistyped = format!("{id}{other}\n");
        assert_eq!(shown(&mistyped), mistyped);
    }

    /// The 62nd byte lies within a character.
    #[test]
    fn a_line_with_other_characters_where_an_id_would_end_is_passed_on() {
        let line = format!("csn1{}\u{fc}\n", "q".repeat(57));
        assert_eq!(shown(&line), line);
    }

    #[derive(Clone, Default)]
    struct Shared(Arc<std::sync::Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'l> MakeWriter<'l> for Shared {
        type Writer = Self;

        fn make_writer(&'l self) -> Self {
            self.clone()
        }
    }
}
