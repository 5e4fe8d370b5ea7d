//! Warnings about servers that are reached without encryption.

use countersign_metrics::plain_http::note;

use super::policy::PluginEntry;

/// Returns a note on each server that a plugin may contact without TLS.
pub(super) fn notes(plugin: &PluginEntry) -> impl Iterator<Item = String> {
    let key = format!("grants.http of {}", plugin.name);
    plugin
        .grants
        .http
        .iter()
        .filter_map(move |server| note(&key, server, "questions and answers"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_open_server_of_every_plugin_is_noted_with_the_plugins_name() {
        let config = crate::config::tests::parse(
            "policy: {plugins: [{name: a, grants: {http: ['http://x/', 'https://y/', 'http://z/']}}]}\n\
             events: {receivers: [{name: b, grants: {http: ['http://w/']}}]}\n",
        )
        .unwrap();
        let starts = [
            "grants.http of a is http://x/: ",
            "grants.http of a is http://z/: ",
            "grants.http of b is http://w/: ",
        ];
        assert_eq!(config.notes.len(), starts.len(), "{:?}", config.notes);
        for (note, start) in config.notes.iter().zip(starts) {
            assert!(note.starts_with(start), "{note}");
        }
    }
}
