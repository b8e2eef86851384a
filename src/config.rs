//! Every `xla.*` option, with its default and its documentation. `SET xla.placement = 'always'` sets one from SQL,
//! `SHOW xla.placement` reads it, and `parallax --set xla.placement=always` sets it at start.

use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ConfigOptions, ExtensionOptions};
use datafusion::error::{DataFusionError, Result};

/// Which operators run on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Placement {
    /// Every operator that can run on the device is planned there, and runs there where that is expected to be faster; the others
    /// carry a reason.
    #[default]
    Auto,
    /// An operator that cannot run on the device is an error that names the operator and the reason.
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

/// The options with prefix `xla`. One row of `OPTIONS` documents each field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XlaOptions {
    /// Which operators run on the device.
    pub placement: Placement,
    /// Bytes of device memory; `None` is no limit of ours.
    pub memory_limit: Option<usize>,
    /// Bytes of host memory for the strings of resident columns, and as many for columns that the device has no room for;
    /// `None` is no limit.
    pub host_memory_limit: Option<usize>,
    /// Folder of spill files; empty is the system's.
    pub spill_dir: String,
    /// Rows of one chunk; 0 lets the device kind choose.
    pub chunk_rows: usize,
    /// Host threads that run chunks on a CPU device; 0 is one per core.
    pub threads: usize,
    /// Slots of a dense group-by; more is not placed on the device.
    pub max_dense_slots: usize,
    /// Keep the columns of unchanged tables on the device between queries.
    pub cache_columns: bool,
    /// Let the host operators answer while programs are compiled.
    pub background_compile: bool,
    /// Count the rows after every operator of a pipeline.
    pub count_rows: bool,
    /// Use the kernels written in HLO on the CPU, too.
    pub portable_kernels: bool,
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
        }
    }
}

/// One option: how it is named, what it does, how it is read and written.
struct OptionRow {
    name: &'static str,
    description: &'static str,
    get: fn(&XlaOptions) -> String,
    set: fn(&mut XlaOptions, &str) -> Result<()>,
}

/// The table that drives SET, SHOW, `df_settings` and the documentation.
const OPTIONS: &[OptionRow] = &[
    OptionRow {
        name: "placement",
        description: "Which operators run on the device: auto (those that can, where the device is expected to be faster), always \
                      (anything else is an error that names the operator and the reason), never (plain DataFusion). \
                      Default auto.",
        get: |o| o.placement.to_string(),
        set: |o, v| v.parse().map(|p| o.placement = p),
    },
    OptionRow {
        name: "memory_limit",
        description: "Device memory that Parallax may use, e.g. '512MB' or '4GB'; 0 is no limit. Default 0.",
        get: |o| o.memory_limit.unwrap_or(0).to_string(),
        set: |o, v| parse_bytes("xla.memory_limit", v).map(|b| o.memory_limit = (b > 0).then_some(b)),
    },
    OptionRow {
        name: "host_memory_limit",
        description: "Host memory for the strings of resident columns, the least recently used of which make room, and as \
                      much for columns that the device has no room for, which then go to files. 0 is no limit. Default 0.",
        get: |o| o.host_memory_limit.unwrap_or(0).to_string(),
        set: |o, v| parse_bytes("xla.host_memory_limit", v).map(|b| o.host_memory_limit = (b > 0).then_some(b)),
    },
    OptionRow {
        name: "spill_dir",
        description: "Folder for what fits neither xla.memory_limit nor xla.host_memory_limit; empty is the system's folder \
                      for temporary files. Default empty.",
        get: |o| o.spill_dir.clone(),
        set: |o, v| {
            o.spill_dir = v.to_string();
            Ok(())
        },
    },
    OptionRow {
        name: "chunk_rows",
        description: "Rows of one chunk, a power of two of at least 1024; 0 lets the device choose (CPU 262144). \
                      Default 0.",
        get: |o| o.chunk_rows.to_string(),
        set: |o, v| {
            let rows = parse_usize("xla.chunk_rows", v)?;
            if rows != 0 && !(rows.is_power_of_two() && rows >= 1024) {
                return Err(DataFusionError::Configuration(format!(
                    "xla.chunk_rows: {rows} is not a power of two of at least 1024 (0 lets the device choose)"
                )));
            }
            o.chunk_rows = rows;
            Ok(())
        },
    },
    OptionRow {
        name: "threads",
        description: "Host threads that run chunks on a CPU device; 0 is one for each core. Default 0.",
        get: |o| o.threads.to_string(),
        set: |o, v| parse_usize("xla.threads", v).map(|n| o.threads = n),
    },
    OptionRow {
        name: "max_dense_slots",
        description: "Most slots of a dense group-by or join (the product of the key ranges), up to 1073741824; keys \
                      that span more, or more than a few slots a row, are hashed. Default 33554432.",
        get: |o| o.max_dense_slots.to_string(),
        set: |o, v| {
            let groups = parse_usize("xla.max_dense_slots", v)?;
            if groups > 1 << 30 {
                return Err(DataFusionError::Configuration(format!(
                    "xla.max_dense_slots: {groups} is more than 1073741824, what group ids of 32 bits allow"
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
        description: "Under auto, compile programs that are worth it in the background while the host operators answer; without \
                      it they are compiled when the host has spent as much time as that takes. Default false; the shell sets it.",
        get: |o| o.background_compile.to_string(),
        set: |o, v| parse_bool("xla.background_compile", v).map(|b| o.background_compile = b),
    },
    OptionRow {
        name: "count_rows",
        description: "Count the rows after every operator of a device pipeline, at the price of a pass over the mask; \
                      EXPLAIN ANALYZE always does. Default false.",
        get: |o| o.count_rows.to_string(),
        set: |o, v| parse_bool("xla.count_rows", v).map(|b| o.count_rows = b),
    },
    OptionRow {
        name: "portable_kernels",
        description: "Use the kernels that are written in HLO on the CPU, too, where native ones are faster. Default \
                      false.",
        get: |o| o.portable_kernels.to_string(),
        set: |o, v| parse_bool("xla.portable_kernels", v).map(|b| o.portable_kernels = b),
    },
];

fn parse_usize(option: &str, value: &str) -> Result<usize> {
    value
        .trim()
        .parse()
        .map_err(|_| DataFusionError::Configuration(format!("{option}: '{value}' is not a whole number of 0 or more")))
}

fn parse_bool(option: &str, value: &str) -> Result<bool> {
    value
        .trim()
        .to_ascii_lowercase()
        .parse()
        .map_err(|_| DataFusionError::Configuration(format!("{option}: '{value}' is not true or false")))
}

/// Reads `1024`, `64KB`, `512MB`, `2GB`, `1.5GiB`; the units are powers of 1024.
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
    /// The options in a session's configuration, or the defaults where the extension is absent.
    pub fn of(config: &ConfigOptions) -> Self {
        config.extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// Folder of spill files.
    pub fn spill_dir(&self) -> PathBuf {
        if self.spill_dir.is_empty() { std::env::temp_dir() } else { PathBuf::from(&self.spill_dir) }
    }

    /// `(name, default, description)` of every option, for documentation.
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

    // `extensions_options!` omits the prefix here, and then `SHOW xla.placement` finds nothing.
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
    fn wrong_values_say_what_to_write() {
        let mut options = XlaOptions::default();
        let mut message = |key: &str, value: &str| options.set(key, value).unwrap_err().to_string();
        assert!(message("placement", "gpu").contains("use auto, always or never"));
        assert!(message("memory_limit", "lots").contains("write e.g. 512MB"));
        assert!(message("chunk_rows", "1000").contains("power of two"));
        assert!(message("placment", "auto").contains("the options are xla.placement"));
    }
}
