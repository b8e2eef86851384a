//! The backslash commands: one table that dispatches them, prints their help and says how each argument is completed.

use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;
use futures::future::LocalBoxFuture;

use crate::shell::error::ShellError;
use crate::shell::format::Format;
use crate::shell::names::Names;
use crate::shell::{Flow, Shell, inspect, message, progress};

/// A command: how it is typed, what it does, and the function that does it.
pub struct Command {
    /// With its backslash.
    pub name: &'static str,
    /// What the shells of DuckDB and SQLite call it.
    pub aliases: &'static [&'static str],
    /// What comes after the name.
    pub argument: Argument,
    /// What it does, for the help.
    pub help: &'static str,
    run: for<'a> fn(&'a mut Shell, &'a str) -> Action<'a>,
}

type Action<'a> = LocalBoxFuture<'a, Result<Flow, ShellError>>;

/// What a command takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Nothing.
    None,
    /// The name of a table, which may be left out.
    Table,
    /// `on` or `off`; without it the command toggles.
    OnOff,
    /// The name of a format.
    Format,
    /// A query, up to its `;`.
    Query,
    /// An option and perhaps its new value.
    Setting,
    /// The path of a file.
    File,
    /// A number of rows.
    Rows,
}

impl Argument {
    const fn usage(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Table => " [table]",
            Self::OnOff => " [on|off]",
            Self::Format => " [name]",
            Self::Query => " QUERY",
            Self::Setting => " [key [value]]",
            Self::File => " file",
            Self::Rows => " [n]",
        }
    }
}

/// The table.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "\\?",
        aliases: &[".help"],
        argument: Argument::None,
        help: "this help",
        run: |shell, _| Box::pin(async { shell.say(&help()) }),
    },
    Command {
        name: "\\d",
        aliases: &[".tables", ".schema"],
        argument: Argument::Table,
        help: "the tables, or the columns of one",
        run: |shell, table| Box::pin(describe(shell, table)),
    },
    Command {
        name: "\\timing",
        aliases: &[".timer"],
        argument: Argument::OnOff,
        help: "whether the time of each query is printed",
        run: |shell, value| Box::pin(async { timing(shell, value) }),
    },
    Command {
        name: "\\format",
        aliases: &[".mode"],
        argument: Argument::Format,
        help: "how rows are printed: table, vertical, csv, tsv, json, ndjson, markdown or none",
        run: |shell, name| Box::pin(async { format(shell, name) }),
    },
    Command {
        name: "\\maxrows",
        aliases: &[".maxrows"],
        argument: Argument::Rows,
        help: "how many rows of a result are printed; 0 is all of them",
        run: |shell, rows| Box::pin(async { max_rows(shell, rows) }),
    },
    Command {
        name: "\\refresh",
        aliases: &[],
        argument: Argument::None,
        help: "looks for new, changed and removed files in the folder of --data",
        run: |shell, _| Box::pin(refresh(shell)),
    },
    Command {
        name: "\\hlo",
        aliases: &[],
        argument: Argument::Query,
        help: "the XLA programs that a query would run",
        run: |shell, query| Box::pin(inspect_query(shell, "\\hlo", query)),
    },
    Command {
        name: "\\why",
        aliases: &[],
        argument: Argument::Query,
        help: "why operators of a query stay on the host",
        run: |shell, query| Box::pin(inspect_query(shell, "\\why", query)),
    },
    Command {
        name: "\\set",
        aliases: &[],
        argument: Argument::Setting,
        help: "the xla options, or the value of one; a second word sets it",
        run: |shell, words| Box::pin(set(shell, words)),
    },
    Command {
        name: "\\i",
        aliases: &[".read"],
        argument: Argument::File,
        help: "runs the statements and commands of a file",
        run: |shell, file| Box::pin(include(shell, file)),
    },
    Command {
        name: "\\q",
        aliases: &[".quit", ".exit"],
        argument: Argument::None,
        help: "leaves the shell, as Ctrl-D does",
        run: |_, _| Box::pin(async { Ok(Flow::Quit) }),
    },
];

/// The command of a line and its argument: `\d lineitem;` gives `("\d", "lineitem")`.
pub fn parse(text: &str) -> (&str, &str) {
    let (name, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (name.trim_end_matches(';'), argument.trim().trim_end_matches(';').trim_end())
}

/// The command with this name.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name || command.aliases.contains(&name))
}

/// Every name of every command.
pub fn names() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().flat_map(|command| std::iter::once(command.name).chain(command.aliases.iter().copied()))
}

/// Whether the argument of the command that begins `line` is a query, which may go on for several lines.
pub fn takes_query(line: &str) -> bool {
    find(parse(line).0).is_some_and(|command| command.argument == Argument::Query)
}

/// Whether a command line runs a file.
pub fn includes_file(line: &str) -> bool {
    find(parse(line).0).is_some_and(|command| command.argument == Argument::File)
}

/// Width of the meaning of an option, which leaves a terminal of 100 columns room for its name and value.
const MEANING_WIDTH: usize = 60;

/// Runs a command line.
pub async fn run(shell: &mut Shell, text: &str) -> Result<Flow, ShellError> {
    let (name, argument) = parse(text);
    let Some(command) = find(name) else {
        return Err(ShellError::Message(format!("{} is not a command; \\? lists them", message::one_line(name))));
    };
    if command.argument == Argument::None && !argument.is_empty() {
        return Err(ShellError::Message(format!("{name} takes no argument")));
    }
    (command.run)(shell, argument).await
}

/// The commands, one a line, and their other names.
pub fn help() -> String {
    let lines = COMMANDS.iter().map(|command| {
        let usage = format!("{}{}", command.name, command.argument.usage());
        format!("  {usage:<20}{}", command.help)
    });
    let aliases = COMMANDS.iter().flat_map(|command| command.aliases.iter().copied());
    let aliases = format!("  as in DuckDB and SQLite: {}", aliases.collect::<Vec<_>>().join(" "));
    lines.chain([aliases]).collect::<Vec<_>>().join("\n")
}

async fn describe(shell: &mut Shell, table: &str) -> Result<Flow, ShellError> {
    let ctx = shell.session().context();
    if table.is_empty() {
        let names = Names::read(ctx).await;
        let rows = names.tables.iter().map(|table| vec![table.sql.clone(), table.columns.len().to_string()]);
        return shell.show(&["table", "columns"], rows.collect());
    }
    let described = ctx.table_provider(table).await.map(|provider| provider.schema());
    let schema = described.map_err(|error| ShellError::Message(message::of_statement(&error, ctx).text))?;
    let rows = schema.fields().iter().map(|field| {
        let nullable = if field.is_nullable() { "yes" } else { "no" };
        vec![field.name().clone(), field.data_type().to_string(), nullable.to_string()]
    });
    shell.show(&["column", "type", "nullable"], rows.collect())
}

fn timing(shell: &mut Shell, value: &str) -> Result<Flow, ShellError> {
    shell.timing = match value.to_ascii_lowercase().as_str() {
        "" => !shell.timing,
        "on" => true,
        "off" => false,
        _ => return Err(ShellError::Message(format!("\\timing takes on or off, not '{value}'"))),
    };
    shell.say(if shell.timing { "timing is on" } else { "timing is off" })
}

fn format(shell: &mut Shell, name: &str) -> Result<Flow, ShellError> {
    if name.is_empty() {
        return shell.say(&format!("the format is {}; there are {}", shell.format.name(), Format::names("and")));
    }
    shell.format = Format::from_str(name, true)
        .map_err(|_| ShellError::Message(format!("'{name}' is not a format; use {}", Format::names("or"))))?;
    Ok(Flow::Continue)
}

fn max_rows(shell: &mut Shell, rows: &str) -> Result<Flow, ShellError> {
    if !rows.is_empty() {
        let rows: usize = rows.replace(['_', ','], "").parse().map_err(|_| {
            ShellError::Message(format!("\\maxrows takes a number of rows, or 0 for all of them, not '{rows}'"))
        })?;
        shell.max_rows = Some(rows);
    }
    shell.say(&match shell.row_limit() {
        Some(rows) => format!("printing at most {} of each result", progress::row_count(rows)),
        None => "printing all rows".to_string(),
    })
}

async fn refresh(shell: &mut Shell) -> Result<Flow, ShellError> {
    let session = Arc::clone(shell.session());
    let Some(data) = &mut shell.data else {
        return Err(ShellError::Message("there is no folder to look at: start with --data DIR".to_string()));
    };
    let changes = data.refresh(session.context()).await;
    let changes = changes.map_err(|error| ShellError::Message(message::of(&error)))?;
    let count = data.tables().len();
    let tables = if count == 1 { "1 table".to_string() } else { format!("{count} tables") };
    let listed = |what: &str, names: &[String]| match names {
        [] => String::new(),
        names => format!("; {what}: {}", names.join(", ")),
    };
    let changes = listed("new", &changes.added) + &listed("gone", &changes.removed);
    shell.say(&format!("{tables}{}", if changes.is_empty() { "; nothing new" } else { &changes }))
}

async fn inspect_query(shell: &mut Shell, command: &str, query: &str) -> Result<Flow, ShellError> {
    if query.is_empty() {
        return Err(ShellError::Message(format!("{command} takes a query, e.g. {command} SELECT 1;")));
    }
    let session = shell.session();
    let text = match command {
        "\\hlo" => inspect::hlo(session, query).await,
        _ => inspect::why(session, query).await,
    };
    let text = text.map_err(|error| ShellError::Message(message::of_statement(&error, session.context()).text))?;
    shell.say(&text)
}

async fn set(shell: &mut Shell, words: &str) -> Result<Flow, ShellError> {
    let (key, value) = words.split_once(|c: char| c.is_whitespace() || c == '=').unwrap_or((words, ""));
    let value = value.trim_start_matches(|c: char| c.is_whitespace() || c == '=');
    if !value.is_empty() {
        let value = value.trim_matches('\'').replace('\'', "''");
        return shell.run_sql(&format!("SET {key} = '{value}'")).await.map(|()| Flow::Continue);
    }
    let table = shell.format == Format::Table;
    let meaning = |text: &str| if table { folded(text, MEANING_WIDTH) } else { text.to_string() };
    let entries = shell.session().context().state().config_options().entries();
    let wanted =
        entries.into_iter().filter(|entry| if key.is_empty() { is_ours(&entry.key) } else { entry.key == key });
    let mut rows: Vec<Vec<String>> = wanted
        .map(|entry| vec![entry.key, entry.value.unwrap_or_else(|| "NULL".to_string()), meaning(entry.description)])
        .collect();
    if rows.is_empty() {
        return Err(ShellError::Message(format!(
            "'{key}' is not an option; \\set lists those of xla, SHOW ALL lists every one"
        )));
    }
    rows.sort();
    shell.show(&["option", "value", "meaning"], rows)
}

/// `text` in lines of at most `width` characters, where its words allow it.
fn folded(text: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut room = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count() + 1;
        if !lines.is_empty() {
            lines.push(if length > room { '\n' } else { ' ' });
        }
        room = if length > room { width.saturating_sub(length) } else { room - length };
        lines.push_str(word);
    }
    lines
}

fn is_ours(key: &str) -> bool {
    key.starts_with("xla.")
}

async fn include(shell: &mut Shell, file: &str) -> Result<Flow, ShellError> {
    if file.is_empty() {
        return Err(ShellError::Message("\\i takes a file, e.g. \\i query.sql".to_string()));
    }
    shell.run_file(Path::new(file.trim_matches('\''))).await
}

#[cfg(test)]
mod tests {
    use crate::shell::command::{COMMANDS, find, help, names, parse, takes_query};

    #[test]
    fn the_table_is_the_help() {
        assert_eq!(help().lines().count(), COMMANDS.len() + 1);
        insta::assert_snapshot!(help(), @r"
        \?                  this help
        \d [table]          the tables, or the columns of one
        \timing [on|off]    whether the time of each query is printed
        \format [name]      how rows are printed: table, vertical, csv, tsv, json, ndjson, markdown or none
        \maxrows [n]        how many rows of a result are printed; 0 is all of them
        \refresh            looks for new, changed and removed files in the folder of --data
        \hlo QUERY          the XLA programs that a query would run
        \why QUERY          why operators of a query stay on the host
        \set [key [value]]  the xla options, or the value of one; a second word sets it
        \i file             runs the statements and commands of a file
        \q                  leaves the shell, as Ctrl-D does
        as in DuckDB and SQLite: .help .tables .schema .timer .mode .maxrows .read .quit .exit
        ");
    }

    #[test]
    fn every_name_is_one_command() {
        let mut all: Vec<_> = names().collect();
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "{all:?}");
        assert_eq!(find(".schema").map(|command| command.name), Some("\\d"));
        assert_eq!(find("\\tables").map(|command| command.name), None);
    }

    #[test]
    fn a_line_is_a_name_and_an_argument() {
        assert_eq!(parse("\\d"), ("\\d", ""));
        assert_eq!(parse("\\q;"), ("\\q", ""));
        assert_eq!(parse("\\d  lineitem ; "), ("\\d", "lineitem"));
        assert_eq!(parse("\\why SELECT\n 1;"), ("\\why", "SELECT\n 1"));
        assert!(takes_query("\\hlo SELECT 1"));
        assert!(!takes_query("\\d x"));
    }
}
