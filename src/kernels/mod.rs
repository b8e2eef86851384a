//! Relational algorithms in HLO. A kernel takes and returns `hlo` values of one chunk and knows nothing about
//! DataFusion, Arrow or devices. NULLs and SQL types are handled in `expr` and `exec`.
//!
//! Some kernels have two lowerings with equal results; see [`Lowering`].

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
pub mod wide_average;

/// The form in which a kernel is written into a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lowering {
    /// A call of a Rust function, available only on the CPU.
    Native,
    /// Pure HLO, for any device. Sorts have the form that XLA:GPU turns into a radix sort.
    Portable,
}
