//! Makes one call and shows what comes of it, for people.

use clap::{Args, Subcommand};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;
use tonic::Status;

use crate::{
    chain::chain,
    client::ClientArgs,
    code,
    proto::{
        self, GetGroupInfoRequest, GetPersonGroupInfoRequest,
        face_recognition_service_client::FaceRecognitionServiceClient,
    },
};

/// The settings of `call`.
#[derive(Args, Debug)]
pub struct CallArgs {
    #[command(subcommand)]
    method: Method,

    #[command(flatten)]
    client: ClientArgs,
}

/// A method, and its request.
#[derive(Debug, Subcommand)]
enum Method {
    /// Show the name, description and creation time of one group
    GetGroupInfo {
        /// Group to look up
        #[arg(long, value_name = "ID")]
        group_id: String,
    },
    /// Show the groups that contain one person
    GetPersonGroupInfo {
        /// Person to look up
        #[arg(long, value_name = "ID")]
        person_id: String,

        /// Groups to skip before the first one shown
        #[arg(long, value_name = "N", default_value_t = 0)]
        offset: i32,

        /// Groups to show at most, from 1 to 100; 0 for the server's default of 10
        #[arg(long, value_name = "N", default_value_t = 0)]
        limit: i32,
    },
}

/// Makes the call, and returns the answer in the JSON form of protobuf.
///
/// # Errors
///
/// Fails with an error in readable lines: its status, its message and each detail.
pub async fn call(args: CallArgs) -> Result<String, String> {
    let connection = args.client.connect().await.map_err(|error| chain(&error))?;
    let mut service = FaceRecognitionServiceClient::new(connection.channel());
    let answer = match args.method {
        Method::GetGroupInfo { group_id } => {
            let request = connection.request(GetGroupInfoRequest { group_id });
            let answer = service.get_group_info(request).await;
            answer.map(|answer| json("iaifacade.v1.GetGroupInfoResponse", answer.get_ref()))
        }
        Method::GetPersonGroupInfo {
            person_id,
            offset,
            limit,
        } => {
            let request = GetPersonGroupInfoRequest {
                person_id,
                offset,
                limit,
            };
            let answer = service
                .get_person_group_info(connection.request(request))
                .await;
            answer.map(|answer| json("iaifacade.v1.GetPersonGroupInfoResponse", answer.get_ref()))
        }
    };
    answer.unwrap_or_else(|status| Err(lines(&status)))
}

/// Returns a message in the JSON form of protobuf, with the fields that have their defaults.
fn json(name: &str, message: &impl Message) -> Result<String, String> {
    let value = value(name, &message.encode_to_vec()).ok_or("the answer cannot be shown")?;
    serde_json::to_string_pretty(&value).map_err(|error| error.to_string())
}

/// Returns an error as people read it.
fn lines(status: &Status) -> String {
    let mut text = format!("{}: {}\n", code::name(status.code()), status.message());
    let details = value("google.rpc.Status", status.details());
    let details = details
        .as_ref()
        .and_then(|status| status["details"].as_array());
    for detail in details.into_iter().flatten() {
        let name = detail["@type"].as_str().unwrap_or_default();
        text.extend([name.trim_start_matches("type.googleapis.com/"), "\n"]);
        indent(detail, 1, &mut text);
    }
    for key in ["grpc-retry-pushback-ms", "retry-after", "x-request-id"] {
        if let Some(value) = status
            .metadata()
            .get(key)
            .and_then(|value| value.to_str().ok())
        {
            text.extend([key, ": ", value, "\n"]);
        }
    }
    text.trim_end().to_owned()
}

/// Writes the members of an object, or the elements of a list, a line each.
fn indent(value: &Value, depth: usize, text: &mut String) {
    let members: Vec<(&str, &Value)> = match value {
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .collect(),
        Value::Array(elements) => elements.iter().map(|element| ("-", element)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return,
    };
    for (name, member) in members.into_iter().filter(|(name, _)| *name != "@type") {
        let margin = "  ".repeat(depth);
        match member {
            Value::Object(_) | Value::Array(_) => {
                text.push_str(&format!("{margin}{name}\n"));
                indent(member, depth + 1, text);
            }
            Value::String(words) => text.push_str(&format!("{margin}{name}: {words}\n")),
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                text.push_str(&format!("{margin}{name}: {member}\n"));
            }
        }
    }
}

/// Returns an encoded message as JSON.
fn value(name: &str, encoded: &[u8]) -> Option<Value> {
    let mut pool = DescriptorPool::decode(proto::DESCRIPTOR_SET).ok()?;
    pool.decode_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .ok()?;
    let message = DynamicMessage::decode(pool.get_message_by_name(name)?, encoded).ok()?;
    let options = SerializeOptions::new().skip_default_fields(name == "google.rpc.Status");
    message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .ok()
}
