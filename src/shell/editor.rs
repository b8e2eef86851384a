//! The line editor: rustyline with the shell's completion, colours, and Enter that waits for `;`.

use std::borrow::Cow;

use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use crate::shell::complete::{Completion, complete};
use crate::shell::highlight::highlight;
use crate::shell::names::Names;
use crate::shell::statements;

/// The editor of the interactive shell.
pub type LineEditor = Editor<ShellHelper, rustyline::history::DefaultHistory>;

/// Most lines of history.
const HISTORY: usize = 10_000;

/// An editor without history, which the caller loads.
///
/// # Errors
/// When the terminal cannot be set up.
pub fn editor() -> rustyline::Result<LineEditor> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(HISTORY)?
        .history_ignore_dups(true)?
        .history_ignore_space(true)
        .bracketed_paste(true)
        .build();
    let mut editor = LineEditor::with_config(config)?;
    editor.set_helper(Some(ShellHelper::new()));
    Ok(editor)
}

/// What rustyline asks while a line is typed.
pub struct ShellHelper {
    /// The names that Tab offers.
    pub names: Names,
    /// The dialect of the session.
    pub dialect: Box<dyn Dialect>,
    files: FilenameCompleter,
    coloured: bool,
}

impl ShellHelper {
    fn new() -> Self {
        Self {
            names: Names::default(),
            dialect: Box::new(GenericDialect),
            files: FilenameCompleter::new(),
            coloured: colours_are_wanted(),
        }
    }
}

/// Whether the terminal should have colours (<https://no-color.org>).
pub fn colours_are_wanted() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

impl Helper for ShellHelper {}

impl Completer for ShellHelper {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, ctx: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        match complete(&self.names, line, pos, self.dialect.as_ref()) {
            Completion::File => self.files.complete(line, pos, ctx),
            Completion::Words(start, mut words) => {
                // The only word that fits is done with: the next one can follow.
                if let [only] = words.as_mut_slice()
                    && pos == line.len()
                    && !only.ends_with(['(', '.'])
                {
                    only.push(' ');
                }
                let pairs = words.into_iter().map(|word| Pair { display: word.clone(), replacement: word });
                Ok((start, pairs.collect()))
            }
        }
    }
}

impl Hinter for ShellHelper {
    type Hint = String;
}

impl Highlighter for ShellHelper {
    fn highlight<'l>(&self, line: &'l str, _pos: usize) -> Cow<'l, str> {
        if self.coloured { Cow::Owned(highlight(line, self.dialect.as_ref())) } else { Cow::Borrowed(line) }
    }

    fn highlight_char(&self, _line: &str, _pos: usize, kind: CmdKind) -> bool {
        self.coloured && kind != CmdKind::MoveCursor
    }
}

impl Validator for ShellHelper {
    fn validate(&self, ctx: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if statements::is_complete(ctx.input(), self.dialect.as_ref()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}
