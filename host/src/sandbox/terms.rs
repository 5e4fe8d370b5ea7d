//! The terms on which the imports of a call are answered: how often, and from where.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::contract::services::Services;

/// The calls of a capability's imports that one call of the guest may make.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) most: u32,
    /// Plural, for the message with which the call is stopped.
    pub(crate) of: &'static str,
}

impl Budget {
    /// For a capability whose calls are not counted.
    pub(crate) const UNLIMITED: Self = Self {
        most: u32::MAX,
        of: "calls",
    };
}

/// The place from which the answers of a capability come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The sandbox itself.
    Sandbox,
    /// The node's services, and nobody outside the node.
    Node,
    /// Others, whom the node asks.
    Outside,
}

/// The terms of a capability.
pub(crate) trait Terms: 'static {
    const BUDGET: Budget;
    const REACH: Reach;
}

/// Uses of one capability in one call.
pub(crate) struct Spent<C>(pub(crate) u32, PhantomData<fn() -> C>);

impl<C> Default for Spent<C> {
    fn default() -> Self {
        Self(0, PhantomData)
    }
}

/// The node's services. A capability gets at them only while it makes an answer that is counted and
/// recorded.
#[derive(Clone)]
pub(crate) struct SealedServices(Arc<dyn Services>);

impl SealedServices {
    pub(crate) fn new(services: Arc<dyn Services>) -> Self {
        Self(services)
    }

    /// The time in milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        self.0.now()
    }

    pub(super) fn within<C: Terms>(&self) -> Within<C> {
        Within(self.0.clone(), PhantomData)
    }
}

/// Everything that the capability `C` can reach.
pub(crate) struct Within<C>(Arc<dyn Services>, PhantomData<fn() -> C>);

impl<C: Terms> Within<C> {
    /// Does not compile for a capability that says that it stays in the sandbox.
    pub(crate) fn services(&self) -> &dyn Services {
        const {
            assert!(
                !matches!(C::REACH, Reach::Sandbox),
                "a capability that uses services says so in its REACH"
            );
        }
        &*self.0
    }
}
