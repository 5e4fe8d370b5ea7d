//! The amount one party sends another in a run, known before there is an engine: early messages
//! wait for it, and are bounded.

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

/// The room of [`keygen`](crate::keygen()), on any curve.
pub fn keygen_room() -> Room {
    // No curve here has longer points.
    once::<ThresholdMsg<Secp256k1, SecurityLevel128, Sha256>>()
}

/// The room of [`aux_info`](crate::aux_info()).
pub fn aux_info_room() -> Room {
    Room::of(aux_info::limits())
}

/// The room of [`reshare`](crate::reshare()).
pub fn reshare_room() -> Room {
    Room::of(reshare::limits())
}

/// The room of [`agree`](crate::agree()).
pub fn agree_room() -> Room {
    Room::of([MAX_WORD])
}

/// The room of a [`batch`](crate::batch()) of this many runs of [`sign`](crate::sign()).
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
