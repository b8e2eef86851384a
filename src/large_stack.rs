//! Threads with stacks large enough for statements that nest deeply: planning, running and dropping them recurse once a level.

use std::io;
use std::sync::OnceLock;

use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use tokio::runtime::{Builder, Runtime};

use crate::cores::cores;

/// Stack of the threads. It is address space; memory is taken as far as it is used.
pub const STACK: usize = 512 << 20;

/// Runs `work` on a stack of so many bytes at least.
pub fn run<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(bytes, 2 * bytes, work)
}

/// Runs a task on the threads with large stacks, whatever thread waits for it. Dropping the future cancels the task.
///
/// # Errors
/// Those of the task, and of the system if the threads cannot be started.
pub async fn spawn<T: Send + 'static>(task: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let task = {
        let _here = runtime()?.enter();
        SpawnedTask::spawn(task)
    };
    task.join().await.map_err(|error| DataFusionError::Execution(format!("the statement failed: {error}")))?
}

/// The runtime of these threads. It starts at first use and stays.
fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();
    let start = || {
        Builder::new_multi_thread()
            .worker_threads(cores())
            .thread_name("parallax-deep")
            .thread_stack_size(STACK)
            .enable_all()
            .build()
    };
    RUNTIME
        .get_or_init(start)
        .as_ref()
        .map_err(|error| DataFusionError::Execution(format!("cannot start threads for a deep statement: {error}")))
}
