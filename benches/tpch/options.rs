//! Command-line options.

/// The options of one run.
#[derive(Clone, Debug)]
pub struct Options {
    pub scale: f64,
    pub runs: usize,
    pub devices: usize,
    /// Names of the cases to run; empty for all.
    pub only: Vec<String>,
    /// Runs only Parallax and DataFusion, without Python.
    pub only_rust: bool,
    /// Whether the cost per row at other scale factors is measured, too.
    pub growth: bool,
}

impl Options {
    /// Parses the arguments. `--growth` is the default for a run over all cases at scale factor 1 on one device.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { scale: 1.0, runs: 5, devices: 1, only: Vec::new(), only_rust: false, growth: false };
        let mut no_growth = false;
        if let Ok(scale) = std::env::var("PARALLAX_BENCH_SCALE") {
            options.scale = scale.parse().map_err(|_| format!("PARALLAX_BENCH_SCALE: '{scale}' is not a number"))?;
        }
        while let Some(name) = arguments.next() {
            match name.as_str() {
                // Passed by cargo.
                "--bench" => continue,
                "--only-rust" => options.only_rust = true,
                "--no-growth" => no_growth = true,
                "--scale" => options.scale = number(&name, arguments.next())?,
                "--runs" => options.runs = number(&name, arguments.next())?,
                "--devices" => options.devices = number(&name, arguments.next())?,
                "--only" => {
                    options.only = arguments.next().unwrap_or_default().split(',').map(str::to_string).collect();
                }
                _ => {
                    return Err(format!(
                        "'{name}' is not an argument; there are --scale, --runs, --devices, --only, --only-rust and \
                         --no-growth"
                    ));
                }
            }
        }
        if options.scale <= 0.0 || options.runs == 0 || options.devices == 0 {
            return Err("--scale, --runs and --devices must be greater than 0".to_string());
        }
        options.growth = !no_growth && options.covers_all();
        Ok(options)
    }

    /// Returns whether the figures are those that docs/benchmarks.md shows.
    pub fn covers_all(&self) -> bool {
        self.scale == 1.0 && self.devices == 1 && self.only.is_empty()
    }
}

fn number<T: std::str::FromStr>(name: &str, value: Option<String>) -> Result<T, String> {
    let value = value.unwrap_or_default();
    value.parse().map_err(|_| format!("{name}: '{value}' is not a number"))
}
