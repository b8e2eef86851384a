//! Native functions that programs call on the CPU through HLO's `custom-call`, by XLA's typed FFI.

use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::runtime::call::Call;
use crate::runtime::ffi::{
    API_MAJOR, API_MINOR, Api, ApiVersion, CallFrame, CreateError, DestroyError, EXECUTE_STAGE, ErrorMessage, Handler,
    INTERNAL_ERROR, METADATA_EXTENSION, MetadataExtension, Register, Stages, Text, XlaError, xla_ffi_api,
};

/// A native function. It runs on one of XLA's threads; a panic becomes the error of the program that called it.
pub type Kernel = unsafe fn(&Call);

/// Names registered so far: XLA refuses to register a name twice, also for the same function.
static REGISTERED: LazyLock<Mutex<HashMap<String, usize>>> = LazyLock::new(Mutex::default);

/// The [`Handler`] that calls a [`Kernel`].
macro_rules! handler {
    ($kernel:path) => {{
        unsafe extern "C" fn handler(
            frame: *mut $crate::runtime::ffi::CallFrame,
        ) -> *mut $crate::runtime::ffi::XlaError {
            // SAFETY: XLA calls handlers with a frame of its own.
            unsafe { $crate::runtime::custom_call::answer(frame, $kernel) }
        }
        handler as $crate::runtime::ffi::Handler
    }};
}
pub(crate) use handler;

/// Registers `handler` as the custom-call target `name` on the CPU. Registering the same pair again does nothing.
///
/// A program calls it by `custom-call(a, b), custom_call_target="name", api_version=API_VERSION_TYPED_FFI`.
///
/// # Errors
///
/// [`Error::Xla`] if another function is registered under `name`, or XLA refuses it.
///
/// # Safety
///
/// `handler` must be made by [`handler!`], and every program that calls `name` must pass the operands and results that its
/// kernel reads and writes.
pub unsafe fn register(name: &str, handler: Handler) -> Result<()> {
    let failed = |message| Error::Xla { what: format!("registering the custom call {name}"), message };
    let address = handler as usize;
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    match registered.entry(name.to_string()) {
        Entry::Occupied(entry) if *entry.get() == address => {}
        Entry::Occupied(_) => return Err(failed("the name is taken by another function".into())),
        Entry::Vacant(entry) => {
            let text = |text: &str| Text { start: text.as_ptr().cast::<c_char>(), len: text.len() };
            let mut arguments = Register {
                struct_size: size_of::<Register>(),
                extension_start: null_mut(),
                name: text(name),
                platform: text("Host"),
                stages: Stages { instantiate: None, prepare: None, initialize: None, execute: Some(handler) },
                traits: 0,
            };
            // SAFETY: XLA copies the names, calls the handler for its metadata, and keeps nothing else of the arguments.
            if let Some(message) = unsafe {
                let api = &*xla_ffi_api();
                take_message(api, (api.register)(&mut arguments))
            } {
                return Err(failed(message));
            }
            entry.insert(address);
        }
    }
    Ok(())
}

/// The text of an error, which is destroyed; `None` if there is none.
///
/// # Safety
///
/// `error` must be null or an error that XLA has handed over.
unsafe fn take_message(api: &Api, error: *mut XlaError) -> Option<String> {
    if error.is_null() {
        return None;
    }
    let mut message = ErrorMessage {
        struct_size: size_of::<ErrorMessage>(),
        extension_start: null_mut(),
        error,
        message: null_mut(),
    };
    let mut destroy = DestroyError { struct_size: size_of::<DestroyError>(), extension_start: null_mut(), error };
    // SAFETY: the error is XLA's, and its message is copied before it is destroyed.
    unsafe {
        (api.error_message)(&mut message);
        let text = CStr::from_ptr(message.message).to_string_lossy().into_owned();
        (api.destroy_error)(&mut destroy);
        Some(text)
    }
}

/// What a handler does: it says its version when XLA asks for it, and otherwise runs the kernel.
///
/// # Safety
///
/// `frame` must be the one that XLA passed to the handler, and the program must pass what `kernel` reads and writes.
pub unsafe fn answer(frame: *mut CallFrame, kernel: Kernel) -> *mut XlaError {
    // SAFETY: guaranteed by the caller; an extension of this kind is a `MetadataExtension`.
    unsafe {
        let frame = &*frame;
        let extension = frame.extension_start;
        if !extension.is_null() && (*extension).kind == METADATA_EXTENSION {
            let metadata = &mut *(*extension.cast::<MetadataExtension>()).metadata;
            metadata.api_version = ApiVersion {
                struct_size: size_of::<ApiVersion>(),
                extension_start: null_mut(),
                major: API_MAJOR,
                minor: API_MINOR,
            };
            metadata.traits = 0;
            return null_mut();
        }
        if frame.stage != EXECUTE_STAGE {
            return error(frame, "a native function was called in another stage than execution");
        }
        match catch_unwind(AssertUnwindSafe(|| kernel(&Call::new(frame)))) {
            Ok(()) => null_mut(),
            Err(panic) => error(frame, panic_text(panic.as_ref())),
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a native function panicked")
}

/// # Safety
///
/// As for [`answer`].
unsafe fn error(frame: &CallFrame, message: &str) -> *mut XlaError {
    let message = CString::new(message).unwrap_or_default();
    let mut arguments = CreateError {
        struct_size: size_of::<CreateError>(),
        extension_start: null_mut(),
        message: message.as_ptr(),
        code: INTERNAL_ERROR,
    };
    // SAFETY: XLA copies the message.
    unsafe { ((*frame.api).create_error)(&mut arguments) }
}

#[cfg(test)]
mod tests {
    use crate::program::{ElementType, Program, Shape};
    use crate::runtime::call::Call;
    use crate::runtime::custom_call::register;
    use crate::runtime::{Runtime, TEST_DEVICES};

    /// `output[i] = input[n - 1 - i]` for `s32` arrays; the second operand is n.
    unsafe fn reverse(call: &Call) {
        // SAFETY: the program below passes an array of n and the scalar n, and its result has n elements.
        let (output, input) = unsafe {
            let n = call.input::<i32>(1, 1)[0] as usize;
            (call.output::<i32>(0, n), call.input::<i32>(0, n))
        };
        for (to, from) in output.iter_mut().zip(input.iter().rev()) {
            *to = *from;
        }
    }

    unsafe fn other(_: &Call) {
        std::hint::black_box(());
    }

    /// Calls `reverse` of four numbers, and says that they are `n`.
    fn reversed(n: i32) -> crate::error::Result<Vec<i32>> {
        // SAFETY: only the program below calls it.
        unsafe { register("parallax_test_reverse", handler!(reverse)) }?;
        let (array, scalar) = (Shape::new(ElementType::S32, [4]), Shape::scalar(ElementType::S32));
        let program = Program {
            name: "reverse".into(),
            text: "HloModule reverse\nENTRY main {\n  a = s32[4] parameter(0)\n  n = s32[] parameter(1)\n  \
                   r = s32[4] custom-call(a, n), custom_call_target=\"parallax_test_reverse\", \
                   api_version=API_VERSION_TYPED_FFI\n  ROOT out = (s32[4]) tuple(r)\n}\n"
                .into(),
            parameters: vec![array.clone(), scalar],
            outputs: vec![array],
            aliases: vec![],
        };
        let runtime = Runtime::cpu(TEST_DEVICES)?;
        let args = [runtime.upload_values(0, &[4], &[1i32, 2, 3, 4])?, runtime.upload_values(0, &[], &[n])?];
        let (executable, _) = runtime.compile(&program, 1)?;
        executable.execute(&[&args[0], &args[1]])?[0].to_vec::<i32>()
    }

    #[test]
    fn a_program_calls_a_rust_function() {
        assert_eq!(reversed(4).unwrap(), [4, 3, 2, 1]);
    }

    #[test]
    fn a_function_that_reads_too_much_is_an_error_of_its_program() {
        let error = reversed(5).unwrap_err().to_string();
        assert!(error.contains("asked for 20 bytes of buffer 0, which has 16"), "{error}");
    }

    #[test]
    fn a_name_belongs_to_one_function() {
        // SAFETY: no program calls it.
        let register = |handler| unsafe { register("parallax_test_twice", handler) };
        // Each use of the macro is a handler of its own.
        let first = handler!(reverse);
        register(first).unwrap();
        register(first).unwrap();
        assert_eq!(
            register(handler!(other)).unwrap_err().to_string(),
            "registering the custom call parallax_test_twice: the name is taken by another function"
        );
    }
}
