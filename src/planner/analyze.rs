//! `CountRowsOfAnalyze`: a query planner that plans as the one it wraps, and turns on `xla.count_rows` for the query
//! under EXPLAIN ANALYZE. Optimizer rules do not see that node: DataFusion puts it above the optimised plan.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};

use crate::config::XlaOptions;

#[derive(Debug)]
pub struct CountRowsOfAnalyze {
    inner: Option<Arc<dyn QueryPlanner + Send + Sync>>,
}

impl CountRowsOfAnalyze {
    /// Wraps `inner`, or DataFusion's own planner.
    pub fn new(inner: Option<Arc<dyn QueryPlanner + Send + Sync>>) -> Self {
        Self { inner }
    }

    async fn plan(&self, logical: &LogicalPlan, state: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        match &self.inner {
            Some(inner) => inner.create_physical_plan(logical, state).await,
            None => DefaultPhysicalPlanner::default().create_physical_plan(logical, state).await,
        }
    }
}

#[async_trait]
impl QueryPlanner for CountRowsOfAnalyze {
    async fn create_physical_plan(&self, logical: &LogicalPlan, state: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let analyzed = matches!(logical, LogicalPlan::Analyze(_));
        let Some(mut counting) = state.as_any().downcast_ref::<SessionState>().filter(|_| analyzed).cloned() else {
            return self.plan(logical, state).await;
        };
        if let Some(options) = counting.config_mut().options_mut().extensions.get_mut::<XlaOptions>() {
            options.count_rows = true;
        }
        self.plan(logical, &counting).await
    }
}
