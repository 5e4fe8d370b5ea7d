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

#[cfg(test)]
mod tests {
    use countersign_protocol::Hash;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Amount(u64);

    impl PartOf<Option<u64>> for Amount {
        fn part_of(whole: Option<u64>) -> Option<Self> {
            whole.map(Amount)
        }
    }

    fn verdict() -> PluginVerdict {
        PluginVerdict {
            plugin: "rules".into(),
            version: "1.0.0".into(),
            digest: Hash([1; 32]),
            config: Hash([2; 32]),
            approved: true,
            code: String::new(),
            reason: String::new(),
            micros: 3,
        }
    }

    #[test]
    fn a_part_of_what_was_approved_keeps_who_approved() {
        let approved = Approved::new(Some(7), vec![verdict()]);
        let part: Approved<Amount> = approved.narrowed().unwrap();
        assert_eq!(
            (part.plan(), part.verdicts()),
            (&Amount(7), &[verdict()][..])
        );
    }

    #[test]
    fn what_is_not_part_of_the_plan_was_not_approved() {
        let approved = Approved::new(None, vec![verdict()]);
        assert!(approved.narrowed::<Amount>().is_none());
    }
}
