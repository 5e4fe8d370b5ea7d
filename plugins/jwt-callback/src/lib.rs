//! Asks callback servers, in the wire format of servers in the field: an RS256 JWT in a form field,
//! answered by another one. All servers are asked at once, and every one must answer APPROVE.
//! Failed tries are repeated, and a server that never gives a valid answer counts as a rejection.
//! The private key stays in the node: this plugin only names it.

mod config;
mod envelope;
mod extra;
mod facts;
mod request;
mod rounds;

use countersign_sdk::{
    Failure, Host, Level, Plugin, Task, Verdict, approve, export_plugin, reject,
};

pub use config::{Config, Server, Version};
use request::Contents;
use rounds::{Objection, Question};

/// The plugin's type, for the host and for tests.
pub struct JwtCallback;

impl Plugin for JwtCallback {
    type Config = Config;

    const NAME: &'static str = "jwt-callback";
    const DESCRIPTION: &'static str = "Asks callback servers by RS256 JWT; all must approve.";

    fn check(config: &Config, host: &impl Host) -> Result<(), Failure> {
        config.validate().map_err(Failure::Misconfigured)?;
        let own = host.public_key(&config.signing_key)?;
        for server in &config.servers {
            if host.public_key(&server.key)? == own {
                let text = format!(
                    "{}: `{}` is the node's own key; name the server's",
                    server.url, server.key
                );
                return Err(Failure::Misconfigured(text));
            }
        }
        Ok(())
    }

    fn probe(config: &Config, host: &impl Host) -> Result<(), Failure> {
        config.validate().map_err(Failure::Misconfigured)?;
        let document = request::ping()?;
        let question = |server| Question {
            server,
            id: String::new(),
            document: document.clone(),
            node: "",
        };
        rounds::ping(
            config,
            &config.servers.iter().map(question).collect::<Vec<_>>(),
            host,
        )
    }

    fn evaluate(config: &Config, task: &Task, host: &impl Host) -> Result<Verdict, Failure> {
        config.validate().map_err(Failure::Misconfigured)?;
        let questions = questions(config, task, host)?;
        if !config.strict {
            let mode = "compatible mode: the answer binds the request id only";
            let ids: Vec<_> = questions
                .iter()
                .map(|question| question.id.as_str())
                .collect();
            host.log(Level::Info, mode, &[("request_id", &ids.join(" "))]);
        }
        match rounds::ask(config, questions, task.deadline, host)? {
            None => approve(),
            Some(Objection { url, error }) => {
                reject("callback-rejected", format!("{url} rejects: {error}"))
            }
        }
    }
}

export_plugin!(JwtCallback);

/// Builds the questions to the servers: the same for each vocabulary, but each under its own id.
fn questions<'a>(
    config: &'a Config,
    task: &'a Task,
    host: &impl Host,
) -> Result<Vec<Question<'a>>, Failure> {
    let spoken = |version| {
        config
            .servers
            .iter()
            .any(|server| server.version == version)
    };
    let contents = |version| {
        if spoken(version) {
            request::contents(config, task, version, host)
        } else {
            Ok(Contents::default())
        }
    };
    let v1 = contents(Version::V1)?;
    let v2 = contents(Version::V2)?;
    let question = |server: &'a Server| {
        let id = request_id(task, host);
        let contents = if server.version == Version::V1 {
            &v1
        } else {
            &v2
        };
        Ok(Question {
            server,
            document: contents.document(&id)?,
            id,
            node: &task.node,
        })
    };
    config.servers.iter().map(question).collect()
}

/// Generates an id of the form `<32 hex digits>:<attempt>`, as servers in the field expect. The
/// task's own id is in `request_detail`.
fn request_id(task: &Task, host: &impl Host) -> String {
    format!("{}:{}", countersign_sdk::request_id(host), task.attempt)
}

#[cfg(test)]
mod tests;
