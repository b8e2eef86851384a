//! Parallax inside a program's own DataFusion: its rules, its query planner, and host plans that go through both.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::common::ScalarValue;
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, ColumnarValue, Volatility, create_udaf, create_udf};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use insta::assert_snapshot;
use parallax::session::{SessionStateBuilderExt, fallbacks};

use crate::Db;

/// DataFusion's default rules are all there, in order, and Parallax's three in their places. A version of DataFusion that renames or moves a
/// rule fails here.
#[test]
fn the_rules_of_datafusion_are_all_there_in_order() {
    let state = SessionStateBuilder::new().with_default_features().with_parallax().unwrap().build();
    let names: Vec<_> = state.physical_optimizers().iter().map(|rule| rule.name()).collect();
    assert_snapshot!(names.join("\n"), @r"
    OutputRequirements
    aggregate_statistics
    join_selection
    LimitedDistinctAggregation
    FilterPushdown
    WindowTopN
    BalanceFilters
    PlaceOnDevice
    EnsureRequirements
    CombinePartialFinalAggregate
    OptimizeAggregateOrder
    ProjectionPushdown
    OutputRequirements
    LimitAggregation
    LimitPushPastWindows
    HashJoinBuffering
    LimitPushdown
    TopKRepartition
    ProjectionPushdown
    PushdownSort
    EnsureCooperative
    FilterPushdown(Post)
    SanityCheckPlan
    ExplainFallback
    ");
    let own = ["BalanceFilters", "PlaceOnDevice", "ExplainFallback"];
    let rest: Vec<_> = names.into_iter().filter(|name| !own.contains(name)).map(str::to_string).collect();
    let default: Vec<_> = PhysicalOptimizer::new().rules.iter().map(|rule| rule.name().to_string()).collect();
    assert_eq!(rest, default);
}

#[test]
fn a_session_without_the_rule_that_placement_precedes_is_refused() {
    let rules = PhysicalOptimizer::new().rules.into_iter().filter(|rule| rule.name() != "EnsureRequirements");
    let builder = SessionStateBuilder::new().with_default_features();
    let error = builder.with_physical_optimizer_rules(rules.collect()).with_parallax().err().unwrap().to_string();
    assert!(error.contains("EnsureRequirements, which this session does not have"), "{error}");
}

/// Counts the plans that it sees.
#[derive(Debug)]
struct CountPlans(Arc<AtomicUsize>);

impl PhysicalOptimizerRule for CountPlans {
    fn name(&self) -> &str {
        "CountPlans"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        // The plan of a pipeline's host operators has no boundary.
        let is_host_plan = !format!("{plan:?}").contains("DeviceToHostExec");
        self.0.fetch_add(usize::from(is_host_plan), Ordering::Relaxed);
        Ok(plan)
    }
}

/// A rule that the program adds after Parallax applies to the host plan that a pipeline keeps, too, and so does the absence of one.
#[test]
fn a_host_plan_goes_through_the_rules_of_its_session() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let builder = SessionStateBuilder::new().with_default_features().with_parallax().unwrap();
    let state = builder.with_physical_optimizer_rule(Arc::new(CountPlans(Arc::clone(&seen)))).build();
    let context = SessionContext::new_with_state(state);
    tokio.block_on(async {
        context.sql("CREATE TABLE t(a INT) AS VALUES (1), (2), (3)").await.unwrap().collect().await.unwrap();
        seen.store(0, Ordering::Relaxed);
        // So few rows are the host's under `auto`.
        let rows = context.sql("SELECT sum(a) FROM t WHERE a > 1").await.unwrap().collect().await.unwrap();
        assert!(pretty_format_batches(&rows).unwrap().to_string().contains("| 5 "));
    });
    assert_eq!(seen.load(Ordering::Relaxed), 1);
}

#[test]
fn fallbacks_of_a_plan_are_data() {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let state = SessionStateBuilder::new().with_default_features().with_parallax().unwrap().build();
    let context = SessionContext::new_with_state(state);
    let plan = tokio.block_on(async {
        context.sql("CREATE TABLE t(a INT) AS VALUES (1), (2)").await.unwrap().collect().await.unwrap();
        let frame = context.sql("SELECT array_agg(a) FROM t").await.unwrap();
        frame.create_physical_plan().await.unwrap()
    });
    let found = fallbacks(&plan);
    assert!(!found.is_empty());
    for fallback in found {
        assert_eq!((fallback.node.as_str(), fallback.reason.kind()), ("AggregateExec", "aggregate"));
        assert_eq!(fallback.expression(), Some("array_agg(t.a)"));
    }
}

/// Sums up to 42, whatever the rows.
#[derive(Debug)]
struct FortyTwo;

impl Accumulator for FortyTwo {
    fn update_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::from(42.0))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::from(42.0)])
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        Ok(())
    }
}

/// A program's own function keeps its meaning, also under the name of one that Parallax knows.
#[test]
fn functions_of_the_program_are_not_taken_for_datafusions() {
    let float = DataType::Float64;
    let forty_two = |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::from(42.0)));
    let scalar = create_udf("atanh", vec![float.clone()], float.clone(), Volatility::Immutable, Arc::new(forty_two));
    for name in ["avg", "stddev", "sum"] {
        let state = Arc::new(vec![float.clone()]);
        let accumulator = Arc::new(|_: AccumulatorArgs| Ok(Box::new(FortyTwo) as Box<dyn Accumulator>));
        let aggregate =
            create_udaf(name, vec![float.clone()], Arc::new(float.clone()), Volatility::Immutable, accumulator, state);
        for placement in ["never", "auto"] {
            let db = Db::new(&[("xla.placement", placement)]);
            db.session.context().register_udaf(aggregate.clone());
            db.session.context().register_udf(scalar.clone());
            db.run("CREATE TABLE t(x DOUBLE) AS VALUES (0.5), (0.25)");
            assert_eq!(db.rows(&format!("SELECT {name}(x) FROM t")), ["42.0"], "{placement}");
            assert_eq!(db.rows("SELECT atanh(x) FROM t"), ["42.0", "42.0"], "{placement}");
        }
    }
}
