//! Distributed key generation: the threshold protocol of CGGMP24, the same for
//! every scheme and curve.

use cggmp24::ExecutionId;
use cggmp24::keygen::{KeygenBuilder, ThresholdMsg};
use cggmp24::security_level::SecurityLevel128;
use rand_core::CryptoRngCore;
use sha2::Sha256;

use crate::adapter::{self, RoundMessage};
use crate::blame::judge;
use crate::curve::KeyCurve;
use crate::engine::MessageKind;
use crate::random::{Rng, tried};
use crate::scheme::with_suite;
use crate::session::{Task, execution_id};
use crate::sign::Suite;
use crate::{CallerFault, Engine, EngineError, PartyIndex, Scheme, Share};

/// The smallest committee and the smallest threshold.
pub const MIN_PARTIES: u16 = 2;
/// The largest committee, as in the protocol crate.
pub const MAX_PARTIES: u16 = 9;

/// Parameters of a key generation. All parties must use the same values, except for `me`.
#[derive(Debug, Clone)]
pub struct KeygenParams<'a> {
    /// A unique name of this run.
    pub session: &'a [u8],
    /// Position of this party in the committee.
    pub me: PartyIndex,
    /// Size of the committee, 2 to 9.
    pub parties: u16,
    /// The number of signers, 2 to `parties`.
    pub threshold: u16,
}

/// Generates a key with a joint chain code. Four rounds, of which the first is echoed.
pub fn keygen(
    scheme: Scheme,
    params: KeygenParams<'_>,
    rng: impl CryptoRngCore + 'static,
) -> Result<Box<dyn Engine<Output = Share>>, EngineError> {
    crate::wipe_gmp_memory();
    let rng = tried(rng)?;
    with_suite!(scheme, S => start::<<S as Suite>::Curve>(scheme, params, rng))
}

fn start<E: KeyCurve>(
    scheme: Scheme,
    params: KeygenParams<'_>,
    mut rng: Rng,
) -> Result<Box<dyn Engine<Output = Share>>, EngineError> {
    let KeygenParams {
        session,
        me,
        parties,
        threshold,
    } = params;
    check_committee(me, parties)?;
    if !(MIN_PARTIES..=parties).contains(&threshold) {
        return Err(CallerFault::Threshold { threshold, parties }.into());
    }
    let parameters = [
        scheme.name().as_bytes(),
        &parties.to_be_bytes(),
        &threshold.to_be_bytes(),
    ];
    let id = execution_id(Task::Keygen, session, &parameters)?;
    Ok(adapter::start(me, parties, move |party| async move {
        let builder = KeygenBuilder::<E>::new(ExecutionId::new(&id), me.0, parties);
        let core = builder
            .set_threshold(threshold)
            .start(&mut rng, party)
            .await
            .map_err(judge)?;
        Ok(Share::new(scheme, core))
    }))
}

/// Checks that the committee has a supported size and includes `me`.
pub(crate) fn check_committee(me: PartyIndex, parties: u16) -> Result<(), CallerFault> {
    if !(MIN_PARTIES..=MAX_PARTIES).contains(&parties) {
        return Err(CallerFault::Parties(parties));
    }
    if me.0 >= parties {
        return Err(CallerFault::NotInSession(me));
    }
    Ok(())
}

impl<E: KeyCurve> RoundMessage for ThresholdMsg<E, SecurityLevel128, Sha256> {
    const LIMITS: &'static [(&'static str, usize)] = &[
        ("Round1", 128),
        ("ReliabilityCheck", 128),
        ("Round2Broad", 1536),
        ("Round2Uni", 128),
        ("Round3", 192),
    ];

    fn kind(&self) -> MessageKind {
        match self {
            Self::Round1(_)
            | Self::ReliabilityCheck(_)
            | Self::Round2Broad(_)
            | Self::Round3(_) => MessageKind::Broadcast,
            Self::Round2Uni(_) => MessageKind::Direct,
        }
    }
}
