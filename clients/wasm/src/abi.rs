//! The functions by which a host reaches the module. All numbers are 32 bits, all memory is the
//! module's, and every block that a host allocates or is given is freed by the host.

use zeroize::Zeroize;

/// Size limit of a block in bytes, above that of the largest answer of a coordinator.
const MAX_BLOCK: usize = 256 << 20;
/// Bytes of the length before an answer.
const LENGTH: usize = 4;

/// Returns a block of `length` zeros, or 0 if that is too many.
#[unsafe(no_mangle)]
pub extern "C" fn countersign_alloc(length: usize) -> *mut u8 {
    if length > MAX_BLOCK {
        return std::ptr::null_mut();
    }
    Box::into_raw(vec![0; length].into_boxed_slice()).cast()
}

/// Wipes a block and gives it back.
///
/// # Safety
///
/// `block` came from this module with this `length`, and is used no more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_free(block: *mut u8, length: usize) {
    // SAFETY: it is a boxed slice of this length, by the contract of this function.
    let mut block = unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(block, length)) };
    block.zeroize();
}

/// Performs the operation of this name on this document. Returns a block: 4 bytes with the
/// length of the answer, least significant first, and the answer.
///
/// # Safety
///
/// Both blocks came from [`countersign_alloc`] with these lengths.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_call(
    name: *const u8,
    name_length: usize,
    document: *const u8,
    document_length: usize,
) -> *mut u8 {
    // SAFETY: both are blocks of these lengths, by the contract of this function.
    let (name, document) = unsafe {
        (
            std::slice::from_raw_parts(name, name_length),
            std::slice::from_raw_parts(document, document_length),
        )
    };
    let mut answer = crate::call(&String::from_utf8_lossy(name), document);
    let mut block = Vec::with_capacity(LENGTH + answer.len());
    block.extend_from_slice(&(answer.len() as u32).to_le_bytes());
    block.extend_from_slice(&answer);
    answer.zeroize();
    Box::into_raw(block.into_boxed_slice()).cast()
}
