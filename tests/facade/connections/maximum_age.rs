//! Maximum age of a connection, and calls that are in progress at its end.

use std::time::Duration;

use iai_emulator::FaultKind;
use tokio::{io::AsyncWriteExt, task::JoinSet, time::Instant};
use tonic::Code;

use crate::harness::{
    Facade,
    connection::{call, connection},
    frames::{ACK, GOAWAY, PING, SETTINGS, assert_served, frame, opened, read_frame, whole_call},
};

#[tokio::test]
async fn connections_close_at_their_maximum_age_with_jitter() {
    let facade = Facade::start_with(&["--max-connection-age", "1s"]).await;
    let mut ages = JoinSet::new();
    for _ in 0..50 {
        let address = facade.addresses.grpc;
        ages.spawn(async move {
            let (_sender, ended) = connection(address).await;
            let opened = Instant::now();
            ended.await.unwrap().unwrap();
            opened.elapsed()
        });
    }

    let ages = ages.join_all().await;

    let (least, most) = (ages.iter().min().unwrap(), ages.iter().max().unwrap());
    // The client reads its clock slightly later.
    assert!(*least > Duration::from_millis(850), "{ages:?}");
    assert!(*most - *least > Duration::from_millis(50), "{ages:?}");
}

#[tokio::test]
async fn a_call_may_outlast_the_age_of_its_connection() {
    let facade = Facade::start_with(&["--max-connection-age", "50ms"]).await;
    let delay = Duration::from_millis(500);
    facade.emulator.script(FaultKind::Delay(delay));
    let (mut sender, ended) = connection(facade.addresses.grpc).await;

    assert_eq!(call(&mut sender, None).await, Code::Ok);

    ended.await.unwrap().unwrap();
}

/// A client that has acknowledged the PING of a graceful close may have started calls before: h2
/// alone would treat their frames as a protocol error.
#[tokio::test]
async fn a_call_that_crosses_goaway_is_served() {
    let facade = Facade::start_with(&["--max-connection-age", "50ms"]).await;
    let mut stream = opened(facade.addresses.grpc).await;
    let mut has_goaway = false;
    loop {
        match read_frame(&mut stream).await {
            (SETTINGS, 0, _) => stream
                .write_all(&frame(SETTINGS, ACK, 0, b""))
                .await
                .unwrap(),
            (GOAWAY, ..) => has_goaway = true,
            (PING, 0, ping) if has_goaway => {
                stream.write_all(&frame(PING, ACK, 0, &ping)).await.unwrap();
                break;
            }
            _ => {}
        }
    }

    stream.write_all(&whole_call(1)).await.unwrap();

    assert_served(&mut stream).await;
}
