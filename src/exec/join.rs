//! `XlaJoinExec`: every join of the device, and the choice of its way.
//!
//! | way | when |
//! |---|---|
//! | gather | each key occurs once on the build side: a step of the probe side (`join_probe`) |
//! | existence | SEMI, ANTI and MARK without a filter: keys are marked chunk by chunk, no row is collected (`join_exists`) |
//! | expansion | a probe row has several matches: counted first, then written out (`join_expand`) |
//!
//! Which side is built: the one whose rows need not all appear. Inner and full joins build the left, as DataFusion orders
//! them; without keys inner joins build a right side of one batch.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::{JoinSide, JoinType, NullEquality};
use datafusion::error::Result;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};

use crate::columnar::encode::Strings;
use crate::columnar::representation::Kind;
use crate::exec::device_node::{device_execution_plan, device_properties};
use crate::exec::engine::Engine;
use crate::exec::join_probe::Probe;
use crate::exec::memory_mode::MemoryMode;
use crate::exec::reduction::Reduction;
use crate::exec::relation::{Relation, Source, Step};
use crate::expr::convert::try_convert;
use crate::expr::fallback::FallbackReason;
use crate::expr::ir::{DeviceExpr, Node};

/// DataFusion's batch size, as it comes.
const BATCH_ROWS: usize = 8192;

type KeyPair = (Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>);

/// What a join keeps, seen from the side that is not built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    /// Every probe row, with NULLs where nothing matches.
    Outer,
    /// Every row of both sides.
    Full,
    Semi,
    Anti,
    /// Every probe row, and whether something matches.
    Mark,
}

/// A condition over pairs of rows.
#[derive(Clone, Debug)]
pub struct Residual {
    pub predicate: DeviceExpr,
    /// Columns that the predicate reads, in its order: whether of the left side, and which.
    pub columns: Vec<(bool, usize)>,
    host: Arc<dyn PhysicalExpr>,
}

/// What a join is, whatever host operator it was.
#[derive(Clone, Debug)]
pub struct JoinSpec {
    pub join_type: JoinType,
    pub on: Vec<KeyPair>,
    /// Keys of the left and of the right side.
    pub keys: Vec<(DeviceExpr, DeviceExpr)>,
    pub residual: Option<Residual>,
    pub null_equals_null: bool,
    /// NOT IN: a NULL on the right side lets nothing through.
    pub null_aware: bool,
    /// Pairs come in the order of the left side's rows, not the right's.
    pub left_first: bool,
    /// Columns of the join that are kept, in order.
    pub projection: Option<Vec<usize>>,
}

#[derive(Debug)]
pub struct XlaJoinExec {
    pub left: Arc<dyn ExecutionPlan>,
    pub right: Arc<dyn ExecutionPlan>,
    pub spec: JoinSpec,
    pub schema: SchemaRef,
    properties: Arc<PlanProperties>,
    pub metrics: ExecutionPlanMetricsSet,
}

impl XlaJoinExec {
    /// Converts any host join over `left` and `right` instead of its own inputs.
    pub fn try_convert(
        host: &Arc<dyn ExecutionPlan>,
        left: Arc<dyn ExecutionPlan>,
        right: Arc<dyn ExecutionPlan>,
    ) -> Result<Self, FallbackReason> {
        let mut spec = if let Some(join) = host.downcast_ref::<HashJoinExec>() {
            if join.fetch().is_some() {
                return Err(FallbackReason::RowLimitInOperator { operator: host.name().to_string() });
            }
            let mut spec = JoinSpec::new(*join.join_type(), join.on(), join.filter(), &left, &right)?;
            spec.null_equals_null = join.null_equality() == NullEquality::NullEqualsNull;
            spec.null_aware = join.null_aware;
            spec.projection = join.projection.as_ref().map(|p| p.to_vec());
            spec
        } else if let Some(join) = host.downcast_ref::<SortMergeJoinExec>() {
            let mut spec = JoinSpec::new(join.join_type(), join.on(), join.filter().as_ref(), &left, &right)?;
            spec.null_equals_null = join.null_equality() == NullEquality::NullEqualsNull;
            spec
        } else if let Some(join) = host.downcast_ref::<NestedLoopJoinExec>() {
            let mut spec = JoinSpec::new(*join.join_type(), &[], join.filter(), &left, &right)?;
            spec.projection = join.projection().as_ref().map(|p| p.to_vec());
            spec
        } else if host.downcast_ref::<CrossJoinExec>().is_some() {
            JoinSpec::new(JoinType::Inner, &[], None, &left, &right)?
        } else {
            return Err(FallbackReason::Operator { name: host.name().to_string() });
        };
        // A left side of one row is looked up, and the right side need not be gathered for it.
        let rows = |side: usize| known_rows(host.children()[side]);
        let one_row = rows(0) == Precision::Exact(1);
        let one_batch = rows(1).get_value().is_none_or(|rows| *rows <= BATCH_ROWS);
        spec.left_first = spec.keys.is_empty() && !one_row && one_batch;
        Ok(Self::new(left, right, spec, host.schema()))
    }

    fn new(left: Arc<dyn ExecutionPlan>, right: Arc<dyn ExecutionPlan>, spec: JoinSpec, schema: SchemaRef) -> Self {
        let properties = device_properties(schema.clone(), EmissionType::Final);
        Self { left, right, spec, schema, properties, metrics: ExecutionPlanMetricsSet::new() }
    }

    /// The same inner join, with the right side built.
    fn turned(&self) -> Self {
        let spec = JoinSpec { left_first: true, ..self.spec.clone() };
        let metrics = self.metrics.clone();
        Self { metrics, ..Self::new(Arc::clone(&self.left), Arc::clone(&self.right), spec, self.schema.clone()) }
    }

    /// The side that is built, and the one that is probed with.
    pub fn sides(&self) -> (&Arc<dyn ExecutionPlan>, &Arc<dyn ExecutionPlan>) {
        let (_, probe_is_left) = self.spec.kind();
        if probe_is_left { (&self.right, &self.left) } else { (&self.left, &self.right) }
    }

    /// What is asked of the output columns, asked of the `left` and `right` columns of the sides.
    pub fn unproject(&self, output: &[Strings], left: usize, right: usize) -> (Vec<Strings>, Vec<Strings>) {
        let (of_left, of_right) = match self.spec.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => (left, 0),
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => (0, right),
            _ => (left, right),
        };
        let mut asked = vec![Strings::Rows; of_left + of_right];
        // A mark, which is no column of a side, may come last.
        let all: Vec<usize> = (0..of_left + of_right + 1).collect();
        for (column, of_output) in self.spec.project(all).into_iter().zip(output) {
            if let Some(asked) = asked.get_mut(column) {
                *asked = (*asked).max(*of_output);
            }
        }
        let (mut from_left, mut from_right) = (vec![Strings::Rows; left], vec![Strings::Rows; right]);
        from_left[..of_left].copy_from_slice(&asked[..of_left]);
        from_right[..of_right].copy_from_slice(&asked[of_left..]);
        (from_left, from_right)
    }

    fn inputs(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.left, &self.right]
    }

    fn with_inputs(&self, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Self> {
        let [left, right] = <[_; 2]>::try_from(inputs)
            .or_else(|_| datafusion::common::internal_err!("XlaJoinExec has exactly two inputs"))?;
        Ok(Self::new(left, right, self.spec.clone(), self.schema.clone()))
    }

    fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        let keys = self.spec.on.iter().flat_map(|(l, r)| [l.clone(), r.clone()]);
        keys.chain(self.spec.residual.as_ref().map(|r| r.host.clone())).collect()
    }
}

impl JoinSpec {
    fn new(
        join_type: JoinType,
        on: &[KeyPair],
        filter: Option<&JoinFilter>,
        left: &Arc<dyn ExecutionPlan>,
        right: &Arc<dyn ExecutionPlan>,
    ) -> Result<Self, FallbackReason> {
        let (left_schema, right_schema) = (left.schema(), right.schema());
        let mut keys = Vec::with_capacity(on.len());
        for (l, r) in on {
            let (left_key, right_key) = (try_convert(l, &left_schema)?, try_convert(r, &right_schema)?);
            if !same_kind(&left_key, &right_key) {
                let why = format!("{} and {} do not compare on the device", left_key.data_type, right_key.data_type);
                return Err(FallbackReason::expression(format!("{l} = {r}"), why));
            }
            keys.push((left_key, right_key));
        }
        let residual = filter
            .map(|filter| -> Result<Residual, FallbackReason> {
                let columns = filter.column_indices().iter().map(|c| (c.side == JoinSide::Left, c.index)).collect();
                let predicate = try_convert(filter.expression(), filter.schema())?;
                Ok(Residual { predicate, columns, host: filter.expression().clone() })
            })
            .transpose()?;
        Ok(Self { join_type, on: on.to_vec(), keys, residual, ..Self::existence() })
    }

    /// Rows of the left side whose keys the right side has, whatever their order there.
    pub fn existence() -> Self {
        Self {
            join_type: JoinType::LeftSemi,
            on: Vec::new(),
            keys: Vec::new(),
            residual: None,
            null_equals_null: false,
            null_aware: false,
            left_first: false,
            projection: None,
        }
    }

    /// What is kept, and whether the left side is the one that is probed with.
    pub fn kind(&self) -> (JoinKind, bool) {
        match self.join_type {
            JoinType::Inner => (JoinKind::Inner, self.left_first),
            JoinType::Left => (JoinKind::Outer, true),
            JoinType::Right => (JoinKind::Outer, false),
            JoinType::Full => (JoinKind::Full, false),
            JoinType::LeftSemi => (JoinKind::Semi, true),
            JoinType::RightSemi => (JoinKind::Semi, false),
            JoinType::LeftAnti => (JoinKind::Anti, true),
            JoinType::RightAnti => (JoinKind::Anti, false),
            JoinType::LeftMark => (JoinKind::Mark, true),
            JoinType::RightMark => (JoinKind::Mark, false),
        }
    }

    /// Keys of one side.
    pub fn side_keys(&self, left: bool) -> Vec<&DeviceExpr> {
        self.keys.iter().map(|(l, r)| if left { l } else { r }).collect()
    }

    /// The output columns out of those of the sides in the order of DataFusion's schema.
    pub fn project<T: Clone>(&self, columns: Vec<T>) -> Vec<T> {
        match &self.projection {
            Some(projection) => projection.iter().map(|i| columns[*i].clone()).collect(),
            None => columns,
        }
    }
}

/// How many rows there are, as far as DataFusion knows. It pairs each left row with a whole batch of the right side, so that the
/// pairs of a join without keys come in the order of the left rows where the right side is one batch.
fn known_rows(plan: &Arc<dyn ExecutionPlan>) -> Precision<usize> {
    let statistics = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new());
    statistics.map_or(Precision::Absent, |statistics| statistics.num_rows)
}

fn same_kind(left: &DeviceExpr, right: &DeviceExpr) -> bool {
    use datafusion::arrow::datatypes::DataType;
    match (&left.data_type, &right.data_type) {
        (DataType::Decimal128(_, s1), DataType::Decimal128(_, s2)) => s1 == s2,
        (l, r) => l == r || (Kind::of(l) == Some(Kind::String) && Kind::of(r) == Some(Kind::String)),
    }
}

impl Engine {
    /// The relation of a join, whose left and right inputs are without the rows that the reductions exclude.
    pub fn join(&self, join: &XlaJoinExec, of_left: &[Reduction], of_right: &[Reduction]) -> Result<Relation> {
        let (mut build, mut probe) = self.open_sides(join, of_left, of_right)?;
        let turned = should_turn(join, &build, &probe).then(|| join.turned());
        if turned.is_some() {
            std::mem::swap(&mut build, &mut probe);
        }
        let join = turned.as_ref().unwrap_or(join);
        if self.mode == MemoryMode::Resident {
            return self.join_rows(join, build, probe);
        }
        let has_parts = !join.spec.keys.is_empty() && !join.spec.null_aware;
        let relation = match has_parts {
            true => self.join_in_parts(join, build, probe, |build, probe| self.join_rows(join, build, probe))?,
            false => self.join_rows(join, build, probe)?,
        };
        if self.mode == MemoryMode::Spooled { self.spool(&relation) } else { Ok(relation) }
    }

    /// Joins the rows of the side that is built with those of the other.
    fn join_rows(&self, join: &XlaJoinExec, mut build: Relation, mut probe: Relation) -> Result<Relation> {
        let (kind, probe_is_left) = join.spec.kind();
        let exists = matches!(kind, JoinKind::Semi | JoinKind::Anti | JoinKind::Mark) && join.spec.residual.is_none();
        if exists && !join.spec.keys.is_empty() {
            if build.steps.iter().any(Step::needs_all_rows) || matches!(build.source, Source::Groups(_)) {
                build = Relation::on(self.collect(&build, None)?);
            }
            if !join.spec.null_aware && build.source_rows() >= LARGE_BUILD {
                probe = self.with_few_rows(probe, build.source_rows() / LARGE_RATIO)?;
                if probe.as_table().is_some_and(|table| table.is_single()) {
                    build = self.reduce(join, build, &probe)?;
                }
            }
            let null = join.spec.null_equals_null;
            if let Some(hits) = self.mark_keys(&build, &join.spec.side_keys(!probe_is_left), 0, null)? {
                self.chose(&join.metrics, format!("gather join (existence only, {})", hits.keys.describe()));
                return Ok(probe.with(Step::Probe(Arc::new(Probe::new(join, hits)))));
            }
        }
        if join.spec.residual.is_some() && matches!(kind, JoinKind::Semi | JoinKind::Anti | JoinKind::Mark) {
            probe = Relation::on(self.collect(&probe, None)?);
            build = self.reduce(join, build, &probe)?;
        }
        let build = self.build_side(join, &build, !probe_is_left, probe.source_rows())?;
        probe = self.without_strangers(join, &build, probe)?;
        let gathers = !join.spec.keys.is_empty() && kind != JoinKind::Full && (build.unique || exists);
        if gathers {
            let why = if build.unique { "unique" } else { "existence only" };
            self.chose(&join.metrics, format!("gather join ({why}, {})", build.keys.describe()));
            return Ok(probe.with(Step::Probe(Arc::new(Probe::new(join, build)))));
        }
        self.expand(join, build, probe)
    }
}

/// Rows of the left side from which on the order of an inner join's rows is nobody's concern: DataFusion's own depends on its
/// partitions.
const UNORDERED_ROWS: usize = 1 << 16;

/// A right side with this many rows for each row of the left is too large to be built instead.
const TURNED_RATIO: usize = 16;

/// Whether to build the right side of an inner join, because no two of its rows have the same key while rows of the left may: a
/// gather then does what would be an expansion.
fn should_turn(join: &XlaJoinExec, left: &Relation, right: &Relation) -> bool {
    let [(left_key, right_key)] = join.spec.keys.as_slice() else { return false };
    if join.spec.join_type != JoinType::Inner || join.spec.left_first || left.source_rows() < UNORDERED_ROWS {
        return false;
    }
    let is_unique = |relation: &Relation, key: &DeviceExpr| match key.node {
        Node::Column(column) => relation.unique_columns().get(column).copied().unwrap_or(false),
        _ => false,
    };
    let small = right.source_rows() <= TURNED_RATIO * left.source_rows();
    small && is_unique(right, right_key) && !is_unique(left, left_key)
}

/// A build side of which only the keys count is reduced, too, if it has this many rows, and so many for each probe row.
const LARGE_BUILD: usize = 1 << 21;
const LARGE_RATIO: usize = 32;

/// A build side with this many rows for each probe row is reduced before it is built.
const REDUCED_RATIO: usize = 4;

impl Engine {
    /// Keeps of a large build side only the rows whose keys the few probe rows have.
    fn reduce(&self, join: &XlaJoinExec, build: Relation, probe: &Relation) -> Result<Relation> {
        let rows = |relation: &Relation| relation.table().map_or(0, |table| table.layout.rows);
        let all_rows = build.steps.iter().any(Step::needs_all_rows);
        if join.spec.keys.is_empty() || all_rows || rows(&build) < REDUCED_RATIO * rows(probe).max(1 << 10) {
            return Ok(build);
        }
        let (_, probe_is_left) = join.spec.kind();
        let keys = join.spec.side_keys(probe_is_left);
        match self.mark_keys(probe, &keys, rows(&build), join.spec.null_equals_null)? {
            Some(marks) => {
                let keys = join.spec.side_keys(!probe_is_left).into_iter().cloned().collect();
                Ok(build.with(Step::Probe(Arc::new(Probe::of_keys(keys, Arc::new(marks))))))
            }
            None => Ok(build),
        }
    }
}

impl DisplayAs for XlaJoinExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on: Vec<String> = self.spec.on.iter().map(|(l, r)| format!("({l}, {r})")).collect();
        if format == DisplayFormatType::TreeRender {
            return write!(f, "join_type={:?}\non={}", self.spec.join_type, on.join(", "));
        }
        write!(f, "XlaJoinExec: join_type={:?}, on=[{}]", self.spec.join_type, on.join(", "))?;
        if let Some(residual) = &self.spec.residual {
            write!(f, ", filter={}", residual.host)?;
        }
        if self.spec.projection.is_some() {
            let names: Vec<_> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
            write!(f, ", projection=[{}]", names.join(", "))?;
        }
        if self.spec.null_aware {
            f.write_str(", null_aware")?;
        }
        if self.spec.null_equals_null {
            f.write_str(", NULL equals NULL")?;
        }
        Ok(())
    }
}

device_execution_plan!(XlaJoinExec, "XlaJoinExec", several);
