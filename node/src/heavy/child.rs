//! The other end of [`Program`](super::Program): a process that runs one engine of auxiliary
//! information and ends. It trusts its parent and nothing else. Messages of peers may make it slow,
//! large or wrong, so the first thing it does is to limit itself.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc;

use countersign_engine::primes::generate_safe_prime;
use countersign_engine::{Aux, AuxParams, Engine, MessageKind, PartyIndex, Primes, Recipient};
use countersign_protocol::Cause;
use countersign_system::{Limits, end_with_parent, limit_cpu, limit_process};

use super::wire::{FromChild, Order, Secret, ToChild, frame, read};
use crate::priority::lower_priority_of_engine;
use crate::session::worker::{Fault, Incoming, WorkError, compute, receive};

/// The limits of the process. Nine parties need a tenth of them.
const LIMITS: Limits = Limits {
    address_space: Some(2 << 30),
    data: 512 << 20,
    // The three pipes, and files that the runtime opens for a moment.
    files: 16,
};

/// The stack of the reader thread, in bytes.
const READER_STACK: usize = 256 << 10;

/// The most messages that wait for the engine. A run has fewer: nine parties speak once in
/// each of its rounds.
const WAITING: usize = 256;

/// Does everything that the program does as a child process of a node. The caller must do nothing
/// else and print nothing.
pub fn aux_main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There may be nobody left to read it.
            eprintln!("error: the engine of auxiliary information ends: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    limit_process(&LIMITS)?;
    end_with_parent()?;
    lower_priority_of_engine();
    let incoming = listen()?;
    let order = match incoming.recv() {
        Ok(ToChild::Order(order)) => order,
        Ok(ToChild::Message { .. }) | Err(_) => {
            return Err(io::Error::other("the first frame is not an order"));
        }
    };
    limit_cpu(order.cpu_seconds)?;
    let last = match make(order, &incoming) {
        Ok(aux) => FromChild::Done(Secret(aux.to_bytes())),
        Err(error) => failed(error)?,
    };
    say(&last)
}

/// Reads frames of the parent, and ends the process when the parent is gone, even in the
/// middle of a computation.
fn listen() -> io::Result<mpsc::Receiver<ToChild>> {
    let (sender, incoming) = mpsc::sync_channel(WAITING);
    let read_all = move || {
        let mut stdin = io::stdin().lock();
        while let Ok(said) = read(&mut stdin) {
            if sender.send(said).is_err() {
                break;
            }
        }
        // SAFETY: ends the process. The engine's thread may be anywhere, so no exit handler is run.
        unsafe { libc::_exit(1) }
    };
    std::thread::Builder::new()
        .name("reader".into())
        .stack_size(READER_STACK)
        .spawn(read_all)?;
    Ok(incoming)
}

fn make(order: Order, incoming: &mpsc::Receiver<ToChild>) -> Result<Aux, WorkError> {
    let mut engine = build(order)?;
    loop {
        let made = compute(&mut *engine, &mut |message| {
            let to = match message.to {
                Recipient::All => None,
                Recipient::One(party) => Some(party.0),
            };
            say(&FromChild::Send {
                to,
                body: Secret(message.body),
            })
            .map_err(unheard)
        })?;
        if let Some(aux) = made {
            return Ok(aux);
        }
        say(&FromChild::Waits).map_err(unheard)?;
        match incoming.recv() {
            Ok(ToChild::Message {
                from,
                broadcast,
                body,
            }) => {
                let kind = if broadcast {
                    MessageKind::Broadcast
                } else {
                    MessageKind::Direct
                };
                receive(
                    &mut *engine,
                    Incoming {
                        from: PartyIndex(from),
                        kind,
                        body: body.0.to_vec(),
                    },
                )?;
            }
            Ok(ToChild::Order(_)) | Err(_) => return Err(WorkError::Stopped),
        }
    }
}

fn build(order: Order) -> Result<Box<dyn Engine<Output = Aux>>, WorkError> {
    let Order {
        session,
        me,
        parties,
        primes,
        ..
    } = order;
    let primes = match primes {
        Some(bytes) => {
            Primes::from_bytes(&bytes.0).map_err(|error| WorkError::Secrets(error.to_string()))?
        }
        None => search()?,
    };
    let params = AuxParams {
        session: &session,
        me: PartyIndex(me),
        parties,
    };
    Ok(countersign_engine::aux_info(
        params,
        primes,
        rand::rngs::OsRng,
    )?)
}

/// Searches primes, since the pool was empty. The parent keeps them in case this run fails.
fn search() -> Result<Primes, WorkError> {
    let unfound = |error: &dyn std::fmt::Display| WorkError::Secrets(error.to_string());
    let prime = || {
        generate_safe_prime(&mut rand::rngs::OsRng, &mut || true).map_err(|error| unfound(&error))
    };
    let primes =
        Primes::new([prime()?, prime()?, prime()?, prime()?]).map_err(|error| unfound(&error))?;
    say(&FromChild::Primes(Secret(primes.to_bytes()))).map_err(unheard)?;
    Ok(primes)
}

fn failed(error: WorkError) -> io::Result<FromChild> {
    let fault = match error {
        WorkError::Engine(error) => Fault::from(&error),
        WorkError::Protocol(fault) => fault,
        WorkError::Secrets(text) | WorkError::Process(text) => Fault {
            cause: Cause::Environment,
            text,
            culprits: Vec::new(),
        },
        // The parent is gone, or has lost interest.
        WorkError::Stopped => return Err(io::Error::other("its node no longer listens")),
    };
    let culprits = fault.culprits.iter().map(|party| party.0).collect();
    Ok(FromChild::Failed {
        cause: fault.cause,
        text: fault.text,
        culprits,
    })
}

fn unheard(_: io::Error) -> WorkError {
    WorkError::Stopped
}

fn say(said: &FromChild) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(&frame(said)?)?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use countersign_engine::EngineError;

    use super::*;

    /// The report to the node: the side at fault, the text and the culprits.
    fn told(error: WorkError) -> (Cause, String, Vec<u16>) {
        let FromChild::Failed {
            cause,
            text,
            culprits,
        } = failed(error).unwrap()
        else {
            panic!("a failure")
        };
        (cause, text, culprits)
    }

    #[test]
    fn a_fault_of_a_party_reaches_the_node_with_its_culprits() {
        let fault = Fault {
            cause: Cause::Peer,
            text: "a proof is wrong".into(),
            culprits: vec![PartyIndex(2), PartyIndex(0)],
        };
        let expected = (Cause::Peer, "a proof is wrong".to_owned(), vec![2, 0]);
        assert_eq!(told(WorkError::Protocol(fault)), expected);
    }

    #[test]
    fn a_fault_of_the_engine_itself_blames_nobody() {
        let bug = EngineError::Bug("it has no state".into());
        let (cause, text, culprits) = told(WorkError::Engine(bug));
        assert_eq!((cause, culprits), (Cause::Bug, vec![]));
        assert!(text.contains("it has no state"));
    }

    #[test]
    fn no_party_is_blamed_for_a_limit_of_this_machine() {
        for error in [WorkError::Secrets, WorkError::Process] {
            let expected = (Cause::Environment, "no memory".to_owned(), vec![]);
            assert_eq!(told(error("no memory".into())), expected);
        }
    }

    #[test]
    fn a_child_that_nobody_listens_to_says_nothing_more() {
        assert!(failed(WorkError::Stopped).is_err());
    }

    #[test]
    fn primes_that_cannot_be_read_are_refused_instead_of_searched_anew() {
        let order = Order {
            cpu_seconds: 1,
            session: [7; 32],
            me: 0,
            parties: 2,
            primes: Some(Secret(zeroize::Zeroizing::new(vec![1, 2, 3]))),
        };
        assert!(matches!(build(order), Err(WorkError::Secrets(_))));
    }
}
