//! Physical plans of repeated queries: planning takes DataFusion 3 to 9 ms, a warm query on the device less.
//!
//! A plan is used again only while nothing that it depends on has changed: the very options, the very tables and
//! views, and the rows in them. Queries with functions whose value is not fixed by their arguments (`now()`, `random()`) are
//! never kept.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use datafusion::arrow::array::Array;
use datafusion::common::TableReference;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::datasource::listing::ListingTable;
use datafusion::datasource::{MemTable, TableProvider, ViewTable, source_as_provider};
use datafusion::logical_expr::{Expr, LogicalPlan, TableSource, Volatility};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::prelude::SessionContext;

/// Plans that are kept; half of them go when there are more.
const MAX_PLANS: usize = 256;

#[derive(Default)]
pub struct PlanCache {
    plans: Mutex<HashMap<String, Arc<CachedPlan>>>,
}

struct CachedPlan {
    plan: Arc<dyn ExecutionPlan>,
    /// Held so that a change of any option makes a new object.
    options: Arc<ConfigOptions>,
    tables: Vec<(TableReference, TableVersion)>,
}

/// A table or view and its contents, as far as a plan depends on them.
struct TableVersion {
    provider: Arc<dyn TableProvider>,
    /// Every array of an in-memory table, partition by partition: an UPDATE replaces the columns that it sets, and shares the
    /// others. Weak references keep the addresses from being used again.
    arrays: Vec<Vec<Weak<dyn Array>>>,
}

impl TableVersion {
    /// `None` for tables whose contents can change unseen: their plans are not kept.
    async fn of(provider: Arc<dyn TableProvider>) -> Option<Self> {
        // The tables that a view reads are in the logical plan.
        if provider.downcast_ref::<ViewTable>().is_some() {
            return Some(Self { provider, arrays: Vec::new() });
        }
        let table = provider.downcast_ref::<MemTable>()?;
        let mut arrays = Vec::with_capacity(table.batches.len());
        for partition in &table.batches {
            arrays.push(partition.read().await.iter().flat_map(|batch| batch.columns()).map(Arc::downgrade).collect());
        }
        Some(Self { provider, arrays })
    }

    /// Whether `provider` is this very table with these very rows.
    async fn is(&self, provider: &Arc<dyn TableProvider>) -> bool {
        if !Arc::ptr_eq(&self.provider, provider) {
            return false;
        }
        let Some(table) = provider.downcast_ref::<MemTable>() else { return true };
        if table.batches.len() != self.arrays.len() {
            return false;
        }
        for (partition, then) in table.batches.iter().zip(&self.arrays) {
            let partition = partition.read().await;
            let now = partition.iter().flat_map(|batch| batch.columns());
            if !now.map(|array| Arc::as_ptr(array).cast::<()>()).eq(then.iter().map(|array| array.as_ptr().cast())) {
                return false;
            }
        }
        true
    }
}

impl PlanCache {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<CachedPlan>>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The plan of `sql`, if it was planned before and nothing has changed since.
    pub async fn get(&self, ctx: &SessionContext, sql: &str) -> Option<Arc<dyn ExecutionPlan>> {
        let cached = self.lock().get(sql).cloned()?;
        if !Arc::ptr_eq(&cached.options, ctx.copied_config().options()) {
            return None;
        }
        for (name, version) in &cached.tables {
            let provider = ctx.table_provider(name.clone()).await.ok()?;
            if !version.is(&provider).await {
                return None;
            }
        }
        reset_plan_states(cached.plan.clone()).ok()
    }

    /// Keeps the plan of a query, if it may be used again.
    pub async fn insert(&self, ctx: &SessionContext, sql: &str, logical: &LogicalPlan, plan: &Arc<dyn ExecutionPlan>) {
        let Some(mut names) = tables_of(logical) else { return };
        // The logical plan holds what a view reads, but not the view.
        let state = ctx.state();
        let Ok(statement) = state.sql_to_statement(sql, &state.config_options().sql_parser.dialect) else { return };
        let Ok(named) = state.resolve_table_references(&statement) else { return };
        names.extend(named);
        let names: HashSet<TableReference> = names.into_iter().collect();
        let mut tables = Vec::with_capacity(names.len());
        for name in names {
            let Ok(provider) = ctx.table_provider(name.clone()).await else { return };
            let Some(version) = TableVersion::of(provider).await else { return };
            tables.push((name, version));
        }
        self.forget_gone_tables(ctx).await;
        let options = ctx.copied_config().options().clone();
        let mut plans = self.lock();
        if plans.len() >= MAX_PLANS {
            let mut keep = false;
            plans.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
        plans.insert(sql.to_string(), Arc::new(CachedPlan { plan: plan.clone(), options, tables }));
    }

    /// A plan holds the rows of its in-memory tables: it goes when one of them does.
    async fn forget_gone_tables(&self, ctx: &SessionContext) {
        let plans: Vec<_> = self.lock().iter().map(|(sql, cached)| (sql.clone(), cached.clone())).collect();
        for (sql, cached) in plans {
            for (name, version) in &cached.tables {
                let now = ctx.table_provider(name.clone()).await;
                if !now.is_ok_and(|provider| Arc::ptr_eq(&provider, &version.provider)) {
                    self.lock().remove(&sql);
                    break;
                }
            }
        }
    }
}

fn reads_files(source: &Arc<dyn TableSource>) -> bool {
    source_as_provider(source).is_ok_and(|provider| provider.downcast_ref::<ListingTable>().is_some())
}

/// The tables that a plain query scans; `None` if it is no plain query, or its answer depends on more than them.
fn tables_of(logical: &LogicalPlan) -> Option<Vec<TableReference>> {
    let mut names = Vec::new();
    let mut fixed = true;
    let visited = logical.apply_with_subqueries(|node| {
        match node {
            // Files change unseen. That is known without opening them again, which takes a while if they are far away.
            LogicalPlan::TableScan(scan) if reads_files(&scan.source) => fixed = false,
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
