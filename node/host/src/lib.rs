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

mod anchor;
mod bindings;
mod cache;
mod call;
mod chain;
mod code;
mod compile;
mod compiler;
mod compiler_child;
mod contract;
mod engine;
mod evaluation;
mod event;
mod folder;
mod freeze;
mod grants;
mod host;
pub mod hs256;
mod http;
mod imports;
mod in_force;
mod interface;
mod load;
mod monitor;
#[cfg(test)]
mod next;
mod panel;
mod pipeline;
mod plugin;
mod receiver;
mod recording;
mod resolve;
mod role;
pub mod rs256;
mod services;
mod shadow;
mod signature;
mod slot;
mod status;
mod store;
mod surroundings;
mod task;
mod text;
mod ticker;
mod trace;
mod turns;

pub use countersign_files::{Custody, CustodyError};
pub use countersign_protocol::OperationKind;

pub use anchor::{Anchor, AnchorKind};
pub use cache::CodeCache;
pub use chain::{Chain, ChainError, Decision, Refusal};
pub use code::Code;
pub use compiler::{CompileError, Compiler, CompilerLimits, CompilerProgram};
pub use compiler_child::compile_main;
pub use evaluation::{Evaluation, Level, LogLine, Observation, StateWrite, Verdict};
pub use event::{Event, NewKey, Participant, ShareSignature, Signature, Stage, Success, What};
pub use folder::read_linked;
pub use freeze::FreezeLimits;
pub use grants::{Grants, KeyGrant, KeyUsage, PrefixError, UrlPrefix};
pub use host::{Host, HostError, HostLimits, HostOptions};
pub use http::{HttpClient, HttpClientError, HttpOptions};
pub use in_force::{EntryInForce, InForce, PluginInForce};
pub use load::{Inspection, LoadError, PluginSpec, Written};
pub use pipeline::Pipeline;
pub use plugin::{Info, Plugin};
pub use receiver::{Delivery, Receiver};
pub use recording::{Conditions, Recorded, Recording, Replay, ReplayError, Unreadable, With};
pub use role::{Role, Scope, Shadow};
pub use services::{
    HttpError, HttpRequest, HttpResponse, KeyError, KeyRing, LocalServices, Memory, Sending,
    Services, StateError,
};
pub use shadow::Difference;
pub use signature::{PluginSignature, Publisher, PublisherError, SignatureError};
pub use slot::Configured;
pub use status::{Condition, Counts, EntryStatus, Health, LATENCY_MICROS, LastError};
pub use store::{PluginManifest, PluginRelease, PluginSource, PluginStore, StoreError};
pub use task::{
    Call, Destination, Grant, Input, Intent, Key, KeyShareCheck, KeyShareSigning, Keygen,
    Operation, Origin, Principal, Resharing, Signing, Statement, Task, Transaction, TypedData,
};
pub use trace::{Asked, Divergence, Heard, Reading, Trace};
pub use turns::Turn;
