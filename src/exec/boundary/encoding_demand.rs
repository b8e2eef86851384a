//! In which encodings the columns of the leaves are needed. A string that nothing compares needs no dictionary: its row id travels, and
//! the string is taken on the host at the end. One that only functions read needs none either, if few strings are alike.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use crate::columnar::encode::StringEncoding;
use crate::exec::boundary::host_to_device::HostToDeviceExec;
use crate::exec::device_exec::DeviceExec;
use crate::exec::run::engine::address;

/// A leaf and the encoding in which each of its columns is needed.
pub type Demand<'a> = (&'a Arc<dyn ExecutionPlan>, &'a HostToDeviceExec, Vec<StringEncoding>);

/// The leaves below `top`, each once.
pub fn leaf_demands(top: &Arc<dyn ExecutionPlan>) -> Vec<Demand<'_>> {
    let mut found = Vec::new();
    visit(top, vec![StringEncoding::RowIds; top.schema().fields().len()], &mut found);
    // A leaf that is there twice is loaded once.
    let mut at: HashMap<usize, usize> = HashMap::new();
    let mut out: Vec<Demand<'_>> = Vec::new();
    for (plan, leaf, columns) in found {
        match at.get(&address(plan)) {
            Some(index) => out[*index].2.iter_mut().zip(columns).for_each(|(a, b)| *a = (*a).max(b)),
            None => {
                at.insert(address(plan), out.len());
                out.push((plan, leaf, columns));
            }
        }
    }
    out
}

fn visit<'a>(plan: &'a Arc<dyn ExecutionPlan>, output: Vec<StringEncoding>, found: &mut Vec<Demand<'a>>) {
    if let Some(leaf) = plan.downcast_ref::<HostToDeviceExec>() {
        found.push((plan, leaf, output));
    } else if let Some(node) = DeviceExec::of(plan) {
        let inputs = node.operator().required_encodings(&output, &node.widths());
        node.inputs().iter().zip(inputs).for_each(|(input, encodings)| visit(input, encodings, found));
    }
}
