//! Auxiliary information: one real run, and its use in ECDSA signing.

use std::sync::Arc;

use countersign_engine::{
    AuxParams, CallerFault, CommitteeIndex, EngineError, Message, PartyIndex, Scheme, SignParams,
    aux_info, sign,
};
use rand::rngs::OsRng;

use crate::fixtures::{Wallet, aux, generate, primes};
use crate::{driver, oracle};

#[test]
fn two_parties_generate_it_and_sign() {
    let engine = |me: u16| {
        let params = AuxParams {
            session: b"aux",
            me: PartyIndex(me),
            parties: 2,
        };
        aux_info(params, primes(me.into()), OsRng).unwrap()
    };
    let auxes = driver::run(vec![engine(0), engine(1)]);
    assert_eq!(auxes[0].public_digest(), auxes[1].public_digest());

    let shares = generate(Scheme::EcdsaSecp256k1, 2, 2, b"keygen");
    let wallet = Wallet {
        shares,
        auxes: auxes.into_iter().map(|aux| Some(Arc::new(aux))).collect(),
    };
    let message = Message::Raw(b"with fresh primes".to_vec());
    let signature = wallet.sign(&[0, 1], &[], &message);
    oracle::verify(&wallet.shares[0].public(), &[], &message, &signature);
}

#[test]
fn tables_change_neither_record_nor_signatures() {
    let mut wallet = Wallet::new(Scheme::EcdsaSecp256k1, 2, 3);
    let plain = aux(3, 0);
    let faster = plain.with_multiexp_tables().unwrap();
    assert_eq!(faster.to_bytes(), plain.to_bytes());
    assert_eq!(faster.public_digest(), plain.public_digest());

    wallet.auxes[0] = Some(Arc::new(faster));
    let message = Message::Raw(b"with tables".to_vec());
    let signature = wallet.sign(&[0, 2], &[], &message);
    oracle::verify(&wallet.shares[0].public(), &[], &message, &signature);
}

#[test]
fn ecdsa_refuses_to_sign_without_the_right_one() {
    let wallet = Wallet::new(Scheme::EcdsaSecp256k1, 2, 3);
    let refusal = |aux| {
        let signers = [CommitteeIndex(0), CommitteeIndex(1)];
        let message = Message::Digest([1; 32]);
        let params = SignParams {
            session: b"s",
            me: PartyIndex(0),
            signers: &signers,
            path: &[],
            script_root: None,
            message,
        };
        sign(params, &wallet.shares[0], aux, OsRng).err()
    };
    assert_eq!(
        refusal(None),
        Some(EngineError::Caller(CallerFault::AuxMissing))
    );
    let mismatch = Some(EngineError::Caller(CallerFault::AuxMismatch));
    assert_eq!(refusal(Some(aux(3, 1))), mismatch);
    assert_eq!(refusal(Some(aux(5, 0))), mismatch);
}
