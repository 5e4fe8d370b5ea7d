//! One connection of one node: hello, welcome, then frames both ways until one side ends it.
//!
//! Knows frames, not sockets: [`Source`] and [`Sink`] are the joint to QUIC, and to the in-memory
//! nodes of tests.

use std::future::Future;
use std::time::Duration;

use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::twin::{Instance, TwinMark};
use countersign_protocol::{NodeId, PROTOCOL_VERSION, TaskId, decode, encode};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::info;

use crate::clock;
use crate::desk::{Connection, Desk};

/// From the connection to the hello.
const HELLO: Duration = Duration::from_secs(10);
/// For one frame to be taken by the node.
const WRITE: Duration = Duration::from_secs(20);

/// Frames from a node.
pub trait Source: Send {
    /// The next frame, `None` when the node closed; an error says why the connection broke.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, String>> + Send;
}

/// Frames to a node.
pub trait Sink: Send {
    /// Sends one frame. Waits when the node is slow.
    fn send(&mut self, frame: &[u8]) -> impl Future<Output = Result<(), String>> + Send;
}

/// Why a connection ended, for the log and for the node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// The node left or the network broke.
    #[error("the connection ended: {0}")]
    Broken(String),
    /// The node sent something that no node of this protocol sends.
    #[error("the node misbehaved ({0}); update it, and examine it if it is up to date")]
    Misbehaved(String),
    /// The node speaks another version.
    #[error(
        "the node speaks protocol version {0}, this coordinator {PROTOCOL_VERSION}; update the older one"
    )]
    Version(u16),
    /// Another process with the node's identity is on line.
    #[error(
        "another process with the identity of this node is on line and lives; end the one that is not the original"
    )]
    Twin,
    /// The node does not read, or said no hello.
    #[error("the node did not {0} in time; see its log")]
    Silent(&'static str),
}

/// Serves a node until its connection ends. `admitted` is called once it is clear that the
/// connection is the node's.
pub async fn serve(
    desk: &Desk,
    node: NodeId,
    mut source: impl Source,
    mut sink: impl Sink,
    admitted: impl FnOnce(),
) -> End {
    let hello = match timeout(HELLO, hear_hello(&mut source)).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(end)) => return end,
        Err(_) => return End::Silent("say hello"),
    };
    if let Some(instance) = hello.instance
        && let Some(first) = desk.first(node, instance).await
    {
        return refuse_second(desk, node, first, &mut source, &mut sink).await;
    }
    admitted();
    match timeout(WRITE, welcome(&mut sink)).await {
        Ok(Ok(())) => {}
        Ok(Err(end)) => return end,
        Err(_) => return End::Silent("read its frames"),
    }
    let Hello {
        software,
        pending,
        instance,
    } = hello;
    let (connection, queue) = desk.join(node, instance, &software, &pending, clock::now());
    info!(%node, "node on line");
    let end = tokio::select! {
        end = read(desk, connection, &mut source) => end,
        end = write(queue, &mut sink) => end,
    };
    desk.leave(connection, clock::now());
    end
}

struct Hello {
    software: String,
    pending: Vec<TaskId>,
    instance: Option<Instance>,
}

async fn hear_hello(source: &mut impl Source) -> Result<Hello, End> {
    let (protocol, hello) = match next(source).await? {
        FromNode::Hello {
            protocol,
            software,
            pending,
        } => (
            protocol,
            Hello {
                software,
                pending,
                instance: None,
            },
        ),
        FromNode::HelloAs {
            protocol,
            software,
            pending,
            instance,
        } => (
            protocol,
            Hello {
                software,
                pending,
                instance: Some(instance),
            },
        ),
        _ => return Err(End::Misbehaved("the first frame is no hello".into())),
    };
    match protocol {
        PROTOCOL_VERSION => Ok(hello),
        other => Err(End::Version(other)),
    }
}

async fn welcome(sink: &mut impl Sink) -> Result<(), End> {
    let software = concat!("countersign-coordinator ", env!("CARGO_PKG_VERSION")).to_owned();
    let welcome = ToNode::Welcome {
        protocol: PROTOCOL_VERSION,
        software,
    };
    sink.send(&encode(&welcome)).await.map_err(End::Broken)
}

/// Tells the second who lives, and hears its own word, for the first.
async fn refuse_second(
    desk: &Desk,
    node: NodeId,
    first: TwinMark,
    source: &mut impl Source,
    sink: &mut impl Sink,
) -> End {
    desk.second_refused(node);
    let exchange = async {
        let told = ToNode::Twin {
            mark: Box::new(first.clone()),
        };
        sink.send(&encode(&told)).await.map_err(End::Broken)?;
        next(source).await
    };
    if let Ok(Ok(FromNode::Alive { mark })) = timeout(HELLO, exchange).await {
        desk.tell_of_twins(node, first, mark);
    }
    End::Twin
}

async fn read(desk: &Desk, connection: Connection, source: &mut impl Source) -> End {
    loop {
        let frame = match next(source).await {
            Ok(frame) => frame,
            Err(end) => return end,
        };
        if let Err(misbehaviour) = desk.receive(connection, frame, clock::now()) {
            return End::Misbehaved(misbehaviour.to_string());
        }
    }
}

async fn next(source: &mut impl Source) -> Result<FromNode, End> {
    let bytes = source.next().await.map_err(End::Broken)?;
    let bytes = bytes.ok_or_else(|| End::Broken("closed by the node".into()))?;
    decode(&bytes).map_err(|error| End::Misbehaved(error.to_string()))
}

async fn write(mut queue: mpsc::Receiver<ToNode>, sink: &mut impl Sink) -> End {
    while let Some(frame) = queue.recv().await {
        match timeout(WRITE, sink.send(&encode(&frame))).await {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => return End::Broken(reason),
            Err(_) => return End::Silent("read its frames"),
        }
    }
    // The desk dropped the queue: it overflowed, or a newer connection took over.
    End::Broken("given up by the coordinator".into())
}
