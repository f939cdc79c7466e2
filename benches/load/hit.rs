//! What a call costs that is answered from the cache, beside the same message from a bare tonic
//! service.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use iai_facade::proto::{
    GetGroupInfoRequest, GetGroupInfoResponse, GetPersonGroupInfoRequest,
    GetPersonGroupInfoResponse,
    face_recognition_service_client::FaceRecognitionServiceClient,
    face_recognition_service_server::{FaceRecognitionService, FaceRecognitionServiceServer},
};
use prost_types::Timestamp;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
    task::JoinSet,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use crate::{callers::Caller, replica::Replica, report::Report, upstream};

/// The argument by which this program is the bare service.
pub(crate) const BARE: &str = "--bare";

const CALLERS: usize = 8;

/// How many calls each caller has under way.
const DEPTH: usize = 4;

/// An odd number, so that one of them is in the middle.
const TURNS: usize = 15;

/// Measures the time on the processor of a hit, in turns with the bare service.
pub(crate) async fn run(is_short: bool) -> Report {
    let calls = if is_short { 15_000 } else { 60_000 };
    let emulator = upstream::start().await;
    let replica = Replica::start(&emulator.endpoint(), &["--cache-ttl=1d"]);
    let bare = Bare::start().await;
    // The first turn fills the cache, and warms both.
    turn(replica.address, calls / 10).await;
    turn(bare.address, calls / 10).await;

    let mut factors = Vec::new();
    let (mut of_hits, mut of_bare) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..TURNS {
        let before = replica.processor_time();
        turn(replica.address, calls).await;
        let of_turn = replica.processor_time() - before;
        of_hits += of_turn;

        let before = bare.processor_time();
        turn(bare.address, calls).await;
        let of_bare_turn = bare.processor_time() - before;
        of_bare += of_bare_turn;
        factors.push(of_turn.as_secs_f64() / of_bare_turn.as_secs_f64());
    }

    let each = |time: Duration| time.as_secs_f64() * 1e6 / (TURNS * calls) as f64;
    let mut report = Report::default();
    // The middle one: what disturbs a turn is none of either's cost.
    factors.sort_by(f64::total_cmp);
    report.at_most(
        1.5,
        "a hit, in calls of a bare tonic service",
        factors[TURNS / 2],
    );
    report.note("the least of all turns", factors[0]);
    report.note("the most", factors[TURNS - 1]);
    report.note("a hit, microseconds of a processor", each(of_hits));
    report.note("a call of the bare service, microseconds", each(of_bare));
    report
}

/// Makes so many equal calls.
async fn turn(service: SocketAddr, calls: usize) {
    let mut workers = JoinSet::new();
    for number in 0..CALLERS {
        let caller = Caller {
            number,
            service,
            rate: 0.0,
            timeout: Duration::from_secs(10),
        };
        let client = FaceRecognitionServiceClient::new(caller.channel());
        for _ in 0..DEPTH {
            let mut client = client.clone();
            workers.spawn(async move {
                for _ in 0..calls / CALLERS / DEPTH {
                    let group_id = "group-0".to_owned();
                    let request = GetGroupInfoRequest { group_id };
                    client.get_group_info(request).await.unwrap();
                }
            });
        }
    }
    workers.join_all().await;
}

/// The bare service, in a process of its own, which is killed when it is dropped.
struct Bare {
    process: Child,
    address: SocketAddr,
}

impl Bare {
    async fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg(BARE)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines.next_line().await.unwrap().unwrap();
        Self {
            process,
            address: address.parse().unwrap(),
        }
    }

    fn processor_time(&self) -> Duration {
        crate::replica::processor_time(self.process.id().unwrap())
    }
}

/// Is the bare service, and says where it listens.
pub(crate) async fn serve_bare() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    Server::builder()
        .add_service(FaceRecognitionServiceServer::new(SameAnswer))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await
        .unwrap();
}

#[derive(Debug)]
struct SameAnswer;

#[tonic::async_trait]
impl FaceRecognitionService for SameAnswer {
    async fn get_group_info(
        &self,
        _request: Request<GetGroupInfoRequest>,
    ) -> Result<Response<GetGroupInfoResponse>, Status> {
        Ok(Response::new(GetGroupInfoResponse {
            group_name: "the group 0".to_owned(),
            group_id: "group-0".to_owned(),
            group_ex_descriptions: Vec::new(),
            tag: String::new(),
            face_model_version: "3.0".to_owned(),
            creation_timestamp: Some(Timestamp {
                seconds: 1_559_530_931,
                nanos: 613_000_000,
            }),
            request_id: "6faa05d0-287b-464e-8755-cf3e8d0c703d".to_owned(),
        }))
    }

    async fn get_person_group_info(
        &self,
        _request: Request<GetPersonGroupInfoRequest>,
    ) -> Result<Response<GetPersonGroupInfoResponse>, Status> {
        Err(Status::unimplemented("it has one answer"))
    }
}
