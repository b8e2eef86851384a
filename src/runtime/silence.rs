//! Keeps XLA's, TensorFlow's and Abseil's own log lines off the terminal. Errors come back as values anyway.
//!
//! The library logs while it is loaded, before `main`. Functions in `.preinit_array` of an executable run before the
//! initialisers of shared libraries, so that is where the level is set. Whoever wants the lines sets
//! `TF_CPP_MIN_LOG_LEVEL=0`.

use std::ffi::CStr;

const LEVEL_VARIABLE: &CStr = c"TF_CPP_MIN_LOG_LEVEL";

extern "C" fn set_variables() {
    let quiet = [(LEVEL_VARIABLE, c"3"), (c"TF_ENABLE_ONEDNN_OPTS", c"0")];
    for (name, value) in quiet {
        // SAFETY: both are C strings, and no other thread exists before the first initialiser. Overwrites nothing.
        unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 0) };
    }
}

#[used]
// SAFETY: the section is an array of functions without arguments that the loader calls once, in an executable.
#[unsafe(link_section = ".preinit_array")]
static BEFORE_LIBRARIES: extern "C" fn() = set_variables;

/// Sets Abseil's own level, which no variable reaches. Called before a client is made.
pub(super) fn quiet_abseil() {
    let level = std::env::var(LEVEL_VARIABLE.to_str().unwrap_or_default());
    xla::set_min_log_level(match level.as_deref() {
        Ok("0") => xla::TfLogLevel::Info,
        Ok("1") => xla::TfLogLevel::Warning,
        Ok("2") => xla::TfLogLevel::Error,
        _ => xla::TfLogLevel::Fatal,
    });
}
