//! The protocol: the generated messages and service of `proto/`, their descriptors, and the names of
//! status codes.

pub mod grpc_code;

use std::sync::LazyLock;

use prost::Message;
use prost_types::FileDescriptorSet;

pub use generated::*;

/// The encoded descriptor set of all files in `proto/`, for server reflection.
pub const DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("descriptor");

/// A method of the service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Method {
    /// Its name, which is also the name of the API action, such as `GetGroupInfo`.
    pub name: String,
    /// Its full name, as in a path: `iaifacade.v1.FaceRecognitionService/GetGroupInfo`.
    pub full_name: String,
}

/// The methods of the service, as `proto/` declares them.
pub static METHODS: LazyLock<Vec<Method>> = LazyLock::new(|| {
    let descriptors = FileDescriptorSet::decode(DESCRIPTOR_SET).unwrap_or_default();
    let mut methods = Vec::new();
    for file in &descriptors.file {
        for service in &file.service {
            methods.extend(service.method.iter().map(|method| Method {
                name: method.name().to_owned(),
                full_name: format!("{}.{}/{}", file.package(), service.name(), method.name()),
            }));
        }
    }
    methods
});

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_the_names_of_their_actions_and_paths() {
        let method = Method {
            name: "GetGroupInfo".to_owned(),
            full_name: "iaifacade.v1.FaceRecognitionService/GetGroupInfo".to_owned(),
        };
        assert!(METHODS.contains(&method), "{:?}", *METHODS);
    }
}
