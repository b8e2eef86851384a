//! What can end a statement or a command early.

use std::io;
use std::time::Duration;

/// Reason a statement or a command came to no good end. Its text is one line.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// Something to tell the user, who can go on.
    #[error("{0}")]
    Message(String),
    /// Ctrl-C during a query.
    #[error("cancelled after {}", crate::shell::progress::duration(*.0))]
    Cancelled(Duration),
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl ShellError {
    /// Whether the reader of the output has gone, as `head` does when it has enough: not an error to report.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
