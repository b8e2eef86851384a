//! Prints a module as HLO text. The same instructions give the same text: it is a golden, a cache key, and what `\hlo`
//! shows.
//!
//! XLA's parser requires spaces around the `=` of an instruction (`a=` lexes as an attribute), names that are not types
//! or keywords (every name here contains a dot or an underscore, or is `p0`, `p1` ..), and callees before their
//! callers.

use std::collections::HashMap;
use std::fmt::{Display, Write};

use crate::hlo::computation::{Computation, ComputationId, Instruction, ResultShape};
use crate::hlo::operation::{Operation, Window};
use crate::program::Shape;

/// Prints module `name` with the entry computation `entry` and those of `computations` that it reaches.
pub(crate) fn print_module(
    name: &str,
    entry: &Computation,
    computations: &[Computation],
    aliases: &[(usize, usize)],
) -> String {
    let names = name_computations(entry, computations);
    let mut text = format!("HloModule {}", module_name(name));
    if !aliases.is_empty() {
        let entries = join(
            ", ",
            aliases.iter().map(|(output, parameter)| format!("{{{output}}}: ({parameter}, {{}}, may-alias)")),
        );
        text.push_str(&format!(", input_output_alias={{ {entries} }}"));
    }
    text.push_str("\n\n");
    for (computation, name) in computations.iter().zip(&names) {
        if let Some(name) = name {
            print_computation(&mut text, name, computation, &names);
            text.push('\n');
        }
    }
    print_computation(&mut text, "ENTRY main", entry, &names);
    text
}

/// Returns the names of the computations that `entry` reaches: the role, with a number from its second use on.
fn name_computations(entry: &Computation, computations: &[Computation]) -> Vec<Option<String>> {
    let mut is_live = vec![false; computations.len()];
    let mark = |computation: &Computation, is_live: &mut Vec<bool>| {
        for callee in computation.instructions.iter().flat_map(|instruction| instruction.operation.called()) {
            is_live[callee.0] = true;
        }
    };
    mark(entry, &mut is_live);
    for (i, computation) in computations.iter().enumerate().rev() {
        if is_live[i] {
            mark(computation, &mut is_live);
        }
    }
    let mut uses: HashMap<&str, usize> = HashMap::new();
    let mut names = Vec::with_capacity(computations.len());
    for (computation, is_live) in computations.iter().zip(is_live) {
        names.push(is_live.then(|| {
            let used = uses.entry(&computation.role).or_default();
            *used += 1;
            if *used == 1 { computation.role.clone() } else { format!("{}.{}", computation.role, *used - 1) }
        }));
    }
    names
}

/// The parser's keywords with an underscore. Types and other keywords have none.
const KEYWORDS: [&str; 3] = ["last_tile_dim_replicate", "shard_as", "shard_like"];

/// AdmissionQueue `name` into an identifier that is neither a type nor a keyword.
fn module_name(name: &str) -> String {
    let cleaned: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    let is_safe = cleaned.contains('_')
        && cleaned.starts_with(|c: char| c.is_ascii_alphabetic())
        && !KEYWORDS.contains(&cleaned.as_str());
    if is_safe { cleaned } else { format!("module_{cleaned}") }
}

fn print_computation(text: &mut String, name: &str, computation: &Computation, names: &[Option<String>]) {
    text.push_str(name);
    text.push_str(" {\n");
    for (i, instruction) in computation.instructions.iter().enumerate() {
        text.push_str(if i == computation.root { "  ROOT " } else { "  " });
        print_instruction(text, i, instruction, computation, names);
        text.push('\n');
    }
    text.push_str("}\n");
}

fn print_instruction(
    text: &mut String,
    index: usize,
    instruction: &Instruction,
    computation: &Computation,
    names: &[Option<String>],
) {
    let operation = &instruction.operation;
    let operands = match operation {
        Operation::Parameter { number } => number.to_string(),
        Operation::Constant { value } => value.to_string(),
        Operation::ConstantArray { values } => braces(values),
        _ => join(", ", instruction.operands.iter().map(|&operand| instruction_name(computation, operand))),
    };
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{} = {} {}({operands}){}",
        instruction_name(computation, index),
        result_shape(&instruction.shape),
        operation.name(),
        attributes(operation, names),
    );
}

fn instruction_name(computation: &Computation, index: usize) -> String {
    match computation.instructions.get(index).map(|instruction| &instruction.operation) {
        Some(Operation::Parameter { number }) => format!("p{number}"),
        Some(operation) => format!("{}.{index}", operation.name()),
        None => String::new(),
    }
}

fn result_shape(shape: &ResultShape) -> String {
    match shape {
        ResultShape::Array(shape) => shape.to_string(),
        ResultShape::Tuple(shapes) => tuple_shape(shapes),
    }
}

fn tuple_shape(shapes: &[Shape]) -> String {
    format!("({})", join(", ", shapes))
}

/// Returns everything after the operands, including the leading comma.
fn attributes(operation: &Operation, names: &[Option<String>]) -> String {
    let callee = |id: &ComputationId| names[id.0].as_deref().unwrap_or_default();
    match operation {
        Operation::Iota { dimension } => format!(", iota_dimension={dimension}"),
        Operation::Compare { direction, total_order } => {
            format!(", direction={}{}", direction.name(), if *total_order { ", type=TOTALORDER" } else { "" })
        }
        Operation::Broadcast { broadcast_dimensions } => format!(", dimensions={}", braces(broadcast_dimensions)),
        Operation::Transpose { permutation } => format!(", dimensions={}", braces(permutation)),
        Operation::Slice { starts, limits, strides } => {
            let ranges = starts.iter().zip(limits).zip(strides).map(|((start, limit), stride)| match stride {
                1 => format!("[{start}:{limit}]"),
                _ => format!("[{start}:{limit}:{stride}]"),
            });
            format!(", slice={{{}}}", join(", ", ranges))
        }
        Operation::Concatenate { dimension }
        | Operation::AllGather { dimension }
        | Operation::AllToAll { dimension } => {
            let groups = if matches!(operation, Operation::Concatenate { .. }) { "" } else { ", replica_groups={}" };
            format!("{groups}, dimensions={{{dimension}}}")
        }
        Operation::Pad { low, high, interior } => {
            let dims =
                low.iter().zip(high).zip(interior).map(|((low, high), interior)| format!("{low}_{high}_{interior}"));
            format!(", padding={}", join("x", dims))
        }
        Operation::Reverse { dimensions } => format!(", dimensions={}", braces(dimensions)),
        Operation::DynamicSlice { sizes } => format!(", dynamic_slice_sizes={}", braces(sizes)),
        Operation::Reduce { dimensions, combiner } => {
            format!(", dimensions={}, to_apply={}", braces(dimensions), callee(combiner))
        }
        Operation::ReduceWindow { window, combiner } => {
            format!(", window={{{}}}, to_apply={}", window_text(window), callee(combiner))
        }
        Operation::Gather { dims, slice_sizes, indices_are_sorted } => format!(
            ", offset_dims={}, collapsed_slice_dims={}, start_index_map={}, index_vector_dim={}, slice_sizes={}{}",
            braces(&dims.offset_dims),
            braces(&dims.collapsed_slice_dims),
            braces(&dims.start_index_map),
            dims.index_vector_dim,
            braces(slice_sizes),
            flag("indices_are_sorted", *indices_are_sorted),
        ),
        Operation::Scatter { dims, combiner, hints } => format!(
            ", update_window_dims={}, inserted_window_dims={}, scatter_dims_to_operand_dims={}, index_vector_dim={}{}{}, to_apply={}",
            braces(&dims.update_window_dims),
            braces(&dims.inserted_window_dims),
            braces(&dims.scatter_dims_to_operand_dims),
            dims.index_vector_dim,
            flag("indices_are_sorted", hints.indices_are_sorted),
            flag("unique_indices", hints.unique_indices),
            callee(combiner),
        ),
        Operation::Sort { dimension, is_stable, comparator } => {
            format!(", dimensions={{{dimension}}}{}, to_apply={}", flag("is_stable", *is_stable), callee(comparator))
        }
        Operation::While { condition, body } => format!(", condition={}, body={}", callee(condition), callee(body)),
        Operation::GetTupleElement { index } => format!(", index={index}"),
        Operation::AllReduce { combiner } => format!(", replica_groups={{}}, to_apply={}", callee(combiner)),
        Operation::CollectivePermute { pairs } => {
            let pairs = join(",", pairs.iter().map(|(source, target)| format!("{{{source},{target}}}")));
            format!(", source_target_pairs={{{pairs}}}")
        }
        Operation::CustomCall { target } => {
            format!(", custom_call_target=\"{target}\", api_version=API_VERSION_TYPED_FFI")
        }
        Operation::Parameter { .. }
        | Operation::Constant { .. }
        | Operation::ConstantArray { .. }
        | Operation::Unary(_)
        | Operation::Binary(_)
        | Operation::Select
        | Operation::Clamp
        | Operation::Convert
        | Operation::BitcastConvert
        | Operation::Reshape
        | Operation::DynamicUpdateSlice
        | Operation::OptimizationBarrier
        | Operation::Tuple
        | Operation::ReplicaId => String::new(),
    }
}

fn window_text(window: &Window) -> String {
    let mut text = format!("size={}", join("x", &window.sizes));
    if window.strides.iter().any(|&stride| stride != 1) {
        text.push_str(&format!(" stride={}", join("x", &window.strides)));
    }
    if window.padding.iter().any(|&padding| padding != (0, 0)) {
        text.push_str(&format!(" pad={}", join("x", window.padding.iter().map(|(low, high)| format!("{low}_{high}")))));
    }
    text
}

fn flag(name: &str, value: bool) -> String {
    if value { format!(", {name}=true") } else { String::new() }
}

fn braces<T: Display>(items: &[T]) -> String {
    format!("{{{}}}", join(",", items))
}

fn join<T: Display>(separator: &str, items: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            text.push_str(separator);
        }
        let _ = write!(text, "{item}");
    }
    text
}
