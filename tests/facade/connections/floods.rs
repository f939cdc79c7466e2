//! Floods of frames and of cancelled calls.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{
    Facade, Program,
    frames::{
        ACK, END_HEADERS, HEADERS, PING, RST_STREAM, assert_served, frame, headers, opened,
        whole_call,
    },
};

/// h2 logs each of them at WARN.
#[tokio::test]
async fn frames_of_a_client_write_no_log_lines() {
    let (program, addresses) = Program::serve(&["--emulate"], &[]).await;
    let mut stream = opened(addresses.grpc).await;
    let unexpected = frame(PING, ACK, 0, b"surprise");
    stream.write_all(&unexpected.repeat(1_000)).await.unwrap();
    stream.write_all(&whole_call(1)).await.unwrap();
    assert_served(&mut stream).await;

    program.signal("TERM").await;

    let log = program.ended().await.1;
    assert!(!log.contains("PING"), "{log}");
}

/// As a proxy sends them if the deadlines of its callers expired during a pause.
#[tokio::test]
async fn hundreds_of_early_cancellations_do_not_close_a_connection() {
    let facade = Facade::start().await;
    let mut stream = opened(facade.addresses.grpc).await;
    let given_up: Vec<u8> = (0..400)
        .flat_map(|number| {
            let stream = 2 * number + 1;
            [
                frame(HEADERS, END_HEADERS, stream, &headers()),
                frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]),
            ]
            .concat()
        })
        .collect();

    stream.write_all(&given_up).await.unwrap();
    stream.write_all(&whole_call(801)).await.unwrap();

    assert_served(&mut stream).await;
}

#[tokio::test]
async fn a_flood_of_cancelled_calls_closes_its_connection() {
    let facade = Facade::start().await;
    let mut stream = opened(facade.addresses.grpc).await;
    let flood: Vec<u8> = (0..20_000)
        .flat_map(|number| {
            let stream = 2 * number + 1;
            [
                frame(HEADERS, END_HEADERS, stream, &headers()),
                frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]),
            ]
            .concat()
        })
        .collect();
    let (mut reading, mut writing) = stream.split();
    let sent = async { drop(writing.write_all(&flood).await) };
    let received = async {
        let mut received = Vec::new();
        let _ = reading.read_to_end(&mut received).await;
        received
    };

    let ((), received) = tokio::join!(sent, received);

    let reason = b"too_many_resets";
    assert!(received.windows(reason.len()).any(|part| part == reason));
}
