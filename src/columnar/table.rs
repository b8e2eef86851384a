//! Columns and tables in device memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};

use crate::columnar::decode::ColumnSpec;
use crate::columnar::dictionary::Dictionary;
use crate::columnar::encode::{ColumnEncoder, Strings};
use crate::columnar::layout::Layout;
use crate::columnar::range::Range;
use crate::columnar::representation::Representation;
use crate::program::{ElementType, Shape};
use crate::runtime::{Buffer, Mesh};

/// The device arrays of one chunk of one column, each `[capacity]`.
pub struct DeviceChunk {
    /// As `Representation::element_types` says.
    pub values: Vec<Buffer>,
    /// `pred`, present if the column has NULLs anywhere.
    pub valid: Option<Buffer>,
}

/// A column in device memory.
pub struct DeviceColumn {
    pub data_type: DataType,
    pub representation: Representation,
    /// Range of the values (codes for strings) of the rows that are not NULL; `None` for booleans and floats.
    pub range: Option<Range>,
    pub has_nulls: bool,
    pub dictionary: Option<Arc<Dictionary>>,
    /// `[shard][chunk]`
    pub chunks: Vec<Vec<DeviceChunk>>,
}

/// What an upload cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct UploadCost {
    pub bytes: usize,
    pub time: Duration,
}

impl DeviceColumn {
    /// Encodes `arrays` (the whole column, in order) and uploads them to the mesh.
    pub fn upload(
        arrays: Vec<ArrayRef>,
        data_type: &DataType,
        strings: Strings,
        layout: &Layout,
        mesh: &Mesh,
    ) -> Result<(Self, UploadCost)> {
        let start = Instant::now();
        let encoder = ColumnEncoder::with_strings(arrays, data_type, strings)?;
        let element_types = encoder.representation.element_types();
        let mut chunks = Vec::with_capacity(layout.shards.len());
        for (shard, ranges) in layout.shards.iter().enumerate() {
            let device = shard;
            let upload = |element_type: ElementType, bytes: &[u8]| {
                let shape = Shape::new(element_type, [layout.capacity]);
                mesh.runtime().upload(device, &shape, bytes).map_err(DataFusionError::from)
            };
            let mut of_shard = Vec::with_capacity(ranges.len());
            for rows in ranges {
                let encoded = encoder.encode(rows.clone(), layout.capacity)?;
                let mut values = Vec::with_capacity(element_types.len());
                for (element_type, bytes) in element_types.iter().zip(&encoded.values) {
                    values.push(upload(*element_type, bytes.as_slice())?);
                }
                let valid = match &encoded.valid {
                    Some(bytes) => Some(upload(ElementType::Pred, bytes.as_slice())?),
                    None => None,
                };
                of_shard.push(DeviceChunk { values, valid });
            }
            chunks.push(of_shard);
        }
        let column = Self {
            data_type: data_type.clone(),
            representation: encoder.representation,
            range: encoder.range,
            has_nulls: encoder.null_count > 0,
            dictionary: encoder.dictionary,
            chunks,
        };
        let cost = UploadCost { bytes: column.size_bytes(), time: start.elapsed() };
        Ok((column, cost))
    }

    /// What the arrays are.
    pub fn spec(&self) -> ColumnSpec {
        ColumnSpec {
            data_type: self.data_type.clone(),
            representation: self.representation,
            nullable: self.has_nulls,
            dictionary: self.dictionary.clone(),
        }
    }

    /// Bytes in device memory, over all devices.
    pub fn size_bytes(&self) -> usize {
        (0..self.chunks.len()).map(|device| self.device_bytes(device)).sum()
    }

    /// Bytes in the memory of one device.
    pub fn device_bytes(&self, device: usize) -> usize {
        let of_chunk = |c: &DeviceChunk| c.values.iter().chain(&c.valid).map(|b| b.shape().size_bytes()).sum::<usize>();
        self.chunks[device].iter().map(of_chunk).sum()
    }

    /// Bytes of its strings, which stay on the host.
    pub fn host_bytes(&self) -> usize {
        self.dictionary.as_ref().map_or(0, |dictionary| dictionary.values().get_array_memory_size())
    }
}

/// Columns of one layout.
pub struct DeviceTable {
    pub layout: Arc<Layout>,
    pub columns: Vec<Arc<DeviceColumn>>,
}

impl DeviceTable {
    /// Whether all rows lie in one chunk of one device.
    pub fn is_single(&self) -> bool {
        self.layout.shards.len() == 1 && self.layout.chunks_per_shard() == 1
    }
}
