//! A server on loopback of which guests may reach one path.

use std::net::IpAddr;

use countersign_tests::scripted::{Asked, Say, Server, http};

/// A running server.
pub struct Gate(Server);

impl Gate {
    pub async fn open() -> Self {
        Self(Server::start(answer).await.unwrap())
    }

    /// The paths requested so far, in order.
    pub fn passed(&self) -> Vec<String> {
        self.0.asked().into_iter().map(|asked| asked.path).collect()
    }

    /// A URL of this server, by its address.
    pub fn url(&self, path: &str) -> String {
        self.0.url(path)
    }

    /// The same by a name that leads to this machine and is not `localhost`, if
    /// this machine has one.
    pub fn url_by_name(&self, path: &str) -> Option<String> {
        Some(format!(
            "http://{}:{}{path}",
            name_of_this_machine()?,
            self.0.address().port()
        ))
    }
}

/// `/allowed/away` redirects to a forbidden place.
fn answer(asked: &Asked) -> Say {
    Say::Bytes(match asked.path.as_str() {
        "/allowed/away" => http("307 Temporary Redirect", &[("location", "/forbidden")], ""),
        _ => http("200 OK", &[], ""),
    })
}

fn name_of_this_machine() -> Option<String> {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let named = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        words
            .find(|name| address.is_loopback() && !name.starts_with("localhost"))
            .map(str::to_owned)
    };
    hosts.lines().find_map(named)
}
