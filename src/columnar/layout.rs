//! How the rows of a table lie on the devices: contiguous shards, each a list of chunks of one capacity.
//!
//! ```text
//! rows 0 ........ 700k | 700k ........ 1.4M        two shards
//! [256k][256k][188k-- ]|[256k][256k][188k-- ]      chunks of capacity 2^18; -- is padding
//! ```

use std::ops::Range;

/// Least capacity of a chunk.
pub const MIN_CAPACITY: usize = 1024;

/// Chunk capacity on a CPU device: temporaries stay in cache, and chunks are the parallelism (docs/architecture.md).
pub const CPU_CHUNK_ROWS: usize = 1 << 18;

/// Shards and chunks of one table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    pub rows: usize,
    /// Padded rows of each chunk, a power of two.
    pub capacity: usize,
    /// Row range of each chunk of each shard. Every shard has at least one chunk, empty if need be, and all shards
    /// have equally many, so that devices step together.
    pub shards: Vec<Vec<Range<usize>>>,
}

impl Layout {
    /// Splits `rows` over `n_shards` in chunks of at most `chunk_rows` (a power of two); a small table uses a smaller
    /// power of two.
    pub fn new(rows: usize, n_shards: usize, chunk_rows: usize) -> Self {
        let shard_rows = rows.div_ceil(n_shards.max(1));
        let capacity = shard_rows.next_power_of_two().clamp(MIN_CAPACITY, chunk_rows.max(MIN_CAPACITY));
        let n_chunks = shard_rows.div_ceil(capacity).max(1);
        let shards = (0..n_shards.max(1))
            .map(|shard| {
                let end = ((shard + 1) * shard_rows).min(rows);
                let start = (shard * shard_rows).min(end);
                (0..n_chunks)
                    .map(|chunk| (start + chunk * capacity).min(end)..(start + (chunk + 1) * capacity).min(end))
                    .collect()
            })
            .collect();
        Self { rows, capacity, shards }
    }

    /// One chunk on one device, of which the first `rows` are live.
    pub fn single(rows: usize, capacity: usize) -> Self {
        Self { rows, capacity, shards: vec![vec![0..rows]] }
    }

    pub fn chunks_per_shard(&self) -> usize {
        self.shards[0].len()
    }
}

/// Capacity of a whole array of `rows`: 1, 1.25, 1.5 or 1.75 times a power of two, so that tables of similar size share programs.
pub fn capacity_bucket(rows: usize) -> usize {
    let rows = rows.max(MIN_CAPACITY);
    let quarter = (rows.next_power_of_two() / 8).max(1);
    rows.div_ceil(quarter) * quarter
}

#[cfg(test)]
mod tests {
    use crate::columnar::layout::{Layout, capacity_bucket};

    #[test]
    fn every_row_lies_in_one_chunk_in_order() {
        for (rows, shards, chunk) in [(0, 1, 1024), (1, 2, 1024), (5000, 2, 1024), (4097, 3, 1024), (2048, 1, 4096)] {
            let layout = Layout::new(rows, shards, chunk);
            let ranges: Vec<_> = layout.shards.iter().flatten().cloned().collect();
            let covered: Vec<usize> = ranges.iter().flat_map(|r| r.clone()).collect();
            assert_eq!(covered, (0..rows).collect::<Vec<_>>());
            assert!(ranges.iter().all(|r| r.len() <= layout.capacity));
            assert!(layout.shards.iter().all(|s| s.len() == layout.chunks_per_shard()));
        }
    }

    #[test]
    fn whole_arrays_have_few_sizes() {
        assert_eq!([0, 1024, 1025, 1500, 2048].map(capacity_bucket), [1024, 1024, 1280, 1536, 2048]);
        assert_eq!(capacity_bucket(1_500_000), 1_572_864);
    }

    #[test]
    fn a_small_table_has_a_small_chunk() {
        assert_eq!(Layout::new(10, 1, 1 << 18).capacity, 1024);
        assert_eq!(Layout::new(6_001_215, 1, 1 << 18).chunks_per_shard(), 23);
    }
}
