//! Taproot outputs with scripts: the key path signs under a key that commits to the root of their
//! tree (BIP-341).

use countersign_engine::{
    CallerFault, CommitteeIndex, DeriveError, Engine, Message, PartyIndex, Scheme, SignParams,
    Signature, sign, verification_key,
};
use rand::rngs::OsRng;
use secp256k1::{SECP256K1, schnorr};

use crate::driver;
use crate::fixtures::Wallet;
use crate::oracle;
use crate::schemes::{caller_fault, nobody_signs};

const PATH: [u32; 2] = [86, 7];
const ROOT: [u8; 32] = [7; 32];

#[test]
fn an_output_with_scripts_is_signed_for() {
    let wallet = Wallet::new(Scheme::Taproot, 2, 3);
    let public = wallet.shares[0].public();
    let (child, _) = oracle::child(
        Scheme::Taproot,
        &public.root_public_key,
        &public.chain_code,
        &PATH,
    );
    let output = oracle::taproot_output_key(&child, &ROOT);
    let key = verification_key(Scheme::Taproot, &child, Some(&ROOT)).unwrap();
    assert_eq!(key, output.serialize());

    let engines = (0..2)
        .map(|me| signer(&wallet, me, Some(ROOT)).unwrap())
        .collect();
    let [one, other]: [Signature; 2] = driver::run(engines).try_into().unwrap();
    assert_eq!(one, other);
    let signature = schnorr::Signature::from_byte_array(one.bytes[..].try_into().unwrap());
    SECP256K1
        .verify_schnorr(&signature, b"pay", &output)
        .unwrap();
    let bare = oracle::taproot_output_key(&child, &[]);
    assert!(SECP256K1.verify_schnorr(&signature, b"pay", &bare).is_err());
}

#[test]
fn signers_must_agree_on_the_script_root() {
    let wallet = Wallet::new(Scheme::Taproot, 2, 3);
    for other in [None, Some([8; 32])] {
        let engines = vec![
            signer(&wallet, 0, Some(ROOT)).unwrap(),
            signer(&wallet, 1, other).unwrap(),
        ];
        nobody_signs(Scheme::Taproot, engines);
    }
}

#[test]
fn other_schemes_have_no_scripts() {
    for scheme in Scheme::ALL
        .into_iter()
        .filter(|scheme| *scheme != Scheme::Taproot)
    {
        let wallet = Wallet::new(scheme, 2, 3);
        let refused = CallerFault::Derive(DeriveError::ScriptRoot);
        assert_eq!(
            caller_fault(signer(&wallet, 0, Some(ROOT)).err()),
            refused,
            "{scheme}"
        );
        let root = wallet.shares[0].public().root_public_key;
        assert_eq!(
            verification_key(scheme, &root, Some(&ROOT)),
            Err(DeriveError::ScriptRoot),
            "{scheme}"
        );
    }
}

fn signer(
    wallet: &Wallet,
    me: u16,
    script_root: Option<[u8; 32]>,
) -> Result<Box<dyn Engine<Output = Signature>>, countersign_engine::EngineError> {
    let params = SignParams {
        session: b"scripts",
        me: PartyIndex(me),
        signers: &[CommitteeIndex(0), CommitteeIndex(1)],
        path: &PATH,
        script_root,
        message: Message::Raw(b"pay".to_vec()),
    };
    let mine = usize::from(me);
    sign(
        params,
        &wallet.shares[mine],
        wallet.auxes[mine].clone(),
        OsRng,
    )
}
