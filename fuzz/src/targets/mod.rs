//! The table of all targets.

mod audits;
mod bundles;
mod callbacks;
mod derivation;
mod descriptor;
mod documents;
mod eip712;
mod engine;
mod payload;
mod people;
mod psbts;
mod recovery;
mod rlp;
mod rules;
mod session;
mod sighash;
mod signer;
mod store;
mod task;
mod texts;
mod typed_data;
mod votes;
mod wire;

use countersign_protocol::PayloadKind;
use countersign_quorum::Quorum;
use countersign_rules::Rules;

use crate::Target;

/// All targets.
pub const TARGETS: &[Target] = &[
    Target::new("frames", wire::frames, wire::frame_seeds),
    Target::new(
        "control_from_nodes",
        wire::from_nodes,
        wire::from_node_seeds,
    ),
    Target::new("control_to_nodes", wire::to_nodes, wire::to_node_seeds),
    Target::new("descriptors", descriptor::run, descriptor::seeds),
    Target::new("tasks", task::run, task::seeds),
    Target::new("audits", audits::run, audits::seeds),
    Target::new(
        "payload_message",
        payload::run::<{ payload::place(PayloadKind::Message) }>,
        payload::message_seeds,
    )
    .of_kind(PayloadKind::Message),
    Target::new(
        "payload_digest",
        payload::run::<{ payload::place(PayloadKind::Digest) }>,
        payload::digest_seeds,
    )
    .of_kind(PayloadKind::Digest),
    Target::new(
        "payload_digests",
        payload::run::<{ payload::place(PayloadKind::Digests) }>,
        payload::digests_seeds,
    )
    .of_kind(PayloadKind::Digests),
    Target::new(
        "payload_evm",
        payload::run::<{ payload::place(PayloadKind::EvmTransaction) }>,
        payload::evm_seeds,
    )
    .of_kind(PayloadKind::EvmTransaction),
    Target::new(
        "payload_eip191",
        payload::run::<{ payload::place(PayloadKind::Eip191) }>,
        payload::message_seeds,
    )
    .of_kind(PayloadKind::Eip191),
    Target::new(
        "payload_eip712",
        payload::run::<{ payload::place(PayloadKind::Eip712) }>,
        payload::eip712_seeds,
    )
    .of_kind(PayloadKind::Eip712),
    Target::new("typed_data", typed_data::run, typed_data::seeds),
    Target::new(
        "payload_eip7702",
        payload::run::<{ payload::place(PayloadKind::Eip7702) }>,
        payload::eip7702_seeds,
    )
    .of_kind(PayloadKind::Eip7702),
    Target::new(
        "payload_psbt",
        payload::run::<{ payload::place(PayloadKind::Psbt) }>,
        payload::psbt_seeds,
    )
    .of_kind(PayloadKind::Psbt),
    Target::new(
        "payload_bitcoin_message",
        payload::run::<{ payload::place(PayloadKind::BitcoinMessage) }>,
        payload::bitcoin_message_seeds,
    )
    .of_kind(PayloadKind::BitcoinMessage),
    Target::new(
        "payload_solana",
        payload::run::<{ payload::place(PayloadKind::SolanaMessage) }>,
        payload::solana_seeds,
    )
    .of_kind(PayloadKind::SolanaMessage),
    Target::new("payload_forms", payload::forms, payload::form_seeds),
    Target::new("documents", documents::run, documents::seeds),
    Target::new(
        "node_config",
        documents::node_config,
        documents::node_config_seeds,
    ),
    Target::new("rules", rules::run::<Rules>, rules::seeds),
    Target::new("quorum", rules::run::<Quorum>, rules::quorum_seeds),
    Target::new("votes", votes::run, votes::seeds),
    Target::new("bundles", bundles::run, bundles::seeds),
    Target::new("jwt_answers", callbacks::jwt, callbacks::jwt_seeds),
    Target::new(
        "fireblocks_answers",
        callbacks::fireblocks,
        callbacks::fireblocks_seeds,
    ),
    Target::new(
        "webhook_answers",
        callbacks::webhook,
        callbacks::webhook_seeds,
    ),
    Target::new("recovery_files", recovery::run, recovery::seeds),
    Target::new("texts", texts::run, texts::seeds),
    Target::new(
        "journal_files",
        store::journal_files,
        store::journal_file_seeds,
    )
    .max_bytes(4096)
    // The database reserves memory for a made-up page number before it sees that
    // the file is shorter.
    .max_memory_mib(5 << 10)
    .alterations(60),
    Target::new(
        "journal_rows",
        store::journal_rows,
        store::journal_row_seeds,
    )
    .alterations(60),
    Target::new(
        "secrets_files",
        store::secrets_files,
        store::secrets_file_seeds,
    )
    .max_bytes(4096)
    .alterations(60),
    Target::new("sessions", session::run, session::seeds),
    Target::new("engine_bodies", engine::bodies, engine::body_seeds)
        .max_bytes(256 << 10)
        .alterations(60),
    Target::new("engine_runs", engine::quick, engine::quick_seeds)
        .max_bytes(2048)
        .alterations(60),
    Target::new("engine_ecdsa", engine::ecdsa, engine::ecdsa_seeds)
        .max_bytes(2048)
        .max_memory_mib(64)
        .alterations(1),
    Target::new("derivation", derivation::run, derivation::seeds).alterations(60),
];
