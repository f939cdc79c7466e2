//! Limits of the emulator: memory, header size and connections under excessive load.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::Program;

/// More requests than the request log holds.
const REQUESTS: usize = 1_050;

/// Maximum growth of the emulator's memory, in bytes: 1,000 requests with 9 texts of 1 KiB and parameters
/// of 4 KiB take 13 MiB in an unoptimized build.
const MAX_GROWTH: u64 = 32 << 20;

const MAX_CONNECTIONS: usize = 2_048;

#[tokio::test]
async fn the_memory_of_the_request_log_is_bounded() {
    let (program, address) = emulate().await;
    let filler = "x".repeat(8_000);
    let header = |name| format!("{name}: {filler}\r\n");
    let names = [
        "X-TC-Action",
        "X-TC-Version",
        "X-TC-Region",
        "X-TC-Language",
    ];
    let more = ["X-TC-RequestClient", "Content-Type", "Host"];
    let headers: String = names.into_iter().chain(more).map(header).collect();
    let body = format!(r#"{{"a":[{}0]}}"#, "0,".repeat(2_000));
    let head = format!(
        "Content-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    let requests = [
        request(&format!("GET / HTTP/1.1\r\n{headers}"), ""),
        request(
            &format!("GET /latest/meta-data/{} HTTP/1.1\r\n", "x".repeat(60_000)),
            "",
        ),
        request(&format!("GET /?{} HTTP/1.1\r\n", "x".repeat(30_000)), ""),
        request(&format!("POST / HTTP/1.1\r\n{head}"), &body),
    ];
    let before = program.peak_memory();

    for request in &requests {
        for _ in 0..REQUESTS {
            let response = send(address, request).await;
            assert!(response.starts_with("HTTP/1.1 "), "{response}");
        }
        let grown = program.peak_memory() - before;
        assert!(grown < MAX_GROWTH, "{grown} bytes, by {}", &request[..30]);
    }
}

#[tokio::test]
async fn the_emulator_rejects_headers_larger_than_64_kib() {
    let (_program, address) = emulate().await;
    let long = |bytes| {
        request(
            &format!("GET / HTTP/1.1\r\nA: {}\r\n", "x".repeat(bytes)),
            "",
        )
    };

    assert!(
        send(address, &long(60 << 10))
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    assert!(
        send(address, &long(65 << 10))
            .await
            .starts_with("HTTP/1.1 431 ")
    );
}

#[tokio::test]
async fn connections_to_the_emulator_beyond_2048_wait() {
    let (program, address) = emulate().await;
    let before = program.descriptors();
    let mut open = Vec::new();
    for _ in 0..MAX_CONNECTIONS + 100 {
        open.push(TcpStream::connect(address).await.expect("see ulimit -n"));
    }
    let waiting =
        tokio::spawn(async move { send(address, &request("GET / HTTP/1.1\r\n", "")).await });

    assert!(program.descriptors() <= before + MAX_CONNECTIONS);
    drop(open);

    assert!(waiting.await.unwrap().starts_with("HTTP/1.1 200 "));
}

/// Runs the `emulate` command and returns the address of its listener.
async fn emulate() -> (Program, SocketAddr) {
    let mut program = Program::start(&["emulate", "--listen", "127.0.0.1:0"], &[]);
    let line = program.line("emulating").await;
    let address = line["address"].as_str().unwrap().parse().unwrap();
    (program, address)
}

/// Returns a request that starts with `head` and closes the connection after the response.
fn request(head: &str, body: &str) -> String {
    format!("{head}Connection: close\r\n\r\n{body}")
}

/// Sends the bytes of a request and returns the response.
async fn send(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The emulator may reject the request before it has received all of it.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response).await;
    String::from_utf8_lossy(&response).into_owned()
}
