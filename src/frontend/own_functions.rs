//! Which functions are DataFusion's own, and not ones that a program has registered under the same names.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

/// Whether this is DataFusion's scalar function of its name.
pub fn is_own_scalar(function: &ScalarUDF) -> bool {
    static OWN: OnceLock<HashMap<String, Arc<ScalarUDF>>> = OnceLock::new();
    let own = OWN.get_or_init(|| {
        datafusion::functions::all_default_functions().into_iter().map(|f| (f.name().to_string(), f)).collect()
    });
    // The functions of this name hold the session's time zone, so they are not equal to the default ones.
    let configured = function.name().starts_with("to_timestamp");
    own.get(function.name()).is_some_and(|known| configured || **known == *function)
}

/// Whether this is DataFusion's aggregate function of its name. Those that a plan has set up, say for ordered input, are of the
/// same type, but not equal.
pub fn is_own_aggregate(function: &AggregateUDF) -> bool {
    static OWN: OnceLock<HashMap<String, TypeId>> = OnceLock::new();
    let type_of = |function: &AggregateUDF| (function.inner().as_ref() as &dyn Any).type_id();
    let own = OWN.get_or_init(|| {
        let functions = datafusion::functions_aggregate::all_default_aggregate_functions();
        functions.into_iter().map(|f| (f.name().to_string(), type_of(&f))).collect()
    });
    own.get(function.name()) == Some(&type_of(function))
}
