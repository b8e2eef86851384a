//! Kinds of devices, and lookup of their PJRT plugin.

use std::fmt;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// `<device_type>:<path>` of a PJRT plugin, e.g. `cuda:/opt/jax/xla_cuda_plugin.so`.
pub(super) const PLUGIN_VARIABLE: &str = "PARALLAX_PJRT_PLUGIN";

/// The kind of device that a runtime drives. It decides chunk sizes and kernel lowerings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// XLA:CPU, built in.
    Cpu,
    /// A GPU, through a PJRT plugin.
    Gpu,
    /// A TPU, through a PJRT plugin.
    Tpu,
}

impl DeviceKind {
    /// Parses a kind as a user or a plugin's device type writes it: `cpu`, `gpu`, `cuda`, `rocm` or `tpu`, in any case.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDevice`] for any other word.
    pub fn parse(word: &str) -> Result<Self> {
        match word.to_ascii_lowercase().as_str() {
            "cpu" => Ok(Self::Cpu),
            "gpu" | "cuda" | "rocm" => Ok(Self::Gpu),
            "tpu" => Ok(Self::Tpu),
            _ => Err(Error::NoSuchDevice {
                asked: format!("unknown device {word:?}"),
                available: "expected cpu, gpu (or cuda, rocm) or tpu".into(),
            }),
        }
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
            Self::Tpu => "tpu",
        })
    }
}

/// A PJRT plugin library, as set in the environment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plugin {
    pub(super) device_type: String,
    pub(super) path: PathBuf,
}

impl Plugin {
    /// Returns the plugin for `kind` in the value of `PARALLAX_PJRT_PLUGIN`, or an error that explains how to set one.
    pub(super) fn find(kind: DeviceKind, variable: Option<&str>) -> Result<Self> {
        let missing = |available: String| {
            Err(Error::NoSuchDevice { asked: format!("device {kind} needs a PJRT plugin"), available })
        };
        let Some(value) = variable else {
            return missing(format!(
                "set {PLUGIN_VARIABLE}=<device_type>:<path of the plugin library>; without it, only cpu is available"
            ));
        };
        let Some((device_type, path)) =
            value.split_once(':').filter(|(name, path)| !name.is_empty() && !path.is_empty())
        else {
            return Err(Error::Setting {
                name: PLUGIN_VARIABLE.into(),
                value: value.into(),
                expected: "<device_type>:<path of the plugin library>".into(),
            });
        };
        if DeviceKind::parse(device_type)? != kind {
            return missing(format!("{PLUGIN_VARIABLE} names a plugin for {device_type}"));
        }
        if !std::path::Path::new(path).is_file() {
            return missing(format!("{PLUGIN_VARIABLE} names {path}, which is not a file"));
        }
        Ok(Self { device_type: device_type.into(), path: path.into() })
    }
}

#[cfg(test)]
mod tests {
    use crate::error::Result;
    use crate::runtime::device::{DeviceKind, Plugin};
    use std::fmt;

    fn error<T: fmt::Debug>(result: Result<T>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn the_error_for_an_unknown_kind_lists_the_known_kinds() {
        assert_eq!(
            error(DeviceKind::parse("npu")),
            r#"unknown device "npu": expected cpu, gpu (or cuda, rocm) or tpu"#
        );
        assert_eq!(DeviceKind::parse("CUDA").unwrap().to_string(), "gpu");
    }

    #[test]
    fn the_error_for_a_missing_plugin_explains_how_to_set_one() {
        assert_eq!(
            error(Plugin::find(DeviceKind::Gpu, None)),
            "device gpu needs a PJRT plugin: set PARALLAX_PJRT_PLUGIN=<device_type>:<path of the plugin library>; \
             without it, only cpu is available"
        );
        assert_eq!(
            error(Plugin::find(DeviceKind::Gpu, Some("tpu:/lib/libtpu.so"))),
            "device gpu needs a PJRT plugin: PARALLAX_PJRT_PLUGIN names a plugin for tpu"
        );
        assert_eq!(
            error(Plugin::find(DeviceKind::Gpu, Some("cuda:/no/such.so"))),
            "device gpu needs a PJRT plugin: PARALLAX_PJRT_PLUGIN names /no/such.so, which is not a file"
        );
        assert_eq!(
            error(Plugin::find(DeviceKind::Gpu, Some("cuda"))),
            r#"invalid value "cuda" for PARALLAX_PJRT_PLUGIN: expected <device_type>:<path of the plugin library>"#
        );
    }
}
