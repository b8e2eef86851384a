//! The `xla.*` options with their defaults and descriptions. `SET xla.placement = 'always'` sets an option in SQL,
//! `SHOW xla.placement` reads it, and `parallax --set xla.placement=always` sets it on the command line.

use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ConfigOptions, ExtensionOptions};
use datafusion::error::{DataFusionError, Result};

/// Where operators run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Placement {
    /// Plans every operator that has a device form for the device, and runs each pipeline where it is expected to be
    /// faster. Operators without a device form run on the host, and EXPLAIN shows the reason.
    #[default]
    Auto,
    /// Fails with the operator and the reason if an operator cannot run on the device.
    Always,
    /// Plain DataFusion.
    Never,
}

impl FromStr for Placement {
    type Err = DataFusionError;

    fn from_str(value: &str) -> Result<Self> {
        match value.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err(DataFusionError::Configuration(format!(
                "xla.placement: '{value}' is not a placement; use auto, always or never"
            ))),
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        })
    }
}

/// The names of the frontend's rules, in the order in which they apply. `src/frontend/` has a file for each.
pub const FRONTEND_RULES: &[&str] = &[
    "is_distinct_from",
    "balanced_chains",
    "text_arguments",
    "row_comparisons",
    "distinct_order",
    "using_columns",
    "duplicate_names",
    "wide_dictionaries",
    "exact_literals",
    "exact_aggregates",
    "null_equality",
    "precise_math",
    "truth_tests",
    "union_schema",
    "unnest",
    "decimal_casts",
    "decimal_precision",
    "guarded_branches",
    "canonical_floats",
    "aggregate_schema",
    "whole_conditions",
    "missing_files",
    "messages",
];

/// Which rules of the frontend apply.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum FrontendRules {
    /// All of them.
    #[default]
    All,
    /// None: plain DataFusion.
    None,
    /// Those of these names.
    Only(Vec<String>),
}

impl FrontendRules {
    /// Whether the rule of this name, one of [`FRONTEND_RULES`], applies.
    pub fn has(&self, rule: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Only(rules) => rules.iter().any(|r| r == rule),
        }
    }
}

impl FromStr for FrontendRules {
    type Err = DataFusionError;

    fn from_str(value: &str) -> Result<Self> {
        let value = value.trim().to_ascii_lowercase();
        match value.as_str() {
            "all" => return Ok(Self::All),
            "none" | "" => return Ok(Self::None),
            _ => {}
        }
        let rules: Vec<String> = value.split(',').map(|rule| rule.trim().to_string()).collect();
        match rules.iter().find(|rule| !FRONTEND_RULES.contains(&rule.as_str())) {
            None => Ok(Self::Only(rules)),
            Some(unknown) => Err(DataFusionError::Configuration(format!(
                "xla.frontend_rules: '{unknown}' is not a rule; use all, none, or some of {}",
                FRONTEND_RULES.join(", ")
            ))),
        }
    }
}

impl fmt::Display for FrontendRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::None => f.write_str("none"),
            Self::Only(rules) => f.write_str(&rules.join(",")),
        }
    }
}

/// The options with the prefix `xla`. Each field has a row in `OPTIONS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XlaOptions {
    /// Where operators run.
    pub placement: Placement,
    /// Limit on device memory in bytes; `None` is no limit.
    pub memory_limit: Option<usize>,
    /// Limit on host memory in bytes, once for the strings of cached columns and once for columns that do not fit on the
    /// device; `None` is no limit.
    pub host_memory_limit: Option<usize>,
    /// Folder for spill files; empty is the system's temporary folder.
    pub spill_dir: String,
    /// Rows per chunk; 0 is the default of the device kind.
    pub chunk_rows: usize,
    /// Threads that run chunks on a CPU device; 0 is one per core.
    pub threads: usize,
    /// Maximum number of slots of a dense GROUP BY or join; keys with a larger range are hashed.
    pub max_dense_slots: usize,
    /// Keep the columns of unchanged tables on the device between queries.
    pub cache_columns: bool,
    /// Compile programs and upload columns in the background while queries run on the host.
    pub background_compile: bool,
    /// Count the rows after every operator of a device pipeline.
    pub count_rows: bool,
    /// Use the portable HLO kernels on the CPU instead of the native ones.
    pub portable_kernels: bool,
    /// Which rules of the frontend apply.
    pub frontend_rules: FrontendRules,
    /// Fail where `+ - *` or a negation of integers leaves the range of their type, instead of wrapping.
    pub checked_arithmetic: bool,
}

impl Default for XlaOptions {
    fn default() -> Self {
        Self {
            placement: Placement::Auto,
            memory_limit: None,
            host_memory_limit: None,
            spill_dir: String::new(),
            chunk_rows: 0,
            threads: 0,
            max_dense_slots: 1 << 25,
            cache_columns: true,
            background_compile: false,
            count_rows: false,
            portable_kernels: false,
            frontend_rules: FrontendRules::All,
            checked_arithmetic: false,
        }
    }
}

/// An option's name and description, and how it is read and set.
struct OptionRow {
    name: &'static str,
    description: &'static str,
    get: fn(&XlaOptions) -> String,
    set: fn(&mut XlaOptions, &str) -> Result<()>,
}

/// The table behind SET, SHOW, `information_schema.df_settings` and the documentation.
const OPTIONS: &[OptionRow] = &[
    OptionRow {
        name: "placement",
        description: "Where operators run. auto: on the device if they have a device form and are expected to be \
                      faster there; always: on the device, or the query fails with the operator and the reason; \
                      never: on the host, as in plain DataFusion. Default auto.",
        get: |o| o.placement.to_string(),
        set: |o, v| v.parse().map(|p| o.placement = p),
    },
    OptionRow {
        name: "memory_limit",
        description: "Limit on the device memory that Parallax uses, e.g. '512MB' or '4GB'; 0 is no limit. Default \
                      0.",
        get: |o| o.memory_limit.unwrap_or(0).to_string(),
        set: |o, v| parse_bytes("xla.memory_limit", v).map(|b| o.memory_limit = (b > 0).then_some(b)),
    },
    OptionRow {
        name: "host_memory_limit",
        description: "Limit on host memory, once for the strings of cached columns, and once for columns that do not \
                      fit on the device. Beyond it, the least recently used cached columns are dropped, and other \
                      columns spill to files. 0 is no limit. Default 0.",
        get: |o| o.host_memory_limit.unwrap_or(0).to_string(),
        set: |o, v| parse_bytes("xla.host_memory_limit", v).map(|b| o.host_memory_limit = (b > 0).then_some(b)),
    },
    OptionRow {
        name: "spill_dir",
        description: "Folder for spill files; empty is the system's temporary folder. Default empty.",
        get: |o| o.spill_dir.clone(),
        set: |o, v| {
            o.spill_dir = v.to_string();
            Ok(())
        },
    },
    OptionRow {
        name: "chunk_rows",
        description: "Rows per chunk: a power of two, at least 1024. 0 is the device's default, 262144 on a CPU, or \
                      less under xla.memory_limit. Default 0.",
        get: |o| o.chunk_rows.to_string(),
        set: |o, v| {
            let rows = parse_usize("xla.chunk_rows", v)?;
            if rows != 0 && !(rows.is_power_of_two() && rows >= 1024) {
                return Err(DataFusionError::Configuration(format!(
                    "xla.chunk_rows: {rows} is not a power of two of at least 1024; 0 selects the default"
                )));
            }
            o.chunk_rows = rows;
            Ok(())
        },
    },
    OptionRow {
        name: "threads",
        description: "Threads that run chunks on a CPU device; 0 is one per core. Default 0.",
        get: |o| o.threads.to_string(),
        set: |o, v| parse_usize("xla.threads", v).map(|n| o.threads = n),
    },
    OptionRow {
        name: "max_dense_slots",
        description: "Maximum number of slots of a dense GROUP BY or join, where keys are array positions; at \
                      most 1073741824. Keys whose range is larger, or large relative to the number of rows, are hashed. \
                      Default 33554432.",
        get: |o| o.max_dense_slots.to_string(),
        set: |o, v| {
            let groups = parse_usize("xla.max_dense_slots", v)?;
            if groups > 1 << 30 {
                return Err(DataFusionError::Configuration(format!(
                    "xla.max_dense_slots: {groups} exceeds 1073741824, the maximum for 32-bit group ids"
                )));
            }
            o.max_dense_slots = groups;
            Ok(())
        },
    },
    OptionRow {
        name: "cache_columns",
        description: "Keep the columns of unchanged tables on the device between queries. Default true.",
        get: |o| o.cache_columns.to_string(),
        set: |o, v| parse_bool("xla.cache_columns", v).map(|b| o.cache_columns = b),
    },
    OptionRow {
        name: "background_compile",
        description: "Under auto, compile programs and upload columns in the background while queries run on the \
                      host. If false, a query waits for both as soon as they are expected to pay off. Default false; \
                      the shell sets it to true.",
        get: |o| o.background_compile.to_string(),
        set: |o, v| parse_bool("xla.background_compile", v).map(|b| o.background_compile = b),
    },
    OptionRow {
        name: "count_rows",
        description: "Count the rows after every operator of a device pipeline, which costs a pass over the row mask. \
                      EXPLAIN ANALYZE always does. Default false.",
        get: |o| o.count_rows.to_string(),
        set: |o, v| parse_bool("xla.count_rows", v).map(|b| o.count_rows = b),
    },
    OptionRow {
        name: "portable_kernels",
        description: "Use the portable HLO kernels on the CPU instead of the faster native ones, for tests. Default \
                      false.",
        get: |o| o.portable_kernels.to_string(),
        set: |o, v| parse_bool("xla.portable_kernels", v).map(|b| o.portable_kernels = b),
    },
    OptionRow {
        name: "frontend_rules",
        description: "The rules and functions that correct or extend DataFusion's SQL: all, none, or some of \
                      is_distinct_from, balanced_chains, text_arguments, row_comparisons, distinct_order, using_columns, \
                      duplicate_names, wide_dictionaries, exact_literals, exact_aggregates, null_equality, \
                      precise_math, truth_tests, union_schema, unnest, decimal_casts, decimal_precision, \
                      guarded_branches, canonical_floats, aggregate_schema, whole_conditions, missing_files and messages, separated \
                      by commas. In a program's own SessionContext those over the text of a statement do not apply: \
                      is_distinct_from, balanced_chains, text_arguments, row_comparisons, distinct_order, using_columns, \
                      duplicate_names and messages. Default all.",
        get: |o| o.frontend_rules.to_string(),
        set: |o, v| v.parse().map(|rules| o.frontend_rules = rules),
    },
    OptionRow {
        name: "checked_arithmetic",
        description: "+ - * and negation of integers fail where the result leaves the range of their type, as the SQL \
                      standard says. If false, they wrap, as in DataFusion. Default false.",
        get: |o| o.checked_arithmetic.to_string(),
        set: |o, v| parse_bool("xla.checked_arithmetic", v).map(|b| o.checked_arithmetic = b),
    },
];

fn parse_usize(option: &str, value: &str) -> Result<usize> {
    value
        .trim()
        .parse()
        .map_err(|_| DataFusionError::Configuration(format!("{option}: '{value}' is not a non-negative integer")))
}

fn parse_bool(option: &str, value: &str) -> Result<bool> {
    value
        .trim()
        .to_ascii_lowercase()
        .parse()
        .map_err(|_| DataFusionError::Configuration(format!("{option}: '{value}' is not true or false")))
}

/// Parses a size such as `1024`, `64KB`, `512MB`, `2GB` or `1.5GiB`. Units are powers of 1024.
fn parse_bytes(option: &str, value: &str) -> Result<usize> {
    let text = value.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit: f64 = match text[digits..].trim() {
        "" | "b" => 1.0,
        "k" | "kb" | "kib" => 1024.0,
        "m" | "mb" | "mib" => 1048576.0,
        "g" | "gb" | "gib" => 1073741824.0,
        _ => f64::NAN,
    };
    let bytes = text[..digits].parse::<f64>().unwrap_or(f64::NAN) * unit;
    if bytes.is_nan() {
        return Err(DataFusionError::Configuration(format!(
            "{option}: '{value}' is not a size; write e.g. 512MB, 4GB, or 0 for no limit"
        )));
    }
    Ok(bytes as usize)
}

impl XlaOptions {
    /// Returns the options in a session's configuration, or the defaults if it has none.
    pub fn of(config: &ConfigOptions) -> Self {
        config.extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// Returns the folder for spill files.
    pub fn spill_dir(&self) -> PathBuf {
        if self.spill_dir.is_empty() { std::env::temp_dir() } else { PathBuf::from(&self.spill_dir) }
    }

    /// Returns `(name, default, description)` of every option.
    pub fn documentation() -> Vec<(String, String, &'static str)> {
        let defaults = Self::default();
        OPTIONS.iter().map(|row| (format!("xla.{}", row.name), (row.get)(&defaults), row.description)).collect()
    }
}

impl ConfigExtension for XlaOptions {
    const PREFIX: &'static str = "xla";
}

impl ExtensionOptions for XlaOptions {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match OPTIONS.iter().find(|row| row.name == key) {
            Some(row) => (row.set)(self, value),
            None => {
                let known: Vec<_> = OPTIONS.iter().map(|row| format!("xla.{}", row.name)).collect();
                Err(DataFusionError::Configuration(format!(
                    "xla.{key} is not an option; the options are {}",
                    known.join(", ")
                )))
            }
        }
    }

    // Keys need the prefix, which `extensions_options!` omits: without it `SHOW xla.placement` finds nothing.
    fn entries(&self) -> Vec<ConfigEntry> {
        OPTIONS
            .iter()
            .map(|row| ConfigEntry {
                key: format!("xla.{}", row.name),
                value: Some((row.get)(self)),
                description: row.description,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::config::ExtensionOptions;

    use crate::config::{Placement, XlaOptions};

    #[test]
    fn sets_and_shows_every_option() {
        let mut options = XlaOptions::default();
        for (key, value) in [("placement", "ALWAYS"), ("memory_limit", "1.5 GiB"), ("chunk_rows", "4096")] {
            options.set(key, value).unwrap();
        }
        assert_eq!(options.placement, Placement::Always);
        assert_eq!(options.memory_limit, Some(3 << 29));
        let shown = options.entries().into_iter().find(|e| e.key == "xla.chunk_rows").unwrap();
        assert_eq!(shown.value.as_deref(), Some("4096"));
    }

    #[test]
    fn errors_of_invalid_values_say_what_is_valid() {
        let mut options = XlaOptions::default();
        let mut message = |key: &str, value: &str| options.set(key, value).unwrap_err().to_string();
        assert!(message("placement", "gpu").contains("use auto, always or never"));
        assert!(message("memory_limit", "lots").contains("write e.g. 512MB"));
        assert!(message("chunk_rows", "1000").contains("power of two"));
        assert!(message("placment", "auto").contains("the options are xla.placement"));
    }
}
