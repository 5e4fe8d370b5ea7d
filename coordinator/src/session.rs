//! One connection of one node: hello, welcome, then frames both ways until one side ends it.
//!
//! Knows frames, not sockets: [`Source`] and [`Sink`] are implemented by QUIC, and by the
//! in-memory nodes of tests.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use countersign_protocol::contact::Contact;
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::invitation::Token;
use countersign_protocol::twin::{Instance, TwinMark};
use countersign_protocol::version::REFUSED_VERSION;
use countersign_protocol::{NodeId, TaskId, Versions, decode, encode};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::info;

use crate::clock;
use crate::invitation::NotJoined;
use crate::registry::{Connection, TaskRegistry};

/// Time from the connection to the hello.
const HELLO: Duration = Duration::from_secs(10);
/// Time for the node to take one frame.
const WRITE: Duration = Duration::from_secs(20);

/// The receiving half of a connection to a node.
pub trait Source: Send {
    /// The transport's reason for breaking.
    type Error: Error + Send + Sync + 'static;

    /// Receives the next frame, or `None` when the node has closed the connection.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, Self::Error>> + Send;
}

/// The sending half of a connection to a node.
pub trait Sink: Send {
    /// The transport's reason for breaking.
    type Error: Error + Send + Sync + 'static;

    /// Sends one frame. Waits while the node is slow.
    fn send(&mut self, frame: &[u8]) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Why no more frames pass, although neither side misbehaved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// The node closed the connection in an orderly way.
    #[error("closed by the node")]
    Closed,
    /// The registry dropped the queue: it overflowed, or a newer connection took over.
    #[error("given up by the coordinator")]
    GivenUp,
    /// The transport under the frames failed.
    #[error(transparent)]
    Transport(Box<dyn Error + Send + Sync>),
}

impl Broken {
    fn transport(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Transport(Box::new(error))
    }
}

/// Why a connection ended, for the log and for the node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// The node left or the network broke.
    #[error("the connection ended: {0}")]
    Broken(#[from] Broken),
    /// The node sent a frame that no conforming node sends.
    #[error("the node misbehaved ({0}); update it, and examine it if it is up to date")]
    Misbehaved(String),
    /// The node offers a protocol version that is not spoken here. Nodes offer several in turn.
    #[error(
        "the node offers {REFUSED_VERSION} {offered}, this coordinator speaks {spoken}; if this goes on, update the older one"
    )]
    #[allow(missing_docs, reason = "the fields are named for what they hold")]
    Version { offered: u16, spoken: Versions },
    /// Another process with the node's identity is online.
    #[error(
        "another process with the identity of this node is online and alive; stop the one that is not the original"
    )]
    Twin,
    /// The node was removed after its handshake.
    #[error(
        "this node is not registered here any more; ask the coordinator's operator for the reason"
    )]
    Removed,
    /// The node asked for its contacts and nothing else.
    #[error("the node has its answer")]
    Told,
    /// The node does not read, or did not say hello.
    #[error("the node did not {0} in time; see its log")]
    Silent(&'static str),
}

/// Why a guest's session ended, for the log and for the guest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuestEnd {
    /// It has its answer.
    #[error("answered")]
    Answered,
    /// It left, broke the rules, or sent nothing in time.
    #[error(transparent)]
    Ended(#[from] End),
}

/// Serves a guest: hears one frame, its token, and answers. `admit` says what becomes of it.
pub async fn serve_guest<Admitting>(
    mut source: impl Source,
    mut sink: impl Sink,
    admit: impl FnOnce(Token) -> Admitting,
) -> GuestEnd
where
    Admitting: Future<Output = Result<Vec<Contact>, NotJoined>>,
{
    let token = match timeout(HELLO, next(&mut source)).await {
        Ok(Ok(FromNode::Join { token })) => *token,
        Ok(Ok(_)) => {
            let other = "the first frame of a guest is not its invitation";
            return End::Misbehaved(other.into()).into();
        }
        Ok(Err(end)) => return end.into(),
        Err(_) => return End::Silent("show an invitation").into(),
    };
    match answered(&about(admit(token).await), &mut source, &mut sink).await {
        Ok(()) => GuestEnd::Answered,
        Err(end) => end.into(),
    }
}

/// The answer to a token.
fn about(admitted: Result<Vec<Contact>, NotJoined>) -> ToNode {
    match admitted {
        Ok(contacts) => ToNode::Contacts { contacts },
        Err(refused) => ToNode::NotJoined {
            reason: refused.to_string(),
        },
    }
}

/// Sends an answer, the last frame of a connection, and waits until the other side has it and
/// leaves.
async fn answered(
    answer: &ToNode,
    source: &mut impl Source,
    sink: &mut impl Sink,
) -> Result<(), End> {
    let exchange = async {
        let sent = sink.send(&encode(answer)).await;
        sent.map_err(Broken::transport)?;
        // Whatever comes instead of its leaving is not read.
        drop(source.next().await);
        Ok(())
    };
    let in_time = timeout(WRITE, exchange).await;
    in_time.unwrap_or(Err(End::Silent("read its answer")))
}

/// Serves a node until its connection ends, in one of the versions `spoken`. `admitted` is called
/// once it is clear that the connection is the node's; `admit` says what becomes of a token, which
/// a node may show as well.
pub async fn serve<Admitting>(
    registry: &TaskRegistry,
    spoken: Versions,
    node: NodeId,
    mut source: impl Source,
    mut sink: impl Sink,
    admitted: impl FnOnce(),
    admit: impl FnOnce(Token) -> Admitting,
) -> End
where
    Admitting: Future<Output = Result<Vec<Contact>, NotJoined>>,
{
    let first = match timeout(HELLO, hear_first(&mut source, spoken)).await {
        Ok(Ok(first)) => first,
        Ok(Err(end)) => return end,
        Err(_) => return End::Silent("say hello"),
    };
    // The handshake may be twenty seconds old.
    if !registry.admits(&node) {
        return End::Removed;
    }
    let answer = match first {
        First::Hello(hello) => {
            return serve_hello(registry, node, hello, source, sink, admitted).await;
        }
        First::AsksContacts => ToNode::Contacts {
            contacts: registry.contacts_for(node.as_bytes(), clock::now()),
        },
        First::Joins(token) => about(admit(*token).await),
    };
    let told = answered(&answer, &mut source, &mut sink).await;
    told.err().unwrap_or(End::Told)
}

async fn serve_hello(
    registry: &TaskRegistry,
    node: NodeId,
    hello: Hello,
    mut source: impl Source,
    mut sink: impl Sink,
    admitted: impl FnOnce(),
) -> End {
    if let Some(instance) = hello.instance
        && let Some(first) = registry.first(node, instance).await
    {
        return refuse_second(registry, node, first, &mut source, &mut sink).await;
    }
    admitted();
    match timeout(WRITE, welcome(&mut sink, hello.protocol)).await {
        Ok(Ok(())) => {}
        Ok(Err(end)) => return end,
        Err(_) => return End::Silent("read its frames"),
    }
    let Hello {
        protocol,
        software,
        pending,
        instance,
    } = hello;
    let joined = registry.join(node, instance, &software, &pending, clock::now());
    let Some((connection, queue)) = joined else {
        return End::Removed;
    };
    info!(%node, "node online");
    let end = tokio::select! {
        end = read(registry, connection, protocol, &mut source) => end,
        end = write(queue, protocol, &mut sink) => end,
    };
    registry.leave(connection, clock::now());
    end
}

/// The first frame of a node.
enum First {
    Hello(Hello),
    /// A node that does not run asks for its contacts.
    AsksContacts,
    /// It shows an invitation, and may have used it already.
    Joins(Box<Token>),
}

struct Hello {
    /// The version of the connection.
    protocol: u16,
    software: String,
    pending: Vec<TaskId>,
    instance: Option<Instance>,
}

async fn hear_first(source: &mut impl Source, spoken: Versions) -> Result<First, End> {
    let hello = match next(source).await? {
        FromNode::Hello {
            protocol,
            software,
            pending,
        } => Hello {
            protocol,
            software,
            pending,
            instance: None,
        },
        FromNode::HelloAs {
            protocol,
            software,
            pending,
            instance,
        } => Hello {
            protocol,
            software,
            pending,
            instance: Some(instance),
        },
        FromNode::AskContacts => return Ok(First::AsksContacts),
        FromNode::Join { token } => return Ok(First::Joins(token)),
        FromNode::Decision { .. }
        | FromNode::Progress { .. }
        | FromNode::Working { .. }
        | FromNode::Outcome { .. }
        | FromNode::Stored { .. }
        | FromNode::AbortVote { .. }
        | FromNode::Evidence { .. }
        | FromNode::Holds { .. }
        | FromNode::Generations { .. }
        | FromNode::Capacity { .. }
        | FromNode::Alive { .. }
        | FromNode::Preflight { .. }
        | FromNode::Status { .. }
        | FromNode::StatusWithBundles { .. }
        | FromNode::Draining { .. } => {
            return Err(End::Misbehaved("the first frame is not a hello".into()));
        }
    };
    let offered = hello.protocol;
    if spoken.contains(offered) {
        Ok(First::Hello(hello))
    } else {
        Err(End::Version { offered, spoken })
    }
}

async fn welcome(sink: &mut impl Sink, protocol: u16) -> Result<(), End> {
    let software = concat!("countersign-coordinator ", env!("CARGO_PKG_VERSION")).to_owned();
    let welcome = ToNode::Welcome { protocol, software };
    let sent = sink.send(&encode(&welcome)).await;
    Ok(sent.map_err(Broken::transport)?)
}

/// Tells the second process of the first, and hears the second's statement for the first.
async fn refuse_second(
    registry: &TaskRegistry,
    node: NodeId,
    first: TwinMark,
    source: &mut impl Source,
    sink: &mut impl Sink,
) -> End {
    registry.second_refused(node);
    let exchange = async {
        let told = ToNode::Twin {
            mark: Box::new(first.clone()),
        };
        let sent = sink.send(&encode(&told)).await;
        sent.map_err(Broken::transport)?;
        next(source).await
    };
    if let Ok(Ok(FromNode::Alive { mark })) = timeout(HELLO, exchange).await {
        registry.tell_of_twins(node, first, mark);
    }
    End::Twin
}

async fn read(
    registry: &TaskRegistry,
    connection: Connection,
    protocol: u16,
    source: &mut impl Source,
) -> End {
    loop {
        let frame = match next(source).await {
            Ok(frame) => frame,
            Err(end) => return end,
        };
        if frame.since() > protocol {
            return End::Misbehaved(format!("a frame that version {protocol} does not have"));
        }
        if let Err(misbehaviour) = registry.receive(connection, frame, clock::now()) {
            return End::Misbehaved(misbehaviour.to_string());
        }
    }
}

async fn next(source: &mut impl Source) -> Result<FromNode, End> {
    let bytes = source.next().await.map_err(Broken::transport)?;
    let bytes = bytes.ok_or(Broken::Closed)?;
    decode(&bytes).map_err(|error| End::Misbehaved(error.to_string()))
}

async fn write(mut queue: mpsc::Receiver<ToNode>, protocol: u16, sink: &mut impl Sink) -> End {
    while let Some(frame) = queue.recv().await {
        // Whatever a later version added can be done without, except the offer of a task that
        // collects votes: a node of an earlier version does not decide on it in time.
        if frame.since() > protocol {
            continue;
        }
        match timeout(WRITE, sink.send(&encode(&frame))).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Broken::transport(error).into(),
            Err(_) => return End::Silent("read its frames"),
        }
    }
    Broken::GivenUp.into()
}
