//! The loop at a terminal: read a statement or command, run it, go on after errors, keep the history on disk.

use std::fs;
use std::io::{IsTerminal, stderr};
use std::path::PathBuf;

use rustyline::error::ReadlineError;
use tokio::runtime::Runtime;

use crate::cache_dir::cache_dir;
use crate::shell::editor::{LineEditor, colours_are_wanted, editor};
use crate::shell::error::ShellError;
use crate::shell::names::Names;
use crate::shell::{Flow, Shell, statements};

const PROMPT: &str = "parallax> ";

/// Reads and runs until Ctrl-D or `\q`.
///
/// # Errors
/// When the terminal cannot be used; an error of a statement is printed and the loop goes on.
pub fn run(mut shell: Shell, runtime: &Runtime) -> Result<(), ShellError> {
    let terminal = |error: ReadlineError| ShellError::Message(format!("cannot use the terminal: {error}"));
    let mut editor = editor().map_err(terminal)?;
    let mut history = History::load(&mut editor);
    let prompt = (PROMPT, format!("\x1b[1m{PROMPT}\x1b[0m"));
    loop {
        if let Some(helper) = editor.helper_mut() {
            helper.names = runtime.block_on(Names::read(shell.session().context()));
            helper.dialect = shell.dialect();
        }
        let text = match editor.readline(&prompt) {
            Ok(text) => text,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(terminal(error)),
        };
        history.add(&mut editor, &text);
        let text = statements::bare_word(&text).unwrap_or(&text);
        match runtime.block_on(shell.run_text(text, None)) {
            Ok(Flow::Continue) => {}
            Ok(Flow::Quit) => return Ok(()),
            Err(error @ ShellError::Output(_)) => return Err(error),
            Err(error) => report(&error),
        }
    }
}

fn report(error: &ShellError) {
    let label = match error {
        ShellError::Cancelled(_) => "",
        _ if colours_are_wanted() && stderr().is_terminal() => "\x1b[1;31merror:\x1b[0m ",
        _ => "error: ",
    };
    eprintln!("{label}{error}");
}

/// The history file; without one the shell works all the same.
struct History {
    path: Option<PathBuf>,
}

impl History {
    /// Reads the history, or prints one line that says why there is none.
    fn load(editor: &mut LineEditor) -> Self {
        let opened = cache_dir().map_err(|error| error.to_string()).and_then(|dir| {
            let path = dir.join("history");
            let opened = fs::create_dir_all(&dir)
                .and_then(|()| fs::OpenOptions::new().create(true).append(true).open(&path).map(drop));
            opened.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
            editor.load_history(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            Ok(path)
        });
        match opened {
            Ok(path) => Self { path: Some(path) },
            Err(reason) => {
                eprintln!("note: history is not kept: {reason}");
                Self { path: None }
            }
        }
    }

    /// Adds an entry and writes it at once, so that another shell or a crash loses nothing.
    fn add(&mut self, editor: &mut LineEditor, text: &str) {
        let added = editor.add_history_entry(text.trim_end()).unwrap_or(false);
        let Some(path) = self.path.as_ref().filter(|_| added) else { return };
        if let Err(error) = editor.append_history(path) {
            eprintln!("note: history is no longer kept: cannot write {}: {error}", path.display());
            self.path = None;
        }
    }
}
