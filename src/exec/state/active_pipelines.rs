//! Pipelines under way in the process, so that what can wait (the calibration) waits until there are none.

use std::sync::atomic::{AtomicUsize, Ordering};

static BEGUN: AtomicUsize = AtomicUsize::new(0);
static NOW: AtomicUsize = AtomicUsize::new(0);

/// Held while a pipeline runs.
#[derive(Debug)]
pub struct UnderWay(());

impl UnderWay {
    pub fn begin() -> Self {
        BEGUN.fetch_add(1, Ordering::Relaxed);
        NOW.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        NOW.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Pipelines that have begun so far.
pub fn begun() -> usize {
    BEGUN.load(Ordering::Relaxed)
}

/// Pipelines that run now.
pub fn now() -> usize {
    NOW.load(Ordering::Relaxed)
}
