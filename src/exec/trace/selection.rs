//! Selection vectors: the rows of each chunk that the following programs work on.

use crate::runtime::Buffer;

/// Selected rows of each chunk.
pub struct Selection {
    /// `[shard][chunk]`, s32[ids]: selected rows of the table's chunk first.
    pub row_ids: Vec<Vec<Buffer>>,
    /// Length of these arrays.
    pub ids: usize,
    /// `[shard][chunk]`: selected rows.
    pub counts: Vec<Vec<usize>>,
    /// Rows that programs over the selection work on; no chunk has more selected.
    pub capacity: usize,
    /// Steps of the relation whose rows were counted during the selection.
    pub counted_steps: usize,
}
