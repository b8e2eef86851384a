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
//! ```
//! use parallax::program::{ElementType, Program, Shape};
//! use parallax::runtime::Runtime;
//!
//! let text = "
//! HloModule double
//! ENTRY main {
//!   x = s32[3] parameter(0)
//!   sum = s32[3] add(x, x)
//!   ROOT out = (s32[3]) tuple(sum)
//! }";
//! let vector = Shape::new(ElementType::S32, [3]);
//! let program = Program {
//!     name: "double".into(),
//!     text: text.into(),
//!     parameters: vec![vector.clone()],
//!     outputs: vec![vector],
//!     aliases: vec![],
//! };
//! let runtime = Runtime::cpu(1)?;
//! let (executable, outcome) = runtime.compile(&program, 1)?;
//! assert!(!outcome.hit);
//! let x = runtime.upload_values(0, &[3], &[1, 2, 3])?;
//! assert_eq!(executable.execute(&[&x])?[0].to_vec::<i32>()?, [2, 4, 6]);
//! # Ok::<(), parallax::error::Error>(())
//! ```
//!
//! Rows, columns, NULLs and plans are deliberately absent: the module knows arrays and programs, and nothing about SQL.

mod admission;
mod buffer;
mod cache;
mod client;
pub mod custom_call;
mod device;
mod element;
mod executable;
mod host_kernels;
mod host_memory;
mod leave;
mod memory;
mod mesh;
mod scratch;
mod silence;

pub use admission::{Turn, Turns};
pub use buffer::Buffer;
pub use cache::{CacheOutcome, ProgramStats};
pub use client::Runtime;
pub use device::DeviceKind;
pub use element::Element;
pub use executable::{Argument, Executable};
pub use host_memory::use_one_heap;
pub use leave::leave;
pub use memory::{DeviceMemory, Reservation};
pub use mesh::Mesh;
pub use scratch::Scratch;

/// Virtual CPU devices in unit tests. XLA reads the number once per process, so all tests of a binary share it.
#[cfg(test)]
pub(crate) const TEST_DEVICES: usize = 4;
