//! Raw API: an HTTP/1.1 server that sends the same bytes to every signed request.

use iai_facade::clock::Clock;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::raw_upstream::RawUpstream;

/// Starts a server that sends `response` to each signed request, and a response with a `Date` to others.
pub(crate) async fn start(response: &'static str) -> RawUpstream {
    RawUpstream::start(move |stream| serve(stream, response, Some(response_with_date()))).await
}

/// Starts a server that sends `response` to every request.
pub(crate) async fn start_for_all(response: &'static str) -> RawUpstream {
    RawUpstream::start(move |stream| serve(stream, response, None)).await
}

async fn serve(mut stream: TcpStream, response: &'static str, unsigned: Option<String>) {
    while let Some(head) = read_request(&mut stream).await {
        let is_signed = head.starts_with("post ");
        let unsigned = unsigned.as_deref().filter(|_| !is_signed);
        let response = unsigned.unwrap_or(response);
        if stream.write_all(response.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Returns the head of the next request in lower case, after its body.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1);
            let length = length.map_or("0", |rest| rest.split("\r\n").next().unwrap());
            if body.len() >= length.parse().unwrap() {
                return Some(head.to_owned());
            }
        }
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

fn response_with_date() -> String {
    let date = httpdate::fmt_http_date(Clock::system().now().into());
    format!("HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-length: 2\r\n\r\n{{}}")
}
