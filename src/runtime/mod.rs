//! Compiles programs and runs them on devices. The only module that uses the `xla` crate, and the only one with `unsafe`.
//!
//! ```text
//!  Runtime ── compile(Program) ──▶ Arc<Executable> ── execute(&[&Buffer]) ──▶ Vec<Buffer>
//!     │                                                      ▲
//!     ├── upload(device, shape, bytes) ──▶ Buffer ───────────┘      Buffer::to_vec ──▶ host
//!     └── memory() ──▶ DeviceMemory (every Buffer holds a Reservation of its bytes)
//! ```
//!
//! A [`Runtime`] is one PJRT client: the CPU, with any number of virtual devices, or a plugin for GPU or TPU. A [`Mesh`] is
//! its first n devices; a program compiled for n replicas runs on all of them together and may use collectives.
//!
//! Rows, columns, NULLs and plans are deliberately absent: the module knows arrays and programs, and nothing about SQL.

#![allow(unsafe_code, reason = "it passes memory to XLA and to native kernels, and is the only module that does")]

mod admission;
mod buffer;
mod cache;
mod call;
mod client;
pub(crate) mod custom_call;
mod device;
mod element;
mod executable;
mod ffi;
#[cfg(test)]
pub(crate) mod golden_kernel;
mod host_kernels;
mod host_memory;
mod leave;
mod memory;
mod mesh;
mod scratch;
mod silence;

pub use client::Runtime;
pub use device::DeviceKind;
pub use host_memory::use_one_heap;
pub use leave::leave;
pub use memory::DeviceMemory;
pub use mesh::Mesh;

// Buffers and executables are below the API: the engine has them, and the tests.
#[cfg(not(feature = "internals"))]
pub(crate) use {
    admission::{AdmissionQueue, Permit},
    buffer::Buffer,
    cache::CacheOutcome,
    element::Element,
    executable::{Argument, Executable},
    scratch::Scratch,
};
#[cfg(feature = "internals")]
pub use {
    admission::{AdmissionQueue, Permit},
    buffer::Buffer,
    cache::CacheOutcome,
    element::Element,
    executable::{Argument, Executable},
    scratch::Scratch,
};

/// Virtual CPU devices in unit tests. XLA reads the number once per process, so all tests of a binary share it.
#[cfg(test)]
pub(crate) const TEST_DEVICES: usize = 4;
