//! The proof that every configured plugin approved.

use countersign_protocol::PluginVerdict;

/// An operation that every configured plugin approved. Made by [`Guard::decide`](super::Guard)
/// alone; nobody else can:
///
/// ```compile_fail,E0451
/// let forged = countersign_node::risk::Approved { plan: "pay me", verdicts: Vec::new() };
/// ```
#[derive(Debug, Clone)]
pub struct Approved<J> {
    plan: J,
    verdicts: Vec<PluginVerdict>,
}

/// A value that is the whole content of another, such as that of a variant of an enum. Nothing of
/// it may be changed: what was approved is what is done.
pub trait PartOf<J>: Sized {
    /// The part, if it is there.
    fn part_of(whole: J) -> Option<Self>;
}

impl<J> Approved<J> {
    /// For the guard alone.
    pub(super) fn new(plan: J, verdicts: Vec<PluginVerdict>) -> Self {
        Self { plan, verdicts }
    }

    /// What was approved.
    pub fn plan(&self) -> &J {
        &self.plan
    }

    /// Who approved.
    pub fn verdicts(&self) -> &[PluginVerdict] {
        &self.verdicts
    }

    /// The approval of what this plan consists of.
    pub fn narrowed<K: PartOf<J>>(self) -> Option<Approved<K>> {
        Some(Approved {
            plan: K::part_of(self.plan)?,
            verdicts: self.verdicts,
        })
    }
}
