//! A 2-of-3 Ed25519 key in one process: `cargo run -p countersign-engine --example sign`.
//!
//! Real parties run one engine each. Their transport authenticates every sender, encrypts direct
//! messages and makes broadcasts reliable.

use std::error::Error;

use countersign_engine::{
    CommitteeIndex, Engine, EngineError, KeygenParams, Message, MessageKind, Outgoing, PartyIndex,
    Recipient, Scheme, SignParams, Step, check_signature, keygen, sign, verification_key,
};
use rand::rngs::OsRng;

const SCHEME: Scheme = Scheme::Ed25519;

fn main() -> Result<(), Box<dyn Error>> {
    let engines = (0..3).map(|me| {
        let params = KeygenParams {
            session: b"a name that is never used again: key",
            me: PartyIndex(me),
            parties: 3,
            threshold: 2,
        };
        keygen(SCHEME, params, OsRng)
    });
    let shares = run(engines.collect::<Result<Vec<_>, _>>()?)?;
    let signers = [CommitteeIndex(0), CommitteeIndex(2)];
    let message = Message::Raw(b"pay 1 to Alice".to_vec());
    let engines = (0..).zip(signers).map(|(me, signer)| {
        let params = SignParams {
            session: b"a name that is never used again: signature",
            me: PartyIndex(me),
            signers: &signers,
            path: &[],
            script_root: None,
            message: message.clone(),
        };
        sign(params, &shares[usize::from(signer.0)], None, OsRng)
    });
    let signatures = run(engines.collect::<Result<Vec<_>, _>>()?)?;

    let key = verification_key(SCHEME, &shares[0].public().root_public_key, None)?;
    check_signature(SCHEME, &key, &message, &signatures[0])?;
    println!("key: {}", hex::encode(key));
    println!("signature: {}", hex::encode(&signatures[0].bytes));
    Ok(())
}

/// Runs all parties until each has its output.
fn run<O>(mut engines: Vec<Box<dyn Engine<Output = O>>>) -> Result<Vec<O>, EngineError> {
    let mut outputs: Vec<Option<O>> = engines.iter().map(|_| None).collect();
    while outputs.iter().any(Option::is_none) {
        let running = outputs.iter_mut().enumerate();
        for (party, output) in running.filter(|(_, output)| output.is_none()) {
            match engines[party].step()? {
                Step::Send(message) => deliver(&mut engines, party, &message)?,
                Step::NeedMessage => {}
                Step::Done(done) => *output = Some(done),
            }
        }
    }
    Ok(outputs.into_iter().flatten().collect())
}

fn deliver<O>(
    engines: &mut [Box<dyn Engine<Output = O>>],
    from: usize,
    message: &Outgoing,
) -> Result<(), EngineError> {
    for (to, engine) in engines.iter_mut().enumerate() {
        let kind = match message.to {
            Recipient::All if to != from => MessageKind::Broadcast,
            Recipient::One(party) if usize::from(party.0) == to => MessageKind::Direct,
            Recipient::All | Recipient::One(_) => continue,
        };
        engine.receive(PartyIndex(from as u16), kind, &message.body)?;
    }
    Ok(())
}
