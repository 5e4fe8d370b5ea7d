//! Runs risk plugins: WebAssembly components that can only refuse.
//!
//! ```text
//! PluginSpec --Host::load--> Plugin --Chain--> Decision
//!                                      ^
//!                           Pipeline swaps it whole
//! ```
//!
//! This is the only crate that sees wasmtime. A component reaches nothing but the imports of
//! `wit/policy.wit`, each compared with the operator's [`Grants`] before it runs; there is no
//! ambient WASI. Whatever goes wrong inside a plugin becomes a refusal with a code of [`Code`],
//! never an approval and never a crash of the node.

mod capability;
mod component;
mod contract;
mod decision;
mod sandbox;

pub use countersign_files::{Custody, CustodyError};
pub use countersign_protocol::OperationKind;

pub use capability::http_client::{HttpClient, HttpClientError, HttpOptions};
pub use capability::key_ring::KeyRing;
pub use capability::local::LocalServices;
pub use capability::{hs256, rs256};
pub use component::admit::Inspection;
pub use component::ask::Info;
pub use component::bundle_signature::BundleSignature;
pub use component::cache::CodeCache;
pub use component::compiler::{CompileError, Compiler, CompilerLimits, CompilerProgram};
pub use component::compiler_child::compile_main;
pub use component::error::LoadError;
pub use component::folder::read_linked;
pub use component::host::{Host, HostError, HostOptions};
pub use component::plugin::Plugin;
pub use component::pre_init::PreInitLimits;
pub use component::receiver::{Delivery, Receiver};
pub use component::signature::{PluginSignature, Publisher, PublisherError, SignatureError};
pub use component::spec::{PluginSpec, Written};
pub use component::store::{PluginManifest, PluginRelease, PluginSource, PluginStore, StoreError};
pub use contract::anchor::{Anchor, AnchorKind};
pub use contract::code::Code;
pub use contract::evaluation::{
    Conditions, Difference, Evaluation, Level, LogLine, Observation, StateWrite, Verdict,
};
pub use contract::event::{
    Event, NewKey, Participant, ShareSignature, Signature, Stage, Success, What,
};
pub use contract::grants::{Grants, KeyGrant, KeyUsage, PrefixError, RawGrants, UrlPrefix};
pub use contract::role::{Role, Scope, Shadow};
pub use contract::services::{
    HttpError, HttpRequest, HttpResponse, KeyError, Memory, Sending, Services, StateError,
};
pub use contract::task::{
    Call, Destination, Grant, Input, Intent, Key, KeyShareCheck, KeyShareSigning, Keygen,
    Operation, Origin, Principal, Resharing, Signing, Statement, Task, Transaction, TypedData,
};
pub use contract::trace::{Asked, Divergence, Reading, RecordedCall, Trace};
pub use decision::candidate::Candidate;
pub use decision::chain::{Chain, ChainError, Decision, Refusal};
pub use decision::comparison::{Answered, Change, Doubt, NotJudged, Tightening, Totals};
pub use decision::entry::EntrySpec;
pub use decision::in_force::{EntryInForce, InForce, PluginInForce};
pub use decision::lock::DecisionGuard;
pub use decision::pipeline::Pipeline;
pub use decision::preview::Preview;
pub use decision::recording::{Recorded, Recording, Unreadable};
pub use decision::replay::{Replay, ReplayError, With};
pub use decision::status::{Condition, Counts, EntryStatus, Health, LATENCY_MICROS, LastError};
pub use sandbox::engine::HostLimits;
