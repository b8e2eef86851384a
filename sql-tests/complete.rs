//! `--complete`: rewrites the expectations of a file from `host`.
//!
//! Records that the host does not run (`onlyif xla`) keep their expectations, unless an xla engine is given as well:
//! `--complete --engine xla1` completes those from that engine.

use std::fmt::Write;
use std::path::Path;

use sqllogictest::{RecordOutput, strict_column_validator, update_record_with_output};

use crate::engine::{EngineName, SharedStep, lock};
use crate::file;
use crate::values;

/// Rewrites one file, and returns whether its text changed. The host provides the expectations, and each of `others`
/// those that the host skipped.
pub async fn complete(root: &Path, name: &str, others: &[EngineName]) -> Result<bool, String> {
    let path = root.join(name);
    let before = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let (records, markers) = file::parse(root, name)?;

    // Every engine runs every record that its conditions admit. The first engine that returns an output provides the
    // expectation.
    let mut runners = Vec::new();
    for engine in std::iter::once(EngineName::Host).chain(others.iter().copied().filter(|e| e.devices() > 0)) {
        let step = SharedStep::default();
        let session = file::session(engine, name).await.map_err(|e| format!("no session on {}: {e}", engine.name()))?;
        runners.push((step.clone(), file::runner(engine, session, step)));
    }

    let mut after = String::new();
    for record in records {
        let mut written = record.clone();
        let mut judged = false;
        for (step, runner) in &mut runners {
            *lock(step) = file::next_step(&record, &markers);
            let output = runner.apply_record(record.clone()).await;
            if judged || matches!(output, RecordOutput::Nothing) {
                continue;
            }
            judged = true;
            if let Some(updated) = update_record_with_output(
                &record,
                &output,
                " ",
                values::validate,
                values::normalize,
                strict_column_validator,
            ) {
                written = updated;
            }
        }
        writeln!(after, "{written}").map_err(|e| e.to_string())?;
    }
    let after = format!("{}\n", after.trim_end());
    if after != before {
        std::fs::write(&path, &after).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(after != before)
}
