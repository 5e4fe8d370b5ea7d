//! The bare call: the engines of all parties in this process, without nodes,
//! network, policy or journal.

use std::sync::{Arc, mpsc};

use anyhow::{Context, bail};
use countersign_engine::{
    Aux, AuxParams, CommitteeIndex, Engine, EngineError, KeygenParams, Message, MessageKind,
    Outgoing, PartyIndex, Primes, Recipient, ReshareParams, Role, Scheme, Share, SignParams,
    Signature, Step, aux_info, keygen, sign,
};
use countersign_tests::fixtures;
use rand::rngs::OsRng;

/// The committee of every wallet here.
pub const PARTIES: u16 = 3;
/// Number of members that sign.
pub const THRESHOLD: u16 = 2;
/// The message to sign, and the child that signs it.
pub const MESSAGE: &[u8] = b"pay 1.25 to bob, for the third time this year";
/// See [`MESSAGE`].
pub const PATH: [u32; 2] = [0, 7];

/// More messages than a party sends in a run, so that no sender blocks.
const INBOX: usize = 64;

type Boxed<O> = Box<dyn Engine<Output = O>>;

/// A key generation of all parties in one thread.
pub fn generate(scheme: Scheme) -> anyhow::Result<Vec<Share>> {
    let engine = |me| {
        let me = PartyIndex(me);
        keygen(
            scheme,
            KeygenParams {
                session: b"bench",
                me,
                parties: PARTIES,
                threshold: THRESHOLD,
            },
            OsRng,
        )
    };
    in_one_thread((0..PARTIES).map(engine).collect::<Result<_, _>>()?)
}

/// New shares of the same key for the same committee, dealt by the first members,
/// all in one thread.
pub fn reshare(shares: &[Share]) -> anyhow::Result<()> {
    let role = |me: u16| Role {
        deals: (me < THRESHOLD).then_some(CommitteeIndex(me)),
        joins: true,
    };
    let roles = (0..PARTIES).map(role).collect::<Vec<_>>();
    let old = shares[0].public();
    let engine = |(me, share): (u16, &Share)| {
        let share = roles[usize::from(me)].deals.map(|_| share);
        let me = PartyIndex(me);
        let threshold = THRESHOLD;
        let params = ReshareParams {
            session: b"bench",
            me,
            parties: &roles,
            threshold,
            old: &old,
            generation: 1,
        };
        countersign_engine::reshare(params, share, OsRng)
    };
    in_one_thread((0..).zip(shares).map(engine).collect::<Result<_, _>>()?).map(drop)
}

/// Auxiliary information of all parties, each in its thread.
pub fn generate_aux() -> anyhow::Result<Vec<Arc<Aux>>> {
    let sets = (0..PARTIES)
        .map(|party| prime_set(party.into()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let engine = |me, primes| {
        aux_info(
            AuxParams {
                session: b"bench",
                me,
                parties: PARTIES,
            },
            primes,
            OsRng,
        )
    };
    let made = in_threads(
        sets.into_iter()
            .map(|set| move |me| engine(me, set))
            .collect(),
    )?;
    Ok(made.into_iter().map(Arc::new).collect())
}

fn prime_set(party: usize) -> anyhow::Result<Primes> {
    let set = fixtures::primes(party)?
        .try_into()
        .ok()
        .context("a set is four primes")?;
    Ok(Primes::new(set)?)
}

/// A signature of the first two parties, both in this thread.
pub fn sign_in_one_thread(shares: &[Share]) -> anyhow::Result<()> {
    let engine = |me| signer(&shares[usize::from(me)], None, PartyIndex(me));
    in_one_thread((0..THRESHOLD).map(engine).collect::<Result<_, _>>()?).map(drop)
}

/// A signature of the first two parties, each in its thread.
pub fn sign_in_threads(shares: &[Share], auxes: &[Arc<Aux>]) -> anyhow::Result<()> {
    let signers = shares.iter().zip(auxes).take(THRESHOLD.into());
    let build = |(share, aux): (_, &Arc<Aux>)| {
        let aux = aux.clone();
        move |me| signer(share, Some(aux), me)
    };
    in_threads(signers.map(build).collect()).map(drop)
}

/// The first two members sign, so that a signer's position is its index.
fn signer(
    share: &Share,
    aux: Option<Arc<Aux>>,
    me: PartyIndex,
) -> Result<Boxed<Signature>, EngineError> {
    let signers = [CommitteeIndex(0), CommitteeIndex(1)];
    let message = Message::Raw(MESSAGE.to_vec());
    let params = SignParams {
        session: b"bench",
        me,
        signers: &signers,
        path: &PATH,
        script_root: None,
        message,
    };
    sign(params, share, aux, OsRng)
}

/// Steps the parties in turns; a message is delivered at once.
fn in_one_thread<O>(mut engines: Vec<Boxed<O>>) -> anyhow::Result<Vec<O>> {
    let mut outputs: Vec<Option<O>> = engines.iter().map(|_| None).collect();
    while outputs.iter().any(Option::is_none) {
        let mut moved = false;
        for party in 0..engines.len() {
            while outputs[party].is_none() {
                match engines[party].step()? {
                    Step::NeedMessage => break,
                    Step::Done(output) => outputs[party] = Some(output),
                    Step::Send(message) => deliver(&mut engines, party, &message)?,
                }
                moved = true;
            }
        }
        anyhow::ensure!(moved, "every party waits");
    }
    Ok(outputs.into_iter().flatten().collect())
}

fn deliver<O>(
    engines: &mut [Boxed<O>],
    from: usize,
    message: &Outgoing,
) -> Result<(), EngineError> {
    let (kind, to) = route(message, from, engines.len());
    let from = PartyIndex(from as u16);
    to.into_iter()
        .try_for_each(|to| engines[to].receive(from, kind, &message.body))
}

/// The kind of a message on the wire, and its recipients.
fn route(message: &Outgoing, from: usize, parties: usize) -> (MessageKind, Vec<usize>) {
    match message.to {
        Recipient::All => (
            MessageKind::Broadcast,
            (0..parties).filter(|to| *to != from).collect(),
        ),
        Recipient::One(to) => (MessageKind::Direct, vec![to.0.into()]),
    }
}

/// A message between two threads.
type Packet = (PartyIndex, MessageKind, Vec<u8>);

/// Builds and steps each engine in a thread of its own.
fn in_threads<O, B>(builds: Vec<B>) -> anyhow::Result<Vec<O>>
where
    O: Send,
    B: FnOnce(PartyIndex) -> Result<Boxed<O>, EngineError> + Send,
{
    let (senders, inboxes): (Vec<_>, Vec<_>) = builds
        .iter()
        .map(|_| mpsc::sync_channel::<Packet>(INBOX))
        .unzip();
    std::thread::scope(|scope| {
        let parties = builds.into_iter().zip(inboxes).enumerate();
        let threads = parties.map(|(me, (build, inbox))| {
            let senders = senders.clone();
            scope.spawn(move || run(build(PartyIndex(me as u16))?, me, &inbox, &senders))
        });
        let threads: Vec<_> = threads.collect();
        let join =
            |thread: std::thread::ScopedJoinHandle<'_, anyhow::Result<O>>| match thread.join() {
                Ok(result) => result,
                Err(_) => bail!("the thread of a party panicked"),
            };
        threads.into_iter().map(join).collect()
    })
}

fn run<O>(
    mut engine: Boxed<O>,
    me: usize,
    inbox: &mpsc::Receiver<Packet>,
    senders: &[mpsc::SyncSender<Packet>],
) -> anyhow::Result<O> {
    loop {
        match engine.step()? {
            Step::Done(output) => return Ok(output),
            Step::NeedMessage => {
                let (from, kind, body) = inbox.recv()?;
                engine.receive(from, kind, &body)?;
            }
            Step::Send(message) => {
                let (kind, to) = route(&message, me, senders.len());
                for to in to {
                    // A party that is done no longer listens, and needs no message.
                    drop(senders[to].send((PartyIndex(me as u16), kind, message.body.to_vec())));
                }
            }
        }
    }
}

/// A copy with the tables that nodes build in the background.
pub fn with_tables(aux: &Aux) -> anyhow::Result<Arc<Aux>> {
    Ok(Arc::new(aux.with_multiexp_tables()?))
}
