//! Brings string columns to one dictionary.

use std::sync::Arc;

use datafusion::error::Result;

use crate::columnar::dictionary::Dictionary;
use crate::columnar::range::Range;
use crate::expr::tracer::integer::{Int, Limbs};
use crate::expr::tracer::{TracedColumn, Tracer, Values};
use crate::program::ElementType::S32;

impl Tracer {
    /// Translates the codes of all columns to one common dictionary.
    pub fn unify_dictionaries(&mut self, columns: &[TracedColumn]) -> Result<Vec<TracedColumn>> {
        let mut dictionaries = columns.iter().filter_map(|c| c.dictionary.clone());
        let Some(mut common) = dictionaries.next() else { return Ok(columns.to_vec()) };
        for dictionary in dictionaries {
            if !Arc::ptr_eq(&common, &dictionary) && *common != *dictionary {
                common = Dictionary::merge(&common, &dictionary).0;
            }
        }
        let mut out = Vec::with_capacity(columns.len());
        for column in columns {
            let own = column.dictionary.clone();
            let same = own.as_ref().is_some_and(|d| Arc::ptr_eq(d, &common) || **d == *common);
            let mut unified = column.clone();
            if !same {
                column.check_ordered()?;
            }
            if let (Some(own), false) = (own, same) {
                let (_, new_codes, _) = Dictionary::merge(&own, &common);
                let int = if self.string_literal(column).is_some() {
                    let code = new_codes.first().copied().unwrap_or(0);
                    Limbs::Narrow(self.scalar_parameter(S32, i128::from(code)))
                } else {
                    let bytes = new_codes.iter().flat_map(|c| c.to_le_bytes()).collect();
                    let table = self.table_parameter(S32, bytes);
                    let code = self.to_element(column.int()?, S32)?;
                    Limbs::Narrow(self.builder.take(table, code)?)
                };
                unified.values = Values::Int(Int { limbs: int, range: code_range(&common) });
            }
            unified.dictionary = Some(common.clone());
            out.push(unified);
        }
        Ok(out)
    }

    /// The string of a column that is a literal; `None` for other columns.
    pub fn string_literal(&self, column: &TracedColumn) -> Option<String> {
        let dictionary = column.dictionary.as_ref()?;
        let scalar = match &column.values {
            Values::Int(Int { limbs: Limbs::Narrow(v), .. }) => self.builder.shape(*v).rank() == 0,
            _ => false,
        };
        (scalar && dictionary.len() == 1).then(|| dictionary.values().value(0).to_string())
    }
}

/// The range of the codes of a dictionary.
pub fn code_range(dictionary: &Dictionary) -> Range {
    Range::new(0, (dictionary.len() as i128 - 1).max(0))
}
