//! Counts the pipelines that run in this process: calibration waits until there are none.

use std::sync::atomic::{AtomicUsize, Ordering};

static STARTED: AtomicUsize = AtomicUsize::new(0);
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Held while a pipeline runs.
#[derive(Debug)]
pub struct ActivePipeline(());

impl ActivePipeline {
    pub fn begin() -> Self {
        STARTED.fetch_add(1, Ordering::Relaxed);
        COUNT.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for ActivePipeline {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Pipelines that have begun so far.
pub fn started() -> usize {
    STARTED.load(Ordering::Relaxed)
}

/// Pipelines that run now.
pub fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}
