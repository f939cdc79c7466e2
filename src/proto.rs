//! The protocol: the generated messages and service of `proto/`, their descriptors, and the names of
//! status codes.

pub mod grpc_code;

pub use generated::*;

/// The encoded descriptor set of all files in `proto/`, for server reflection.
pub const DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("descriptor");

#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    rustdoc::broken_intra_doc_links,
    unused_qualifications,
    reason = "generated code"
)]
mod generated {
    tonic::include_proto!("iaifacade.v1");
}
