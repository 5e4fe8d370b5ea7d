//! The node's end: starts the child, hands messages over while it has its turn, and ends it.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_engine::{Aux, MessageKind, Outgoing, PartyIndex, Recipient};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use zeroize::Zeroizing;

use super::Place;
use super::wire::{FromChild, Order, Secret, ToChild, content, frame, length};
use crate::session::worker::{Fault, FromEngine, Incoming, Lane, Post, Turn, WorkError};

/// The running program, also after its file was replaced by an update.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// A program that calls [`aux_main`](super::aux_main).
#[derive(Clone, Debug)]
pub struct Program {
    /// The program. Its environment is empty, its directory `/`.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl Default for Program {
    /// The program that is running now, with its hidden subcommand.
    fn default() -> Self {
        Self {
            path: THIS_PROGRAM.into(),
            arguments: vec!["aux-engine".into()],
        }
    }
}

/// Auxiliary information that is to be made.
pub struct AuxJob {
    /// The run's id.
    pub session: [u8; 32],
    /// Position of this party in the committee.
    pub me: PartyIndex,
    /// Size of the committee.
    pub parties: u16,
    /// Four safe primes, as the engine writes them; absent: the child searches them.
    pub primes: Option<Zeroizing<Vec<u8>>>,
    /// Hears of primes that the child has found.
    pub found: Box<dyn FnOnce(Zeroizing<Vec<u8>>) + Send>,
    /// Limit of the child's processor time. The session's limit ends it sooner; this holds if the
    /// node does not.
    pub limit: Duration,
}

impl Program {
    /// Runs a job to its end. The child is killed and reaped when this returns, for whatever
    /// reason, and only then the turn is given back. `place` is told when the child computes and
    /// when it waits.
    pub async fn aux(
        self,
        job: AuxJob,
        lane: Lane,
        place: Option<Arc<Place>>,
        mut post: Post<Aux>,
    ) -> Result<Aux, WorkError> {
        let stop = post.stop.clone();
        let mut session = Talk {
            lane,
            place,
            turn: None,
        };
        let Some(turn) = stop.run_until_cancelled(session.lane.enter()).await else {
            return Err(WorkError::Stopped);
        };
        session.turn = Some(turn);
        let mut child = self.start().map_err(|error| self.unusable(&error))?;
        let talk = session.run(&mut child, job, &mut post);
        let ended = stop
            .run_until_cancelled(talk)
            .await
            .unwrap_or(Err(WorkError::Stopped));
        post.pulse.set_computing(false);
        // It may compute for as long as its own limits allow. An error says that it is over
        // already.
        let killed = child.kill().await;
        drop(killed);
        ended
    }

    fn start(&self) -> io::Result<Child> {
        Command::new(&self.path)
            .args(&self.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }

    fn unusable(&self, error: &io::Error) -> WorkError {
        WorkError::Process(format!(
            "{} cannot be started for auxiliary information ({error}); see that it may be run and that the node may have more processes",
            self.path.display()
        ))
    }
}

/// One conversation with a child.
struct Talk {
    lane: Lane,
    place: Option<Arc<Place>>,
    /// Held while the child computes, and until it is gone.
    turn: Option<Turn>,
}

impl Talk {
    async fn run(
        &mut self,
        child: &mut Child,
        mut job: AuxJob,
        post: &mut Post<Aux>,
    ) -> Result<Aux, WorkError> {
        let (Some(mut stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(ended(child, &io::Error::other("it has no pipes")).await);
        };
        let order = Order {
            cpu_seconds: job.limit.as_secs().saturating_add(1),
            session: job.session,
            me: job.me.0,
            parties: job.parties,
            primes: job.primes.take().map(Secret),
        };
        let mut found = Some(job.found);
        self.computes(post);
        let mut failed = write(&mut stdin, &ToChild::Order(order)).await.err();
        loop {
            if let Some(error) = failed.take() {
                return Err(ended(child, &error).await);
            }
            match read(&mut stdout).await {
                Ok(FromChild::Primes(primes)) => {
                    if let Some(found) = found.take() {
                        found(primes.0);
                    }
                }
                Ok(FromChild::Send { to, body }) => {
                    let to = to.map_or(Recipient::All, |party| Recipient::One(PartyIndex(party)));
                    let said = FromEngine::Send(Outgoing { to, body: body.0 });
                    post.pulse.step();
                    post.outbox
                        .send(said)
                        .await
                        .map_err(|_| WorkError::Stopped)?;
                }
                Ok(FromChild::Waits) => {
                    self.rests(post);
                    let message = post.inbox.recv().await.ok_or(WorkError::Stopped)?;
                    self.turn = Some(self.lane.enter().await);
                    self.computes(post);
                    failed = deliver(&mut stdin, message, post).await.err();
                }
                Ok(FromChild::Done(aux)) => return decoded(&aux),
                Ok(FromChild::Failed {
                    cause,
                    text,
                    culprits,
                }) => {
                    let culprits = culprits.into_iter().map(PartyIndex).collect();
                    return Err(WorkError::Protocol(Fault {
                        cause,
                        text,
                        culprits,
                    }));
                }
                Err(error) => failed = Some(error),
            }
        }
    }

    fn computes<T>(&self, post: &Post<T>) {
        post.pulse.set_computing(true);
        if let Some(place) = &self.place {
            place.computes();
        }
    }

    fn rests<T>(&mut self, post: &Post<T>) {
        post.pulse.set_computing(false);
        if let Some(place) = &self.place {
            place.rests(Instant::now());
        }
        self.turn = None;
    }
}

/// Hands over a message that has arrived, and says that the protocol is one step further.
async fn deliver<T>(to: &mut ChildStdin, message: Incoming, post: &Post<T>) -> io::Result<()> {
    let Incoming { from, kind, body } = message;
    post.pulse.step();
    let broadcast = kind == MessageKind::Broadcast;
    let body = Secret(Zeroizing::new(body));
    write(
        to,
        &ToChild::Message {
            from: from.0,
            broadcast,
            body,
        },
    )
    .await
}

fn decoded(aux: &Secret) -> Result<Aux, WorkError> {
    Aux::from_bytes(&aux.0).map_err(|error| {
        WorkError::Process(format!(
            "the child process made something else ({error}); report this"
        ))
    })
}

async fn write(to: &mut ChildStdin, said: &ToChild) -> io::Result<()> {
    to.write_all(&frame(said)?).await?;
    to.flush().await
}

async fn read(from: &mut ChildStdout) -> io::Result<FromChild> {
    let mut ahead = [0; 4];
    from.read_exact(&mut ahead).await?;
    let mut bytes = Zeroizing::new(vec![0; length(ahead)?]);
    from.read_exact(&mut bytes).await?;
    content(&bytes)
}

/// A child that is gone says by its status why.
async fn ended(child: &mut Child, error: &io::Error) -> WorkError {
    const GRACE: Duration = Duration::from_secs(1);
    let how = match tokio::time::timeout(GRACE, child.wait()).await {
        Ok(Ok(status)) => status.to_string(),
        Ok(Err(_)) | Err(_) => error.to_string(),
    };
    WorkError::Process(format!(
        "the process that makes auxiliary information ended before its time ({how}); see the node's log and free memory, then try again with a new task"
    ))
}
