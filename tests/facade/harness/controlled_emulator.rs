//! Emulator with its control API, in this process, and a client that signs requests to it.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{
    Request, Response,
    header::{CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use iai_emulator::{Account, Emulator, Fixtures};
use iai_facade::clock::Clock;
use serde_json::Value;
use tencent_cloud_signature::{
    CanonicalRequest, Scope, SigningKey, StringToSign, authorization, sha256_hex,
};
use tokio::net::TcpStream;

use super::LOOPBACK;

/// An emulator and the address of its control API.
pub(crate) struct ControlledEmulator {
    pub(crate) emulator: Emulator,
    pub(crate) control: SocketAddr,
}

impl ControlledEmulator {
    /// Starts an emulator with the examples of the vendor's documentation.
    pub(crate) async fn start() -> Self {
        Self::start_with(Fixtures::default()).await
    }

    /// Starts an emulator with these fixtures.
    pub(crate) async fn start_with(fixtures: Fixtures) -> Self {
        let mut emulator = Emulator::start(LOOPBACK, fixtures).await.unwrap();
        let control = emulator.start_control(LOOPBACK, None).await.unwrap();
        Self { emulator, control }
    }

    /// Sends a control request and returns the status and the document of the response, `null` for none.
    pub(crate) async fn control(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let headers = [("content-type", "application/json")];
        let response = exchange(self.control, method, path, &headers, body).await;
        document(&response)
    }

    /// Sends a control request, and returns the document of its response after a check of the status.
    pub(crate) async fn expect(
        &self,
        status: u16,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Value {
        let (found, document) = self.control(method, path, body).await;
        assert_eq!(found, status, "{method} {path}: {document}");
        document
    }

    /// Calls an action of the emulated API with the main account, and returns `Response`.
    pub(crate) async fn call(&self, action: &str, parameters: &Value) -> Value {
        let account = Account::default();
        self.call_as(&account, action, parameters).await.unwrap()
    }

    /// Calls an action of the emulated API with this account, and returns `Response`; `None` if the
    /// response is no document of the API.
    pub(crate) async fn call_as(
        &self,
        account: &Account,
        action: &str,
        parameters: &Value,
    ) -> Option<Value> {
        let address = self.emulator.address();
        let body = parameters.to_string();
        let timestamp = Clock::system().now().unix_timestamp();
        let host = address.to_string();
        let signed = [("content-type", "application/json"), ("host", &host)];
        let hash = sha256_hex(body.as_bytes());
        let request = CanonicalRequest::new("POST", "", &signed, &hash);
        let scope = Scope::new(timestamp, "iai");
        let key = SigningKey::derive(account.secret_key(), scope);
        let signature = key.sign(&StringToSign::new(timestamp, scope, &request));
        let authorization = authorization(account.secret_id(), scope, &request, &signature);
        let timestamp = timestamp.to_string();
        let version = match action {
            "AssumeRole" => "2018-08-13",
            _ => "2020-03-03",
        };
        let mut headers = vec![
            ("content-type", "application/json"),
            ("x-tc-action", action),
            ("x-tc-version", version),
            ("x-tc-timestamp", &timestamp),
            ("authorization", &authorization),
        ];
        headers.extend(account.token().map(|token| ("x-tc-token", token)));
        let response = exchange(address, "POST", "/", &headers, body).await;
        let document: Value = serde_json::from_slice(response.as_ref()?.body()).ok()?;
        document.get("Response").cloned()
    }
}

/// Returns the status and the document of a response, `null` for none.
///
/// # Panics
///
/// Panics if there is no response, or if its body is not declared as JSON or is not JSON.
pub(crate) fn document(response: &Option<Response<Vec<u8>>>) -> (u16, Value) {
    let response = response.as_ref().expect("a response");
    let status = response.status().as_u16();
    if response.body().is_empty() {
        return (status, Value::Null);
    }
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    (status, serde_json::from_slice(response.body()).unwrap())
}

/// Sends an HTTP/1.1 request over a new connection. Returns `None` if no whole response arrives.
pub(crate) async fn exchange(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Option<Response<Vec<u8>>> {
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header(HOST, address.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).unwrap();
    let mut sender = connect(address).await;
    let (head, body) = sender.send_request(request).await.ok()?.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    Some(Response::from_parts(head, body.to_vec()))
}

/// Opens an HTTP/1.1 connection, which closes when the sender is dropped.
pub(crate) async fn connect(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}
