//! Compiled programs and their execution.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::program::Program;
use crate::runtime::Buffer;
use crate::runtime::memory::{DeviceMemory, Reservation};

/// A program compiled for one device, or for several that run it together. It may be called from several threads at
/// once.
pub struct Executable {
    program: Program,
    n_replicas: usize,
    loaded: xla::PjRtLoadedExecutable,
    memory: DeviceMemory,
    replicated: Arc<Mutex<()>>,
}

/// An argument of a call. A parameter that an output aliases must be donated, because the output takes over its memory.
#[derive(Debug)]
pub enum Argument<'a> {
    /// Read by the call; still valid afterwards.
    Borrow(&'a Buffer),
    /// Consumed by the call, even if it fails.
    Donate(Buffer),
}

impl Argument<'_> {
    fn buffer(&self) -> &Buffer {
        match self {
            Self::Borrow(buffer) => buffer,
            Self::Donate(buffer) => buffer,
        }
    }
}

impl<'a> From<&'a Buffer> for Argument<'a> {
    fn from(buffer: &'a Buffer) -> Self {
        Self::Borrow(buffer)
    }
}

impl From<Buffer> for Argument<'_> {
    fn from(buffer: Buffer) -> Self {
        Self::Donate(buffer)
    }
}

impl Executable {
    pub(super) fn new(
        program: Program,
        n_replicas: usize,
        loaded: xla::PjRtLoadedExecutable,
        memory: DeviceMemory,
        replicated: Arc<Mutex<()>>,
    ) -> Self {
        Self { program, n_replicas, loaded, memory, replicated }
    }

    /// Returns the program that was compiled.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Returns the number of devices that run it together, which are the runtime's first.
    pub fn n_replicas(&self) -> usize {
        self.n_replicas
    }

    /// Runs a program without aliases on device 0 and returns one buffer for each output.
    ///
    /// # Errors
    ///
    /// As for [`Self::execute_donating`].
    pub fn execute(&self, args: &[&Buffer]) -> Result<Vec<Buffer>> {
        self.execute_donating(args.iter().map(|&buffer| Argument::Borrow(buffer)).collect())
    }

    /// Runs the program on device 0 and returns one buffer for each output. Donated arguments are consumed; an output
    /// that aliases one reuses its memory.
    ///
    /// # Errors
    ///
    /// - [`Error::Signature`] if number, shapes or devices of the arguments do not match the program, or if an aliased
    ///   parameter is not donated.
    /// - [`Error::DeviceMemory`] if the outputs exceed the memory limit.
    /// - [`Error::Xla`] if the execution fails.
    pub fn execute_donating(&self, args: Vec<Argument<'_>>) -> Result<Vec<Buffer>> {
        if self.n_replicas != 1 {
            return self.misuse(format!("compiled for {} replicas, but run on one", self.n_replicas));
        }
        let reserved = self.prepare(0, &args)?;
        let buffers: Vec<_> = args.iter().map(|arg| &arg.buffer().pjrt).collect();
        let results = self.loaded.execute_b(&buffers).map_err(|error| self.failed(error))?;
        let [results] = <[_; 1]>::try_from(results)
            .or_else(|results| self.misuse(format!("XLA returned outputs of {} replicas", results.len())))?;
        self.wrap(0, results, args, reserved)
    }

    /// Runs the program on all its devices together. `args[replica]` are the arguments of one device; the result is
    /// `[replica][output]`.
    ///
    /// # Errors
    ///
    /// As for [`Self::execute_donating`].
    pub fn execute_replicated(&self, args: Vec<Vec<Argument<'_>>>) -> Result<Vec<Vec<Buffer>>> {
        if args.len() != self.n_replicas {
            return self.misuse(format!("compiled for {} replicas, but run on {}", self.n_replicas, args.len()));
        }
        if self.n_replicas == 1 {
            return args.into_iter().map(|args| self.execute_donating(args)).collect();
        }
        let reserved: Vec<_> =
            args.iter().enumerate().map(|(replica, args)| self.prepare(replica, args)).collect::<Result<_>>()?;
        let buffers: Vec<Vec<_>> =
            args.iter().map(|args| args.iter().map(|arg| &arg.buffer().pjrt).collect()).collect();
        let results = {
            let _one_at_a_time = self.replicated.lock().unwrap_or_else(PoisonError::into_inner);
            self.loaded.execute_replicated_b(&buffers).map_err(|error| self.failed(error))?
        };
        if results.len() != self.n_replicas {
            return self.misuse(format!("XLA returned outputs of {} replicas", results.len()));
        }
        let outputs = results.into_iter().zip(args).zip(reserved).enumerate();
        outputs.map(|(replica, ((results, args), reserved))| self.wrap(replica, results, args, reserved)).collect()
    }

    /// Checks the arguments of one replica, and reserves memory for the outputs that alias no parameter.
    fn prepare(&self, replica: usize, args: &[Argument<'_>]) -> Result<Vec<Option<Reservation>>> {
        let Program { parameters, outputs, aliases, name, .. } = &self.program;
        if args.len() != parameters.len() {
            return self.misuse(format!("expected {} arguments, got {}", parameters.len(), args.len()));
        }
        for (i, (arg, parameter)) in args.iter().zip(parameters).enumerate() {
            let buffer = arg.buffer();
            if buffer.shape() != parameter {
                return self.misuse(format!("parameter {i} is {parameter}, but the argument is {}", buffer.shape()));
            }
            if buffer.device() != replica {
                return self.misuse(format!("argument {i} is on device {}, not on device {replica}", buffer.device()));
            }
            if matches!(arg, Argument::Borrow(_)) && aliases.iter().any(|&(_, parameter)| parameter == i) {
                return self.misuse(format!("parameter {i} is aliased by an output and must be donated"));
            }
        }
        let fresh = |(i, output): (usize, &crate::program::Shape)| {
            let aliased = aliases.iter().any(|&(output, _)| output == i);
            if aliased { Ok(None) } else { self.memory.try_reserve(output.size_bytes(), name).map(Some) }
        };
        outputs.iter().enumerate().map(fresh).collect()
    }

    /// Wraps the buffers that XLA returned for one replica. A tuple root comes back as one buffer for each leaf.
    fn wrap(
        &self,
        replica: usize,
        results: Vec<xla::PjRtBuffer>,
        args: Vec<Argument<'_>>,
        reserved: Vec<Option<Reservation>>,
    ) -> Result<Vec<Buffer>> {
        if results.len() != self.program.outputs.len() {
            let expected = self.program.outputs.len();
            return self.misuse(format!("declares {expected} outputs, but XLA returned {}", results.len()));
        }
        let mut donated: Vec<_> = args
            .into_iter()
            .map(|arg| match arg {
                Argument::Donate(buffer) => Some(buffer.reservation),
                Argument::Borrow(_) => None,
            })
            .collect();
        let outputs = results.into_iter().zip(&self.program.outputs).zip(reserved).enumerate();
        let outputs = outputs.map(|(i, ((pjrt, shape), reserved))| {
            let alias = || self.program.aliases.iter().find(|&&(output, _)| output == i);
            let reservation = match reserved.or_else(|| donated.get_mut(alias()?.1)?.take()) {
                Some(reservation) => reservation,
                None => self.memory.try_reserve(shape.size_bytes(), &self.program.name)?,
            };
            Ok(Buffer::new(pjrt, shape.clone(), replica, reservation))
        });
        outputs.collect()
    }

    fn failed(&self, error: xla::Error) -> Error {
        xla_error(format!("running {}", self.program.name), error)
    }

    fn misuse<T>(&self, message: String) -> Result<T> {
        Err(Error::Signature { program: self.program.name.clone(), message })
    }
}

impl std::fmt::Debug for Executable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Executable({} for {} replicas)", self.program.name, self.n_replicas)
    }
}

/// Converts an error of the `xla` crate. `what` is the attempted operation. XLA's message is cut at its stack trace.
pub(super) fn xla_error(what: impl Into<String>, error: xla::Error) -> Error {
    let message = match error {
        xla::Error::XlaError { msg, .. } => msg,
        other => other.to_string(),
    };
    let end =
        ["\n*** Begin stack trace", "\nStack trace:", "\n\t0x"].iter().filter_map(|mark| message.find(mark)).min();
    let message = message[..end.unwrap_or(message.len())].trim().to_string();
    Error::Xla { what: what.into(), message }
}

#[cfg(test)]
mod tests {
    use crate::program::Program;
    use crate::program::{ElementType, Shape};
    use crate::runtime::Buffer;
    use crate::runtime::executable::Executable;
    use crate::runtime::{Runtime, TEST_DEVICES};
    use std::sync::Arc;

    fn runtime() -> Arc<Runtime> {
        Runtime::cpu(TEST_DEVICES).unwrap()
    }

    fn compile(program: &Program, n_replicas: usize) -> Arc<Executable> {
        runtime().compile(program, n_replicas).unwrap().0
    }

    fn upload(device: usize, values: &[i64]) -> Buffer {
        runtime().upload_values(device, &[values.len()], values).unwrap()
    }

    fn vector(n: usize) -> Shape {
        Shape::new(ElementType::S64, [n])
    }

    /// Computes sum and product of two vectors.
    fn two_outputs() -> Program {
        Program {
            name: "two_outputs".into(),
            text: "HloModule two_outputs\nENTRY main {\n  a = s64[4] parameter(0)\n  b = s64[4] parameter(1)\n  \
                   sum = s64[4] add(a, b)\n  product = s64[4] multiply(a, b)\n  \
                   ROOT out = (s64[4], s64[4]) tuple(sum, product)\n}\n"
                .into(),
            parameters: vec![vector(4), vector(4)],
            outputs: vec![vector(4), vector(4)],
            aliases: vec![],
        }
    }

    /// Adds the second parameter to the first, in place.
    fn accumulate(n: usize) -> Program {
        Program {
            name: "accumulate".into(),
            text: format!(
                "HloModule accumulate, input_output_alias={{ {{0}}: (0, {{}}, may-alias) }}\nENTRY main {{\n  \
                 acc = s64[{n}] parameter(0)\n  x = s64[{n}] parameter(1)\n  sum = s64[{n}] add(acc, x)\n  \
                 ROOT out = (s64[{n}]) tuple(sum)\n}}\n"
            ),
            parameters: vec![vector(n), vector(n)],
            outputs: vec![vector(n)],
            aliases: vec![(0, 0)],
        }
    }

    /// Returns the sum of a vector over all replicas, and the replica's number.
    fn all_reduce() -> Program {
        Program {
            name: "all_reduce".into(),
            text: "HloModule all_reduce\nadd {\n  a = s64[] parameter(0)\n  b = s64[] parameter(1)\n  \
                   ROOT sum = s64[] add(a, b)\n}\nENTRY main {\n  x = s64[3] parameter(0)\n  \
                   total = s64[3] all-reduce(x), replica_groups={}, to_apply=add\n  id = u32[] replica-id()\n  \
                   ROOT out = (s64[3], u32[]) tuple(total, id)\n}\n"
                .into(),
            parameters: vec![vector(3)],
            outputs: vec![vector(3), Shape::scalar(ElementType::U32)],
            aliases: vec![],
        }
    }

    #[test]
    fn a_tuple_is_returned_as_its_leaves() {
        let executable = compile(&two_outputs(), 1);
        let outputs = executable.execute(&[&upload(0, &[1, 2, 3, 4]), &upload(0, &[10, 20, 30, 40])]).unwrap();
        assert_eq!(outputs[0].to_vec::<i64>().unwrap(), [11, 22, 33, 44]);
        assert_eq!(outputs[1].to_vec::<i64>().unwrap(), [10, 40, 90, 160]);
    }

    #[test]
    fn arguments_are_checked_against_the_signature() {
        let executable = compile(&two_outputs(), 1);
        let (four, three, elsewhere) = (upload(0, &[1, 2, 3, 4]), upload(0, &[1, 2, 3]), upload(1, &[1, 2, 3, 4]));
        let message = |args: &[&Buffer]| executable.execute(args).unwrap_err().to_string();
        assert_eq!(message(&[&four]), "program two_outputs: expected 2 arguments, got 1");
        assert_eq!(message(&[&four, &three]), "program two_outputs: parameter 1 is s64[4], but the argument is s64[3]");
        assert_eq!(message(&[&four, &elsewhere]), "program two_outputs: argument 1 is on device 1, not on device 0");
        executable.execute_replicated(vec![vec![], vec![]]).unwrap_err();
    }

    #[test]
    fn an_aliased_parameter_is_donated_and_its_memory_is_reused() {
        let executable = compile(&accumulate(1000), 1);
        let (ones, mut acc) = (upload(0, &[1; 1000]), upload(0, &[0; 1000]));
        let error = executable.execute(&[&acc, &ones]).unwrap_err();
        assert!(error.to_string().ends_with("parameter 0 is aliased by an output and must be donated"), "{error}");
        for _ in 0..3 {
            acc = executable.execute_donating(vec![acc.into(), (&ones).into()]).unwrap().remove(0);
        }
        assert_eq!(acc.to_vec::<i64>().unwrap(), [3; 1000]);
        assert_eq!(acc.reservation.bytes(), 8000);
    }

    #[test]
    fn replicas_reduce_over_all_devices() {
        for n in [2, 4] {
            let executable = compile(&all_reduce(), n);
            let args = (0..n).map(|device| vec![upload(device, &[device as i64, 1, -1]).into()]).collect();
            let outputs = executable.execute_replicated(args).unwrap();
            let total = (0..n as i64).sum();
            for (replica, outputs) in outputs.iter().enumerate() {
                assert_eq!(outputs[0].to_vec::<i64>().unwrap(), [total, n as i64, -(n as i64)]);
                assert_eq!(outputs[1].to_vec::<u32>().unwrap(), [replica as u32]);
                assert_eq!(outputs[0].device(), replica);
            }
        }
        runtime().compile(&all_reduce(), 5).unwrap_err();
    }

    #[test]
    fn threads_run_the_same_program_concurrently() {
        let (single, replicated) = (compile(&two_outputs(), 1), compile(&all_reduce(), 4));
        let (a, b) = (upload(0, &[1, 2, 3, 4]), upload(0, &[5, 6, 7, 8]));
        let shards: Vec<_> = (0..4).map(|device| upload(device, &[1, 2, 3])).collect();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let outputs = single.execute(&[&a, &b]).unwrap();
                        assert_eq!(outputs[0].to_vec::<i64>().unwrap(), [6, 8, 10, 12]);
                    }
                });
                scope.spawn(|| {
                    for _ in 0..100 {
                        let args = shards.iter().map(|shard| vec![shard.into()]).collect();
                        let outputs = replicated.execute_replicated(args).unwrap();
                        assert_eq!(outputs[3][0].to_vec::<i64>().unwrap(), [4, 8, 12]);
                    }
                });
            }
        });
    }

    #[test]
    fn errors_of_xla_keep_its_message() {
        let message = |text: &str| {
            let program = Program { text: text.into(), name: "wrong".into(), ..two_outputs() };
            let message = runtime().compile(&program, 1).unwrap_err().to_string();
            assert!(message.starts_with("compiling wrong: "), "{message}");
            assert!(!message.contains("0x") && !message.contains("stack trace"), "{message}");
            message
        };
        assert!(message("HloModule wrong\nENTRY main { ROOT x = s64[4] nonsense() }").contains("nonsense"));
        let mismatch = "HloModule wrong\nENTRY main {\n  a = s64[4] parameter(0)\n  ROOT x = s64[5] negate(a)\n}";
        assert!(message(mismatch).contains("s64[5]"));
        let call = "HloModule wrong\nENTRY main {\n  ROOT x = s64[] custom-call(), custom_call_target=\"nowhere\", \
                    api_version=API_VERSION_TYPED_FFI\n}";
        assert!(message(call).contains("nowhere"));
    }

    #[test]
    fn a_program_whose_outputs_do_not_match_its_text_is_an_error() {
        let program = Program { outputs: vec![vector(4)], text: two_outputs().text + "\n", ..two_outputs() };
        let error = compile(&program, 1).execute(&[&upload(0, &[0; 4]), &upload(0, &[0; 4])]).unwrap_err();
        assert!(error.to_string().ends_with("declares 1 outputs, but XLA returned 2"), "{error}");
        let program = Program { parameters: vec![vector(4), vector(3)], text: two_outputs().text + "\n\n", ..program };
        compile(&program, 1).execute(&[&upload(0, &[0; 4]), &upload(0, &[0; 3])]).unwrap_err();
    }
}
