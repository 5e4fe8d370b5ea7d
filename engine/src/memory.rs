//! Wipes the memory of big integers: GMP frees the limbs of Paillier primes without clearing them.
//!
//! Not covered: temporaries below 64 KiB, which GMP keeps on the stack, and registers.

/// Makes GMP wipe every block that it frees or moves. Every entry point of this crate that touches
/// big integers calls it first; call it at start-up too if anything else in the process uses GMP.
/// It does nothing without the `gmp` feature.
pub fn wipe_gmp_memory() {
    #[cfg(feature = "gmp")]
    gmp::install();
}

#[cfg(feature = "gmp")]
mod gmp {
    use std::ffi::c_void;
    use std::sync::{Once, OnceLock};

    use gmp_mpfr_sys::gmp::{get_memory_functions, set_memory_functions};
    use zeroize::Zeroize;

    type Allocate = extern "C" fn(usize) -> *mut c_void;
    type Free = unsafe extern "C" fn(*mut c_void, usize);

    /// GMP's own functions, which the wiping ones call: blocks from before the switch stay valid.
    static ORIGINAL: OnceLock<(Allocate, Free)> = OnceLock::new();

    pub(super) fn install() {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            let (allocate, _) = original();
            // SAFETY: the functions keep GMP's contract, as they pass on to its own. The switch is
            // not atomic, so no other thread may be inside GMP: this crate is the only user, and
            // all its entries wait for this `Once`.
            unsafe {
                set_memory_functions(Some(allocate), Some(wiping_reallocate), Some(wiping_free))
            };
        });
    }

    /// `realloc` may move a block and leave the old one uncleared, so this always moves it.
    unsafe extern "C" fn wiping_reallocate(
        block: *mut c_void,
        old: usize,
        new: usize,
    ) -> *mut c_void {
        let (allocate, _) = original();
        let moved = allocate(new);
        // SAFETY: `block` has `old` bytes by GMP's contract, `moved` has `new`, and they do not
        // overlap.
        unsafe {
            std::ptr::copy_nonoverlapping(block.cast::<u8>(), moved.cast::<u8>(), old.min(new))
        };
        // SAFETY: `block` came from GMP's allocator with `old` bytes and is not used again.
        unsafe { wiping_free(block, old) };
        moved
    }

    unsafe extern "C" fn wiping_free(block: *mut c_void, size: usize) {
        let (_, free) = original();
        // SAFETY: `block` has `size` bytes by GMP's contract, nobody else refers to them, and any
        // byte is a valid `u8`.
        unsafe { std::slice::from_raw_parts_mut(block.cast::<u8>(), size) }.zeroize();
        // SAFETY: `block` came from the allocator that `free` belongs to.
        unsafe { free(block, size) }
    }

    /// Read once, before the switch: `install` is the first caller.
    fn original() -> (Allocate, Free) {
        *ORIGINAL.get_or_init(|| {
            let mut allocate = None;
            let mut reallocate = None;
            let mut free = None;
            // SAFETY: GMP writes one function pointer through each of three valid pointers, and
            // never a null one.
            unsafe { get_memory_functions(&mut allocate, &mut reallocate, &mut free) };
            allocate.zip(free).expect("GMP has allocation functions")
        })
    }
}
