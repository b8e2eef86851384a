//! Keeps the log lines of XLA, TensorFlow and Abseil off the terminal. Errors are returned as values anyway.
//!
//! ```text
//!  loader: .preinit_array of the executable   stderr -> /dev/null
//!          initialisers of shared libraries   the library logs here, before any level can be set: glibc discards
//!                                             variables that .preinit_array sets
//!          .init_array of the executable      stderr again; TF_CPP_MIN_LOG_LEVEL for what is logged later
//!  main
//!    Runtime::cpu                             Abseil's level
//! ```
//!
//! Set `TF_CPP_MIN_LOG_LEVEL=0` to see the lines. Linkers allow `.preinit_array` in executables only.

use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicI32, Ordering};

const LEVEL: &CStr = c"TF_CPP_MIN_LOG_LEVEL";

/// The environment entry that keeps the log lines. Any other level is treated as quiet: initialisers of the libraries
/// log at every level, and a child process inherits the level that is set below.
const ALL_LINES: &CStr = c"TF_CPP_MIN_LOG_LEVEL=0";

/// Descriptor that holds the original stderr while it is redirected, or -1.
static KEPT_STDERR: AtomicI32 = AtomicI32::new(-1);

/// glibc passes these arguments to the functions of both arrays.
type Initialiser = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

extern "C" fn before_libraries(_: c_int, _: *const *const c_char, variables: *const *const c_char) {
    // SAFETY: the loader passes the process's environment, a null-terminated array of C strings. No other thread
    // exists, and only system calls are made, because the libraries are not initialised yet.
    unsafe {
        let mut variable = variables;
        while !(*variable).is_null() {
            if CStr::from_ptr(*variable).to_bytes() == ALL_LINES.to_bytes() {
                return;
            }
            variable = variable.add(1);
        }
        let nowhere = libc::open(c"/dev/null".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if nowhere < 0 {
            return;
        }
        KEPT_STDERR.store(libc::fcntl(libc::STDERR_FILENO, libc::F_DUPFD_CLOEXEC, 3), Ordering::Relaxed);
        if KEPT_STDERR.load(Ordering::Relaxed) >= 0 {
            libc::dup2(nowhere, libc::STDERR_FILENO);
        }
        libc::close(nowhere);
    }
}

extern "C" fn after_libraries(_: c_int, _: *const *const c_char, _: *const *const c_char) {
    let kept = KEPT_STDERR.swap(-1, Ordering::Relaxed);
    // SAFETY: the descriptor is the one saved above, the strings are C strings, and `main` has started no thread yet.
    unsafe {
        if kept >= 0 {
            libc::dup2(kept, libc::STDERR_FILENO);
            libc::close(kept);
        }
        libc::setenv(LEVEL.as_ptr(), c"3".as_ptr(), 0);
    }
}

#[used]
// SAFETY: the section is an array of such functions, called once by the loader.
#[unsafe(link_section = ".preinit_array")]
static BEFORE_LIBRARIES: Initialiser = before_libraries;

#[used]
// SAFETY: as above.
#[unsafe(link_section = ".init_array")]
static AFTER_LIBRARIES: Initialiser = after_libraries;

/// Sets Abseil's own level, which no environment variable controls. Must be called before a client is created.
pub(super) fn quiet_abseil() {
    let level = std::env::var(LEVEL.to_str().unwrap_or_default());
    xla::set_min_log_level(match level.as_deref() {
        Ok("0") => xla::TfLogLevel::Info,
        Ok("1") => xla::TfLogLevel::Warning,
        Ok("2") => xla::TfLogLevel::Error,
        _ => xla::TfLogLevel::Fatal,
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn starting_compiling_and_failing_print_no_log_lines() {
        let noisy = "runtime::executable::tests::errors_of_xla_keep_its_message";
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", noisy, "--nocapture"])
            .env_remove("TF_CPP_MIN_LOG_LEVEL")
            .output()
            .unwrap();
        assert!(run.status.success() && String::from_utf8_lossy(&run.stdout).contains("1 passed"), "{run:?}");
        assert_eq!(String::from_utf8_lossy(&run.stderr), "");
    }
}
