//! What an auditor can know from a bundle alone, without a word to any node.
//!
//! Evidence does not certify itself: every key by which something is verified comes from the
//! profile, never from the bundle. A log is a node's if the profile names the node; an order counts
//! if the profile trusts its requester; a vote is a person's if the profile lists the key; a wallet
//! is believed as everywhere else.

mod coordinator;
mod finding;
mod node;
mod task;
#[cfg(test)]
mod tests;
mod wallet;

use countersign_audit::Bundle;
use countersign_protocol::{CoordinatorId, KeyDescriptor, Passkeys, UnixMillis};
use countersign_vote::RelyingParty;

use crate::count::People;
use crate::known::Known;
use crate::proof::PinnedPages;
pub use finding::{Fact, Finding, Missing, Proven, Report, Source, Span, Standing, Subject, Wrong};
pub use wallet::WrongWallet;

/// Whom the auditor knows.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    /// Nodes and requesters.
    pub known: Known<'a>,
    /// The coordinator.
    pub coordinator: Option<CoordinatorId>,
    /// People who vote; absent: nobody's key is known.
    pub people: Option<&'a People>,
    /// Pages that may ask passkeys for votes and orders.
    pub pages: Option<&'a RelyingParty>,
    /// Generations of wallets that are believed already, as from a wallet book.
    pub wallets: &'a [KeyDescriptor],
}

impl<'a> Trust<'a> {
    /// The pages, as orders are checked by them.
    fn passkeys(&self) -> PinnedPages<'a> {
        self.pages.map(|pages| pages as &dyn Passkeys)
    }
}

/// A time, from its beginning up to its end, which is not part of it.
pub type Time = (UnixMillis, UnixMillis);

/// Finds out what a bundle proves of a time, what it lacks, and what is wrong with it. Nobody signs
/// the time that a bundle names, so an auditor gives her own.
pub fn verify(bundle: &Bundle, time: Time, trust: &Trust<'_>) -> Report {
    let mut report = Report::default();
    let mut tasks = task::Tasks::default();
    if trust.known.nodes.is_empty() {
        report.missing(Subject::Profile, Missing::Nodes);
    }
    let wallets = wallet::believed(bundle, trust, &mut report);
    for node in trust.known.nodes.values() {
        if bundle.nodes.iter().all(|log| log.node != *node) {
            report.missing(Subject::Node(*node), Missing::Log);
        }
    }
    for log in &bundle.nodes {
        node::verify(log, time, trust, &mut report, &mut tasks);
    }
    coordinator::verify(bundle, time, trust, &mut report, &mut tasks);
    tasks.verify(
        &Context {
            bundle,
            trust,
            wallets,
        },
        &mut report,
    );
    report.findings.sort_by_key(|one| one.subject);
    report
}

/// What tasks are verified against.
struct Context<'a> {
    bundle: &'a Bundle,
    trust: &'a Trust<'a>,
    wallets: wallet::Believed<'a>,
}
