//! `SessionPlanner`: a query planner that plans as the one it wraps, and adds what optimizer rules do not see of the session. It turns on
//! `xla.count_rows` for the query under EXPLAIN ANALYZE, a node that DataFusion puts above the optimised plan; and it gives the host plans
//! that pipelines keep the session's own optimizer rules, as they are when the query is planned. The last rules of the frontend apply here.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};

use crate::config::XlaOptions;
use crate::exec::boundary::device_to_host::DeviceToHostExec;
use crate::exec::boundary::host_plan::HostRules;
use crate::frontend;
use crate::planner::explain_fallback::ExplainFallback;
use crate::planner::place_on_device::PlaceOnDevice;

#[derive(Debug)]
pub struct SessionPlanner {
    inner: Option<Arc<dyn QueryPlanner + Send + Sync>>,
}

impl SessionPlanner {
    /// Wraps `inner`, or DataFusion's own planner.
    pub fn new(inner: Option<Arc<dyn QueryPlanner + Send + Sync>>) -> Self {
        Self { inner }
    }

    async fn plan(&self, logical: &LogicalPlan, state: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let logical = &frontend::last_rules(logical.clone(), state.config_options())?;
        let planned = match &self.inner {
            Some(inner) => inner.create_physical_plan(logical, state).await,
            None => DefaultPhysicalPlanner::default().create_physical_plan(logical, state).await,
        };
        planned.map_err(|error| match error {
            // The name of the rule says nothing to who wrote the query.
            DataFusionError::Context(rule, refusal) if rule == PlaceOnDevice::NAME => *refusal,
            other => other,
        })
    }
}

#[async_trait]
impl QueryPlanner for SessionPlanner {
    async fn create_physical_plan(&self, logical: &LogicalPlan, state: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(session) = state.as_any().downcast_ref::<SessionState>() else {
            return self.plan(logical, state).await;
        };
        frontend::check_sources(logical, state).await?;
        let rules = rules_after_placement(session.physical_optimizers());
        let counting = matches!(logical, LogicalPlan::Analyze(_)).then(|| counting(session));
        let session = counting.as_ref().unwrap_or(session);
        let plan = match self.plan(logical, session).await {
            Ok(plan) => plan,
            Err(error) => match frontend::to_plan_again(&error, session) {
                Some(session) => self.plan(logical, &session).await?,
                None => return Err(error),
            },
        };
        with_rules(plan, &rules)
    }
}

/// The session, whose queries count rows.
fn counting(session: &SessionState) -> SessionState {
    let mut counting = session.clone();
    if let Some(options) = counting.config_mut().options_mut().extensions.get_mut::<XlaOptions>() {
        options.count_rows = true;
    }
    counting
}

/// The rules that a host plan still has to go through when placement has kept it.
pub fn rules_after_placement(rules: &[Arc<dyn PhysicalOptimizerRule + Send + Sync>]) -> HostRules {
    let after = rules.iter().skip_while(|rule| rule.name() != PlaceOnDevice::NAME).skip(1);
    HostRules::new(after.filter(|rule| rule.name() != ExplainFallback::NAME).cloned())
}

/// The plan, whose pipelines finish their host plans by `rules`.
fn with_rules(plan: Arc<dyn ExecutionPlan>, rules: &HostRules) -> Result<Arc<dyn ExecutionPlan>> {
    let set = |node: Arc<dyn ExecutionPlan>| {
        Ok(match node.downcast_ref::<DeviceToHostExec>() {
            Some(boundary) => Transformed::yes(Arc::new(boundary.with_rules(rules.clone())) as _),
            None => Transformed::no(node),
        })
    };
    plan.transform_up(set).data()
}
