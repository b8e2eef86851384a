//! What is asked of the columns of the leaves. A string that nothing compares needs no dictionary: its row number travels, and the
//! string is taken on the host at the end. One of which only functions are asked needs none either, if few strings are alike.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::physical_plan::ExecutionPlan;

use crate::columnar::encode::Strings;
use crate::exec::device_node::DeviceNode;
use crate::exec::host_to_device::HostToDeviceExec;
use crate::expr::ir::{DeviceExpr, Node};

/// In which form each column of one relation is asked for.
#[derive(Clone)]
struct Used(Vec<Strings>);

impl Used {
    fn none(columns: usize) -> Self {
        Self(vec![Strings::Rows; columns])
    }

    fn all(columns: usize) -> Self {
        Self(vec![Strings::Ordered; columns])
    }

    fn ask(&mut self, column: usize, form: Strings) {
        self.0[column] = self.0[column].max(form);
    }

    fn add(&mut self, expr: &DeviceExpr) {
        expr.visit_columns(&mut |column, only| self.ask(column, if only { Strings::Mapped } else { Strings::Ordered }));
    }
}

/// The leaves below `top`, each with the form in which its columns are needed.
pub fn leaf_columns(top: &Arc<dyn ExecutionPlan>) -> Vec<(&Arc<dyn ExecutionPlan>, Vec<Strings>)> {
    let mut leaves = Vec::new();
    visit(top, Used::none(width(&top.schema())), &mut leaves);
    // A leaf that is there twice is loaded once.
    let mut at: HashMap<usize, usize> = HashMap::new();
    let mut out: Vec<(&Arc<dyn ExecutionPlan>, Used)> = Vec::new();
    for (leaf, used) in leaves {
        let address = Arc::as_ptr(leaf) as *const () as usize;
        match at.get(&address) {
            Some(index) => out[*index].1.0.iter_mut().zip(used.0).for_each(|(a, b)| *a = (*a).max(b)),
            None => {
                at.insert(address, out.len());
                out.push((leaf, used));
            }
        }
    }
    out.into_iter().map(|(leaf, used)| (leaf, used.0)).collect()
}

fn width(schema: &Schema) -> usize {
    schema.fields().len()
}

fn visit<'a>(plan: &'a Arc<dyn ExecutionPlan>, used: Used, leaves: &mut Vec<(&'a Arc<dyn ExecutionPlan>, Used)>) {
    if plan.downcast_ref::<HostToDeviceExec>().is_some() {
        leaves.push((plan, used));
        return;
    }
    let children = plan.children();
    let below: Vec<Used> = match DeviceNode::of(plan) {
        Some(DeviceNode::Filter(filter)) => vec![{
            let mut input = Used(filter.unproject(&used.0, width(&children[0].schema())));
            input.add(&filter.predicate);
            input
        }],
        Some(DeviceNode::Projection(projection)) => vec![{
            let mut input = Used::none(width(&children[0].schema()));
            for (expr, used) in projection.exprs.iter().zip(&used.0) {
                match &expr.node {
                    Node::Column(column) => input.ask(*column, *used),
                    _ => input.add(expr),
                }
            }
            input
        }],
        Some(DeviceNode::Sort(sort)) => vec![{
            let mut input = used;
            sort.keys.iter().for_each(|(key, _)| input.add(key));
            input
        }],
        Some(DeviceNode::Limit(_)) => vec![used],
        Some(DeviceNode::Aggregate(aggregate)) => vec![{
            let mut input = Used::none(width(&children[0].schema()));
            aggregate.inputs_used().into_iter().for_each(|expr| input.add(expr));
            input
        }],
        Some(DeviceNode::Join(join)) => {
            let (left, right) = (width(&join.left.schema()), width(&join.right.schema()));
            let (of_left, of_right) = join.unproject(&used.0, left, right);
            let (mut of_left, mut of_right) = (Used(of_left), Used(of_right));
            for (l, r) in &join.spec.keys {
                of_left.add(l);
                of_right.add(r);
            }
            for (is_left, column) in join.spec.residual.iter().flat_map(|residual| &residual.columns) {
                let side = if *is_left { &mut of_left } else { &mut of_right };
                side.ask(*column, Strings::Ordered);
            }
            vec![of_left, of_right]
        }
        // The inputs of a union come to one dictionary.
        Some(DeviceNode::Union(_)) | None => children.iter().map(|child| Used::all(width(&child.schema()))).collect(),
    };
    for (child, used) in children.into_iter().zip(below) {
        visit(child, used, leaves);
    }
}
