//! Arrays that a program reads whole while it runs over the chunks of another relation: what a join has built.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};

use crate::columnar::table::{ChunkArray, DeviceColumn};
use crate::program::Shape;
use crate::runtime::{Buffer, Mesh};

/// One array, on every device of the mesh.
pub enum BroadcastArray {
    /// Array `part` of the single chunk of a column, where there is one device.
    Column { column: Arc<DeviceColumn>, part: usize, shape: Shape },
    /// A copy for each device.
    Own(Vec<Buffer>),
}

impl BroadcastArray {
    /// Makes an array of device 0 readable on all devices (an all-gather by way of the host; there is no sharded build yet).
    pub fn replicate(buffer: Buffer, mesh: &Mesh) -> Result<Arc<Self>> {
        let mut copies = Vec::with_capacity(mesh.len());
        if mesh.len() > 1 {
            let bytes = buffer.download()?;
            for device in mesh.devices().skip(1) {
                copies.push(mesh.runtime().upload(device, buffer.shape(), &bytes)?);
            }
        }
        copies.insert(0, buffer);
        Ok(Arc::new(Self::Own(copies)))
    }

    /// Uploads an array to all devices.
    pub fn upload(shape: &Shape, bytes: &[u8], mesh: &Mesh) -> Result<Arc<Self>> {
        let copies = mesh.devices().map(|device| mesh.runtime().upload(device, shape, bytes));
        Ok(Arc::new(Self::Own(copies.collect::<Result<_, _>>()?)))
    }

    /// The arrays of a column that lies in one chunk: its values, then its validity.
    pub fn of_column(column: &Arc<DeviceColumn>, mesh: &Mesh) -> Result<Vec<Arc<Self>>> {
        let mut out = Vec::new();
        for (part, array) in column.chunks[0][0].arrays().enumerate() {
            let buffer = array.buffer()?;
            let shape = buffer.shape().clone();
            if mesh.len() == 1 {
                out.push(Arc::new(Self::Column { column: Arc::clone(column), part, shape }));
            } else {
                let bytes = buffer.download()?;
                out.push(Self::upload(&shape, &bytes, mesh)?);
            }
        }
        Ok(out)
    }

    /// The arrays of a column that lies in one chunk, for programs that run on device 0.
    pub fn of_single(column: &Arc<DeviceColumn>) -> Vec<Arc<Self>> {
        let side = |(part, array): (usize, &ChunkArray)| {
            Arc::new(Self::Column { column: Arc::clone(column), part, shape: array.shape().clone() })
        };
        column.chunks[0][0].arrays().enumerate().map(side).collect()
    }

    /// An array that only programs on device 0 read.
    pub fn alone(buffer: Buffer) -> Arc<Self> {
        Arc::new(Self::Own(vec![buffer]))
    }

    pub fn shape(&self) -> &Shape {
        match self {
            Self::Column { shape, .. } => shape,
            Self::Own(copies) => copies[0].shape(),
        }
    }

    /// The array on a device.
    pub fn on(&self, device: usize) -> Result<&Buffer> {
        let buffer = match self {
            Self::Column { column, part, .. } => {
                column.chunks[0][0].array(*part).map(ChunkArray::buffer).transpose()?
            }
            Self::Own(copies) => copies.get(device),
        };
        buffer.ok_or_else(|| DataFusionError::Internal(format!("an array that is not on device {device}")))
    }
}
