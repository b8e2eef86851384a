//! Cache of physical plans for repeated queries. DataFusion takes 3 to 9 ms to plan a query; running a warm query on
//! the device takes less.
//!
//! A plan is reused only while nothing that it depends on has changed: the options, the tables and views, and the rows
//! in the tables. Queries with functions that are not immutable, such as `now()` and `random()`, are never cached.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use datafusion::arrow::array::Array;
use datafusion::common::TableReference;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::datasource::listing::ListingTable;
use datafusion::datasource::{MemTable, TableProvider, ViewTable, source_as_provider};
use datafusion::logical_expr::{Expr, LogicalPlan, TableSource, Volatility};
use datafusion::prelude::SessionContext;

use crate::plan::Plan;

/// Maximum number of cached plans. Half of them are dropped when it is reached.
const MAX_PLANS: usize = 256;

#[derive(Default)]
/// Physical plans by query text.
pub struct PlanCache {
    plans: Mutex<HashMap<String, Arc<CachedPlan>>>,
}

struct CachedPlan {
    plan: Plan,
    /// Held so that changed options have another address.
    options: Arc<ConfigOptions>,
    tables: Vec<(TableReference, TableVersion)>,
}

/// The identity of a table or view and of its contents, as far as a plan depends on them.
struct TableVersion {
    provider: Arc<dyn TableProvider>,
    /// All arrays of an in-memory table, partition by partition. An UPDATE replaces the columns that it sets and shares
    /// the others. Weak references keep the addresses from being reused.
    arrays: Vec<Vec<Weak<dyn Array>>>,
}

impl TableVersion {
    /// Returns `None` for tables whose contents can change unnoticed; plans that read them are not cached.
    async fn of(provider: Arc<dyn TableProvider>) -> Option<Self> {
        // The logical plan already contains the tables that a view reads.
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

    /// Returns whether `provider` is the same table with the same rows.
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

    /// Returns the cached plan of `sql`, unless anything that it depends on has changed.
    pub async fn get(&self, ctx: &SessionContext, sql: &str) -> Option<Plan> {
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
        cached.plan.reset().ok()
    }

    /// Caches the plan of a query if it may be reused. `named` are the tables and views that its text names: the logical plan contains
    /// the tables that a view reads, but not the view itself.
    pub async fn insert(
        &self,
        ctx: &SessionContext,
        sql: &str,
        logical: &LogicalPlan,
        plan: &Plan,
        named: Vec<TableReference>,
    ) {
        let Some(mut names) = tables_of(logical) else { return };
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

    /// Drops the plans whose in-memory tables no longer exist, because a plan keeps the rows of its tables alive.
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

/// Returns the tables that a query scans, or `None` if the statement is not a query or its result depends on more than
/// the tables.
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
