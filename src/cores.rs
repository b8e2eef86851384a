//! How many threads run at a time on this machine.

use std::sync::LazyLock;

/// The number of threads that run at a time: of cores, as far as the process may use them. The system is asked once,
/// because it reads files to answer.
pub fn cores() -> usize {
    static CORES: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, |n| n.get()));
    *CORES
}
