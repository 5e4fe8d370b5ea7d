//! Panics of the database, contained: redb may panic on a page that it did not write, but a damaged
//! file must be an error.
//!
//! Works only if panics unwind, as in every profile of this workspace. Half-done state is not used
//! again: callers give up the database, or only read.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The text of a contained panic.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Panicked(String);

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// True within work whose panics become errors, so that a panic hook need not report them.
pub fn is_contained() -> bool {
    DEPTH.get() > 0
}

/// Does the work. A panic comes back as an error.
pub(crate) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    DEPTH.set(DEPTH.get() + 1);
    let done = catch_unwind(AssertUnwindSafe(work));
    DEPTH.set(DEPTH.get() - 1);
    done.map_err(|panic| Panicked(text(&*panic)))
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_comes_back_as_its_text() {
        assert_eq!(contain(|| 7), Ok(7));
        assert_eq!(contain(|| assert!(is_contained(), "seen")), Ok(()));
        assert_eq!(
            contain(|| panic!("no page {}", 3)),
            Err::<(), _>(Panicked("no page 3".into()))
        );
        assert!(!is_contained());
    }
}
