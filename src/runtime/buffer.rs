//! Arrays in device memory.

use crate::error::{Error, Result};
use crate::program::Shape;
use crate::runtime::element::{Element, copy_out};
use crate::runtime::executable::xla_error;
use crate::runtime::memory::Reservation;
use crate::runtime::scratch::Scratch;

/// An array on one device. Its bytes count against the runtime's [`DeviceMemory`](crate::runtime::DeviceMemory) until
/// it is dropped.
pub struct Buffer {
    pub(super) pjrt: xla::PjRtBuffer,
    shape: Shape,
    device: usize,
    pub(super) reservation: Reservation,
}

impl Buffer {
    pub(super) fn new(pjrt: xla::PjRtBuffer, shape: Shape, device: usize, reservation: Reservation) -> Self {
        Self { pjrt, shape, device, reservation }
    }

    /// Returns the element type and dimensions.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Returns the index of the buffer's device in the runtime.
    pub fn device(&self) -> usize {
        self.device
    }

    /// Returns the size in bytes.
    pub fn size_bytes(&self) -> usize {
        self.shape.size_bytes()
    }

    /// Downloads the whole array, row-major. Each element of a `pred` is one byte, 0 or 1.
    ///
    /// # Errors
    ///
    /// [`Error::Xla`] if the transfer fails.
    pub fn download(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.size_bytes()];
        self.download_into(&mut bytes)?;
        Ok(bytes)
    }

    /// Downloads the first `out.len()` bytes, so that padding behind the live rows is not transferred.
    ///
    /// # Errors
    ///
    /// [`Error::Xla`] if `out` is not a whole number of elements or is longer than the array, or if the transfer fails.
    pub fn download_into(&self, out: &mut [u8]) -> Result<()> {
        if out.len() > self.size_bytes() || !out.len().is_multiple_of(self.shape.element_type.size_bytes()) {
            return self.refuse(format!("{} bytes", out.len()));
        }
        if out.is_empty() {
            return Ok(());
        }
        copy_out(&self.pjrt, self.shape.element_type, out)
            .map_err(|error| xla_error(format!("downloading {}", self.shape), error))
    }

    /// Downloads all elements.
    ///
    /// # Errors
    ///
    /// [`Error::Xla`] if `T` is not the buffer's element type, or if the transfer fails.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        self.to_vec_prefix(self.shape.element_count())
    }

    /// Downloads the first `n` elements.
    ///
    /// # Errors
    ///
    /// [`Error::Xla`] if `T` is not the buffer's element type, if the array has fewer than `n` elements, or if the
    /// transfer fails.
    pub fn to_vec_prefix<T: Element>(&self, n: usize) -> Result<Vec<T>> {
        if T::TYPE != self.shape.element_type || n > self.shape.element_count() {
            return self.refuse(format!("{n} elements of {}", T::TYPE));
        }
        let mut values = vec![T::default(); n];
        T::read(self, &mut values)?;
        Ok(values)
    }

    /// Downloads all elements into pooled memory. `T` may be another type of the same size: the bits are kept.
    ///
    /// # Errors
    ///
    /// [`Error::Xla`] if the size of `T` is not that of the buffer's element type, or if the transfer fails.
    pub fn to_scratch<T: Element>(&self) -> Result<Scratch<T>> {
        if T::TYPE.size_bytes() != self.shape.element_type.size_bytes() {
            return self.refuse(format!("elements of {}", T::TYPE));
        }
        let mut values = Scratch::filled(self.shape.element_count(), T::default());
        T::read(self, &mut values)?;
        Ok(values)
    }

    fn refuse<T>(&self, asked: String) -> Result<T> {
        Err(Error::Xla { what: format!("downloading {}", self.shape), message: format!("requested {asked}") })
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} on device {})", self.shape, self.device)
    }
}

#[cfg(test)]
mod tests {
    use crate::program::ElementType;
    use crate::program::Shape;
    use crate::runtime::element::Element;
    use crate::runtime::{Runtime, TEST_DEVICES};

    fn round_trip<T: Element + PartialEq + std::fmt::Debug>(values: &[T]) {
        let runtime = Runtime::cpu(TEST_DEVICES).unwrap();
        for device in 0..TEST_DEVICES {
            let buffer = runtime.upload_values(device, &[values.len()], values).unwrap();
            assert_eq!(buffer.to_vec::<T>().unwrap(), values);
            assert_eq!(buffer.to_vec_prefix::<T>(1).unwrap(), values[..1]);
            assert_eq!(buffer.download().unwrap(), T::bytes_of(values));
            assert_eq!((buffer.device(), buffer.shape().dims.as_slice()), (device, [values.len()].as_slice()));
        }
    }

    #[test]
    fn every_element_type_survives_a_round_trip() {
        round_trip(&[true, false, true]);
        round_trip(&[i8::MIN, -1, i8::MAX]);
        round_trip(&[i16::MIN, -1, i16::MAX]);
        round_trip(&[i32::MIN, -1, i32::MAX]);
        round_trip(&[i64::MIN, -1, i64::MAX]);
        round_trip(&[0, u8::MAX]);
        round_trip(&[0, u16::MAX]);
        round_trip(&[0, u32::MAX]);
        round_trip(&[0, u64::MAX]);
        round_trip(&[f32::MIN, -0.0, f32::INFINITY]);
        round_trip(&[f64::MIN, -0.0, f64::INFINITY]);
    }

    #[test]
    fn half_floats_are_transferred_as_bytes() {
        let runtime = Runtime::cpu(TEST_DEVICES).unwrap();
        let bytes = [0x00, 0x3c, 0x00, 0xc0]; // 1.0, -2.0
        let buffer = runtime.upload(0, &Shape::new(ElementType::F16, [2]), &bytes).unwrap();
        assert_eq!(buffer.download().unwrap(), bytes);
    }

    #[test]
    fn empty_arrays_and_scalars_survive_a_round_trip() {
        let runtime = Runtime::cpu(TEST_DEVICES).unwrap();
        let empty = runtime.upload_values::<i64>(0, &[0], &[]).unwrap();
        assert_eq!(empty.to_vec::<i64>().unwrap(), [0i64; 0]);
        let scalar = runtime.upload_values(0, &[], &[7i32]).unwrap();
        assert_eq!(scalar.to_vec::<i32>().unwrap(), [7]);
    }

    #[test]
    fn downloading_another_type_or_too_much_is_an_error() {
        let runtime = Runtime::cpu(TEST_DEVICES).unwrap();
        let buffer = runtime.upload_values(0, &[2], &[1i64, 2]).unwrap();
        let error = buffer.to_vec::<f64>().unwrap_err();
        assert_eq!(error.to_string(), "downloading s64[2]: requested 2 elements of f64");
        buffer.to_vec_prefix::<i64>(3).unwrap_err();
        buffer.download_into(&mut [0; 24]).unwrap_err();
        buffer.download_into(&mut [0; 9]).unwrap_err();
    }
}
