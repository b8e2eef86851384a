//! The command line: what each argument means, the help that teaches, and exit code 1 with one line for every error.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal, Read, stdin, stdout};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use datafusion::error::DataFusionError;
use tokio::runtime::{Builder, Runtime};

use crate::session::Session;
use crate::shell::error::ShellError;
use crate::shell::format::Format;
use crate::shell::sample::sample;
use crate::shell::{Flow, Shell, command, interactive, message, statements, tour};
use crate::tables::DataFolder;
use crate::tpch;

/// Stack of the threads that plan and run queries: a deeply nested statement takes megabytes.
const STACK: usize = 16 << 20;

/// XLA takes more devices for those of several processes.
const MOST_DEVICES: usize = 1024;

#[derive(Parser)]
#[command(
    name = "parallax",
    bin_name = "parallax",
    version,
    about = "A SQL database for analysis: DataFusion plans, XLA runs.",
    long_about = "A SQL database for analysis: DataFusion plans, XLA runs.\n\n\
                  Without -c or -f it opens a shell, or runs the SQL on standard input. If there is none, it gives a short tour."
)]
struct Arguments {
    /// Run these statements and exit; may be repeated and mixed with -f
    #[arg(short = 'c', long = "command", value_name = "SQL")]
    commands: Vec<String>,

    /// Run the statements of a file and exit; may be repeated
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Make each .parquet, .csv, .json or .arrow file or folder in DIR a table (or one file); the default is TPC-H
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Start without tables
    #[arg(long, conflicts_with = "data")]
    empty: bool,

    /// Scale factor of the TPC-H data: 0.1 is 0.9 million rows, 1 is 8.7 million; written on first use
    #[arg(long, value_name = "FACTOR", default_value = "0.1", conflicts_with_all = ["data", "empty"])]
    #[arg(value_parser = scale, allow_negative_numbers = true)]
    scale: f64,

    /// How to print rows
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Print at most N rows of a result; 0 prints all. The default is 40 for tables on a terminal, else all
    #[arg(long, value_name = "N")]
    max_rows: Option<usize>,

    /// Device to run queries on: cpu (the default), gpu or tpu
    #[arg(long, value_name = "KIND")]
    device: Option<String>,

    /// Number of devices to spread tables over; a CPU is split into virtual ones
    #[arg(long, value_name = "N", value_parser = devices, allow_negative_numbers = true)]
    devices: Option<usize>,

    /// Set an option, as the SQL statement SET does; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
}

fn scale(text: &str) -> Result<f64, String> {
    let scale = text.parse().map_err(|_| "not a number".to_string())?;
    tpch::check_scale(scale).map_err(|error| message::of(&error))?;
    Ok(scale)
}

fn devices(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|n| (1..=MOST_DEVICES).contains(n))
        .ok_or_else(|| format!("not a whole number between 1 and {MOST_DEVICES}"))
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("not KEY=VALUE, e.g. xla.placement=always")?;
    Ok((key.trim().to_string(), value.trim().to_string()))
}

fn more_help() -> String {
    format!(
        "Examples:
  parallax                                          the shell, with the eight TPC-H tables
  parallax --data ./sales                           the shell, with a table for each file in ./sales
  parallax -c 'SELECT count(*) FROM lineitem'       one query
  parallax --empty -c \"FROM 'a/*.csv' LIMIT 9\"     files by name: a file, a folder or a pattern
  parallax -f report.sql --format csv > report.csv  a script
  parallax --format none -f q.sql                   only the time of each statement
  parallax --set xla.placement=always -f q.sql      an error where an operator would stay on the host
  parallax < /dev/null                              a short tour

Commands in the shell and in scripts:
{}

In the shell, a statement ends with ; and Tab completes words. Ctrl-C clears the line or cancels the query, Ctrl-D exits.

Tables:
  Where SQL takes a table, it also takes the path of a file in quotes: .parquet, .csv, .tsv, .json, .ndjson or .arrow,
  text also with .gz, .bz2, .xz or .zst. A path ending in / is a folder; * ? [] and ** match names.
  http://, https:// and s3:// paths work, too. For s3:// set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION
  (AWS_ENDPOINT and AWS_ALLOW_HTTP=true for other servers than Amazon's), or use
  CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 's3://bucket/t/' OPTIONS ('aws.region' 'eu-west-1').
  SUMMARIZE t describes the values of each column, DESCRIBE t their types; FROM t is short for SELECT * FROM t.

Files:
  Parallax keeps TPC-H data and the shell's history in $PARALLAX_CACHE, else in $XDG_CACHE_HOME/parallax,
  else in ~/.cache/parallax. It can all be deleted; what is needed is written again.

Exit code: 0, or 1 after an error, which is one line on standard error. A script ends at the first statement that fails.
NO_COLOR=1 turns colours off.",
        command::help()
    )
}

/// What ends the program early.
enum Exit {
    /// An error to report.
    Error(String),
    /// Text that was asked for, such as the help.
    Print(String),
}

impl From<ShellError> for Exit {
    fn from(error: ShellError) -> Self {
        if error.is_closed_pipe() { Self::Print(String::new()) } else { Self::Error(error.to_string()) }
    }
}

impl From<DataFusionError> for Exit {
    fn from(error: DataFusionError) -> Self {
        Self::Error(message::of(&error))
    }
}

/// Runs the program with these arguments, the first of which is its name; the exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    report_panics_on_one_line();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let Ok(ran) = catch_unwind(|| run(arguments)) else { return 1 };
    match ran {
        Ok(()) => 0,
        Err(Exit::Print(text)) => {
            // If nothing reads the output, there is nowhere to report that.
            let _ = io::Write::write_all(&mut stdout(), text.as_bytes());
            0
        }
        Err(Exit::Error(text)) => {
            eprintln!("error: {}", message::one_line(&text));
            1
        }
    }
}

/// A panic in a thread of the runtime becomes the error of its query.
fn report_panics_on_one_line() {
    std::panic::set_hook(Box::new(|panic| {
        if std::thread::current().name() == Some("main") {
            let text = message::one_line(&panic.to_string());
            eprintln!("error: internal error: {text} (this is a bug: please report it)");
        }
    }));
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<(), Exit> {
    let matches = Arguments::command().after_help(more_help()).try_get_matches_from(arguments).map_err(usage_error)?;
    let arguments = Arguments::from_arg_matches(&matches).map_err(usage_error)?;
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK)
        .build()
        .map_err(|error| Exit::Error(format!("cannot start threads: {error}")))?;
    let ran = run_on(&runtime, &arguments, &matches);
    // A query that was cancelled may still be at work.
    runtime.shutdown_background();
    ran
}

fn usage_error(error: clap::Error) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Exit::Print(error.to_string());
    }
    let text = error.to_string();
    let mut line = String::new();
    // The lines up to the first empty one say what is wrong; a tip may follow.
    for part in text.lines().take_while(|line| !line.trim().is_empty()) {
        let _ = write!(line, "{} ", part.trim());
    }
    for tip in text.lines().filter_map(|line| line.trim().strip_prefix("tip: ")) {
        let _ = write!(line, "({tip}) ");
    }
    Exit::Error(format!("{}; --help explains the arguments", line.trim_start_matches("error: ").trim_end()))
}

fn run_on(runtime: &Runtime, arguments: &Arguments, matches: &ArgMatches) -> Result<(), Exit> {
    // In a shell a query should not wait for a compiler.
    let mut builder = Session::builder().set("xla.background_compile", "true");
    if let Some(device) = &arguments.device {
        builder = builder.device(device);
    }
    if let Some(devices) = arguments.devices {
        builder = builder.devices(devices);
    }
    for (key, value) in &arguments.settings {
        builder = builder.set(key, value);
    }
    let session = Arc::new(builder.build()?);

    let scripts = scripts(arguments, matches);
    let terminal = scripts.is_empty() && stdin().is_terminal();
    // Before the data: when it cannot be read, nothing is generated.
    let input = if scripts.is_empty() && !terminal { standard_input()? } else { String::new() };
    let data = runtime.block_on(load(&session, arguments))?;

    let out = Box::new(BufWriter::with_capacity(1 << 16, stdout()));
    let mut shell = if terminal {
        Shell::interactive(session, out, arguments.format)
    } else {
        Shell::new(session, out, arguments.format)
    };
    shell.terminal = stdout().is_terminal();
    shell.max_rows = arguments.max_rows;
    let has_tpch = data.as_ref().is_some_and(|data| data.tables().any(|table| table == "lineitem"));
    if terminal {
        shell.say(&banner(arguments, data.as_ref()))?;
        shell.data = data;
        return Ok(interactive::run(shell, runtime)?);
    }
    shell.data = data;
    runtime.block_on(async {
        for script in &scripts {
            let flow = match script {
                Script::Command(sql) => shell.run_text(sql, None).await?,
                Script::File(path) => shell.run_file(path).await?,
            };
            if flow == Flow::Quit {
                return Ok(());
            }
        }
        if !scripts.is_empty() {
            return Ok(());
        }
        if !statements::split(&input, shell.dialect().as_ref()).is_empty() {
            shell.run_text(&input, Some("stdin")).await?;
        } else if has_tpch {
            tour::run(&mut shell).await?;
        } else {
            shell.run_text("\\d", None).await?;
        }
        Ok(())
    })
}

enum Script<'a> {
    Command(&'a str),
    File(&'a Path),
}

/// What -c and -f give, in the order in which they stand.
fn scripts<'a>(arguments: &'a Arguments, matches: &ArgMatches) -> Vec<Script<'a>> {
    let commands = arguments.commands.iter().map(|sql| Script::Command(sql));
    let files = arguments.files.iter().map(|path| Script::File(path));
    let places = |name| matches.indices_of(name).into_iter().flatten();
    let mut scripts: Vec<(usize, Script<'a>)> =
        places("commands").zip(commands).chain(places("files").zip(files)).collect();
    scripts.sort_by_key(|(place, _)| *place);
    scripts.into_iter().map(|(_, script)| script).collect()
}

fn standard_input() -> Result<String, Exit> {
    let mut text = String::new();
    let read = stdin().read_to_string(&mut text);
    read.map_err(|error| Exit::Error(format!("cannot read the standard input: {error}")))?;
    Ok(text)
}

/// Registers the tables and returns the folder that they are from.
async fn load(session: &Session, arguments: &Arguments) -> Result<Option<DataFolder>, Exit> {
    if arguments.empty {
        return Ok(None);
    }
    let mut data = match &arguments.data {
        Some(path) => DataFolder::new(path),
        None => DataFolder::new(&sample(arguments.scale)?),
    };
    data.refresh(session.context()).await?;
    if data.tables().len() == 0 {
        eprintln!(
            "note: there are no tables: {} has no .parquet, .csv, .json or .arrow file and no folder of them (\\refresh looks \
             again)",
            data.path().display()
        );
    }
    Ok(Some(data))
}

fn banner(arguments: &Arguments, data: Option<&DataFolder>) -> String {
    let names: Vec<&str> = data.into_iter().flat_map(DataFolder::tables).collect();
    let tables = match names.len() {
        0 => "none yet".to_string(),
        n if n > 12 => format!("{n} of them"),
        _ => names.join(", "),
    };
    let source = match (&arguments.data, data) {
        (_, None) => "The database is empty; SELECT * FROM 'file.parquet' reads a file".to_string(),
        (Some(path), _) => format!("Tables in {}: {tables}", path.display()),
        (None, _) => format!("TPC-H at scale factor {}: {tables}", arguments.scale),
    };
    format!("Parallax {}. {source}.\nA statement ends with ; and \\? lists the commands.", env!("CARGO_PKG_VERSION"))
}
