//! Parallax inside a program's own DataFusion: its rules, its query planner, and host plans that go through both.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use insta::assert_snapshot;
use parallax::session::{SessionStateBuilderExt, fallbacks};

/// DataFusion's default rules are all there, in order, and Parallax's two in their places. A version of DataFusion that renames or moves a
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
    let own = ["PlaceOnDevice", "ExplainFallback"];
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
