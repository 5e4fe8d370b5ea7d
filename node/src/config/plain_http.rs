//! Warnings about servers that are reached without encryption.

use url::{Host, Url};

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

/// Returns a note on the server under `key` if `what` can be read and changed on its way there.
pub(super) fn note(key: &str, server: &str, what: &str) -> Option<String> {
    let url = Url::parse(server).ok()?;
    let open = url.scheme() == "http" && !is_loopback(&url);
    open.then(|| format!("{key} is {server}: {what} can be read and changed in transit; use https"))
}

/// True if requests to the URL stay on this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::note;

    #[test]
    fn a_server_elsewhere_without_tls_is_told() {
        for server in [
            "http://approvals.example/check",
            "http://10.0.0.1:8086/",
            "http://[2001:db8::1]/",
        ] {
            let told = note("grants.http", server, "questions").unwrap();
            assert!(
                told.contains(server) && told.ends_with("use https"),
                "{told}"
            );
        }
        let closed = [
            "https://approvals.example/",
            "http://127.0.0.1:1/",
            "http://[::1]/",
            "http://localhost/x",
        ];
        assert!(
            closed
                .iter()
                .all(|server| note("grants.http", server, "questions").is_none())
        );
    }
}
