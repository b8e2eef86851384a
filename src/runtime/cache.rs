//! LRU cache of compiled programs, keyed by program text and replica count.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Result;
use crate::program::{Program, Shape};
use crate::runtime::Executable;

/// Maximum number of cached programs. XLA:CPU maps the code of each in about a dozen pieces, and Linux allows a process
/// 65,530 mappings (`vm.max_map_count`). Beyond that, `mmap` fails in any thread.
const MAX_PROGRAMS: usize = 1024;

/// How [`Runtime::compile`](crate::runtime::Runtime::compile) obtained a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheOutcome {
    /// The program was in the cache.
    pub hit: bool,
    /// Time spent compiling; zero for a hit.
    pub compile_time: Duration,
}

/// Statistics of one cached program, for `SHOW PROGRAMS`.
#[derive(Clone, Debug)]
pub struct ProgramStats {
    /// Module name.
    pub name: String,
    /// Hash of the text. The same text has the same hash in every run of one build.
    pub text_hash: u64,
    /// Shapes of the entry parameters.
    pub parameters: Vec<Shape>,
    /// Number of devices that run the program together.
    pub n_replicas: usize,
    /// Time spent compiling it.
    pub compile_time: Duration,
    /// Number of cache hits.
    pub hits: u64,
}

/// The executables of one runtime. The runtime fixes device kind and XLA version, so text and replica count make up the
/// key.
pub(super) struct ProgramCache<E = Executable> {
    capacity: usize,
    slots: Mutex<Slots<E>>,
}

struct Slots<E> {
    by_key: HashMap<Key, Arc<Slot<E>>>,
    /// Number of requests so far.
    clock: u64,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    text: String,
    n_replicas: usize,
}

struct Slot<E> {
    name: String,
    text_hash: u64,
    parameters: Vec<Shape>,
    n_replicas: usize,
    hits: AtomicU64,
    /// The first and the last request for this program, as values of `Slots::clock`.
    first_used: u64,
    last_used: AtomicU64,
    /// Locked during compilation, so that concurrent requests wait. Empty after a failure, so that the next request
    /// retries.
    compiled: Mutex<Option<(Arc<E>, Duration)>>,
}

impl<E> Default for ProgramCache<E> {
    fn default() -> Self {
        Self::new(MAX_PROGRAMS)
    }
}

impl<E> ProgramCache<E> {
    fn new(capacity: usize) -> Self {
        Self { capacity, slots: Mutex::new(Slots { by_key: HashMap::new(), clock: 0 }) }
    }

    /// Returns the cached program, or caches what `compile` returns: the executable and the time spent compiling.
    pub(super) fn get_or_compile(
        &self,
        program: &Program,
        n_replicas: usize,
        compile: impl FnOnce() -> Result<(E, Duration)>,
    ) -> Result<(Arc<E>, CacheOutcome)> {
        let slot = self.slot(program, n_replicas);
        let mut compiled = lock(&slot.compiled);
        if let Some((executable, _)) = &*compiled {
            slot.hits.fetch_add(1, Ordering::Relaxed);
            return Ok((Arc::clone(executable), CacheOutcome { hit: true, compile_time: Duration::ZERO }));
        }
        let (executable, compile_time) = compile()?;
        let executable = Arc::new(executable);
        *compiled = Some((Arc::clone(&executable), compile_time));
        Ok((executable, CacheOutcome { hit: false, compile_time }))
    }

    fn slot(&self, program: &Program, n_replicas: usize) -> Arc<Slot<E>> {
        let key = Key { text: program.text.clone(), n_replicas };
        let mut slots = lock(&self.slots);
        slots.clock += 1;
        if let Some(slot) = slots.by_key.get(&key) {
            slot.last_used.store(slots.clock, Ordering::Relaxed);
            return Arc::clone(slot);
        }
        if slots.by_key.len() >= self.capacity {
            // Executions in flight hold their own `Arc` of the evicted program.
            let oldest = slots.by_key.values().map(|slot| slot.last_used.load(Ordering::Relaxed)).min();
            slots.by_key.retain(|_, slot| Some(slot.last_used.load(Ordering::Relaxed)) != oldest);
        }
        let mut hasher = DefaultHasher::new();
        program.text.hash(&mut hasher);
        let slot = Arc::new(Slot {
            name: program.name.clone(),
            text_hash: hasher.finish(),
            parameters: program.parameters.clone(),
            n_replicas,
            hits: AtomicU64::new(0),
            first_used: slots.clock,
            last_used: AtomicU64::new(slots.clock),
            compiled: Mutex::new(None),
        });
        slots.by_key.insert(key, Arc::clone(&slot));
        slot
    }

    /// Returns the cached programs in the order in which they were first requested. Waits for compilations in progress.
    pub(super) fn stats(&self) -> Vec<ProgramStats> {
        let mut slots: Vec<_> = lock(&self.slots).by_key.values().cloned().collect();
        slots.sort_unstable_by_key(|slot| slot.first_used);
        let stats = slots.iter().filter_map(|slot| {
            let compile_time = lock(&slot.compiled).as_ref()?.1;
            Some(ProgramStats {
                name: slot.name.clone(),
                text_hash: slot.text_hash,
                parameters: slot.parameters.clone(),
                n_replicas: slot.n_replicas,
                compile_time,
                hits: slot.hits.load(Ordering::Relaxed),
            })
        });
        stats.collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use crate::error::Error;
    use crate::program::Program;
    use crate::runtime::cache::ProgramCache;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    fn program(text: &str) -> Program {
        Program { name: "p".into(), text: text.into(), parameters: vec![], outputs: vec![], aliases: vec![] }
    }

    #[test]
    fn concurrent_requests_compile_once() {
        let (cache, compiles) = (ProgramCache::default(), AtomicU64::new(0));
        let outcomes = std::thread::scope(|scope| {
            let request = || {
                let compile = || {
                    compiles.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(20));
                    Ok(((), Duration::from_millis(20)))
                };
                cache.get_or_compile(&program("a"), 1, compile).unwrap().1.hit
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(request)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(compiles.into_inner(), 1);
        assert_eq!(outcomes.iter().filter(|&&hit| hit).count(), 3);
        assert_eq!(cache.stats()[0].hits, 3);
    }

    #[test]
    fn the_key_is_text_and_replicas() {
        let cache = ProgramCache::default();
        let hit = |text, n| cache.get_or_compile(&program(text), n, || Ok(((), Duration::ZERO))).unwrap().1.hit;
        assert_eq!([hit("a", 1), hit("b", 1), hit("a", 2), hit("a", 1)], [false, false, false, true]);
        assert_eq!(cache.stats().len(), 3);
    }

    #[test]
    fn the_least_recently_used_program_is_evicted() {
        let cache = ProgramCache::new(2);
        let hit = |text| cache.get_or_compile(&program(text), 1, || Ok(((), Duration::ZERO))).unwrap().1.hit;
        assert_eq!([hit("a"), hit("b"), hit("a"), hit("c")], [false, false, true, false]);
        assert_eq!(cache.stats().len(), 2);
        assert_eq!([hit("a"), hit("b")], [true, false]);
    }

    #[test]
    fn a_failure_is_not_cached() {
        let cache = ProgramCache::<()>::default();
        let failure = cache.get_or_compile(&program("a"), 1, || Err(Error::Unsupported("no".into())));
        assert_eq!(failure.unwrap_err().to_string(), "no");
        assert!(cache.stats().is_empty());
        assert!(!cache.get_or_compile(&program("a"), 1, || Ok(((), Duration::ZERO))).unwrap().1.hit);
    }
}
