//! Which operators answer a query while its programs are not compiled yet (`xla.tiered`, under `auto`). The first time a pipeline
//! is met the host operators that it replaces answer, and when they are done it runs in the background: its programs are
//! compiled, its tables uploaded, its time measured. From then on whichever was faster answers.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datafusion::physical_plan::{ExecutionPlan, displayable};
use tokio::sync::Semaphore;

use crate::config::XlaOptions;
use crate::exec::column_use::leaf_columns;
use crate::exec::host_to_device::HostToDeviceExec;
use crate::exec::table_source::TableSource;

/// Pipelines that are remembered; all are forgotten when there are more.
const MOST_PIPELINES: usize = 4096;

/// What is known of a pipeline.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Time of the host operators, from start to end.
    host: Option<Duration>,
    /// Time of the device with its programs compiled.
    device: Option<Duration>,
    /// It failed in the background; when it is asked for, it shall say why.
    failed: bool,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tier {
    Device,
    /// The host operators, and why.
    Host(String),
}

/// What a session knows of its pipelines.
pub struct Tiers {
    known: Mutex<HashMap<u64, Known>>,
    /// Held by the pipeline that is run in the background; one at a time.
    pub background: Semaphore,
    host_answers: AtomicUsize,
}

impl Default for Tiers {
    fn default() -> Self {
        Self { known: Mutex::default(), background: Semaphore::new(1), host_answers: AtomicUsize::new(0) }
    }
}

/// The right and duty to run a new pipeline in the background; if it is dropped before, the pipeline is new again.
pub struct Claim {
    tiers: Arc<Tiers>,
    pipeline: u64,
    kept: bool,
}

impl Tiers {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who answers now, and for a new pipeline the claim to run it in the background.
    pub fn choose(self: &Arc<Self>, pipeline: u64) -> (Tier, Option<Claim>) {
        let mut known = self.lock();
        if known.len() >= MOST_PIPELINES {
            known.clear();
        }
        let (tier, claim) = match known.get(&pipeline) {
            None => {
                known.insert(pipeline, Known::default());
                let claim = Claim { tiers: Arc::clone(self), pipeline, kept: false };
                (Tier::Host("its programs are compiled next, in the background".to_string()), Some(claim))
            }
            Some(Known { failed: true, .. }) => (Tier::Device, None),
            Some(Known { device: None, .. }) => {
                (Tier::Host("its programs are being compiled in the background".to_string()), None)
            }
            Some(Known { device: Some(device), host: Some(host), .. }) if host < device => {
                (Tier::Host(format!("it took {host:.1?} there and {device:.1?} on the device")), None)
            }
            Some(_) => (Tier::Device, None),
        };
        if tier != Tier::Device {
            self.host_answers.fetch_add(1, Ordering::Relaxed);
        }
        (tier, claim)
    }

    /// Remembers the time of a full run of the host operators: the best so far.
    pub fn host_took(&self, pipeline: u64, time: Duration) {
        if let Some(known) = self.lock().get_mut(&pipeline) {
            known.host = Some(known.host.map_or(time, |before| before.min(time)));
        }
    }

    /// Pipelines that the host operators have answered so far because of `xla.tiered`.
    pub fn host_answers(&self) -> usize {
        self.host_answers.load(Ordering::Relaxed)
    }
}

impl Claim {
    /// The pipeline is warm: with its programs compiled it takes `time`; or `None`, it failed.
    pub fn settle(mut self, time: Option<Duration>) {
        self.kept = true;
        if let Some(known) = self.tiers.lock().get_mut(&self.pipeline) {
            known.device = time;
            known.failed = time.is_none();
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.kept {
            self.tiers.lock().remove(&self.pipeline);
        }
    }
}

/// What a pipeline is known by: its operators, whatever numbers stand in them, and the magnitude of its tables, because
/// both decide its programs.
pub fn fingerprint(plan: &Arc<dyn ExecutionPlan>, options: &XlaOptions) -> u64 {
    let mut hasher = DefaultHasher::new();
    let text = displayable(plan.as_ref()).indent(false).to_string();
    let mut in_number = false;
    for c in text.chars() {
        let digit = c.is_ascii_digit();
        if !digit {
            c.hash(&mut hasher);
        } else if !in_number {
            '#'.hash(&mut hasher);
        }
        in_number = digit;
    }
    for (leaf, _) in leaf_columns(plan) {
        let source = leaf.downcast_ref::<HostToDeviceExec>().and_then(|leaf| TableSource::of(&leaf.input));
        source.map_or(0, |source| source.magnitude().next_power_of_two()).hash(&mut hasher);
    }
    format!("{options:?}").hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::exec::tier::{Tier, Tiers};

    #[test]
    fn the_host_answers_until_the_device_is_warm_and_then_the_faster() {
        let tiers = Arc::new(Tiers::default());
        let (first, claim) = tiers.choose(1);
        assert!(matches!(first, Tier::Host(why) if why.contains("next")));
        tiers.host_took(1, Duration::from_millis(5));
        assert!(matches!(tiers.choose(1), (Tier::Host(why), None) if why.contains("being compiled")));
        claim.unwrap().settle(Some(Duration::from_millis(4)));
        assert_eq!(tiers.choose(1).0, Tier::Device);
        tiers.host_took(1, Duration::from_millis(3));
        assert_eq!(tiers.choose(1).0, Tier::Host("it took 3.0ms there and 4.0ms on the device".to_string()));
        assert_eq!(tiers.host_answers(), 3);
    }

    #[test]
    fn what_failed_is_asked_and_what_was_given_up_is_new() {
        let tiers = Arc::new(Tiers::default());
        tiers.choose(1).1.unwrap().settle(None);
        assert_eq!(tiers.choose(1).0, Tier::Device);
        drop(tiers.choose(2).1);
        assert!(tiers.choose(2).1.is_some());
    }
}
