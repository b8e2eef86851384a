//! The layout of a table's rows on the devices: contiguous shards, each a list of chunks of equal capacity.
//!
//! ```text
//! rows 0 ........ 700k | 700k ........ 1.4M        two shards
//! [256k][256k][188k-- ]|[256k][256k][188k-- ]      chunks of capacity 2^18; -- is padding
//! ```

use std::ops::Range;

/// Minimum capacity of a chunk, in rows.
pub const MIN_CAPACITY: usize = 1024;

/// Chunk capacity on a CPU device, in rows. Temporaries stay in cache, and chunks run in parallel
/// (docs/architecture.md).
pub const CPU_CHUNK_ROWS: usize = 1 << 18;

/// Shards and chunks of one table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    pub rows: usize,
    /// Padded rows of each chunk, a power of two.
    pub capacity: usize,
    /// Row range of each chunk of each shard. All shards have the same number of chunks, at least one, so that devices
    /// run in step. Some chunks may be empty.
    pub shards: Vec<Vec<Range<usize>>>,
}

impl Layout {
    /// Splits `rows` over `n_shards` into chunks of at most `chunk_rows`, a power of two. A small table uses a smaller
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

    /// Splits `rows` over `n_shards` into chunks of `capacity`, so that chunk after chunk, over all shards, begins at the next
    /// multiple of `capacity`. The last shards may be empty.
    pub fn aligned(rows: usize, n_shards: usize, capacity: usize) -> Self {
        let per_shard = rows.div_ceil(capacity).div_ceil(n_shards.max(1)).max(1);
        let chunk = |number: usize| (number * capacity).min(rows)..((number + 1) * capacity).min(rows);
        let shard = |shard: usize| (shard * per_shard..(shard + 1) * per_shard).map(chunk).collect();
        Self { rows, capacity, shards: (0..n_shards.max(1)).map(shard).collect() }
    }

    /// Creates a layout of one chunk on one device, with `rows` live rows.
    pub fn single(rows: usize, capacity: usize) -> Self {
        Self { rows, capacity, shards: vec![vec![0..rows]] }
    }

    /// Returns the number of chunks in each shard.
    pub fn chunks_per_shard(&self) -> usize {
        self.shards[0].len()
    }
}

/// Returns the capacity for a whole array of `rows`: 1, 1.25, 1.5 or 1.75 times a power of two, so that tables of
/// similar size share programs.
pub fn capacity_bucket(rows: usize) -> usize {
    let rows = rows.max(MIN_CAPACITY);
    let quarter = (rows.next_power_of_two() / 8).max(1);
    rows.div_ceil(quarter) * quarter
}

#[cfg(test)]
mod tests {
    use crate::columnar::layout::{Layout, capacity_bucket};

    #[test]
    fn every_row_is_in_one_chunk_in_order() {
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
    fn aligned_chunks_begin_at_multiples_of_their_capacity() {
        let layout = Layout::aligned(5000, 3, 1024);
        let ranges: Vec<_> = layout.shards.iter().flatten().cloned().collect();
        assert_eq!(ranges, [0..1024, 1024..2048, 2048..3072, 3072..4096, 4096..5000, 5000..5000]);
        assert_eq!(Layout::aligned(0, 2, 1024).shards.concat(), [0..0, 0..0]);
    }

    #[test]
    fn whole_arrays_have_few_capacities() {
        assert_eq!([0, 1024, 1025, 1500, 2048].map(capacity_bucket), [1024, 1024, 1280, 1536, 2048]);
        assert_eq!(capacity_bucket(1_500_000), 1_572_864);
    }

    #[test]
    fn a_small_table_has_small_chunks() {
        assert_eq!(Layout::new(10, 1, 1 << 18).capacity, 1024);
        assert_eq!(Layout::new(6_001_215, 1, 1 << 18).chunks_per_shard(), 23);
    }
}
