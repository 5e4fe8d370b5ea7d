//! The proof that every configured plugin approved.

use countersign_protocol::PluginVerdict;

/// An operation that every configured plugin approved. Only [`Guard::decide`](super::Guard) can
/// construct one:
/// ```compile_fail,E0451
/// let forged = countersign_node::risk::Approved { plan: "pay me", verdicts: Vec::new() };
/// ```
#[derive(Debug, Clone)]
pub struct Approved<J> {
    plan: J,
    verdicts: Vec<PluginVerdict>,
}

/// A value that is the whole content of another, such as the content of an enum's variant. It must
/// be unaltered: exactly what was approved is carried out.
pub trait PartOf<J>: Sized {
    /// Returns the part, if `whole` consists of it.
    fn part_of(whole: J) -> Option<Self>;
}

impl<J> Approved<J> {
    /// Constructs an approval; to be called by the guard only.
    pub(super) fn new(plan: J, verdicts: Vec<PluginVerdict>) -> Self {
        Self { plan, verdicts }
    }

    /// Returns the operation that was approved.
    pub fn plan(&self) -> &J {
        &self.plan
    }

    /// Returns the verdicts of the plugins, all of them approvals.
    pub fn verdicts(&self) -> &[PluginVerdict] {
        &self.verdicts
    }

    /// Narrows the approval to the content of its plan.
    pub fn narrowed<K: PartOf<J>>(self) -> Option<Approved<K>> {
        Some(Approved {
            plan: K::part_of(self.plan)?,
            verdicts: self.verdicts,
        })
    }
}
