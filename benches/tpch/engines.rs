//! The engines that are timed, their tables, and how each runs a query.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use parallax::exec::state::context::DeviceContext;
use parallax::session::Session;
use serde_json::Value;

use crate::cpu::Watch;
use crate::data::{self, Data};
use crate::machine;
use crate::options::Options;
use crate::worker::Worker;

/// An engine with tables in memory or in Parquet files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Columns are cached on the device.
    ParallaxWarm,
    /// Parquet files, with nothing cached on the device yet. Programs have been compiled.
    ParallaxCold,
    DatafusionMemory,
    DatafusionParquet,
    DuckdbMemory,
    DuckdbParquet,
    PolarsMemory,
}

impl Engine {
    /// In the order of the columns of the result tables.
    pub const ALL: [Self; 7] = [
        Self::ParallaxWarm,
        Self::ParallaxCold,
        Self::DatafusionMemory,
        Self::DatafusionParquet,
        Self::DuckdbMemory,
        Self::DuckdbParquet,
        Self::PolarsMemory,
    ];

    /// Returns the name in the JSON and for the worker.
    pub fn key(self) -> &'static str {
        match self {
            Self::ParallaxWarm => "parallax_warm",
            Self::ParallaxCold => "parallax_cold",
            Self::DatafusionMemory => "datafusion_memory",
            Self::DatafusionParquet => "datafusion_parquet",
            Self::DuckdbMemory => "duckdb_memory",
            Self::DuckdbParquet => "duckdb_parquet",
            Self::PolarsMemory => "polars_memory",
        }
    }

    /// Returns the name in tables and in the chart.
    pub fn label(self) -> &'static str {
        match self {
            Self::ParallaxWarm => "Parallax",
            Self::ParallaxCold => "Parallax Parquet",
            Self::DatafusionMemory => "DataFusion",
            Self::DatafusionParquet => "DataFusion Parquet",
            Self::DuckdbMemory => "DuckDB",
            Self::DuckdbParquet => "DuckDB Parquet",
            Self::PolarsMemory => "Polars",
        }
    }

    fn is_python(self) -> bool {
        matches!(self, Self::DuckdbMemory | Self::DuckdbParquet | Self::PolarsMemory)
    }
}

/// All engines, ready to run.
pub struct Engines {
    parallax_memory: Session,
    parallax_parquet: Session,
    datafusion_memory: SessionContext,
    datafusion_parquet: SessionContext,
    pub worker: Option<Worker>,
}

impl Engines {
    /// Registers or loads the tables in every engine.
    pub async fn load(options: &Options, data: &Data, mut worker: Option<Worker>) -> Result<Self> {
        let files = data::files(options.scale)?;
        if let Some(worker) = &mut worker {
            for engine in Engine::ALL.into_iter().filter(|engine| engine.is_python()) {
                let seconds = worker.load(engine.key(), machine::threads(), &files)?;
                eprintln!("loaded {} in {seconds:.1} s", engine.label());
            }
        }
        let engines = Self {
            parallax_memory: parallax(options.devices)?,
            parallax_parquet: parallax(options.devices)?,
            datafusion_memory: datafusion(),
            datafusion_parquet: datafusion(),
            worker,
        };
        register(&[engines.parallax_memory.context(), &engines.datafusion_memory], data)?;
        for (name, path) in &files {
            let path: &PathBuf = path;
            engines.parallax_parquet.register_path(name, path).await?;
            let url = path.to_string_lossy();
            engines.datafusion_parquet.register_parquet(*name, url, ParquetReadOptions::default()).await?;
        }
        Ok(engines)
    }

    /// Returns the engines of this run.
    pub fn all(&self) -> Vec<Engine> {
        Engine::ALL.into_iter().filter(|engine| self.worker.is_some() || !engine.is_python()).collect()
    }

    /// Runs a query to its last row and returns the milliseconds and the rows. The Python engines return rows only if
    /// `keep`.
    pub async fn run(&mut self, engine: Engine, sql: &str, keep: bool) -> Result<(f64, Vec<RecordBatch>)> {
        if engine == Engine::ParallaxCold {
            clear(&self.parallax_parquet)?;
        }
        let start = Instant::now();
        let rows = match engine {
            Engine::ParallaxWarm => self.parallax_memory.collect(sql).await?,
            Engine::ParallaxCold => self.parallax_parquet.collect(sql).await?,
            Engine::DatafusionMemory => self.datafusion_memory.sql(sql).await?.collect().await?,
            Engine::DatafusionParquet => self.datafusion_parquet.sql(sql).await?.collect().await?,
            Engine::DuckdbMemory | Engine::DuckdbParquet | Engine::PolarsMemory => {
                let Some(worker) = &mut self.worker else { return Err(exec_datafusion_err!("there is no Python")) };
                let (seconds, rows) = worker.run(engine.key(), sql, keep)?;
                return Ok((seconds * 1e3, rows));
            }
        };
        Ok((start.elapsed().as_secs_f64() * 1e3, rows))
    }

    /// Removes the columns of the in-memory tables from the device.
    pub fn clear_warm(&self) -> Result<()> {
        clear(&self.parallax_memory)
    }

    /// Returns the bytes on the device for columns of the in-memory tables.
    pub fn warm_bytes(&self) -> Result<usize> {
        Ok(device(&self.parallax_memory)?
            .column_cache
            .inventory()
            .iter()
            .map(|cached| cached.column.size_bytes())
            .sum())
    }

    /// Starts to measure the processor time of other programs.
    pub fn watch(&self) -> Watch {
        Watch::start(self.worker.as_ref().map(Worker::process_id))
    }

    /// Returns the versions of Python and its libraries, if Python runs.
    pub fn python_versions(&mut self) -> Result<Value> {
        self.worker.as_mut().map_or(Ok(Value::Null), Worker::versions)
    }
}

/// Creates a session that runs everything on the device.
pub fn parallax(devices: usize) -> Result<Session> {
    let threads = machine::threads().to_string();
    Session::builder()
        .devices(devices)
        .set("xla.placement", "always")
        .set("xla.threads", &threads)
        .set("datafusion.execution.target_partitions", &threads)
        .build()
}

/// Creates a DataFusion context with default options.
pub fn datafusion() -> SessionContext {
    SessionContext::new_with_config(SessionConfig::new().with_target_partitions(machine::threads()))
}

/// Registers the in-memory tables in the contexts.
pub fn register(contexts: &[&SessionContext], data: &Data) -> Result<()> {
    for (name, table) in &data.memory {
        for context in contexts {
            context.register_table(*name, table.clone())?;
        }
    }
    Ok(())
}

fn device(session: &Session) -> Result<Arc<DeviceContext>> {
    DeviceContext::of(&session.context().task_ctx())
}

fn clear(session: &Session) -> Result<()> {
    let device = device(session)?;
    while device.column_cache.evict_one() {}
    if device.column_cache.inventory().is_empty() {
        Ok(())
    } else {
        Err(exec_datafusion_err!("a query that has ended holds columns"))
    }
}
