//! Time and size of a scrape of `/metrics`, of a replica that names as many callers as it may.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use iai_facade::proto::{
    GetGroupInfoRequest, face_recognition_service_client::FaceRecognitionServiceClient,
};
use tokio::time::Instant;
use tonic::{Request, transport::Endpoint};

use crate::{replica::Replica, report::Report, upstream};

/// Named callers: more than the default of `--metrics-callers`.
const CALLERS: usize = 60;

const SCRAPES: usize = 500;

/// Upper bounds of a scrape: its time in milliseconds, and its number of samples.
const MAX_TIME_MS: f64 = 5.0;
const MAX_SAMPLES: f64 = 2_000.0;

pub(crate) async fn run() -> Report {
    let emulator = upstream::start().await;
    let replica = Replica::start(&emulator.endpoint(), &["--trust-forwarded-identity"]);
    let endpoint = Endpoint::try_from(format!("http://{}", replica.address)).unwrap();
    let mut client = FaceRecognitionServiceClient::new(endpoint.connect().await.unwrap());
    for caller in 0..CALLERS {
        let mut request = Request::new(GetGroupInfoRequest {
            group_id: "aaa".to_owned(),
        });
        let identity = format!("URI=spiffe://example.org/caller-{caller}");
        request
            .metadata_mut()
            .insert("x-forwarded-client-cert", identity.parse().unwrap());
        // Whatever the response, the caller is counted.
        let _ = client.get_group_info(request).await;
    }

    let before = replica.processor_time();
    let (mut times, pages): (Vec<_>, Vec<_>) = (0..SCRAPES).map(|_| scrape(&replica)).unzip();
    let processor_time = replica.processor_time() - before;
    times.sort_unstable();
    let (_, body) = pages[0].split_once("\r\n\r\n").unwrap();
    let samples = body.lines().filter(|line| !line.starts_with('#'));

    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let mut report = Report::default();
    report.at_most(
        MAX_TIME_MS,
        "ms of a scrape, median",
        milliseconds(times[SCRAPES / 2]),
    );
    report.at_most(
        MAX_TIME_MS,
        "ms of a scrape, p99",
        milliseconds(times[SCRAPES * 99 / 100]),
    );
    let each = milliseconds(processor_time) / SCRAPES as f64;
    report.note("ms of processor time of a scrape", each);
    report.at_most(MAX_SAMPLES, "samples", samples.count() as f64);
    report.note("kB of a scrape", body.len() as f64 / 1e3);
    report
}

/// Returns the time of a scrape, from the connection to the last byte, and the response.
fn scrape(replica: &Replica) -> (Duration, String) {
    let start = Instant::now();
    let mut stream = TcpStream::connect(replica.admin).unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    (start.elapsed(), page)
}
