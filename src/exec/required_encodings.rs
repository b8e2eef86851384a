//! The encodings in which an operator needs the columns of an input.

use crate::columnar::encode::StringEncoding;
use crate::expr::ir::DeviceExpr;

/// The encoding needed of each column of one relation, the least demanding first.
#[derive(Clone, Debug)]
pub struct RequiredEncodings(Vec<StringEncoding>);

impl RequiredEncodings {
    /// Columns that are only passed through.
    pub fn none(columns: usize) -> Self {
        Self(vec![StringEncoding::RowIds; columns])
    }

    /// Columns that are compared.
    pub fn ordered(columns: usize) -> Vec<StringEncoding> {
        vec![StringEncoding::OrderedDictionary; columns]
    }

    /// The encodings that are needed of columns that the output passes through.
    pub fn passed_through(output: &[StringEncoding]) -> Self {
        Self(output.to_vec())
    }

    /// Column `column` is needed in `encoding`, at least.
    pub fn require(&mut self, column: usize, encoding: StringEncoding) {
        if let Some(required) = self.0.get_mut(column) {
            *required = (*required).max(encoding);
        }
    }

    /// The columns that an expression reads are needed as it reads them.
    pub fn require_for(&mut self, expr: &DeviceExpr) {
        expr.visit_columns(&mut |column, only| {
            self.require(column, if only { StringEncoding::LookupCodes } else { StringEncoding::OrderedDictionary });
        });
    }

    pub fn into_columns(self) -> Vec<StringEncoding> {
        self.0
    }
}
