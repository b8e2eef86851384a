//! What a session remembers between queries: data only.

pub mod accumulator_cache;
pub mod active_pipelines;
pub mod column_cache;
pub mod context;
pub mod costs;
pub mod history;
pub mod load_progress;
pub mod memory_mode;
pub mod selectivity;
pub mod work_estimate;
