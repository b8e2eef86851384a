//! The devices that run a query.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::runtime::Runtime;

/// The first n devices of a runtime, along one axis. Relations are split over them by rows.
#[derive(Clone, Debug)]
pub struct Mesh {
    runtime: Arc<Runtime>,
    n_devices: usize,
}

impl Mesh {
    /// Creates a mesh of the first `n` devices of `runtime`.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDevice`] if `n` is 0 or the runtime has fewer devices.
    pub fn new(runtime: Arc<Runtime>, n: usize) -> Result<Self> {
        if n == 0 || n > runtime.device_count() {
            return Err(Error::NoSuchDevice {
                asked: format!("requested a mesh of {n} {} devices", runtime.kind()),
                available: format!("{} available", runtime.device_count()),
            });
        }
        Ok(Self { runtime, n_devices: n })
    }

    /// Returns the runtime that the devices belong to.
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// Returns the device indices, in shard order.
    pub fn devices(&self) -> Range<usize> {
        0..self.n_devices
    }

    /// Returns the number of devices, which is also the number of shards and replicas. It is never 0.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.n_devices
    }
}

#[cfg(test)]
mod tests {
    use crate::runtime::Runtime;
    use crate::runtime::TEST_DEVICES;
    use crate::runtime::mesh::Mesh;

    #[test]
    fn a_mesh_cannot_exceed_the_runtime() {
        let runtime = Runtime::cpu(TEST_DEVICES).unwrap();
        assert_eq!(Mesh::new(runtime.clone(), 2).unwrap().devices(), 0..2);
        assert_eq!(Mesh::new(runtime, 99).unwrap_err().to_string(), "requested a mesh of 99 cpu devices: 4 available");
    }
}
