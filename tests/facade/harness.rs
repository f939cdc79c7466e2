//! Starts an emulator and the service in front of it, on free ports, and hands out clients.

mod program;
mod wire;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Parser;
use iai_facade::{
    clock::Clock,
    config::{Serve, ServeArgs},
    credentials::{Credential, Credentials},
    emulator::{Account, Emulator, Fixtures},
    proto::{
        GetGroupInfoRequest, GetPersonGroupInfoRequest,
        face_recognition_service_client::FaceRecognitionServiceClient,
    },
    server::{Addresses, Server, shutdown::Signal},
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

pub(crate) use self::{
    program::{LOUD, Program, errors, run},
    wire::{GET_GROUP_INFO, GET_PERSON_GROUP_INFO, Nobody, http, request, send},
};

/// Where everything in a test listens.
pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The service in this process, in front of an emulator.
pub(crate) struct Facade {
    pub(crate) emulator: Emulator,
    pub(crate) addresses: Addresses,
    /// The way to upstream that the service takes.
    pub(crate) upstream: Client,
    signals: mpsc::UnboundedSender<Signal>,
    running: JoinHandle<()>,
}

impl Facade {
    /// Starts the service with default settings.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts the service as the plain translation, which makes one attempt for each call.
    pub(crate) async fn start_plain() -> Self {
        let off = ["--adaptive-rate", "off", "--circuit", "off"];
        Self::start_with(&[&["--max-attempts", "1"], &off[..]].concat()).await
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
        let client = Client::new(&settings, credentials, clock).unwrap();
        let upstream = client.clone();
        let server = Server::bind(&settings, client, None).await.unwrap();
        let addresses = server.addresses();
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

    /// Returns a client with a connection of its own.
    pub(crate) fn client(&self) -> FaceRecognitionServiceClient<Channel> {
        client(self.addresses.grpc)
    }

    /// Returns a connection that is opened by the first call.
    pub(crate) fn channel(&self) -> Channel {
        channel(self.addresses.grpc)
    }

    /// Tells the service to stop. It goes on answering what is in progress.
    pub(crate) fn begin_shutdown(&self) {
        self.signal(Signal::Terminate);
    }

    /// Sends the service a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.signals.send(signal).expect("the service runs");
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

/// Returns a connection to `address` that is opened by the first call.
pub(crate) fn channel(address: SocketAddr) -> Channel {
    Endpoint::try_from(format!("http://{address}"))
        .unwrap()
        .connect_lazy()
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

    let mut arguments = vec![
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    // A test that is not about the delay does not wait for it.
    if !flags.contains(&"--unready-delay") {
        arguments.extend(["--unready-delay", "0s"]);
    }
    arguments.extend(flags);
    Cli::try_parse_from(arguments)
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
