//! The SQL shell: statements and backslash commands from a terminal, a script or the command line.
//!
//! ```text
//! text -> statements::split -> command::run            -> output
//!                           -> query::run -> Printer   -> output
//! ```

pub mod command;
pub mod complete;
pub mod editor;
pub mod error;
pub mod format;
pub mod highlight;
pub mod inspect;
pub mod interactive;
pub mod keywords;
pub mod message;
pub mod names;
pub mod progress;
pub mod query;
pub mod sample;
pub mod statements;
pub mod tokens;
pub mod tour;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::sql::sqlparser::dialect::Dialect;

use crate::session::{RanOn, Session};
use crate::shell::error::ShellError;
use crate::shell::format::{Format, Printer};
use crate::shell::query::{Failure, Outcome, Settings};
use crate::shell::statements::Piece;
use crate::statement::dialect_of;
use crate::tables::DataFolder;

/// Most rows that a terminal gets of one result, unless it is asked for more: as many as DuckDB's shell prints.
const TERMINAL_ROWS: usize = 40;

/// Files that include one another go no deeper than this.
const INCLUDE_DEPTH: usize = 16;

/// Whether to go on after a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// There may be more.
    Continue,
    /// The user wants to leave.
    Quit,
}

/// A session with an output and the settings of the backslash commands.
pub struct Shell {
    session: Arc<Session>,
    out: Box<dyn Write>,
    /// How rows are printed.
    pub format: Format,
    /// Whether the time of each query is printed.
    pub timing: bool,
    /// Whether the number of rows is printed after them.
    pub footers: bool,
    /// Most rows that are printed of a result, where that was asked for; 0 is no limit.
    pub max_rows: Option<usize>,
    /// The output is a terminal.
    pub terminal: bool,
    /// The folder that the tables are from.
    pub data: Option<DataFolder>,
    interactive: bool,
    include_depth: usize,
}

impl Shell {
    /// A shell for scripts: it prints rows and nothing else.
    pub fn new(session: Arc<Session>, out: Box<dyn Write>, format: Format) -> Self {
        Self {
            session,
            out,
            format,
            timing: false,
            footers: false,
            max_rows: None,
            terminal: false,
            data: None,
            interactive: false,
            include_depth: 0,
        }
    }

    /// A shell for a person: long tables are cut, each query says its rows and time, and Ctrl-C cancels it.
    pub fn interactive(session: Arc<Session>, out: Box<dyn Write>, format: Format) -> Self {
        Self { timing: true, footers: true, terminal: true, interactive: true, ..Self::new(session, out, format) }
    }

    /// Most rows to print of a result.
    pub fn row_limit(&self) -> Option<usize> {
        match self.max_rows {
            Some(0) => None,
            Some(rows) => Some(rows),
            None => (self.terminal && self.format.is_for_people()).then_some(TERMINAL_ROWS),
        }
    }

    /// The session that statements run in.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The SQL dialect that the session's options name.
    pub fn dialect(&self) -> Box<dyn Dialect> {
        dialect_of(&self.session.context().state())
    }

    /// Runs the statements and commands of `text` up to the first that fails. `origin` is the file they are from: an
    /// error names it and the line.
    pub async fn run_text(&mut self, text: &str, origin: Option<&str>) -> Result<Flow, ShellError> {
        for piece in statements::split(text, self.dialect().as_ref()) {
            if self.run_piece(piece, origin).await? == Flow::Quit {
                return Ok(Flow::Quit);
            }
        }
        Ok(Flow::Continue)
    }

    /// Runs a file as [`run_text`](Self::run_text) does.
    pub async fn run_file(&mut self, path: &Path) -> Result<Flow, ShellError> {
        if self.include_depth == INCLUDE_DEPTH {
            return Err(ShellError::Message(format!("{} is included by itself", path.display())));
        }
        let text = fs::read_to_string(path)
            .map_err(|error| ShellError::Message(format!("cannot read {}: {error}", path.display())))?;
        self.include_depth += 1;
        let flow = Box::pin(self.run_text(&text, Some(&path.display().to_string()))).await;
        self.include_depth -= 1;
        flow
    }

    /// Runs one statement and prints what it gives.
    pub async fn run_sql(&mut self, sql: &str) -> Result<(), ShellError> {
        let piece = Piece { text: sql, start: 0, line: 1, column: 1, complete: true };
        self.run_statement(piece, None).await
    }

    async fn run_piece(&mut self, piece: Piece<'_>, origin: Option<&str>) -> Result<Flow, ShellError> {
        if !piece.is_command() {
            return self.run_statement(piece, origin).await.map(|()| Flow::Continue);
        }
        // A file that is included says where its errors are.
        let origin = origin.filter(|_| !command::includes_file(piece.text));
        command::run(self, piece.text).await.map_err(|error| match (error, origin) {
            (ShellError::Message(text), Some(origin)) => {
                ShellError::Message(format!("{origin}:{}: {text}", piece.line))
            }
            (error, _) => error,
        })
    }

    async fn run_statement(&mut self, piece: Piece<'_>, origin: Option<&str>) -> Result<(), ShellError> {
        let settings = Settings { format: self.format, limit: self.row_limit(), interruptible: self.interactive };
        let ran = query::run(&self.session, piece.text, settings, &mut self.out).await;
        // What a failed statement has printed comes before its error.
        self.out.flush()?;
        for notice in self.session.take_notices() {
            eprintln!("warning: {}", message::one_line(&notice));
        }
        match ran {
            Ok(outcome) => self.print_outcome(outcome),
            Err(Failure::Shell(error)) => Err(error),
            Err(Failure::Statement(error)) => {
                let message = message::of_statement(&error, self.session.context());
                Err(ShellError::Message(placed(message, piece, origin)))
            }
        }
    }

    fn print_outcome(&mut self, outcome: Outcome) -> Result<(), ShellError> {
        let more = (outcome.left_out > 0).then(|| progress::count(outcome.left_out));
        let timing = self.timing || self.format == Format::None;
        let line = (self.footers || timing).then(|| Self::outcome_line(outcome, timing));
        // The output of a script is data.
        let in_output = self.footers && self.format.is_for_people();
        if in_output {
            if let Some(more) = more {
                writeln!(self.out, "... {more} more rows (\\maxrows 0 shows all)")?;
            }
            if let Some(line) = line {
                writeln!(self.out, "{line}")?;
            }
            self.out.flush()?;
            return Ok(());
        }
        self.out.flush()?;
        if let Some(more) = more {
            eprintln!("note: {more} more rows were left out (--max-rows 0 prints all)");
        }
        if let Some(line) = line {
            eprintln!("{line}");
        }
        Ok(())
    }

    /// `10 rows in 3.2 ms (device)`.
    fn outcome_line(outcome: Outcome, timing: bool) -> String {
        let rows = outcome.rows.map_or("done".to_string(), progress::row_count);
        if !timing {
            return rows;
        }
        let place = match outcome.ran_on {
            None => "",
            Some(RanOn::Device) => " (device)",
            Some(_) if outcome.compiling => " (host; compiling for the device in the background)",
            Some(RanOn::Host) => " (host)",
            Some(RanOn::Both) => " (host and device)",
        };
        format!("{rows} in {}{place}", progress::duration(outcome.elapsed))
    }

    /// Runs a statement and prints nothing, for its time.
    pub async fn time(&mut self, sql: &str) -> Result<Outcome, ShellError> {
        let settings = Settings { format: Format::None, limit: None, interruptible: self.interactive };
        let ran = query::run(&self.session, sql, settings, &mut self.out).await;
        ran.map_err(|failure| match failure {
            Failure::Shell(error) => error,
            Failure::Statement(error) => {
                ShellError::Message(message::of_statement(&error, self.session.context()).text)
            }
        })
    }

    /// Prints text of the shell itself.
    pub fn say(&mut self, text: &str) -> Result<Flow, ShellError> {
        writeln!(self.out, "{text}")?;
        self.out.flush()?;
        Ok(Flow::Continue)
    }

    /// Prints rows of the shell itself as those of a query are printed.
    pub fn show(&mut self, columns: &[&str], rows: Vec<Vec<String>>) -> Result<Flow, ShellError> {
        let fields: Vec<Field> = columns.iter().map(|name| Field::new(*name, DataType::Utf8, false)).collect();
        let cells = |column: usize| rows.iter().map(move |row| row.get(column).map_or("", String::as_str));
        let arrays: Vec<ArrayRef> = (0..columns.len())
            .map(|column| Arc::new(StringArray::from_iter_values(cells(column))) as ArrayRef)
            .collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
            .map_err(|error| ShellError::Message(error.to_string()))?;
        let mut printer = Printer::new(self.format, batch.schema(), None);
        printer.write(&batch, &mut self.out)?;
        printer.finish(&mut self.out)?;
        self.out.flush()?;
        Ok(Flow::Continue)
    }
}

/// A message with the file and line, or for a syntax error the line and column, counted from the start of the text.
fn placed(message: message::Message, piece: Piece<'_>, origin: Option<&str>) -> String {
    let at = message
        .at
        .map(|(line, column)| (piece.line + line - 1, if line == 1 { piece.column + column - 1 } else { column }));
    match (origin, at) {
        (Some(origin), Some((line, column))) => format!("{origin}:{line}:{column}: {}", message.text),
        (Some(origin), None) => format!("{origin}:{}: {}", piece.line, message.text),
        (None, Some((line, column))) => format!("{} (line {line}, column {column})", message.text),
        (None, None) => message.text,
    }
}
