//! The data that capabilities keep during one call, one value per type.

use std::any::{Any, TypeId};
use std::collections::HashMap;

/// Created empty with each call and dropped with it. The sandbox never looks inside.
#[derive(Default)]
pub(crate) struct States(HashMap<TypeId, Box<dyn Any + Send>>);

impl States {
    /// The value of this type; the default if there is none yet.
    pub(crate) fn of<T: Default + Send + 'static>(&mut self) -> &mut T {
        let state = self
            .0
            .entry(TypeId::of::<T>())
            .or_insert_with(|| Box::new(T::default()));
        state
            .downcast_mut()
            .unwrap_or_else(|| unreachable!("stored under its own type"))
    }

    pub(crate) fn take<T: Default + Send + 'static>(&mut self) -> T {
        std::mem::take(self.of())
    }
}
