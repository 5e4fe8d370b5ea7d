//! GMP's memory, seen from below: every block is returned wiped. Runs in a process of its own, as
//! the hooks are global.
#![cfg(feature = "gmp")]

use std::ffi::c_void;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use countersign_engine::wipe_gmp_memory;
use gmp_mpfr_sys::gmp::{get_memory_functions, set_memory_functions};
use rug::Integer;

static FREE: OnceLock<Free> = OnceLock::new();
static FREED: AtomicUsize = AtomicUsize::new(0);
static UNWIPED: AtomicUsize = AtomicUsize::new(0);

type Free = unsafe extern "C" fn(*mut c_void, usize);

/// Takes the place of the system's allocator.
unsafe extern "C" fn inspect(block: *mut c_void, size: usize) {
    // SAFETY: GMP hands back a block of `size` bytes that it wrote or that its allocator's user
    // wiped.
    let bytes = unsafe { std::slice::from_raw_parts(block.cast::<u8>(), size) };
    FREED.fetch_add(1, Ordering::Relaxed);
    UNWIPED.fetch_add(
        usize::from(bytes.iter().any(|byte| *byte != 0)),
        Ordering::Relaxed,
    );
    // SAFETY: the block came from the allocator that this function belongs to.
    unsafe { FREE.get().expect("set before use")(block, size) }
}

/// Frees and moves numbers; returns the number of blocks returned, and how many
/// of them had content.
fn churn() -> (usize, usize) {
    let before = (
        FREED.load(Ordering::Relaxed),
        UNWIPED.load(Ordering::Relaxed),
    );
    let mut number = Integer::from(0xdead_beef_u32);
    for _ in 0..8 {
        number.square_mut();
    }
    let expected = (0..8).fold(Integer::from(0xdead_beef_u32), |number, _| {
        Integer::from(&number * &number)
    });
    assert_eq!(number, expected, "moving keeps the content");
    drop((number, expected));
    (
        FREED.load(Ordering::Relaxed) - before.0,
        UNWIPED.load(Ordering::Relaxed) - before.1,
    )
}

#[test]
fn every_block_is_wiped() {
    let mut allocate = None;
    let mut reallocate = None;
    let mut free = None;
    // SAFETY: three valid pointers to be written; the only thread that uses GMP is this one.
    unsafe {
        get_memory_functions(&mut allocate, &mut reallocate, &mut free);
        FREE.set(free.expect("GMP has a free function"))
            .expect("set once");
        set_memory_functions(allocate, reallocate, Some(inspect));
    }
    let (freed, unwiped) = churn();
    assert!(
        freed > 0 && unwiped > 0,
        "the inspector sees content where nothing wipes"
    );

    wipe_gmp_memory();
    let (freed, unwiped) = churn();
    assert!(freed > 0);
    assert_eq!(unwiped, 0, "of {freed} blocks");
}
