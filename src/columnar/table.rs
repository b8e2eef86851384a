//! Columns and tables in device memory, or on the host until a program reads them.

use std::sync::Arc;

use datafusion::arrow::array::Array;
use datafusion::arrow::buffer::Buffer as HostBuffer;
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;

use crate::columnar::decode::ColumnSpec;
use crate::columnar::dictionary::Dictionary;
use crate::columnar::encode::ColumnEncoder;
use crate::columnar::host_array::{HostArray, HostWriter};
use crate::columnar::layout::Layout;
use crate::columnar::range::Range;
use crate::columnar::representation::Representation;
use crate::program::{ElementType, Shape};
use crate::runtime::{Buffer, Mesh};

/// One array of a chunk, `[capacity]`.
pub enum ChunkArray {
    Device(Buffer),
    /// Kept on the host, and uploaded when a program reads it.
    Host(HostArray),
}

impl ChunkArray {
    /// Returns element type and dimensions.
    pub fn shape(&self) -> &Shape {
        match self {
            Self::Device(buffer) => buffer.shape(),
            Self::Host(array) => array.shape(),
        }
    }

    /// Returns the array in device memory, or an internal error if it is on the host.
    pub fn buffer(&self) -> Result<&Buffer> {
        match self {
            Self::Device(buffer) => Ok(buffer),
            Self::Host(array) => {
                datafusion::common::internal_err!("{} is on the host, not on the device", array.shape())
            }
        }
    }

    /// Returns the bytes of the first `rows` elements.
    pub fn prefix(&self, rows: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; rows * self.shape().element_type.size_bytes()];
        match self {
            Self::Device(buffer) => buffer.download_into(&mut bytes)?,
            Self::Host(array) => array.read_into(&mut bytes)?,
        }
        Ok(bytes)
    }

    fn device_bytes(&self) -> usize {
        match self {
            Self::Device(buffer) => buffer.size_bytes(),
            Self::Host(_) => 0,
        }
    }
}

/// The arrays of one chunk of one column.
pub struct DeviceChunk {
    /// The value arrays, of the types of `Representation::element_types`.
    pub values: Vec<ChunkArray>,
    /// Validity as `pred`, present if the column has any NULLs.
    pub valid: Option<ChunkArray>,
}

impl DeviceChunk {
    /// Creates a chunk of arrays in device memory.
    pub fn on_device(values: Vec<Buffer>, valid: Option<Buffer>) -> Self {
        Self { values: values.into_iter().map(ChunkArray::Device).collect(), valid: valid.map(ChunkArray::Device) }
    }

    /// Returns the value arrays, followed by the validity.
    pub fn arrays(&self) -> impl Iterator<Item = &ChunkArray> {
        self.values.iter().chain(&self.valid)
    }

    /// Returns array number `part` of [`Self::arrays`].
    pub fn array(&self, part: usize) -> Option<&ChunkArray> {
        self.arrays().nth(part)
    }
}

/// A column in device memory.
pub struct DeviceColumn {
    /// Arrow type.
    pub data_type: DataType,
    /// Arrays that hold the column on the device.
    pub representation: Representation,
    /// Range of the non-NULL values, or of the codes for strings; `None` for booleans and floats.
    pub range: Option<Range>,
    /// Whether chunks have a validity array.
    pub has_nulls: bool,
    /// Whether it is known that no value except NULL occurs twice.
    pub unique: bool,
    /// Whether it is known that the values are in ascending order without NULLs.
    pub ascending: bool,
    /// Strings of the codes, for string columns.
    pub dictionary: Option<Arc<Dictionary>>,
    /// The chunks, as `[shard][chunk]`.
    pub chunks: Vec<Vec<DeviceChunk>>,
}

impl DeviceColumn {
    /// Encodes a column and uploads it to the mesh.
    pub fn upload(encoder: &ColumnEncoder, data_type: &DataType, layout: &Layout, mesh: &Mesh) -> Result<Self> {
        Self::encode(encoder, data_type, layout, |device, shape, bytes| {
            let uploaded = mesh.runtime().upload(device, &shape, bytes.as_slice())?;
            Ok(Some(ChunkArray::Device(uploaded)))
        })
    }

    /// Encodes a column whose chunks are uploaded only when a program reads them.
    pub fn keep_on_host(
        encoder: &ColumnEncoder,
        data_type: &DataType,
        layout: &Layout,
        mut host: HostWriter,
    ) -> Result<Self> {
        let mut column = Self::encode(encoder, data_type, layout, |_, shape, bytes| {
            host.put(shape, bytes)?;
            Ok(None)
        })?;
        let mut arrays = host.finish().into_iter().map(ChunkArray::Host);
        let n_values = encoder.representation.element_types().len();
        for chunk in column.chunks.iter_mut().flatten() {
            chunk.values = arrays.by_ref().take(n_values).collect();
            chunk.valid = if column.has_nulls { arrays.next() } else { None };
        }
        Ok(column)
    }

    /// Encodes a column chunk by chunk. `put(device, shape, bytes)` takes each array, and may return it later.
    fn encode(
        encoder: &ColumnEncoder,
        data_type: &DataType,
        layout: &Layout,
        mut put: impl FnMut(usize, Shape, HostBuffer) -> Result<Option<ChunkArray>>,
    ) -> Result<Self> {
        let element_types = encoder.representation.element_types();
        let mut chunks = Vec::with_capacity(layout.shards.len());
        for (device, ranges) in layout.shards.iter().enumerate() {
            let mut of_shard = Vec::with_capacity(ranges.len());
            for rows in ranges {
                let encoded = encoder.encode(rows.clone(), layout.capacity)?;
                let mut values = Vec::with_capacity(element_types.len());
                for (element_type, bytes) in element_types.iter().zip(encoded.values) {
                    values.extend(put(device, Shape::new(*element_type, [layout.capacity]), bytes)?);
                }
                let valid = match encoded.valid {
                    Some(bytes) => put(device, Shape::new(ElementType::Pred, [layout.capacity]), bytes)?,
                    None => None,
                };
                of_shard.push(DeviceChunk { values, valid });
            }
            chunks.push(of_shard);
        }
        Ok(Self {
            data_type: data_type.clone(),
            representation: encoder.representation,
            range: encoder.range,
            has_nulls: encoder.null_count > 0,
            unique: encoder.unique,
            ascending: encoder.ascending,
            dictionary: encoder.dictionary.clone(),
            chunks,
        })
    }

    /// Returns the column's type and representation.
    pub fn spec(&self) -> ColumnSpec {
        ColumnSpec {
            data_type: self.data_type.clone(),
            representation: self.representation,
            nullable: self.has_nulls,
            dictionary: self.dictionary.clone(),
        }
    }

    /// Returns the bytes in device memory, over all devices.
    pub fn size_bytes(&self) -> usize {
        (0..self.chunks.len()).map(|device| self.device_bytes(device)).sum()
    }

    /// Returns the bytes in the memory of one device.
    pub fn device_bytes(&self, device: usize) -> usize {
        self.chunks[device].iter().flat_map(DeviceChunk::arrays).map(ChunkArray::device_bytes).sum()
    }

    /// Returns the bytes of host memory: its strings, and arrays that are uploaded on demand.
    pub fn host_bytes(&self) -> usize {
        let strings = self.dictionary.as_ref().map_or(0, |dictionary| dictionary.values().get_array_memory_size());
        strings + self.waiting().map(HostArray::memory_bytes).sum::<usize>()
    }

    /// Returns the bytes in spill files.
    pub fn disk_bytes(&self) -> usize {
        self.waiting().map(HostArray::disk_bytes).sum()
    }

    /// Returns whether the chunks are uploaded for each program that reads them.
    pub fn is_streamed(&self) -> bool {
        self.waiting().next().is_some()
    }

    fn waiting(&self) -> impl Iterator<Item = &HostArray> {
        self.chunks.iter().flatten().flat_map(DeviceChunk::arrays).filter_map(|array| match array {
            ChunkArray::Device(_) => None,
            ChunkArray::Host(array) => Some(array),
        })
    }
}

/// Columns of one layout.
pub struct DeviceTable {
    pub layout: Arc<Layout>,
    pub columns: Vec<Arc<DeviceColumn>>,
}

impl DeviceTable {
    /// Returns whether all rows are in one chunk of one device.
    pub fn is_single(&self) -> bool {
        self.layout.shards.len() == 1 && self.layout.chunks_per_shard() == 1
    }
}
