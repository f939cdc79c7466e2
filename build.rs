//! Build script: generates Rust code from `proto/` and writes the descriptor set for server reflection.

use std::{env, error::Error, fs, path::Path};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    // tonic-prost-build does not emit this. Without it, every change in the package triggers a rebuild.
    println!("cargo:rerun-if-changed=proto");

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
