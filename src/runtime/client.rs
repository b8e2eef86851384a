//! One PJRT client for each kind of device, shared by the whole process.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::program::{Program, Shape};
use crate::runtime::cache::{CacheOutcome, ProgramCache, ProgramStats};
use crate::runtime::device::{DeviceKind, PLUGIN_VARIABLE, Plugin};
use crate::runtime::element::{Element, to_xla};
use crate::runtime::executable::{Executable, xla_error};
use crate::runtime::memory::DeviceMemory;
use crate::runtime::{AdmissionQueue, Buffer, host_kernels, host_memory, silence};

/// Raises the number of virtual CPU devices, which is fixed when a process creates its CPU runtime.
const CPU_DEVICES_VARIABLE: &str = "PARALLAX_CPU_DEVICES";

/// XLA's own flag for the number of CPU devices, set through `XLA_FLAGS`.
const CPU_DEVICES_FLAG: &str = "--xla_force_host_platform_device_count";

/// Unit tests share a process, and any of them may create the runtime.
const MIN_CPU_DEVICES: usize = if cfg!(test) { 4 } else { 1 };

/// Runtimes live as long as the process: XLA reads its flags once, and a plugin is loaded once.
static RUNTIMES: Mutex<Vec<Arc<Runtime>>> = Mutex::new(Vec::new());

/// A PJRT client: its devices, the programs compiled for them, and the accounting of their memory.
pub struct Runtime {
    kind: DeviceKind,
    client: xla::PjRtClient,
    n_devices: usize,
    memory: DeviceMemory,
    admission: AdmissionQueue,
    programs: ProgramCache,
    /// Held while a program runs on several devices: the collectives of two runs must not interleave.
    replicated: Arc<Mutex<()>>,
}

impl Runtime {
    /// Returns the process's CPU runtime, which has at least `n_devices` virtual devices.
    ///
    /// The first call creates it and fixes the number of devices, because XLA reads the number once per process. The
    /// variable `PARALLAX_CPU_DEVICES` raises that number. Later calls share the runtime.
    ///
    /// # Errors
    ///
    /// - [`Error::NoSuchDevice`] if the existing runtime has fewer than `n_devices` devices.
    /// - [`Error::Setting`] if `PARALLAX_CPU_DEVICES` is not a number from 1 to 1024.
    /// - [`Error::Xla`] if XLA does not start.
    pub fn cpu(n_devices: usize) -> Result<Arc<Self>> {
        Self::shared(DeviceKind::Cpu, n_devices, || {
            let wanted = std::env::var(CPU_DEVICES_VARIABLE).ok();
            let wanted = cpu_devices(n_devices, wanted.as_deref())?;
            let flags = std::env::var("XLA_FLAGS").unwrap_or_default();
            if !flags.contains(CPU_DEVICES_FLAG) {
                let flags = format!("{flags} {CPU_DEVICES_FLAG}={wanted}");
                // SAFETY: Rust's own readers of the environment share a lock with this call. What remains is C code
                // that reads the environment at the same time on another thread; XLA, the reader that matters, is only
                // started below.
                unsafe { std::env::set_var("XLA_FLAGS", flags.trim()) };
            }
            host_memory::keep_freed_memory();
            host_kernels::register_all()?;
            xla::PjRtClient::cpu().map_err(|error| xla_error("starting XLA on the CPU", error))
        })
    }

    /// Returns the runtime of a kind of device: `cpu`, or `gpu`, `cuda`, `rocm` or `tpu` through the PJRT plugin that
    /// `PARALLAX_PJRT_PLUGIN=<device_type>:<path>` names. It has at least `n_devices` devices.
    ///
    /// # Errors
    ///
    /// - [`Error::NoSuchDevice`] if the kind is unknown, no plugin is set for it, or it has fewer than `n_devices`
    ///   devices.
    /// - [`Error::Setting`] if an environment variable is malformed.
    /// - [`Error::Xla`] if XLA does not start or the plugin does not load.
    pub fn for_device(kind: &str, n_devices: usize) -> Result<Arc<Self>> {
        let kind = DeviceKind::parse(kind)?;
        if kind == DeviceKind::Cpu {
            return Self::cpu(n_devices);
        }
        Self::shared(kind, n_devices, || {
            let plugin = Plugin::find(kind, std::env::var(PLUGIN_VARIABLE).ok().as_deref())?;
            xla::PjRtClient::plugin(&plugin.device_type, &plugin.path)
                .map_err(|error| xla_error(format!("loading the PJRT plugin {}", plugin.path.display()), error))
        })
    }

    fn shared(
        kind: DeviceKind,
        n_devices: usize,
        start: impl FnOnce() -> Result<xla::PjRtClient>,
    ) -> Result<Arc<Self>> {
        let mut runtimes = RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = match runtimes.iter().find(|runtime| runtime.kind == kind) {
            Some(runtime) => Arc::clone(runtime),
            None => {
                silence::quiet_abseil();
                let client = start()?;
                let runtime = Arc::new(Self {
                    kind,
                    n_devices: client.addressable_device_count(),
                    client,
                    memory: DeviceMemory::unlimited(),
                    admission: AdmissionQueue::default(),
                    programs: ProgramCache::default(),
                    replicated: Arc::default(),
                });
                runtimes.push(Arc::clone(&runtime));
                runtime
            }
        };
        if n_devices > runtime.n_devices {
            let how = match kind {
                DeviceKind::Cpu => format!(
                    "; XLA fixes the number at its first use in a process, so request {n_devices} first, \
                     or set {CPU_DEVICES_VARIABLE}={n_devices} before the start"
                ),
                DeviceKind::Gpu | DeviceKind::Tpu => String::new(),
            };
            return Err(Error::NoSuchDevice {
                asked: format!("requested {n_devices} {kind} devices"),
                available: available(runtime.n_devices) + &how,
            });
        }
        Ok(runtime)
    }

    /// Returns the kind of its devices.
    pub fn kind(&self) -> DeviceKind {
        self.kind
    }

    /// Returns the number of devices.
    pub fn device_count(&self) -> usize {
        self.n_devices
    }

    /// Returns name and version of the platform, as reported by XLA or the plugin.
    pub fn platform_version(&self) -> String {
        let (name, version) = (self.client.platform_name(), self.client.platform_version());
        if version.is_empty() || version == name { name } else { format!("{name} {version}") }
    }

    /// Returns the accounting of device memory.
    pub fn memory(&self) -> &DeviceMemory {
        &self.memory
    }
}

/// Buffers and executables, for the engine and the tests:
///
/// ```
/// use parallax::program::{ElementType, Program, Shape};
/// use parallax::runtime::Runtime;
///
/// let text = "
/// HloModule double
/// ENTRY main {
///   x = s32[3] parameter(0)
///   sum = s32[3] add(x, x)
///   ROOT out = (s32[3]) tuple(sum)
/// }";
/// let vector = Shape::new(ElementType::S32, [3]);
/// let program = Program {
///     name: "double".into(),
///     text: text.into(),
///     parameters: vec![vector.clone()],
///     outputs: vec![vector],
///     aliases: vec![],
/// };
/// let runtime = Runtime::cpu(1)?;
/// let (executable, outcome) = runtime.compile(&program, 1)?;
/// assert!(!outcome.hit);
/// let x = runtime.upload_values(0, &[3], &[1, 2, 3])?;
/// assert_eq!(executable.execute(&[&x])?[0].to_vec::<i32>()?, [2, 4, 6]);
/// # Ok::<(), parallax::error::Error>(())
/// ```
#[doc(hidden)]
impl Runtime {
    /// Who computes while memory is limited.
    pub(crate) fn admission(&self) -> &AdmissionQueue {
        &self.admission
    }

    /// Copies `bytes` to a device. They are row-major and fill `shape`; each element of a `pred` is one byte, 0 or 1.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDevice`], [`Error::DeviceMemory`] if the memory limit is exceeded, or [`Error::Xla`] if the
    /// length does not match the shape or the transfer fails.
    pub fn upload(&self, device: usize, shape: &Shape, bytes: &[u8]) -> Result<Buffer> {
        if device >= self.n_devices {
            return Err(Error::NoSuchDevice {
                asked: format!("there is no {} device {device}", self.kind),
                available: available(self.n_devices),
            });
        }
        let what = || format!("uploading {shape}");
        if bytes.len() != shape.size_bytes() {
            let message = format!("expected {} bytes, got {}", shape.size_bytes(), bytes.len());
            return Err(Error::Xla { what: what(), message });
        }
        let reservation = self.memory.try_reserve(bytes.len(), &what())?;
        let devices = self.client.addressable_devices();
        let pjrt = self
            .client
            .buffer_from_host_raw_bytes(to_xla(shape.element_type), bytes, &shape.dims, devices.get(device))
            .map_err(|error| xla_error(what(), error))?;
        Ok(Buffer::new(pjrt, shape.clone(), device, reservation))
    }

    /// Copies `values` to a device as an array of dimensions `dims`; empty `dims` make a scalar.
    ///
    /// # Errors
    ///
    /// As for [`Self::upload`].
    pub fn upload_values<T: Element>(&self, device: usize, dims: &[usize], values: &[T]) -> Result<Buffer> {
        self.upload(device, &Shape::new(T::TYPE, dims), T::bytes_of(values))
    }

    /// Compiles a program, or finds it in the cache. Concurrent calls for the same program compile it once.
    ///
    /// With one replica the program runs on device 0, with more on the first `n_replicas` devices together.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDevice`] if the runtime has fewer than `n_replicas` devices, or [`Error::Xla`] with XLA's
    /// message.
    pub fn compile(&self, program: &Program, n_replicas: usize) -> Result<(Arc<Executable>, CacheOutcome)> {
        if n_replicas == 0 || n_replicas > self.n_devices {
            return Err(Error::NoSuchDevice {
                asked: format!("program {} needs {n_replicas} {} devices", program.name, self.kind),
                available: available(self.n_devices),
            });
        }
        self.programs.get_or_compile(program, n_replicas, || {
            let start = Instant::now();
            let failed = |error| xla_error(format!("compiling {}", program.name), error);
            let module = xla::HloModuleProto::parse_and_return_unverified_module(program.text.as_bytes());
            let computation = xla::XlaComputation::from_proto(&module.map_err(failed)?);
            let loaded = match n_replicas {
                1 => self.client.compile(&computation),
                n => self.client.compile_replicated(&computation, n),
            };
            let executable = Executable::new(
                program.clone(),
                n_replicas,
                loaded.map_err(failed)?,
                self.memory.clone(),
                Arc::clone(&self.replicated),
            );
            Ok((executable, start.elapsed()))
        })
    }

    /// Returns the cached programs in the order in which they were first requested.
    pub(crate) fn programs(&self) -> Vec<ProgramStats> {
        self.programs.stats()
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Runtime({} {})", self.n_devices, self.kind)
    }
}

/// Returns the number of virtual devices to create: what the first caller needs, or more if the variable says so.
fn cpu_devices(n_devices: usize, variable: Option<&str>) -> Result<usize> {
    let min_devices = n_devices.max(MIN_CPU_DEVICES);
    match variable.map(|value| (value, value.trim().parse::<usize>())) {
        None => Ok(min_devices),
        Some((_, Ok(raised @ 1..=1024))) => Ok(min_devices.max(raised)),
        Some((value, _)) => Err(Error::Setting {
            name: CPU_DEVICES_VARIABLE.into(),
            value: value.into(),
            expected: "a number from 1 to 1024".into(),
        }),
    }
}

fn available(n: usize) -> String {
    format!("{n} available")
}

#[cfg(test)]
mod tests {
    use crate::runtime::TEST_DEVICES;
    use crate::runtime::client::{MIN_CPU_DEVICES, Runtime, cpu_devices};
    use crate::runtime::device::DeviceKind;
    use crate::runtime::executable::xla_error;
    use std::sync::Arc;

    #[test]
    fn the_first_call_fixes_the_number_of_cpu_devices() {
        let runtime = Runtime::cpu(1).unwrap();
        assert!(Arc::ptr_eq(&runtime, &Runtime::for_device("cpu", TEST_DEVICES).unwrap()));
        assert_eq!((runtime.kind(), runtime.device_count()), (DeviceKind::Cpu, TEST_DEVICES));
        assert_eq!(
            Runtime::cpu(9).unwrap_err().to_string(),
            "requested 9 cpu devices: 4 available; XLA fixes the number at its first use in a process, so request 9 \
             first, or set PARALLAX_CPU_DEVICES=9 before the start"
        );
        assert!(runtime.platform_version().starts_with("cpu"), "{}", runtime.platform_version());
    }

    #[test]
    fn the_environment_variable_raises_the_number_of_devices() {
        assert_eq!(cpu_devices(2, None).unwrap(), MIN_CPU_DEVICES.max(2));
        assert_eq!(cpu_devices(2, Some("16")).unwrap(), 16);
        assert_eq!(cpu_devices(16, Some("8")).unwrap(), 16);
        assert_eq!(
            cpu_devices(2, Some("many")).unwrap_err().to_string(),
            r#"invalid value "many" for PARALLAX_CPU_DEVICES: expected a number from 1 to 1024"#
        );
        cpu_devices(2, Some("0")).unwrap_err();
    }

    #[test]
    fn a_missing_device_is_an_error() {
        let runtime = Runtime::cpu(TEST_DEVICES).unwrap();
        let error = runtime.upload_values(7, &[1], &[1i32]).unwrap_err();
        assert_eq!(error.to_string(), "there is no cpu device 7: 4 available");
        let error = runtime.upload_values(0, &[3], &[1i32]).unwrap_err();
        assert_eq!(error.to_string(), "uploading s32[3]: expected 12 bytes, got 4");
        Runtime::for_device("quantum", 1).unwrap_err();
    }

    #[test]
    fn a_file_that_is_not_a_plugin_is_an_error() {
        let path = std::env::current_exe().unwrap();
        let error = xla::PjRtClient::plugin("cuda", path).err().map(|error| xla_error("loading", error).to_string());
        assert!(error.is_some_and(|error| error.starts_with("loading: ") && error.lines().count() == 1));
    }
}
