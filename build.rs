//! Build script: generates Rust code from `proto/`, writes the descriptor set for server reflection, and
//! names the compiler.

use std::{env, error::Error, fs, path::Path, process::Command};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    // tonic-prost-build does not emit this. Without it, every change in the package triggers a rebuild.
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rustc-env=IAI_FACADE_RUSTC={}", rustc_version()?);

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files([
        "iaifacade/v1/error_reason.proto",
        "iaifacade/v1/face_recognition_service.proto",
    ])?;
    let descriptors = compiler.file_descriptor_set();

    let path = Path::new(&env::var("OUT_DIR")?).join("descriptor.bin");
    fs::write(path, descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}

/// Returns the version of the compiler, such as `1.95.0`.
fn rustc_version() -> Result<String, Box<dyn Error>> {
    let output = Command::new(env::var("RUSTC")?).arg("--version").output()?;
    let text = String::from_utf8(output.stdout)?;
    let version = text.split_whitespace().nth(1);
    Ok(version
        .ok_or("`rustc --version` has another form")?
        .to_owned())
}
