//! Relational algorithms written in HLO. A kernel takes and returns `hlo` values of one chunk and knows nothing of
//! DataFusion, Arrow or devices; NULLs and types are the business of `expr` and `exec`.

pub mod dense_group;
pub mod order_key;
pub mod reduce;
pub mod small_sort;
pub mod wide;
