//! The devices that a query runs on.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::runtime::Runtime;

/// The first n devices of a runtime, along one axis. Relations are split by rows over them.
#[derive(Clone, Debug)]
pub struct Mesh {
    runtime: Arc<Runtime>,
    n_devices: usize,
}

impl Mesh {
    /// The first `n` devices of `runtime`, which must have as many.
    pub fn new(runtime: Arc<Runtime>, n: usize) -> Result<Self> {
        if n == 0 || n > runtime.device_count() {
            return Err(Error::NoSuchDevice {
                asked: format!("a mesh of {n} {} devices was asked for", runtime.kind()),
                available: format!("there are {}", runtime.device_count()),
            });
        }
        Ok(Self { runtime, n_devices: n })
    }

    /// The runtime whose devices these are.
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// Indices of the devices, in shard order.
    pub fn devices(&self) -> Range<usize> {
        0..self.n_devices
    }

    /// Number of devices, and of shards and replicas; never 0.
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
    fn a_mesh_has_the_devices_that_there_are() {
        let runtime = Runtime::cpu(TEST_DEVICES).unwrap();
        assert_eq!(Mesh::new(runtime.clone(), 2).unwrap().devices(), 0..2);
        assert_eq!(
            Mesh::new(runtime, 99).unwrap_err().to_string(),
            "a mesh of 99 cpu devices was asked for: there are 4"
        );
    }
}
