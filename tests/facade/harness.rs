//! Starts an emulator and the service in front of it, on free ports, and hands out clients.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::{ExitStatus, Output, Stdio},
};

use bytes::Bytes;
use clap::Parser;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use iai_facade::{
    clock::Clock,
    config::{Serve, ServeArgs},
    credentials::{Credential, Credentials},
    emulator::{Account, Emulator, Fixtures},
    proto::{
        GetGroupInfoRequest, GetPersonGroupInfoRequest,
        face_recognition_service_client::FaceRecognitionServiceClient,
    },
    server::{Addresses, Server},
    upstream::Client,
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    sync::{
        mpsc::{UnboundedReceiver, unbounded_channel},
        oneshot,
    },
    task::JoinHandle,
};
use tonic::{
    Status,
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};
use tonic_types::{ErrorInfo, StatusExt};

/// The paths of the methods.
pub(crate) const GET_GROUP_INFO: &str = "/iaifacade.v1.FaceRecognitionService/GetGroupInfo";

pub(crate) const GET_PERSON_GROUP_INFO: &str =
    "/iaifacade.v1.FaceRecognitionService/GetPersonGroupInfo";

/// Where everything in a test listens.
pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The service in this process, in front of an emulator.
pub(crate) struct Facade {
    pub(crate) emulator: Emulator,
    pub(crate) addresses: Addresses,
    shutdown: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl Facade {
    /// Starts the service with default settings.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts the service as the plain translation, which tries nothing twice.
    pub(crate) async fn start_plain() -> Self {
        Self::start_with(&["--max-attempts", "1"]).await
    }

    /// Starts the service with the given flags of `serve`.
    pub(crate) async fn start_with(flags: &[&str]) -> Self {
        let emulator = start_emulator().await;
        let endpoint = emulator.endpoint();
        Self::start_before(emulator, &[&["--endpoint", &endpoint], flags].concat()).await
    }

    /// Starts the service with the given flags, which say where upstream is. The emulator is kept
    /// for whoever wants it.
    pub(crate) async fn start_before(emulator: Emulator, flags: &[&str]) -> Self {
        Self::start_at(Clock::system(), credentials(), emulator, flags).await
    }

    /// Starts the service with a clock and with credentials of the test's own.
    pub(crate) async fn start_at(
        clock: Clock,
        credentials: Credentials,
        emulator: Emulator,
        flags: &[&str],
    ) -> Self {
        let settings = settings(flags);
        let client = Client::new(&settings.upstream, credentials, clock).unwrap();
        let server = Server::bind(&settings, client, None).await.unwrap();
        let addresses = server.addresses();
        let (shutdown, told) = oneshot::channel();
        let running = tokio::spawn(server.run(async { drop(told.await) }));
        Self {
            emulator,
            addresses,
            shutdown: Some(shutdown),
            running,
        }
    }

    /// Returns a client with a connection of its own.
    pub(crate) fn client(&self) -> FaceRecognitionServiceClient<Channel> {
        client(self.addresses.grpc)
    }

    /// Returns a connection that is opened by the first call.
    pub(crate) fn channel(&self) -> Channel {
        channel(self.addresses.grpc)
    }

    /// Tells the service to stop. It goes on answering what is in progress.
    pub(crate) fn begin_shutdown(&mut self) {
        let told = self.shutdown.take().expect("told once");
        told.send(()).expect("the service runs");
    }

    /// Waits until the service has stopped.
    pub(crate) async fn stopped(self) {
        self.running.await.expect("the service did not panic");
    }
}

/// Returns a client of the service at `address`, with a connection of its own.
pub(crate) fn client(address: SocketAddr) -> FaceRecognitionServiceClient<Channel> {
    FaceRecognitionServiceClient::new(channel(address))
}

fn channel(address: SocketAddr) -> Channel {
    Endpoint::try_from(format!("http://{address}"))
        .unwrap()
        .connect_lazy()
}

/// Begins a gRPC request by hand.
pub(crate) fn request(path: &str) -> http::request::Builder {
    Request::builder()
        .method(Method::POST)
        .uri(format!("http://facade{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

/// Sends a request as it is, which generated clients would not send.
pub(crate) async fn send(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Response<hyper::body::Incoming> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    sender.send_request(request).await.unwrap()
}

/// Asks for a page over plain HTTP, and returns its status and text.
pub(crate) async fn http(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> (u16, String) {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();

    let (head, text) = response.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text.to_owned())
}

/// Starts an emulator with the documentation's examples.
pub(crate) async fn start_emulator() -> Emulator {
    Emulator::start(LOOPBACK, Fixtures::default())
        .await
        .unwrap()
}

/// Returns the credential that emulators accept.
pub(crate) fn credentials() -> Credentials {
    let credential = || {
        let account = Account::default();
        let parts = [account.secret_id(), account.secret_key()].map(str::to_owned);
        let [secret_id, secret_key] = parts;
        Ok(Credential::new(secret_id, secret_key, None).unwrap())
    };
    Credentials::from_source(credential).unwrap()
}

/// Returns the settings that flags of `serve` make, on free ports.
pub(crate) fn settings(flags: &[&str]) -> Serve {
    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        serve: ServeArgs,
    }

    let ports = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    Cli::try_parse_from(ports.iter().chain(flags))
        .unwrap()
        .serve
        .checked()
        .unwrap()
}

/// Returns a request for a group.
pub(crate) fn group(id: &str) -> GetGroupInfoRequest {
    GetGroupInfoRequest {
        group_id: id.to_owned(),
    }
}

/// Returns a request for the default page of a person's groups.
pub(crate) fn person(id: &str) -> GetPersonGroupInfoRequest {
    GetPersonGroupInfoRequest {
        person_id: id.to_owned(),
        offset: 0,
        limit: 0,
    }
}

/// Runs the program to its end, with no variables but the given ones.
pub(crate) async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_iai-facade"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .await
        .unwrap()
}

/// Returns what a program wrote to standard error.
pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Returns the text of a metadata key, empty if there is none.
pub(crate) fn text<'a>(metadata: &'a MetadataMap, key: &str) -> &'a str {
    metadata
        .get(key)
        .map(|value| value.to_str().unwrap())
        .unwrap_or_default()
}

/// Returns the one `ErrorInfo` of an error.
pub(crate) fn error_info(status: &Status) -> ErrorInfo {
    status.get_details_error_info().expect("an ErrorInfo")
}

/// Returns the reason of an error that the service reports on its own account.
pub(crate) fn own_reason(status: &Status) -> String {
    let error = error_info(status);
    assert_eq!(error.domain, "iaifacade.v1");
    error.reason
}

/// The program as a process of its own, with its log. It is killed when a test leaves it behind.
pub(crate) struct Program {
    child: Child,
    /// Lines that a task reads, so that the program never waits for a test to read them.
    log: UnboundedReceiver<String>,
    read: Vec<String>,
}

impl Program {
    /// Starts the program, with no variables but the given ones, and a log in JSON.
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_iai-facade"))
            .args(arguments)
            .env_clear()
            .env("IAI_FACADE_LOG_FORMAT", "json")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, log) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(line) = lines.next_line().await.unwrap() {
                let _ = sender.send(line);
            }
        });
        Self {
            child,
            log,
            read: Vec::new(),
        }
    }

    /// Starts `serve` on free ports, and returns where it listens.
    pub(crate) async fn serve(arguments: &[&str], variables: &[(&str, &str)]) -> (Self, Addresses) {
        let ports = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ];
        let mut program = Self::start(&[&ports, arguments].concat(), variables);
        let line = program.line("listening").await;
        let address = |field: &str| line[field].as_str().unwrap().parse().unwrap();
        let addresses = Addresses {
            grpc: address("grpc.address"),
            admin: address("admin.address"),
        };
        (program, addresses)
    }

    /// Reads the log up to the next line with this message.
    pub(crate) async fn line(&mut self, message: &str) -> Value {
        while let Some(line) = self.log.recv().await {
            let parsed: Option<Value> = serde_json::from_str(&line).ok();
            self.read.push(line);
            if let Some(parsed) = parsed.filter(|parsed| parsed["message"] == message) {
                return parsed;
            }
        }
        panic!("no line `{message}` in the log:\n{}", self.read.join("\n"));
    }

    /// Sends a signal, by its name.
    pub(crate) async fn signal(&self, name: &str) {
        let process = self.child.id().unwrap().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &process])
            .status()
            .await
            .unwrap();
        assert!(sent.success());
    }

    /// Waits until the program has ended, and returns how, with its whole log.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        while let Some(line) = self.log.recv().await {
            self.read.push(line);
        }
        (self.child.wait().await.unwrap(), self.read.join("\n"))
    }
}
