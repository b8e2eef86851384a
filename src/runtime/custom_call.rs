//! Registration of native functions that programs call on the CPU through HLO's `custom-call`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::error::{Error, Result};

/// A native function with the signature that XLA calls on the host (`API_VERSION_ORIGINAL`).
///
/// `inputs` points to the operands in order. `output` points to the result, or to an array of pointers if the result is
/// a tuple. Sizes are not passed, so pass them as a scalar operand. The function runs on one of XLA's threads and must
/// not unwind.
pub type HostFunction = unsafe extern "C" fn(output: *mut c_void, inputs: *const *const c_void);

/// Names registered so far: XLA aborts the process if a name is registered twice.
static REGISTERED: LazyLock<Mutex<HashMap<String, usize>>> = LazyLock::new(Mutex::default);

/// Registers `function` as the custom-call target `name` on the CPU. Registering the same pair again does nothing.
///
/// A program calls it by `custom-call(a, b), custom_call_target="name", api_version=API_VERSION_ORIGINAL`.
///
/// # Errors
///
/// [`Error::Xla`] if another function is registered under `name`.
///
/// # Safety
///
/// Every program that calls `name` must pass the operands and the result shape that `function` reads and writes.
pub unsafe fn register(name: &str, function: HostFunction) -> Result<()> {
    let address = function as usize;
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    match registered.entry(name.to_string()) {
        Entry::Occupied(entry) if *entry.get() == address => {}
        Entry::Occupied(_) => {
            let message = "the name is taken by another function".into();
            return Err(Error::Xla { what: format!("registering the custom call {name}"), message });
        }
        Entry::Vacant(entry) => {
            xla::register_custom_call_target(name, function as *const c_void, "Host");
            entry.insert(address);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::program::{ElementType, Program, Shape};
    use crate::runtime::custom_call::register;
    use crate::runtime::{Runtime, TEST_DEVICES};
    use std::ffi::c_void;

    /// `output[i] = input[n - 1 - i]` for `s32` arrays; the second operand is n.
    unsafe extern "C" fn reverse(output: *mut c_void, inputs: *const *const c_void) {
        // SAFETY: the program below passes an array of n and the scalar n, and its result has n elements.
        let (output, input) = unsafe {
            let n = **inputs.add(1).cast::<*const i32>() as usize;
            let input = std::slice::from_raw_parts((*inputs).cast::<i32>(), n);
            (std::slice::from_raw_parts_mut(output.cast::<i32>(), n), input)
        };
        for (to, from) in output.iter_mut().zip(input.iter().rev()) {
            *to = *from;
        }
    }

    unsafe extern "C" fn other(_: *mut c_void, _: *const *const c_void) {
        std::hint::black_box(());
    }

    #[test]
    fn a_program_calls_a_rust_function() {
        // SAFETY: only the program below calls it.
        unsafe { register("parallax_test_reverse", reverse) }.unwrap();
        let (array, scalar) = (Shape::new(ElementType::S32, [4]), Shape::scalar(ElementType::S32));
        let program = Program {
            name: "reverse".into(),
            text: "HloModule reverse\nENTRY main {\n  a = s32[4] parameter(0)\n  n = s32[] parameter(1)\n  \
                   r = s32[4] custom-call(a, n), custom_call_target=\"parallax_test_reverse\", \
                   api_version=API_VERSION_ORIGINAL\n  ROOT out = (s32[4]) tuple(r)\n}\n"
                .into(),
            parameters: vec![array.clone(), scalar],
            outputs: vec![array],
            aliases: vec![],
        };
        let runtime = Runtime::cpu(TEST_DEVICES).unwrap();
        let args = [
            runtime.upload_values(0, &[4], &[1i32, 2, 3, 4]).unwrap(),
            runtime.upload_values(0, &[], &[4i32]).unwrap(),
        ];
        let (executable, _) = runtime.compile(&program, 1).unwrap();
        let outputs = executable.execute(&[&args[0], &args[1]]).unwrap();
        assert_eq!(outputs[0].to_vec::<i32>().unwrap(), [4, 3, 2, 1]);
    }

    #[test]
    fn a_name_belongs_to_one_function() {
        // SAFETY: no program calls it.
        let register = |function| unsafe { register("parallax_test_twice", function) };
        register(reverse).unwrap();
        register(reverse).unwrap();
        assert_eq!(
            register(other).unwrap_err().to_string(),
            "registering the custom call parallax_test_twice: the name is taken by another function"
        );
    }
}
