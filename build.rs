//! Lets what cargo links find XLA at run time: a dependency cannot set the rpath of the final binary.

#![allow(clippy::print_stdout, reason = "this is how cargo is told")]

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=XLA_EXTENSION_DIR");
    let Some(xla) = std::env::var_os("XLA_EXTENSION_DIR").map(PathBuf::from) else {
        println!("cargo::error=XLA is not here yet: run `make xla`");
        return;
    };
    let lib = xla.join("lib");
    println!("cargo::rerun-if-changed={}", lib.join("libxla_extension.so").display());
    if !lib.join("libxla_extension.so").exists() {
        println!("cargo::error=there is no XLA in {}: run `make xla`", xla.display());
        return;
    }
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
}
