//! Processor time of a cache hit, compared with the same response from a bare tonic service.

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

use crate::{open_loop::Caller, replica::Replica, report::Report, upstream};

/// The argument that makes this program serve the bare service.
pub(crate) const BARE: &str = "--bare";

const CALLERS: usize = 8;

/// Concurrent calls of each caller.
const CONCURRENCY: usize = 4;

/// Number of rounds, odd for the median.
const ROUNDS: usize = 15;

/// Measures the processor time of cache hits, alternating with the bare service.
pub(crate) async fn run(is_short: bool) -> Report {
    let calls = if is_short { 15_000 } else { 60_000 };
    let emulator = upstream::start().await;
    let replica = Replica::start(&emulator.endpoint(), &["--cache-ttl=1d"]);
    let bare = Bare::start().await;
    // The warm-up fills the cache.
    make_calls(replica.address, calls / 10).await;
    make_calls(bare.address, calls / 10).await;

    let mut ratios = Vec::new();
    let (mut hits_total, mut bare_total) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..ROUNDS {
        let before = replica.processor_time();
        make_calls(replica.address, calls).await;
        let hits = replica.processor_time() - before;
        hits_total += hits;

        let before = bare.processor_time();
        make_calls(bare.address, calls).await;
        let bare = bare.processor_time() - before;
        bare_total += bare;
        ratios.push(hits.as_secs_f64() / bare.as_secs_f64());
    }

    let per_call = |time: Duration| time.as_secs_f64() * 1e6 / (ROUNDS * calls) as f64;
    let mut report = Report::default();
    // The median, because other processes disturb single rounds.
    ratios.sort_by(f64::total_cmp);
    report.at_most(
        1.5,
        "processor time of a hit over a bare call, median",
        ratios[ROUNDS / 2],
    );
    report.note("the same, minimum of all rounds", ratios[0]);
    report.note("the same, maximum of all rounds", ratios[ROUNDS - 1]);
    report.note("processor time of a hit, us", per_call(hits_total));
    report.note("processor time of a bare call, us", per_call(bare_total));
    report
}

/// Makes this number of equal calls.
async fn make_calls(service: SocketAddr, calls: usize) {
    let mut workers = JoinSet::new();
    for number in 0..CALLERS {
        let caller = Caller {
            number,
            service,
            rate: 0.0,
            timeout: Duration::from_secs(10),
        };
        let client = FaceRecognitionServiceClient::new(caller.channel());
        for _ in 0..CONCURRENCY {
            let mut client = client.clone();
            workers.spawn(async move {
                for _ in 0..calls / CALLERS / CONCURRENCY {
                    let group_id = "group-0".to_owned();
                    let request = GetGroupInfoRequest { group_id };
                    client.get_group_info(request).await.unwrap();
                }
            });
        }
    }
    workers.join_all().await;
}

/// A process with the bare service. Dropping it kills the process.
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

/// Serves the bare service, and prints its address.
pub(crate) async fn serve_bare() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    Server::builder()
        .add_service(FaceRecognitionServiceServer::new(ConstantResponse))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await
        .unwrap();
}

#[derive(Debug)]
struct ConstantResponse;

#[tonic::async_trait]
impl FaceRecognitionService for ConstantResponse {
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
        Err(Status::unimplemented("not part of the measurement"))
    }
}
