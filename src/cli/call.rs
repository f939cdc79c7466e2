//! The command `call`: makes one call to a running server and formats the response or error for human
//! readers.

use clap::{Args, Subcommand};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;
use tonic::Status;

use super::client::{ClientArgs, printable};
use crate::{
    error_chain::error_chain,
    proto::grpc_code,
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

/// A method with the fields of its request.
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

        /// Number of groups to skip
        #[arg(long, value_name = "N", default_value_t = 0)]
        offset: i32,

        /// Maximum number of groups, from 1 to 100; 0 for the server's default of 10
        #[arg(long, value_name = "N", default_value_t = 0)]
        limit: i32,
    },
}

/// Makes the call, and returns the response in the JSON format of protobuf.
///
/// # Errors
///
/// Fails with a text for human readers: the status code, the message and each error detail.
pub async fn call(args: CallArgs) -> Result<String, String> {
    let connected = args.client.connect().await;
    let connection = connected.map_err(|error| printable(&error_chain(&error)))?;
    let mut service = FaceRecognitionServiceClient::new(connection.channel());
    let response = match args.method {
        Method::GetGroupInfo { group_id } => {
            let request = connection.request(GetGroupInfoRequest { group_id });
            let response = connection.response(service.get_group_info(request)).await;
            response.map(|response| json("iaifacade.v1.GetGroupInfoResponse", response.get_ref()))
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
            let request = connection.request(request);
            let response = connection
                .response(service.get_person_group_info(request))
                .await;
            response.map(|response| {
                json(
                    "iaifacade.v1.GetPersonGroupInfoResponse",
                    response.get_ref(),
                )
            })
        }
    };
    response.unwrap_or_else(|status| Err(lines(&status)))
}

/// Returns a message in the JSON format of protobuf, including fields with default values.
fn json(name: &str, message: &impl Message) -> Result<String, String> {
    let value = value(name, &message.encode_to_vec()).ok_or("cannot format the response")?;
    let text = serde_json::to_string_pretty(&value).map_err(|error| error.to_string())?;
    // JSON has escaped the line feeds inside strings.
    Ok(text.lines().map(printable).collect::<Vec<_>>().join("\n"))
}

/// Formats an error for human readers.
fn lines(status: &Status) -> String {
    let message = printable(status.message());
    let mut text = format!("{}: {message}\n", grpc_code::name(status.code()));
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

/// Writes the members of an object, or the elements of an array, one per line.
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
        let (margin, name) = ("  ".repeat(depth), printable(name));
        match member {
            Value::Object(_) | Value::Array(_) => {
                text.push_str(&format!("{margin}{name}\n"));
                indent(member, depth + 1, text);
            }
            Value::String(value) => {
                let value = printable(value);
                text.push_str(&format!("{margin}{name}: {value}\n"));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                text.push_str(&format!("{margin}{name}: {member}\n"));
            }
        }
    }
}

/// Decodes a protobuf message into JSON.
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
