//! Tables as the device reads them: how a scan is recognised, and how its columns are read.

pub mod host_rows;
pub mod parquet;
pub mod table_source;
