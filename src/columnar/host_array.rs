//! Arrays of chunks that exceed device memory. They are kept encoded in host memory or, if that is exhausted, in a
//! file, and are uploaded for each run of a program that reads them. Numbers in sequence are made when they are uploaded.
//!
//! A spill file has no name. It is unlinked before anything is written (`O_TMPFILE` on Linux), so the system frees it
//! when the process closes it or ends in any way. Nothing has to be cleaned up at the next start.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::buffer::Buffer as HostBuffer;
use datafusion::error::Result;

use crate::program::{ElementType, Shape};
use crate::runtime::{Buffer, Runtime};

/// Accounts for the bytes of host memory that the arrays of one session take.
#[derive(Clone, Debug, Default)]
pub struct HostMemory(Arc<AtomicU64>);

impl HostMemory {
    /// Returns the bytes in use.
    #[cfg(test)]
    pub fn used(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Reserves `bytes` if they fit below `limit`.
    fn try_reserve(&self, bytes: u64, limit: u64) -> Option<HostReservation> {
        let fits = |used: u64| used.checked_add(bytes).filter(|total| *total <= limit);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(HostReservation { memory: self.clone(), bytes })
    }
}

/// Bytes reserved in a [`HostMemory`]; returned on drop.
#[derive(Debug)]
struct HostReservation {
    memory: HostMemory,
    bytes: u64,
}

impl Drop for HostReservation {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A file without a name.
#[derive(Debug)]
struct SpillFile {
    file: File,
    end: u64,
}

impl SpillFile {
    fn create(dir: &Path) -> Result<Self> {
        let made = std::fs::create_dir_all(dir).and_then(|()| tempfile::tempfile_in(dir));
        made.map(|file| Self { file, end: 0 }).map_err(|error| {
            let message = format!(
                "columns do not fit xla.memory_limit and xla.host_memory_limit, and no file can be created in {}: {error} (set \
                 xla.spill_dir)",
                dir.display()
            );
            io::Error::new(error.kind(), message).into()
        })
    }
}

/// Collects the arrays of one column.
pub struct HostWriter {
    memory: HostMemory,
    /// Maximum number of bytes of host memory for all arrays; `None` means no limit.
    limit: Option<usize>,
    spill_dir: PathBuf,
    /// Arrays written to the current file, with their index, shape and offset, and the file itself.
    spilled: Vec<(usize, Shape, u64)>,
    file: Option<SpillFile>,
    arrays: Vec<Option<HostArray>>,
}

impl HostWriter {
    pub fn new(memory: HostMemory, limit: Option<usize>, spill_dir: PathBuf) -> Self {
        Self { memory, limit, spill_dir, spilled: Vec::new(), file: None, arrays: Vec::new() }
    }

    /// Adds an array of `shape`. `finish` returns the arrays in the order of the calls.
    pub fn put(&mut self, shape: Shape, bytes: HostBuffer) -> Result<()> {
        let limit = self.limit.map_or(u64::MAX, |limit| limit as u64);
        if let Some(reservation) = self.memory.try_reserve(bytes.len() as u64, limit) {
            self.arrays.push(Some(HostArray { shape, bytes: HostBytes::Memory { bytes, _reservation: reservation } }));
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(SpillFile::create(&self.spill_dir)?),
        };
        file.file.write_all_at(&bytes, file.end).map_err(|error| {
            let message = format!(
                "writing {} bytes to a file in {}: {error} (free some space, or set xla.spill_dir to another disk)",
                bytes.len(),
                self.spill_dir.display()
            );
            io::Error::new(error.kind(), message)
        })?;
        self.spilled.push((self.arrays.len(), shape, file.end));
        self.arrays.push(None);
        file.end += bytes.len() as u64;
        Ok(())
    }

    /// Returns the arrays in the order in which they were added.
    pub fn finish(mut self) -> Vec<HostArray> {
        if let Some(file) = self.file.take().map(Arc::new) {
            for (at, shape, offset) in self.spilled {
                self.arrays[at] = Some(HostArray { shape, bytes: HostBytes::Disk { file: Arc::clone(&file), offset } });
            }
        }
        self.arrays.into_iter().flatten().collect()
    }
}

/// An array kept on the host.
#[derive(Debug)]
pub struct HostArray {
    shape: Shape,
    bytes: HostBytes,
}

#[derive(Debug)]
enum HostBytes {
    Memory {
        bytes: HostBuffer,
        _reservation: HostReservation,
    },
    Disk {
        file: Arc<SpillFile>,
        offset: u64,
    },
    /// This number and those that follow it.
    Sequence {
        first: i64,
    },
}

impl HostArray {
    /// The numbers from `first` on, s64 `[len]`. They take no memory.
    pub fn sequence(first: i64, len: usize) -> Self {
        Self { shape: Shape::new(ElementType::S64, [len]), bytes: HostBytes::Sequence { first } }
    }

    /// Returns element type and dimensions.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Returns the bytes of host memory that it takes.
    pub fn memory_bytes(&self) -> usize {
        match &self.bytes {
            HostBytes::Memory { bytes, .. } => bytes.len(),
            HostBytes::Disk { .. } | HostBytes::Sequence { .. } => 0,
        }
    }

    /// Returns the bytes that it takes in a spill file.
    pub fn disk_bytes(&self) -> usize {
        match &self.bytes {
            HostBytes::Disk { .. } => self.shape.size_bytes(),
            HostBytes::Memory { .. } | HostBytes::Sequence { .. } => 0,
        }
    }

    /// Reads the first `out.len()` bytes.
    pub fn read_into(&self, out: &mut [u8]) -> Result<()> {
        match &self.bytes {
            HostBytes::Memory { bytes, .. } => out.copy_from_slice(&bytes[..out.len()]),
            HostBytes::Disk { file, offset } => file.file.read_exact_at(out, *offset)?,
            HostBytes::Sequence { first } => {
                for (number, bytes) in (*first..).zip(out.chunks_exact_mut(size_of::<i64>())) {
                    bytes.copy_from_slice(&number.to_le_bytes());
                }
            }
        }
        Ok(())
    }

    /// Uploads the array to a device.
    pub fn upload(&self, runtime: &Runtime, device: usize) -> Result<Buffer> {
        match &self.bytes {
            HostBytes::Memory { bytes, .. } => Ok(runtime.upload(device, &self.shape, bytes)?),
            HostBytes::Disk { .. } | HostBytes::Sequence { .. } => {
                let mut bytes = vec![0; self.shape.size_bytes()];
                self.read_into(&mut bytes)?;
                Ok(runtime.upload(device, &self.shape, &bytes)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::buffer::Buffer;

    use crate::columnar::host_array::{HostArray, HostMemory, HostWriter};
    use crate::program::{ElementType, Shape};

    fn put(writer: &mut HostWriter, values: &[i32]) {
        writer.put(Shape::new(ElementType::S32, [values.len()]), Buffer::from_slice_ref(values)).unwrap();
    }

    #[test]
    fn arrays_beyond_the_limit_go_to_an_unnamed_file() {
        let dir = tempfile::tempdir().unwrap();
        let memory = HostMemory::default();
        let mut writer = HostWriter::new(memory.clone(), Some(20), dir.path().into());
        for values in [[1, 2, 3], [4, 5, 6], [7, 8, 9]] {
            put(&mut writer, &values);
        }
        put(&mut writer, &[10, 11]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let arrays = writer.finish();
        assert_eq!(memory.used(), 20);
        assert_eq!(arrays.iter().map(|a| a.disk_bytes()).collect::<Vec<_>>(), [0, 12, 12, 0]);
        let mut read = [0; 12];
        for (array, first) in arrays.iter().zip([1i32, 4, 7]) {
            array.read_into(&mut read).unwrap();
            assert_eq!(read[..4], first.to_le_bytes());
        }
        drop(arrays);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn a_sequence_takes_no_memory() {
        let array = HostArray::sequence(i64::from(i32::MAX), 3);
        assert_eq!((array.memory_bytes(), array.disk_bytes()), (0, 0));
        let mut read = [0; 16];
        array.read_into(&mut read).unwrap();
        assert_eq!(read[8..], (i64::from(i32::MAX) + 1).to_le_bytes());
    }

    #[test]
    fn the_error_names_a_directory_that_cannot_be_created() {
        let memory = HostMemory::default();
        let mut writer = HostWriter::new(memory, Some(0), "/proc/nowhere".into());
        let error =
            writer.put(Shape::new(ElementType::S8, [1]), Buffer::from_slice_ref([1i8])).unwrap_err().to_string();
        assert!(error.contains("/proc/nowhere") && error.contains("set xla.spill_dir"), "{error}");
    }
}
