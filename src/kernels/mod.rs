//! Relational algorithms written in HLO. A kernel takes and returns `hlo` values of one chunk and knows nothing of
//! DataFusion, Arrow or devices; NULLs and types are the business of `expr` and `exec`.
//!
//! Some have two lowerings, which give equal results: [`Lowering`].

pub mod bucket_rows;
pub mod compact;
pub mod dense_group;
pub mod expand;
pub mod group;
pub mod key_index;
mod key_words;
mod native;
pub mod order_key;
pub mod radix_sort;
pub mod reduce;
pub mod scan;
pub mod slot_rows;
pub mod wide;

/// How a kernel is written into a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lowering {
    /// A call of a Rust function, which only the CPU has.
    Native,
    /// Pure HLO, for any device. Sorts keep to the form that XLA:GPU turns into a radix sort.
    Portable,
}
