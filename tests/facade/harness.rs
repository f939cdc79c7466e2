//! Test harness: starts the emulator and the service in front of it on free ports, and creates
//! clients and requests.

pub(crate) mod authority;
pub(crate) mod bearer_tokens;
pub(crate) mod checked;
pub(crate) mod connection;
pub(crate) mod controlled_emulator;
pub(crate) mod frames;
pub(crate) mod operation;
mod program;
pub(crate) mod raw_api;
pub(crate) mod raw_upstream;
pub(crate) mod samples;
pub(crate) mod steady_callers;
pub(crate) mod tls_client;
pub(crate) mod tls_proxy;
pub(crate) mod trace_log;
mod wire;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use clap::Parser;
use iai_emulator::{Account, Emulator, Fixtures};
use iai_facade::{
    auth::AuthFiles,
    clock::Clock,
    config::{ListenAddress, Serve, ServeArgs},
    credentials::{Credential, Credentials},
    proto::{
        GetGroupInfoRequest, GetPersonGroupInfoRequest,
        face_recognition_service_client::FaceRecognitionServiceClient,
    },
    server::{Server, shutdown::Signal},
    trace::Tracer,
    upstream::Client,
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{
    Status,
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};
use tonic_types::{ErrorInfo, StatusExt};

use self::samples::Samples;
pub(crate) use self::{
    program::{Program, TRACE_LOG, errors, run},
    wire::{DeadUpstream, GET_GROUP_INFO, http, request, send},
};

/// The listen address of all servers in tests: a free port on loopback.
pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The addresses of a server that listens on one address and port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) grpc: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Addresses {
    fn of(server: &Server) -> Self {
        let addresses = server.addresses();
        let grpc = match &addresses.grpc[0] {
            ListenAddress::Tcp(address) => *address,
            ListenAddress::Unix(path) => panic!("{path:?} has no port"),
        };
        Self {
            grpc,
            admin: addresses.admin,
        }
    }
}

/// The service, running in this process in front of an emulator.
pub(crate) struct Facade {
    pub(crate) emulator: Emulator,
    pub(crate) addresses: Addresses,
    /// The upstream client of the service, for its counters.
    pub(crate) upstream: Client,
    signals: mpsc::UnboundedSender<Signal>,
    running: JoinHandle<()>,
}

impl Facade {
    /// Starts the service with default settings.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts the service without retries, adaptive rate limit and circuit breaker: one attempt per
    /// call.
    pub(crate) async fn start_plain() -> Self {
        let off = ["--adaptive-rate", "off", "--circuit", "off"];
        Self::start_with(&[&["--max-attempts", "1"], &off[..]].concat()).await
    }

    /// Starts the service in front of an emulator with these flags of `serve`.
    pub(crate) async fn start_with(flags: &[&str]) -> Self {
        let emulator = start_emulator().await;
        let endpoint = emulator.endpoint();
        Self::start_before(emulator, &[&["--endpoint", &endpoint], flags].concat()).await
    }

    /// Starts the service with these flags, which include the endpoint. Keeps the emulator running
    /// for the test.
    pub(crate) async fn start_before(emulator: Emulator, flags: &[&str]) -> Self {
        Self::start_at(Clock::system(), credentials(), emulator, flags).await
    }

    /// Starts the service with this clock and these credentials.
    pub(crate) async fn start_at(
        clock: Clock,
        credentials: Credentials,
        emulator: Emulator,
        flags: &[&str],
    ) -> Self {
        let settings = settings(flags);
        let files = AuthFiles::read(&settings.callers.files).unwrap();
        let client = Client::new(&settings, credentials, clock).unwrap();
        let upstream = client.clone();
        let tracer = Tracer::new(
            settings.traces.reads_parent,
            settings.upstream.sends_trace_context,
        );
        let server = Server::bind(&settings, &files, client, None, tracer)
            .await
            .unwrap();
        let addresses = Addresses::of(&server);
        let (signals, received) = mpsc::unbounded_channel();
        let running = tokio::spawn(server.run(UnboundedReceiverStream::new(received)));
        Self {
            emulator,
            addresses,
            upstream,
            signals,
            running,
        }
    }

    /// Returns a client with a new connection.
    pub(crate) fn client(&self) -> FaceRecognitionServiceClient<Channel> {
        client(self.addresses.grpc)
    }

    /// Scrapes the metrics.
    pub(crate) async fn samples(&self) -> Samples {
        Samples::scrape(self.addresses.admin).await
    }

    /// Returns a channel that connects on its first call.
    pub(crate) fn channel(&self) -> Channel {
        channel(self.addresses.grpc)
    }

    /// Starts a graceful shutdown. Calls in progress continue.
    pub(crate) fn begin_shutdown(&self) {
        self.signal(Signal::Terminate);
    }

    /// Sends a signal to the service.
    pub(crate) fn signal(&self, signal: Signal) {
        self.signals.send(signal).expect("the service runs");
    }

    /// Waits until the service has stopped.
    pub(crate) async fn stopped(self) {
        self.running.await.expect("the service did not panic");
    }
}

/// Returns a client of the service at `address` with a new connection.
pub(crate) fn client(address: SocketAddr) -> FaceRecognitionServiceClient<Channel> {
    FaceRecognitionServiceClient::new(channel(address))
}

/// Returns a channel to `address` that connects on its first call.
pub(crate) fn channel(address: SocketAddr) -> Channel {
    Endpoint::try_from(format!("http://{address}"))
        .unwrap()
        .connect_lazy()
}

/// Starts an emulator with the examples of the vendor's documentation.
pub(crate) async fn start_emulator() -> Emulator {
    Emulator::start(LOOPBACK, Fixtures::default())
        .await
        .unwrap()
}

/// Returns the credentials of the emulator's default account.
pub(crate) fn credentials() -> Credentials {
    let credential = || {
        let account = Account::default();
        let parts = [account.secret_id(), account.secret_key()].map(str::to_owned);
        let [secret_id, secret_key] = parts;
        Ok(Credential::new(secret_id, secret_key, None).unwrap())
    };
    Credentials::from_source(credential).unwrap()
}

/// Returns the settings for these flags of `serve`, on free ports.
pub(crate) fn settings(flags: &[&str]) -> Serve {
    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        serve: ServeArgs,
    }

    let mut arguments = vec![
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    // Tests of other features need no delay before shutdown.
    if !flags.contains(&"--unready-delay") {
        arguments.extend(["--unready-delay", "0s"]);
    }
    arguments.extend(flags);
    Cli::try_parse_from(arguments)
        .unwrap()
        .serve
        .checked(|_| None)
        .unwrap()
}

/// Returns a `GetGroupInfo` request.
pub(crate) fn group(id: &str) -> GetGroupInfoRequest {
    GetGroupInfoRequest {
        group_id: id.to_owned(),
    }
}

/// Returns a `GetPersonGroupInfo` request for the default page.
pub(crate) fn person(id: &str) -> GetPersonGroupInfoRequest {
    GetPersonGroupInfoRequest {
        person_id: id.to_owned(),
        offset: 0,
        limit: 0,
    }
}

/// Returns the text of a metadata key, or an empty string if the key is missing.
pub(crate) fn text<'a>(metadata: &'a MetadataMap, key: &str) -> &'a str {
    metadata
        .get(key)
        .map(|value| value.to_str().unwrap())
        .unwrap_or_default()
}

/// Returns the cache status of a response or an error and its age in seconds.
pub(crate) fn cache(metadata: &MetadataMap) -> (&str, u64) {
    let age = text(metadata, "age").parse().unwrap();
    (text(metadata, "x-iai-cache"), age)
}

/// Returns the one `ErrorInfo` of an error.
pub(crate) fn error_info(status: &Status) -> ErrorInfo {
    status.get_details_error_info().expect("an ErrorInfo")
}

/// Returns the reason of an error of the service itself, after a check of its domain.
pub(crate) fn own_reason(status: &Status) -> String {
    let error = error_info(status);
    assert_eq!(error.domain, "iaifacade.v1");
    error.reason
}

/// Creates a named pipe that no process has opened.
pub(crate) fn fifo(folder: &Path) -> PathBuf {
    let path = folder.join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    path
}
