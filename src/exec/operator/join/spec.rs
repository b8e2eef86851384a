//! What a join is, whatever host operator it was.

use std::sync::Arc;

use datafusion::common::stats::Precision;
use datafusion::common::{JoinSide, JoinType, NullEquality};
use datafusion::error::Result;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use crate::columnar::representation::Kind;
use crate::exec::device_operator::InputColumn;
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
    pub host: Arc<dyn PhysicalExpr>,
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
    /// Numbers of columns of the left and of the right side.
    pub widths: [usize; 2],
}

impl JoinSpec {
    /// The specification of a host join of any kind; `None` if the node is no join.
    pub fn of(host: &Arc<dyn ExecutionPlan>) -> Option<Result<Self, FallbackReason>> {
        let is_join = host.is::<HashJoinExec>()
            || host.is::<SortMergeJoinExec>()
            || host.is::<NestedLoopJoinExec>()
            || host.is::<CrossJoinExec>();
        is_join.then(|| Self::try_convert(host))
    }

    fn try_convert(host: &Arc<dyn ExecutionPlan>) -> Result<Self, FallbackReason> {
        let mut spec = if let Some(join) = host.downcast_ref::<HashJoinExec>() {
            if join.fetch().is_some() {
                return Err(FallbackReason::RowLimitInOperator { operator: host.name().to_string() });
            }
            let mut spec = JoinSpec::new(*join.join_type(), join.on(), join.filter(), host)?;
            spec.null_equals_null = join.null_equality() == NullEquality::NullEqualsNull;
            spec.null_aware = join.null_aware;
            spec.projection = join.projection.as_ref().map(|p| p.to_vec());
            spec
        } else if let Some(join) = host.downcast_ref::<SortMergeJoinExec>() {
            let mut spec = JoinSpec::new(join.join_type(), join.on(), join.filter().as_ref(), host)?;
            spec.null_equals_null = join.null_equality() == NullEquality::NullEqualsNull;
            spec
        } else if let Some(join) = host.downcast_ref::<NestedLoopJoinExec>() {
            let mut spec = JoinSpec::new(*join.join_type(), &[], join.filter(), host)?;
            spec.projection = join.projection().as_ref().map(|p| p.to_vec());
            spec
        } else if host.downcast_ref::<CrossJoinExec>().is_some() {
            JoinSpec::new(JoinType::Inner, &[], None, host)?
        } else {
            return Err(FallbackReason::Operator { name: host.name().to_string() });
        };
        // A left side of one row is looked up, and the right side need not be gathered for it.
        let rows = |side: usize| known_rows(host.children()[side]);
        let one_row = rows(0) == Precision::Exact(1);
        let one_batch = rows(1).get_value().is_none_or(|rows| *rows <= BATCH_ROWS);
        spec.left_first = spec.keys.is_empty() && !one_row && one_batch;
        Ok(spec)
    }

    fn new(
        join_type: JoinType,
        on: &[KeyPair],
        filter: Option<&JoinFilter>,
        host: &Arc<dyn ExecutionPlan>,
    ) -> Result<Self, FallbackReason> {
        let children = host.children();
        let [left, right] = children.as_slice() else {
            return Err(FallbackReason::Operator { name: host.name().to_string() });
        };
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
        let widths = [left_schema.fields().len(), right_schema.fields().len()];
        Ok(Self { join_type, on: on.to_vec(), keys, residual, widths, ..Self::existence() })
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
            widths: [0; 2],
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

    /// Whether the left side is the one that is built.
    pub fn builds_left(&self) -> bool {
        !self.kind().1
    }

    /// Whether rows with equal keys, of both sides, are all that must be seen together.
    pub fn is_keyed(&self) -> bool {
        !self.keys.is_empty() && !self.null_aware
    }

    /// Whether only the existence of matches is asked, without a filter.
    pub fn asks_existence(&self) -> bool {
        matches!(self.kind().0, JoinKind::Semi | JoinKind::Anti | JoinKind::Mark) && self.residual.is_none()
    }

    /// Whether rows of a side without a match leave no trace in the output.
    pub fn drops_unmatched(&self, left: bool) -> bool {
        use JoinType::{Full, Left, LeftAnti, LeftMark, Right, RightAnti, RightMark};
        if self.keys.is_empty() || self.null_aware || self.null_equals_null {
            return false;
        }
        match self.join_type {
            Left | LeftAnti | LeftMark => !left,
            Right | RightAnti | RightMark => left,
            Full => false,
            _ => true,
        }
    }

    /// The input column of each output column, before the projection; `None` is a mark. `widths` are those of the sides.
    pub fn input_columns(&self, widths: &[usize]) -> Vec<Option<InputColumn>> {
        use JoinType::{LeftAnti, LeftMark, LeftSemi, RightAnti, RightMark, RightSemi};
        let side = |input: usize| (0..widths[input]).map(move |column| Some(InputColumn { input, column }));
        match self.join_type {
            LeftSemi | LeftAnti => side(0).collect(),
            RightSemi | RightAnti => side(1).collect(),
            LeftMark => side(0).chain([None]).collect(),
            RightMark => side(1).chain([None]).collect(),
            _ => side(0).chain(side(1)).collect(),
        }
    }

    /// The columns of the sides that tell the rows of output column `column`: a row of a side with another value makes no row that
    /// has the value asked for, and changes none.
    pub fn sources_of(&self, column: usize, widths: &[usize]) -> Vec<InputColumn> {
        use JoinType::{Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
        let Some(source) = self.project(self.input_columns(widths))[column] else { return Vec::new() };
        let is_left = source.input == 0;
        // A row of the other side that loses its match must not appear for that.
        let may_fall_away = match self.join_type {
            Inner => true,
            Left | LeftSemi | LeftAnti | LeftMark => is_left,
            Right | RightSemi | RightAnti | RightMark => !is_left,
            JoinType::Full => false,
        };
        if !may_fall_away || self.null_aware {
            return Vec::new();
        }
        let mut found = vec![source];
        for (left, right) in &self.keys {
            let (own, other) = if is_left { (left, right) } else { (right, left) };
            if let (Node::Column(own), Node::Column(other)) = (&own.node, &other.node)
                && *own == source.column
            {
                found.push(InputColumn { input: 1 - source.input, column: *other });
            }
        }
        found
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
