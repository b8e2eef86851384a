//! Names of the native functions that programs call on the CPU. `kernels` writes the names into programs; `runtime`
//! registers the functions under them. The first operand of each is an `s64` array of sizes, followed by its arrays;
//! see the function's file in `runtime/host_kernels/`.

pub const EXCLUSIVE_SUM: &str = "parallax_exclusive_sum";
pub const LIVE_ROWS: &str = "parallax_live_rows";
pub const ARGSORT: &str = "parallax_argsort";
pub const ARGSORT_TOP: &str = "parallax_argsort_top";
pub const GROUP_ROWS: &str = "parallax_group_rows";
pub const BUILD_INDEX: &str = "parallax_build_index";
pub const PROBE_INDEX: &str = "parallax_probe_index";
pub const BUCKET_ROWS: &str = "parallax_bucket_rows";
pub const SLOT_ROWS: &str = "parallax_slot_rows";
pub const EXPAND: &str = "parallax_expand";
