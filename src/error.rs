//! What can go wrong below DataFusion, and the one place where it becomes a `DataFusionError`.

use datafusion::error::DataFusionError;

/// The result of everything below DataFusion.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error with what was tried, and what to do where that is known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// XLA refused; `message` is its own.
    #[error("{what}: {message}")]
    Xla {
        /// What was tried, e.g. `compiling q1_pipeline`.
        what: String,
        /// XLA's message, without its stack trace.
        message: String,
    },

    /// A program was given arguments that its signature does not allow: a mistake in Parallax.
    #[error("program {program}: {message}")]
    Signature {
        /// Name of the program.
        program: String,
        /// Which parameter, what it is and what was given.
        message: String,
    },

    /// The device memory that Parallax may use is not enough.
    #[error(
        "{operator} asked for {requested} bytes of device memory; {used} of the {limit} bytes allowed are in use \
         (raise the option xla.memory_limit, or read fewer columns or rows)"
    )]
    DeviceMemory {
        /// Who asked.
        operator: String,
        /// Bytes asked for.
        requested: u64,
        /// Bytes in use at that moment.
        used: u64,
        /// Bytes allowed.
        limit: u64,
    },

    /// A device that is not there.
    #[error("{asked}: {available}")]
    NoSuchDevice {
        /// What was asked for.
        asked: String,
        /// What is there, and how to get more.
        available: String,
    },

    /// A setting or environment variable with a value that makes no sense.
    #[error("{name} is {value:?}: {expected} was expected")]
    Setting {
        /// Name of the option or variable.
        name: String,
        /// The value it has.
        value: String,
        /// What would be right.
        expected: String,
    },

    /// Something that Parallax does not do, with the reason.
    #[error("{0}")]
    Unsupported(String),

    /// An error of DataFusion that passed through.
    #[error(transparent)]
    DataFusion(Box<DataFusionError>),
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        Self::DataFusion(Box::new(error))
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        match error {
            Error::DataFusion(error) => *error,
            Error::DeviceMemory { .. } => Self::ResourcesExhausted(error.to_string()),
            Error::NoSuchDevice { .. } | Error::Setting { .. } => Self::Configuration(error.to_string()),
            Error::Unsupported(reason) => Self::NotImplemented(reason),
            Error::Signature { .. } => Self::Internal(error.to_string()),
            Error::Xla { .. } => Self::External(Box::new(error)),
        }
    }
}
