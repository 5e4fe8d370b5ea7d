//! The engine from outside: every scheme through one suite, on a network that
//! reorders, with independent verifiers.

mod aux_info;
mod bounds;
mod check_up;
mod derivation;
mod dkls23;
mod driver;
mod ecdsa;
mod fixtures;
mod forged;
mod oracle;
mod pins;
mod records;
mod reshare;
mod schemes;
mod suite;
mod taproot;
