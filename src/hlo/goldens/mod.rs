//! Whole programs: small kernels whose text is pinned, and programs that together use every operation.
//! `golden_programs` compiles and runs all of them.

pub(crate) mod coverage;
pub(crate) mod kernels;

use crate::hlo::error::HloError;
use crate::program::Program;

/// Returns every golden program. `custom_call` compiles only if a function is registered as
/// [`kernels::CUSTOM_CALL_TARGET`]. Names of programs that run on two replicas end in `_2_replicas`.
pub(crate) fn goldens() -> Vec<Program> {
    let programs: Result<Vec<Program>, HloError> =
        kernels::programs().into_iter().chain(coverage::programs()).collect();
    programs.expect("the goldens are well typed")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::hlo::goldens::goldens;
    use crate::hlo::operation::{BinaryOp, UnaryOp};

    #[test]
    fn the_same_calls_give_the_same_text() {
        assert_eq!(goldens(), goldens());
        let names: HashSet<String> = goldens().into_iter().map(|program| program.name).collect();
        assert_eq!(names.len(), goldens().len());
    }

    #[test]
    fn every_operation_is_in_a_golden() {
        #[rustfmt::skip]
        let others = [
            "parameter", "constant", "iota", "compare", "select", "clamp", "convert", "bitcast-convert", "broadcast",
            "reshape", "transpose", "slice", "concatenate", "pad", "reverse", "dynamic-slice", "dynamic-update-slice",
            "reduce", "reduce-window", "gather", "scatter", "sort", "while", "opt-barrier", "tuple", "get-tuple-element",
            "all-reduce", "all-gather", "all-to-all", "collective-permute", "replica-id", "custom-call",
        ];
        let text: String = goldens().into_iter().map(|program| program.text).collect();
        let elementwise = UnaryOp::ALL.iter().map(|op| op.name()).chain(BinaryOp::ALL.iter().map(|op| op.name()));
        for name in elementwise.chain(others) {
            assert!(text.contains(&format!(" {name}(")), "no golden has {name}");
        }
    }
}
