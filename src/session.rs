//! `Session`: DataFusion's `SessionContext` with the device runtime, the planner's rules and the table registry.

use std::path::Path;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::config::XlaOptions;

pub struct Session {
    ctx: SessionContext,
}

#[derive(Default)]
pub struct SessionBuilder {
    device: Option<String>,
    devices: Option<usize>,
    settings: Vec<(String, String)>,
}

impl SessionBuilder {
    /// Device kind: `cpu` (the default), `gpu` or `tpu`.
    pub fn device(mut self, kind: &str) -> Self {
        self.device = Some(kind.to_string());
        self
    }

    /// Number of devices in the mesh (virtual ones on a CPU).
    pub fn devices(mut self, n: usize) -> Self {
        self.devices = Some(n);
        self
    }

    /// An option as `SET key = value` would set it, e.g. `("xla.placement", "always")`.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_string(), value.to_string()));
        self
    }

    pub fn build(self) -> Result<Session> {
        let mut config = SessionConfig::new().with_information_schema(true).with_option_extension(XlaOptions::default());
        for (key, value) in &self.settings {
            config.options_mut().set(key, value)?;
        }
        Ok(Session { ctx: SessionContext::new_with_config(config) })
    }
}

impl Session {
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    pub fn builder() -> SessionBuilder {
        SessionBuilder::default()
    }

    pub fn context(&self) -> &SessionContext {
        &self.ctx
    }

    /// Plans a statement; rows come when the frame is collected or executed.
    pub async fn sql(&self, sql: &str) -> Result<DataFrame> {
        self.ctx.sql(sql).await
    }

    /// Runs a statement and streams its rows. The physical plan of a repeated query is cached.
    pub async fn execute(&self, sql: &str) -> Result<SendableRecordBatchStream> {
        self.ctx.sql(sql).await?.execute_stream().await
    }

    /// Runs a statement to its end.
    pub async fn collect(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        datafusion::physical_plan::common::collect(self.execute(sql).await?).await
    }

    pub async fn table(&self, name: &str) -> Result<DataFrame> {
        self.ctx.table(name).await
    }

    /// Registers a .parquet, .csv or .json file, or a folder of them, as a table.
    pub async fn register_path(&self, _name: &str, _path: &Path) -> Result<()> {
        Err(DataFusionError::NotImplemented(String::new()))
    }

    /// Registers each .parquet, .csv and .json file or folder in `dir`; returns the table names in order.
    pub async fn register_dir(&self, _dir: &Path) -> Result<Vec<String>> {
        Err(DataFusionError::NotImplemented(String::new()))
    }
}
