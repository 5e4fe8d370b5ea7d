//! Warnings about servers that are reached without encryption.

use countersign_strict::is_this_machine;
use url::Url;

/// Returns a note on the server under `key` if `what` can be read and changed on its way there.
pub fn note(key: &str, server: &str, what: &str) -> Option<String> {
    let url = Url::parse(server).ok()?;
    let open = url.scheme() == "http" && !url.host_str().is_some_and(is_this_machine);
    open.then(|| format!("{key} is {server}: {what} can be read and changed in transit; use https"))
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

    #[test]
    fn this_machine_is_recognised_in_every_spelling_and_no_name_that_begins_like_it() {
        let told = |server| note("k", server, "questions").is_some();
        for here in [
            "http://LocalHost:1/",
            "http://127.9.9.9/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            assert!(!told(here), "{here}");
        }
        for elsewhere in [
            "http://localhost.example/",
            "http://127.0.0.1.example/",
            "http://0.0.0.0/",
        ] {
            assert!(told(elsewhere), "{elsewhere}");
        }
    }
}
