//! Asks callback servers, by the wire format that servers in the field speak: an RS256 JWT in a form field, answered by
//! another. All servers are asked at once and every one must answer APPROVE; a failed try is repeated, and a server that
//! never gives a sound answer rejects. The private key stays in the node: this plugin only names it.

mod config;
mod envelope;
mod extra;
mod facts;
mod request;
mod rounds;

use countersign_sdk::{Failure, Host, Level, Plugin, Task, Verdict, approve, export_plugin, reject};

pub use config::{Config, Server, Version};
use rounds::{Objection, Question};

/// The plugin `jwt-callback`.
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
                let text =
                    format!("{}: `{}` is the node's own key; name the server's", server.url, server.key);
                return Err(Failure::Misconfigured(text));
            }
        }
        Ok(())
    }

    fn probe(config: &Config, host: &impl Host) -> Result<(), Failure> {
        config.validate().map_err(Failure::Misconfigured)?;
        let document = request::ping()?;
        let question = |server| Question { server, document: &document, node: "" };
        rounds::ping(config, &config.servers.iter().map(question).collect::<Vec<_>>(), host)
    }

    fn evaluate(config: &Config, task: &Task, host: &impl Host) -> Result<Verdict, Failure> {
        config.validate().map_err(Failure::Misconfigured)?;
        let id = request_id(task, host);
        if !config.strict {
            let mode = "compatible mode: the answer binds the request id only";
            host.log(Level::Info, mode, &[("request_id", &id)]);
        }
        let document = |version| request::callback_request(task, &id, version, config.strict, host);
        // One document for each vocabulary that somebody speaks.
        let spoken = |version| config.servers.iter().any(|server| server.version == version);
        let v1 = if spoken(Version::V1) { document(Version::V1)? } else { String::new() };
        let v2 = if spoken(Version::V2) { document(Version::V2)? } else { String::new() };
        let question = |server| Question::new(server, &v1, &v2, &task.node);
        let questions = config.servers.iter().map(question).collect();
        match rounds::ask(config, questions, &id, task.deadline, host)? {
            None => approve(),
            Some(Objection { url, error }) => reject("callback-rejected", format!("{url} rejects: {error}")),
        }
    }
}

export_plugin!(JwtCallback);

/// `<32 hex digits>:<attempt>`, as servers in the field know it; the task's own id stands in `request_detail`.
///
/// The digits are 128 random bits of this node, new for every decision, and not the task's id: that one is the
/// requester's choice and the same for all nodes that are asked. A requester and a coordinator together could order two
/// things under one id, each of one node; a server that both nodes ask, and that remembers its answers by request id,
/// would then answer the second with its answer to the first, and so would anyone who recorded it. The node's register
/// of spent tasks sees only its own half of that. An id that nobody else chooses and nobody uses twice leaves an answer
/// one meaning: the document, signed by this node, that first carried the id.
fn request_id(task: &Task, host: &impl Host) -> String {
    format!("{}:{}", hex::encode(&host.random()[..16]), task.attempt)
}

#[cfg(test)]
mod tests;
