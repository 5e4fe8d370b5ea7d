//! How much one party sends another in a run, known before there is an engine: what comes early
//! waits for it, and is bounded.

use cggmp24::keygen::ThresholdMsg;
use cggmp24::security_level::SecurityLevel128;
use countersign_protocol::session::Room;
use generic_ec::curves::Secp256k1;
use sha2::Sha256;

use crate::adapter::RoundMessage;
use crate::agree::MAX_WORD;
use crate::batch::longest;
use crate::scheme::with_suite;
use crate::sign::Suite;
use crate::{Scheme, aux_info, reshare};

/// Of [`keygen`](crate::keygen()), on any curve.
pub fn keygen_room() -> Room {
    // The points of no curve here are longer.
    once::<ThresholdMsg<Secp256k1, SecurityLevel128, Sha256>>()
}

/// Of [`aux_info`](crate::aux_info()).
pub fn aux_info_room() -> Room {
    Room::of(aux_info::limits())
}

/// Of [`reshare`](crate::reshare()).
pub fn reshare_room() -> Room {
    Room::of(reshare::limits())
}

/// Of [`agree`](crate::agree()).
pub fn agree_room() -> Room {
    Room::of([MAX_WORD])
}

/// Of a [`batch`](crate::batch()) of so many runs of [`sign`](crate::sign()).
pub fn sign_room(scheme: Scheme, runs: usize) -> Room {
    let limits = with_suite!(scheme, S => <<S as Suite>::Msg as RoundMessage>::LIMITS);
    Room::of(
        limits
            .iter()
            .map(|(_, limit)| longest(std::iter::repeat_n(*limit, runs))),
    )
}

fn once<M: RoundMessage>() -> Room {
    Room::of(M::LIMITS.iter().map(|(_, limit)| *limit))
}
