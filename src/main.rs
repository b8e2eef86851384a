//! The `parallax` binary: arguments -> shell, script or tour. All of it is in the library.

use std::process::ExitCode;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    parallax::cli::main(std::env::args_os())
}
