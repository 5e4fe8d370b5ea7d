//! Panics of the database, held in: a library that finds a page it did not write may panic, and a
//! damaged file must be an error.
//!
//! Works only where a panic unwinds, as in every profile of this workspace. Whatever the panic left
//! half done is not used again: callers give up the database, or only read.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// True within work whose panics are held in and become errors. A panic hook that sees it need not
/// report them.
pub fn is_contained() -> bool {
    DEPTH.get() > 0
}

/// Does the work. A panic of it comes back as its text.
pub(crate) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    DEPTH.set(DEPTH.get() + 1);
    let done = catch_unwind(AssertUnwindSafe(work));
    DEPTH.set(DEPTH.get() - 1);
    done.map_err(|panic| text(&*panic))
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
            contain(|| panic!("no page {}", 3)).unwrap_err(),
            "no page 3"
        );
        assert!(!is_contained());
    }
}
