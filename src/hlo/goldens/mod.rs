//! Whole programs: small kernels whose text is pinned, and programs that together use every operation. A test with a
//! device compiles and runs all of them.

pub(crate) mod coverage;
pub(crate) mod kernels;

use crate::hlo::error::HloError;
use crate::program::Program;

/// Every program below. `custom_call` wants a function registered under [`kernels::CUSTOM_CALL_TARGET`]; the names of
/// those that run on two replicas end with `_2_replicas`.
pub(crate) fn goldens() -> Vec<Program> {
    let programs: Result<Vec<Program>, HloError> =
        kernels::programs().into_iter().chain(coverage::programs()).collect();
    programs.expect("the goldens are well typed")
}
