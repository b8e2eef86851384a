//! Parquet files by column chunk, on all cores.

pub mod chunk;
pub mod load;
pub mod prune;
pub mod table;
