//! Exchanges between the devices of a mesh, as operators of the plan. `planner::distribute` puts them where an operator has to see rows
//! together that lie on several devices; the all-to-all by keys or ranges has its place here, too.

pub mod broadcast;
pub mod exchange_node;
pub mod gather;
