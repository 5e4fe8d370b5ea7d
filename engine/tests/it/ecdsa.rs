//! Properties of ECDSA only: proofs that name their forger.

use countersign_engine::{
    Engine, EngineError, Message, MessageKind, PartyIndex, PeerFault, Recipient, Scheme, Signature,
    Step,
};

use crate::driver;
use crate::fixtures::Wallet;

#[test]
fn a_proof_from_another_session_names_the_culprit() {
    let wallet = Wallet::new(Scheme::EcdsaSecp256k1, 2, 3);
    let message = Message::Raw(b"one message".to_vec());
    let replayed =
        first_direct_message(wallet.signer(1, &[0, 1], &[], &message, b"another session"));
    let outcomes = driver::run_altered(wallet.signers(&[0, 1], &[], &message), |packet| {
        if packet.from == PartyIndex(1) && packet.kind == MessageKind::Direct && packet.number == 0
        {
            packet.body.clone_from(&replayed);
        }
    });
    let error = outcomes[0]
        .as_ref()
        .expect("an outcome")
        .as_ref()
        .expect_err("no signature");
    assert_eq!(error.culprits(), [PartyIndex(1)], "{error}");
    assert!(
        matches!(
            error,
            EngineError::Peer {
                fault: PeerFault::Protocol(_),
                ..
            }
        ),
        "{error}"
    );
}

fn first_direct_message(mut engine: Box<dyn Engine<Output = Signature>>) -> Vec<u8> {
    loop {
        match engine.step().expect("a step") {
            Step::Send(message) if message.to == Recipient::One(PartyIndex(0)) => {
                return message.body.to_vec();
            }
            Step::Send(_) => {}
            step => panic!("no direct message: {step:?}"),
        }
    }
}
