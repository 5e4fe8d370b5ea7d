//! Node names in log lines. A node's id has 62 characters, and nobody knows a node by it, so the
//! log shows its name in the roster. The audit log and machine-readable output keep the ids.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::sync::Arc;

use arc_swap::ArcSwap;
use countersign_protocol::NodeId;
use tracing_subscriber::fmt::MakeWriter;

/// Length of a node's id in characters.
const ID: usize = 62;

/// A writer of log lines that replaces the ids of known nodes by their names.
#[derive(Clone)]
pub struct Named<W> {
    names: Names,
    lines: W,
}

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
}

fn by_id(roster: &BTreeMap<NodeId, String>) -> HashMap<String, String> {
    let named = roster.iter();
    named
        .map(|(node, name)| (node.to_string(), name.clone()))
        .collect()
}

impl<W> Named<W> {
    /// Replaces the ids of the nodes in `roster` and passes the text on to `lines`.
    pub fn new(roster: &BTreeMap<NodeId, String>, lines: W) -> Self {
        Self::following(Names::of(roster), lines)
    }

    /// The same with names that may change.
    pub fn following(names: Names, lines: W) -> Self {
        Self { names, lines }
    }

    fn name<'l>(&self, line: &'l str) -> Cow<'l, str> {
        let start = format!("{}1", NodeId::PREFIX);
        let names = self.names.0.load();
        let mut named = String::new();
        let mut rest = line;
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
            Cow::Borrowed(line)
        } else {
            Cow::Owned(named + rest)
        }
    }
}

/// Every line is written in a single call.
impl<W: Write> Write for Named<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(line) => {
                let named = self.name(line).into_owned();
                self.lines.write_all(named.as_bytes())?;
            }
            Err(_) => self.lines.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }
}

impl<'l, W: MakeWriter<'l>> MakeWriter<'l> for Named<W> {
    type Writer = Named<W::Writer>;

    fn make_writer(&'l self) -> Self::Writer {
        Named {
            names: self.names.clone(),
            lines: self.lines.make_writer(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(seed: u8) -> NodeId {
        let identity = countersign_link::Identity::from_seed(&[seed; 32]).unwrap();
        NodeId::from_bytes(identity.public().0).unwrap()
    }

    #[test]
    fn nodes_of_the_roster_have_their_names_and_everything_else_stays() {
        let roster = BTreeMap::from([(node(1), "alice".to_owned()), (node(2), "bob".to_owned())]);
        let mut written = Vec::new();
        let mut log = Named::new(&roster, &mut written);
        let line = format!(
            "{} never stored, {}: {} csn1 csn1qq \u{fc}\n",
            node(1),
            node(2),
            node(3)
        );
        assert_eq!(log.write(line.as_bytes()).unwrap(), line.len());
        assert_eq!(log.write(b"no id\n").unwrap(), 6);
        assert_eq!(log.write(&[0xff]).unwrap(), 1);
        let expected = format!(
            "alice never stored, bob: {} csn1 csn1qq \u{fc}\nno id\n",
            node(3)
        );
        assert_eq!(written, [expected.as_bytes(), &[0xff]].concat());
    }

    #[test]
    fn a_refusal_names_the_plugin_in_plain_words() {
        let roster = BTreeMap::new();
        let lines: Shared = Shared::default();
        let layer = tracing_subscriber::fmt()
            .with_writer(Named::new(&roster, lines.clone()))
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
        let mut written = Vec::new();
        let mut log = Named::new(&roster, &mut written);
        log.write_all(line.as_bytes()).unwrap();
        String::from_utf8(written).unwrap()
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

    #[test]
    fn a_log_that_cannot_be_written_is_told_to_the_logger() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::StorageFull.into())
            }
        }
        let mut log = Named::new(&BTreeMap::new(), Full);
        for line in [&b"text"[..], &[0xff]] {
            let error = log.write(line).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
        assert!(log.flush().is_err());
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
