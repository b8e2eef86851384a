//! Lets what cargo links find XLA at run time: a dependency cannot set the rpath of the final binary.

#![allow(clippy::print_stdout, reason = "this is how cargo is told")]

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=XLA_EXTENSION_DIR");
    println!("cargo::rerun-if-env-changed=DOCS_RS");
    // docs.rs has no XLA, and rustdoc links nothing.
    if std::env::var_os("DOCS_RS").is_some() {
        return;
    }
    let Some(xla) = std::env::var_os("XLA_EXTENSION_DIR").map(PathBuf::from) else {
        println!(
            "cargo::error=XLA is not here yet: run `make xla`, or set XLA_EXTENSION_DIR to an xla_extension of your own"
        );
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
