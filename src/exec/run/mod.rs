//! Compiles traced programs and runs them over chunks.

pub mod chunk_loop;
pub mod compaction;
pub mod engine;
pub mod few_rows;
pub mod materialize;
pub mod ordered;
