//! Immediate exit of a process that may still be compiling.

use std::io::Write;

/// Exits the process at once, without running exit handlers. XLA threads may still be compiling in the background, and
/// the C library's exit handlers would destroy static objects that they use.
pub fn leave(code: u8) -> ! {
    // A failed flush cannot be reported any more.
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    // SAFETY: `_exit` takes no pointers and does not return.
    unsafe { libc::_exit(i32::from(code)) }
}
