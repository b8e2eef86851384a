//! Physical plans of repeated queries: planning takes DataFusion 3 to 9 ms, a warm query on the device less.
//!
//! A plan is used again only while nothing that it depends on has changed: the very options, the very table providers,
//! and the rows in them. Queries with functions whose value is not fixed by their arguments (`now()`, `random()`) are
//! never kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::common::TableReference;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::datasource::{MemTable, TableProvider};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::prelude::SessionContext;

/// Plans that are kept; the oldest half goes when there are more.
const MAX_PLANS: usize = 256;

#[derive(Default)]
pub struct PlanCache {
    plans: Mutex<HashMap<String, CachedPlan>>,
}

struct CachedPlan {
    plan: Arc<dyn ExecutionPlan>,
    /// Held so that a change of any option makes a new object.
    options: Arc<ConfigOptions>,
    tables: Vec<(TableReference, TableVersion)>,
}

/// A table and its contents, as far as a plan depends on them.
struct TableVersion {
    provider: Arc<dyn TableProvider>,
    /// Addresses of the batches of an in-memory table.
    batches: Vec<usize>,
}

impl TableVersion {
    /// `None` for tables whose contents can change unseen: their plans are not kept.
    async fn of(provider: Arc<dyn TableProvider>) -> Option<Self> {
        let table = provider.downcast_ref::<MemTable>()?;
        let mut batches = Vec::new();
        for partition in &table.batches {
            for batch in partition.read().await.iter() {
                batches.push(match batch.columns().first() {
                    Some(column) => Arc::as_ptr(column) as *const () as usize,
                    None => batch.num_rows(),
                });
            }
            batches.push(usize::MAX);
        }
        Some(Self { provider, batches })
    }

    fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.provider, &other.provider) && self.batches == other.batches
    }
}

impl PlanCache {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, CachedPlan>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The plan of `sql`, if it was planned before and nothing has changed since.
    pub async fn get(&self, ctx: &SessionContext, sql: &str) -> Option<Arc<dyn ExecutionPlan>> {
        let (plan, names) = {
            let plans = self.lock();
            let cached = plans.get(sql)?;
            if !Arc::ptr_eq(&cached.options, ctx.copied_config().options()) {
                return None;
            }
            (cached.plan.clone(), cached.tables.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>())
        };
        let mut now = Vec::with_capacity(names.len());
        for name in names {
            now.push(TableVersion::of(ctx.table_provider(name).await.ok()?).await?);
        }
        let unchanged = {
            let plans = self.lock();
            let cached = plans.get(sql)?;
            cached.tables.len() == now.len() && cached.tables.iter().zip(&now).all(|((_, was), is)| was.same(is))
        };
        if unchanged { reset_plan_states(plan).ok() } else { None }
    }

    /// Keeps the plan of a query, if it may be used again.
    pub async fn insert(
        &self,
        ctx: &SessionContext,
        sql: &str,
        logical: &LogicalPlan,
        plan: &Arc<dyn ExecutionPlan>,
    ) {
        let Some(names) = tables_of(logical) else { return };
        let mut tables = Vec::with_capacity(names.len());
        for name in names {
            let Ok(provider) = ctx.table_provider(name.clone()).await else { return };
            let Some(version) = TableVersion::of(provider).await else { return };
            tables.push((name, version));
        }
        let options = ctx.copied_config().options().clone();
        let mut plans = self.lock();
        if plans.len() >= MAX_PLANS {
            let mut keep = false;
            plans.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
        plans.insert(sql.to_string(), CachedPlan { plan: plan.clone(), options, tables });
    }
}

/// The tables that a plain query scans; `None` if it is no plain query, or its answer depends on more than them.
fn tables_of(logical: &LogicalPlan) -> Option<Vec<TableReference>> {
    let mut names = Vec::new();
    let mut fixed = true;
    let visited = logical.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::TableScan(scan) => names.push(scan.table_name.clone()),
            LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::Statement(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::DescribeTable(_)
            | LogicalPlan::Extension(_) => fixed = false,
            _ => {}
        }
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                let volatility = match e {
                    Expr::ScalarFunction(f) => Some(f.func.signature().volatility),
                    _ => None,
                };
                if volatility.is_some_and(|v| v != Volatility::Immutable) || matches!(e, Expr::Placeholder(_)) {
                    fixed = false;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(if fixed { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    (visited.is_ok() && fixed && !names.is_empty()).then_some(names)
}
