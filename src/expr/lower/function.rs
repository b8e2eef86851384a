//! Lowers calls of scalar functions: passes each call to the method of its family.

use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;

use crate::expr::ir::Function;
use crate::expr::tracer::{TracedColumn, Tracer};

impl Tracer {
    pub fn scalar_function(
        &mut self,
        function: &Function,
        args: &[TracedColumn],
        data_type: &DataType,
    ) -> Result<TracedColumn> {
        match (function, args) {
            (Function::Choice(choice), [_, ..]) => self.choose(*choice, args),
            (Function::Math(math), [operand]) => self.math(*math, operand),
            (Function::Math2(math), [lhs, rhs]) => self.math2(*math, lhs, rhs),
            (Function::Exact(exact), [_, ..]) => self.exact_function(*exact, args, data_type),
            (Function::DatePart(part), [operand]) => self.date_part(*part, operand, data_type),
            (Function::DateTrunc(to), [operand]) => self.date_trunc(*to, operand),
            (Function::DateBin(bin), [operand]) => self.date_bin(bin, operand),
            (Function::MakeDate, [year, month, day]) => self.make_date(year, month, day),
            (Function::MakeTime, [hour, minute, second]) => self.make_time(hour, minute, second),
            (Function::ToLocalTime, [operand]) => self.to_local_time(operand, data_type),
            (Function::ToTimestamp, [operand]) => self.timestamp_from_float(operand, data_type),
            _ => datafusion::common::internal_err!("{function:?} of {} arguments", args.len()),
        }
    }
}
