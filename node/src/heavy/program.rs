//! The node's end of the pipes: starts the child, hands it messages while it has its turn, and ends
//! it.

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
use crate::session::worker::{CpuPool, Fault, FromEngine, Incoming, Post, Turn, WorkError};

/// A program that calls [`aux_main`](super::aux_main).
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable. It is run with an empty environment, in the directory `/`.
    pub path: PathBuf,
    /// Arguments after the program's name.
    pub arguments: Vec<String>,
}

impl Default for Program {
    /// The program that is running now, with its hidden subcommand.
    fn default() -> Self {
        Self {
            path: countersign_system::this_program(),
            arguments: vec!["aux-engine".into()],
        }
    }
}

/// A job for the child: to make auxiliary information.
pub struct AuxJob {
    /// The id of the session that the job belongs to.
    pub session: [u8; 32],
    /// This party's position in the committee.
    pub me: PartyIndex,
    /// The size of the committee.
    pub parties: u16,
    /// Four safe primes, as the engine writes them; if absent, the child searches for them.
    pub primes: Option<Zeroizing<Vec<u8>>>,
    /// Called with the primes that the child has found.
    pub found: Box<dyn FnOnce(Zeroizing<Vec<u8>>) + Send>,
    /// The limit of the child's processor time. The session's limit ends it sooner; this one still
    /// holds if the node is gone.
    pub limit: Duration,
}

impl Program {
    /// Runs a job to its end. The child is killed and reaped when this returns, for any reason, and
    /// only then the turn is given back. `place` is told when the child computes and when it waits.
    pub async fn aux(
        self,
        job: AuxJob,
        pool: CpuPool,
        place: Option<Arc<Place>>,
        mut post: Post<Aux>,
    ) -> Result<Aux, WorkError> {
        let stop = post.stop.clone();
        let mut session = Talk {
            pool,
            place,
            turn: None,
        };
        let Some(turn) = stop.run_until_cancelled(session.pool.enter()).await else {
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
        // It could compute for as long as its own limits allow. An error means that
        // it has ended already.
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

/// A conversation with one child.
struct Talk {
    pool: CpuPool,
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
                    self.turn = Some(self.pool.enter().await);
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

/// Hands over a message that has arrived, and counts the step.
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
            "the child process's result cannot be decoded ({error}); report this"
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

/// The exit status of a child that is gone says why.
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::session::worker::Pulse;

    fn post() -> Post<Aux> {
        let (_, inbox) = mpsc::channel(1);
        let (outbox, _) = mpsc::channel(1);
        Post {
            inbox,
            outbox,
            pulse: Arc::<Pulse>::default(),
            stop: CancellationToken::new(),
        }
    }

    fn job() -> AuxJob {
        AuxJob {
            session: [7; 32],
            me: PartyIndex(0),
            parties: 2,
            primes: None,
            found: Box::new(|_| {}),
            limit: Duration::from_secs(1),
        }
    }

    fn missing() -> Program {
        Program {
            path: "/nonexistent/countersign-node".into(),
            arguments: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_program_that_cannot_be_started_is_named_and_its_turn_is_free_again() {
        let pool = CpuPool::of(1);
        let ended = missing().aux(job(), pool.clone(), None, post()).await;
        let Err(WorkError::Process(text)) = ended else {
            panic!("it does not exist")
        };
        assert!(text.starts_with("/nonexistent/countersign-node cannot be started"));
        assert!(text.ends_with("the node may have more processes"), "{text}");
        assert_eq!(pool.free(), Some(1));
    }

    #[tokio::test]
    async fn a_job_whose_session_ended_while_it_waited_for_its_turn_starts_no_program() {
        let pool = CpuPool::of(1);
        let _held = pool.enter().await;
        let post = post();
        post.stop.cancel();
        let ended = missing().aux(job(), pool, None, post).await;
        assert!(matches!(ended, Err(WorkError::Stopped)));
    }

    /// A silent peer would otherwise keep the processor from all other wallets.
    #[test]
    fn a_child_that_waits_for_a_message_gives_up_its_turn() {
        let pool = CpuPool::of(1);
        let post = post();
        let mut talk = Talk {
            turn: pool.enter().now_or_never(),
            place: None,
            pool: pool.clone(),
        };
        talk.computes(&post);
        assert_eq!(pool.free(), Some(0));
        talk.rests(&post);
        assert_eq!(pool.free(), Some(1));
    }

    #[test]
    fn a_result_that_is_not_auxiliary_information_is_refused() {
        let result = Secret(Zeroizing::new(vec![0xff; 10]));
        let Err(WorkError::Process(text)) = decoded(&result) else {
            panic!("it is none")
        };
        assert!(text.ends_with("report this"), "{text}");
    }

    /// An update replaces the file while the node runs; both ends must speak one protocol.
    #[test]
    fn the_child_is_the_program_that_runs_now_with_its_hidden_command() {
        let program = Program::default();
        assert_eq!(program.path.to_str(), Some("/proc/self/exe"));
        assert_eq!(program.arguments, ["aux-engine"]);
    }
}
