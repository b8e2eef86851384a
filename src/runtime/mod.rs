//! Programs on devices: the only module that uses the `xla` crate, and the only one with `unsafe`.
//!
//! ```text
//!  Runtime ── compile(Program) ──▶ Arc<Executable> ── execute(&[&Buffer]) ──▶ Vec<Buffer>
//!     │                                                      ▲
//!     ├── upload(device, shape, bytes) ──▶ Buffer ───────────┘      Buffer::to_vec ──▶ host
//!     └── memory() ──▶ DeviceMemory: every Buffer holds a Reservation of its bytes
//! ```
//!
//! A [`Runtime`] is one PJRT client: the CPU (with as many virtual devices as wanted) or a plugin for GPU or TPU. A
//! [`Mesh`] is its first n devices; a program compiled for n replicas runs on all of them at once, with collectives.
//!
//! What is absent on purpose: no row, column, NULL or plan. The module knows arrays and programs, nothing of SQL.

mod buffer;
mod cache;
mod client;
pub mod custom_call;
mod device;
mod element;
mod executable;
mod memory;
mod mesh;
mod silence;

pub use buffer::Buffer;
pub use cache::{CacheOutcome, ProgramStats};
pub use client::Runtime;
pub use device::DeviceKind;
pub use element::Element;
pub use executable::{Argument, Executable};
pub use memory::{DeviceMemory, Reservation};
pub use mesh::Mesh;

/// Virtual CPU devices in unit tests. XLA reads the number once per process, so all tests of a binary share it.
#[cfg(test)]
pub(crate) const TEST_DEVICES: usize = 4;
