//! Tables that DataFusion's own runner registers before running some files.

use std::fs;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, Float64Array, Int32Array, LargeBinaryArray, LargeStringArray, RecordBatch, StringArray,
    TimestampNanosecondArray,
};
use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider};
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use datafusion::prelude::{CsvReadOptions, SessionContext};
use tempfile::TempDir;

/// Registers what file `name` expects. The returned directory contains the files of some tables.
pub async fn register(context: &SessionContext, name: &str) -> Result<Option<TempDir>> {
    match name {
        "cte.slt" => orders(context).map(|()| None),
        "information_schema_columns.slt" => many_types(context).map(|()| None),
        "joins.slt" => {
            many_types(context)?;
            add_function(context);
            partitions(context).await.map(Some)
        }
        _ => Ok(None),
    }
}

/// Registers `strict_schema.orders`, with ids 1 and 2.
fn orders(context: &SessionContext) -> Result<()> {
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    let batch = RecordBatch::try_from_iter([("order_id", ids)])?;
    let schema = MemorySchemaProvider::new();
    schema.register_table("orders".into(), Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))?;
    if let Some(catalog) = context.catalog("datafusion") {
        catalog.register_schema("strict_schema", Arc::new(schema))?;
    }
    Ok(())
}

/// Registers `my_catalog.my_schema.table_with_many_types`, with one row.
fn many_types(context: &SessionContext) -> Result<()> {
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("int32_col", Arc::new(Int32Array::from(vec![1])), false),
        ("float64_col", Arc::new(Float64Array::from(vec![1.0])), true),
        ("utf8_col", Arc::new(StringArray::from(vec![Some("foo")])), true),
        ("large_utf8_col", Arc::new(LargeStringArray::from(vec![Some("bar")])), false),
        ("binary_col", Arc::new(BinaryArray::from(vec![b"foo" as &[u8]])), false),
        ("large_binary_col", Arc::new(LargeBinaryArray::from(vec![b"foo" as &[u8]])), false),
        ("timestamp_nanos", Arc::new(TimestampNanosecondArray::from(vec![Some(123)])), false),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns)?;
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema("my_schema", Arc::new(MemorySchemaProvider::new()))?;
    context.register_catalog("my_catalog", Arc::new(catalog));
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
    context.register_table("my_catalog.my_schema.table_with_many_types", Arc::new(table)).map(drop)
}

/// Registers `example(x, y)`, the sum of two floats.
fn add_function(context: &SessionContext) {
    let types = vec![DataType::Float64, DataType::Float64];
    let add = |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        Ok(ColumnarValue::Array(numeric::add_wrapping(&arrays[0], &arrays[1])?))
    };
    context.register_udf(create_udf("example", types, DataType::Float64, Volatility::Immutable, Arc::new(add)));
}

/// Registers `test_partition_table`, a folder with one CSV file of eleven rows.
async fn partitions(context: &SessionContext) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let rows: String = (0..=10).map(|i| format!("0,{i},{}\n", i % 2 == 0)).collect();
    fs::write(folder.path().join("partition-0.csv"), rows)?;
    let schema = Schema::new(vec![
        Field::new("c1", DataType::UInt32, false),
        Field::new("c2", DataType::UInt64, false),
        Field::new("c3", DataType::Boolean, false),
    ]);
    let path = folder.path().to_string_lossy();
    context.register_csv("test_partition_table", path.as_ref(), CsvReadOptions::new().schema(&schema)).await?;
    Ok(folder)
}
