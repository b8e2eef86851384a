//! The operations as data: their names, attributes and families. A new elementwise operation starts here.

use crate::hlo::computation::ComputationId;
use crate::hlo::scalar::Scalar;

/// An operation with its attributes. Operands and result shape belong to the instruction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Parameter { number: usize },
    Constant { value: Scalar },
    ConstantArray { values: Vec<Scalar> },
    Iota { dimension: usize },
    Unary(UnaryOp),
    Binary(BinaryOp),
    Compare { direction: Comparison, total_order: bool },
    Select,
    Clamp,
    Convert,
    BitcastConvert,
    Broadcast { broadcast_dimensions: Vec<usize> },
    Reshape,
    Transpose { permutation: Vec<usize> },
    Slice { starts: Vec<usize>, limits: Vec<usize>, strides: Vec<usize> },
    Concatenate { dimension: usize },
    Pad { low: Vec<i64>, high: Vec<i64>, interior: Vec<usize> },
    Reverse { dimensions: Vec<usize> },
    DynamicSlice { sizes: Vec<usize> },
    DynamicUpdateSlice,
    Reduce { dimensions: Vec<usize>, combiner: ComputationId },
    ReduceWindow { window: Window, combiner: ComputationId },
    Gather { dims: GatherDims, slice_sizes: Vec<usize>, indices_are_sorted: bool },
    Scatter { dims: ScatterDims, combiner: ComputationId, hints: IndexHints },
    Sort { dimension: usize, is_stable: bool, comparator: ComputationId },
    While { condition: ComputationId, body: ComputationId },
    OptimizationBarrier,
    Tuple,
    GetTupleElement { index: usize },
    AllReduce { combiner: ComputationId },
    AllGather { dimension: usize },
    AllToAll { dimension: usize },
    CollectivePermute { pairs: Vec<(usize, usize)> },
    ReplicaId,
    CustomCall { target: String },
}

impl Operation {
    /// Returns the opcode in HLO text.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Parameter { .. } => "parameter",
            Self::Constant { .. } | Self::ConstantArray { .. } => "constant",
            Self::Iota { .. } => "iota",
            Self::Unary(op) => op.name(),
            Self::Binary(op) => op.name(),
            Self::Compare { .. } => "compare",
            Self::Select => "select",
            Self::Clamp => "clamp",
            Self::Convert => "convert",
            Self::BitcastConvert => "bitcast-convert",
            Self::Broadcast { .. } => "broadcast",
            Self::Reshape => "reshape",
            Self::Transpose { .. } => "transpose",
            Self::Slice { .. } => "slice",
            Self::Concatenate { .. } => "concatenate",
            Self::Pad { .. } => "pad",
            Self::Reverse { .. } => "reverse",
            Self::DynamicSlice { .. } => "dynamic-slice",
            Self::DynamicUpdateSlice => "dynamic-update-slice",
            Self::Reduce { .. } => "reduce",
            Self::ReduceWindow { .. } => "reduce-window",
            Self::Gather { .. } => "gather",
            Self::Scatter { .. } => "scatter",
            Self::Sort { .. } => "sort",
            Self::While { .. } => "while",
            Self::OptimizationBarrier => "opt-barrier",
            Self::Tuple => "tuple",
            Self::GetTupleElement { .. } => "get-tuple-element",
            Self::AllReduce { .. } => "all-reduce",
            Self::AllGather { .. } => "all-gather",
            Self::AllToAll { .. } => "all-to-all",
            Self::CollectivePermute { .. } => "collective-permute",
            Self::ReplicaId => "replica-id",
            Self::CustomCall { .. } => "custom-call",
        }
    }

    /// Returns the computations that the instruction calls.
    pub(crate) fn called(&self) -> Vec<ComputationId> {
        match self {
            Self::Reduce { combiner, .. }
            | Self::ReduceWindow { combiner, .. }
            | Self::Scatter { combiner, .. }
            | Self::AllReduce { combiner } => vec![*combiner],
            Self::Sort { comparator, .. } => vec![*comparator],
            Self::While { condition, body } => vec![*condition, *body],
            _ => Vec::new(),
        }
    }
}

/// The element types that an elementwise operation supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Domain {
    Float,
    Signed,
    Integer,
    Number,
    PredOrInteger,
    Any,
}

macro_rules! elementwise_ops {
    ($(#[$doc:meta])* $name:ident { $($op:ident $text:literal $domain:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum $name { $($op,)* }

        impl $name {
            /// All of them, in table order.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$op,)*];

            /// Returns the opcode in HLO text.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$op => $text,)* }
            }

            pub(crate) const fn domain(self) -> Domain {
                match self { $(Self::$op => Domain::$domain,)* }
            }
        }
    };
}

elementwise_ops! {
    /// Operations with one operand. The result has its shape, with element type `pred` for `is-finite`.
    UnaryOp {
        Abs "abs" Signed,
        Negate "negate" Number,
        Not "not" PredOrInteger,
        Sign "sign" Signed,
        Floor "floor" Float,
        Ceil "ceil" Float,
        RoundNearestAfz "round-nearest-afz" Float,
        RoundNearestEven "round-nearest-even" Float,
        Sqrt "sqrt" Float,
        Rsqrt "rsqrt" Float,
        Cbrt "cbrt" Float,
        Exponential "exponential" Float,
        ExponentialMinusOne "exponential-minus-one" Float,
        Log "log" Float,
        LogPlusOne "log-plus-one" Float,
        Sine "sine" Float,
        Cosine "cosine" Float,
        Tan "tan" Float,
        Tanh "tanh" Float,
        IsFinite "is-finite" Float,
        Popcnt "popcnt" Integer,
        CountLeadingZeros "count-leading-zeros" Integer,
    }
}

elementwise_ops! {
    /// Operations with two operands of one element type. The result has their shape.
    BinaryOp {
        Add "add" Number,
        Subtract "subtract" Number,
        Multiply "multiply" Number,
        Divide "divide" Number,
        Remainder "remainder" Number,
        Maximum "maximum" Any,
        Minimum "minimum" Any,
        Power "power" Number,
        Atan2 "atan2" Float,
        And "and" PredOrInteger,
        Or "or" PredOrInteger,
        Xor "xor" PredOrInteger,
        ShiftLeft "shift-left" Integer,
        ShiftRightArithmetic "shift-right-arithmetic" Integer,
        ShiftRightLogical "shift-right-logical" Integer,
    }
}

/// Direction of a comparison, `lhs <direction> rhs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Comparison {
    /// Returns the value of the `direction` attribute.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Eq => "EQ",
            Self::Ne => "NE",
            Self::Lt => "LT",
            Self::Le => "LE",
            Self::Gt => "GT",
            Self::Ge => "GE",
        }
    }
}

/// How values are combined into one. Each kind is associative and commutative, so XLA may combine in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReduceKind {
    Add,
    Multiply,
    Minimum,
    Maximum,
    And,
    Or,
    Xor,
}

impl ReduceKind {
    pub(crate) const fn binary_op(self) -> BinaryOp {
        match self {
            Self::Add => BinaryOp::Add,
            Self::Multiply => BinaryOp::Multiply,
            Self::Minimum => BinaryOp::Minimum,
            Self::Maximum => BinaryOp::Maximum,
            Self::And => BinaryOp::And,
            Self::Or => BinaryOp::Or,
            Self::Xor => BinaryOp::Xor,
        }
    }
}

/// How a scatter combines an update with the existing element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScatterKind {
    /// The update replaces the element. Which of several updates to one element wins is undefined.
    Assign,
    /// Update and element are combined.
    Reduce(ReduceKind),
}

impl From<ReduceKind> for ScatterKind {
    fn from(kind: ReduceKind) -> Self {
        Self::Reduce(kind)
    }
}

/// A window of `reduce_window`. Each list has one entry per axis of the operand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Elements of the window along each axis.
    pub sizes: Vec<usize>,
    /// Distance between successive windows along each axis.
    pub strides: Vec<usize>,
    /// Empty positions before and after each axis, as (low, high).
    pub padding: Vec<(usize, usize)>,
}

/// Axes of a `gather`, under XLA's names; see XLA's operation semantics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GatherDims {
    /// Axes of the result that index into a slice.
    pub offset_dims: Vec<usize>,
    /// Axes of the operand with slice size 1 that are removed from the result.
    pub collapsed_slice_dims: Vec<usize>,
    /// Axis of the operand that entry k of an index vector refers to.
    pub start_index_map: Vec<usize>,
    /// Axis of `indices` that holds the index vectors, or the rank of `indices` if every element is an index vector of
    /// length 1.
    pub index_vector_dim: usize,
}

/// Axes of a `scatter`, under XLA's names; see XLA's operation semantics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ScatterDims {
    /// Axes of the updates that index into a window.
    pub update_window_dims: Vec<usize>,
    /// Axes of the operand with window size 1 that are missing from the updates.
    pub inserted_window_dims: Vec<usize>,
    /// Axis of the operand that entry k of an index vector refers to.
    pub scatter_dims_to_operand_dims: Vec<usize>,
    /// Axis of `indices` that holds the index vectors, or the rank of `indices` if every element is an index vector of
    /// length 1.
    pub index_vector_dim: usize,
}

/// Promises of the caller about the index vectors of a scatter. XLA trusts them without a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IndexHints {
    pub indices_are_sorted: bool,
    pub unique_indices: bool,
}
