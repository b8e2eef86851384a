//! XLA's typed FFI, as far as native functions on the CPU need it: the C structures of `xla/ffi/api/c_api.h`, version 0.2. Fields
//! that are not read, at the end of a structure that XLA makes, are left out.

use std::ffi::{c_char, c_int, c_void};
use std::marker::{PhantomData, PhantomPinned};

pub const API_MAJOR: c_int = 0;
pub const API_MINOR: c_int = 2;
/// `XLA_FFI_Extension_Metadata`
pub const METADATA_EXTENSION: c_int = 1;
/// `XLA_FFI_ExecutionStage_EXECUTE`
pub const EXECUTE_STAGE: c_int = 3;
/// `XLA_FFI_Error_Code_INTERNAL`
pub const INTERNAL_ERROR: c_int = 13;

/// A function that XLA calls: to ask for its version, and to execute. It returns an error or null.
pub type Handler = unsafe extern "C" fn(*mut CallFrame) -> *mut XlaError;

/// An error that XLA owns.
#[repr(C)]
pub struct XlaError {
    opaque: [u8; 0],
    marker: PhantomData<(*mut u8, PhantomPinned)>,
}

#[repr(C)]
pub struct Extension {
    pub struct_size: usize,
    pub kind: c_int,
    pub next: *mut Extension,
}

#[repr(C)]
pub struct ApiVersion {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    pub major: c_int,
    pub minor: c_int,
}

#[repr(C)]
pub struct Metadata {
    pub struct_size: usize,
    pub api_version: ApiVersion,
    pub traits: u32,
}

#[repr(C)]
pub struct MetadataExtension {
    pub base: Extension,
    pub metadata: *mut Metadata,
}

#[repr(C)]
pub struct CreateError {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    pub message: *const c_char,
    pub code: c_int,
}

#[repr(C)]
pub struct ErrorMessage {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    pub error: *mut XlaError,
    pub message: *const c_char,
}

#[repr(C)]
pub struct DestroyError {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    pub error: *mut XlaError,
}

#[repr(C)]
pub struct Text {
    pub start: *const c_char,
    pub len: usize,
}

/// The handlers of the stages of a call.
#[repr(C)]
pub struct Stages {
    pub instantiate: Option<Handler>,
    pub prepare: Option<Handler>,
    pub initialize: Option<Handler>,
    pub execute: Option<Handler>,
}

#[repr(C)]
pub struct Register {
    pub struct_size: usize,
    pub extension_start: *mut Extension,
    pub name: Text,
    pub platform: Text,
    pub stages: Stages,
    pub traits: u32,
}

#[repr(C)]
pub struct Api {
    struct_size: usize,
    extension_start: *mut Extension,
    api_version: ApiVersion,
    internal: *const c_void,
    pub create_error: unsafe extern "C" fn(*mut CreateError) -> *mut XlaError,
    pub error_message: unsafe extern "C" fn(*mut ErrorMessage),
    pub destroy_error: unsafe extern "C" fn(*mut DestroyError),
    pub register: unsafe extern "C" fn(*mut Register) -> *mut XlaError,
}

#[repr(C)]
pub struct Buffer {
    struct_size: usize,
    extension_start: *mut Extension,
    /// `XLA_FFI_DataType`
    pub data_type: c_int,
    pub data: *mut c_void,
    pub rank: i64,
    pub dims: *const i64,
}

/// The operands or the results of a call. All are buffers.
#[repr(C)]
pub struct Buffers {
    struct_size: usize,
    extension_start: *mut Extension,
    pub size: i64,
    types: *const c_int,
    pub buffers: *const *const Buffer,
}

#[repr(C)]
pub struct CallFrame {
    struct_size: usize,
    pub extension_start: *mut Extension,
    pub api: *const Api,
    context: *mut c_void,
    pub stage: c_int,
    pub operands: Buffers,
    pub results: Buffers,
}

unsafe extern "C" {
    /// `xla::ffi::GetXlaFfiApi()`, which libtensorflow_cc exports. It lives as long as the process.
    #[link_name = "_ZN3xla3ffi12GetXlaFfiApiEv"]
    pub fn xla_ffi_api() -> *const Api;
}
