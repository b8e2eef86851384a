//! One statement from text to printed rows: it runs in a task of its own, so that Ctrl-C and the progress line work
//! while DataFusion or a device is busy.
//!
//! ```text
//! task: session.execute --schema, batches--> channel --> Printer --> output
//!                                               ^ Ctrl-C drops the task; a timer draws the progress line
//! ```

use std::future::pending;
use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::session::{RanOn, Session};
use crate::shell::error::ShellError;
use crate::shell::format::{Format, Printer};
use crate::shell::progress::Progress;

/// How a statement is run and printed.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How its rows are printed.
    pub format: Format,
    /// Most rows to print.
    pub limit: Option<usize>,
    /// Ctrl-C cancels the statement rather than ends the program.
    pub interruptible: bool,
}

/// What a statement gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Rows of the result; `None` for a statement that has none, such as SET.
    pub rows: Option<usize>,
    /// Rows that the limit left out.
    pub left_out: usize,
    /// From the text to the last row.
    pub elapsed: Duration,
    /// Where a query has run; `None` for a statement without rows.
    pub ran_on: Option<RanOn>,
    /// The host operators have run what the device is now made ready for.
    pub compiling: bool,
}

/// A statement's end without a result: its own error, or one of the shell.
#[derive(Debug)]
pub enum Failure {
    /// The statement is wrong, or failed while it ran.
    Statement(DataFusionError),
    /// The statement was cancelled, or its rows cannot be printed.
    Shell(ShellError),
}

impl<E: Into<ShellError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Shell(error.into())
    }
}

enum Event {
    Schema(SchemaRef),
    Rows(RecordBatch),
}

/// Runs `sql` and prints its rows to `out`.
pub async fn run(
    session: &Arc<Session>,
    sql: &str,
    settings: Settings,
    out: &mut dyn Write,
) -> std::result::Result<Outcome, Failure> {
    let on_host_before = session.host_runs();
    let hint = if settings.interruptible { " (Ctrl-C cancels)" } else { "" };
    let mut progress = Progress::start(hint);
    let (sender, mut events) = mpsc::channel(4);
    let task = SpawnedTask::spawn(produce(Arc::clone(session), sql.to_string(), sender));
    let mut printer: Option<Printer> = None;
    let mut ticks = interval(Duration::from_millis(100));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // One listener for the whole query: it also hears what comes while rows are written.
    let mut interrupt = pin!(interrupted(settings.interruptible));
    loop {
        let event = tokio::select! {
            biased;
            () = &mut interrupt => return Err(ShellError::Cancelled(progress.elapsed()).into()),
            event = events.recv() => event,
            _ = ticks.tick() => {
                progress.tick(printer.as_ref().map_or(0, Printer::rows), session.loading().as_ref());
                continue;
            }
        };
        let Some(event) = event else { break };
        progress.erase();
        match (event, &mut printer) {
            (Event::Rows(batch), Some(printer)) => printer.write(&batch, out)?,
            (Event::Rows(_), None) => {}
            (Event::Schema(schema), _) => printer = Some(Printer::new(settings.format, schema, settings.limit)),
        }
    }
    progress.erase();
    let ran_on = match task.join().await {
        Ok(produced) => produced.map_err(Failure::Statement)?,
        Err(error) if error.is_panic() => return Err(ShellError::Message(panic_message(error.into_panic())).into()),
        Err(_) => return Err(ShellError::Cancelled(progress.elapsed()).into()),
    };
    let elapsed = progress.elapsed();
    let compiling = session.host_runs() > on_host_before && !session.at_rest();
    let done = Outcome { rows: None, left_out: 0, elapsed, ran_on: None, compiling };
    let Some(mut printer) = printer else { return Ok(done) };
    printer.finish(out)?;
    if printer.has_no_columns() {
        return Ok(done);
    }
    Ok(Outcome { rows: Some(printer.rows()), left_out: printer.left_out(), ran_on: Some(ran_on), ..done })
}

/// Sends the schema, then the rows, and returns where the statement has run. A receiver that has gone ends it.
async fn produce(session: Arc<Session>, sql: String, sender: mpsc::Sender<Event>) -> Result<RanOn> {
    let execution = session.run(&sql).await?;
    let trace = execution.trace();
    let mut rows = execution.rows;
    if sender.send(Event::Schema(rows.schema())).await.is_ok() {
        while let Some(batch) = rows.next().await {
            if sender.send(Event::Rows(batch?)).await.is_err() {
                break;
            }
        }
    }
    Ok(trace.ran_on())
}

async fn interrupted(enabled: bool) {
    if enabled && tokio::signal::ctrl_c().await.is_ok() {
        return;
    }
    pending().await
}

fn panic_message(payload: Box<dyn std::any::Any + Send>) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_string());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    format!("internal error: {} (this is a bug: please report the statement)", crate::shell::message::one_line(&text))
}
