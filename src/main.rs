//! The `parallax` binary: arguments -> shell, script or tour. All of it is in the library.

use mimalloc::MiMalloc;
use parallax::{cli, runtime};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ! {
    runtime::use_one_heap();
    runtime::leave(cli::main(std::env::args_os()))
}
