//! Computes a relation early, if it has few rows.

use datafusion::error::Result;

use crate::exec::run::compaction::{estimated_rows, mistrust_sample};
use crate::exec::run::engine::Engine;
use crate::exec::run::materialize::materialize;
use crate::exec::trace::relation::Relation;

/// The relation, computed if it has no more than `most` rows, as far as a sample can tell.
pub fn with_few_rows(engine: &Engine, relation: Relation, most: usize) -> Result<Relation> {
    let is_single = relation.is_single();
    if !is_single && estimated_rows(engine, &relation)? > most {
        return Ok(relation);
    }
    let table = materialize(engine, &relation, None)?;
    if !is_single && table.layout.rows > most {
        mistrust_sample(engine, &relation)?;
    }
    Ok(Relation::on(table))
}
