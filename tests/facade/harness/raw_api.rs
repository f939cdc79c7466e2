//! Raw API: an HTTP/1.1 server that sends the same bytes to every signed request, and a response with a
//! `Date` to every other one.

use http::{HeaderValue, header::DATE};
use iai_facade::clock::Clock;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::raw_upstream::RawUpstream;

/// Starts a server that sends `response` to each signed request.
pub(crate) async fn start(response: &'static str) -> RawUpstream {
    RawUpstream::start(move |stream| serve(stream, response)).await
}

async fn serve(mut stream: TcpStream, response: &'static str) {
    while let Some(head) = read_request(&mut stream).await {
        let is_signed = head.starts_with("post ");
        let unsigned = format!(
            "HTTP/1.1 200 OK\r\n{DATE}: {}\r\ncontent-length: 2\r\n\r\n{{}}",
            now().to_str().unwrap()
        );
        let response = if is_signed { response } else { &unsigned };
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

fn now() -> HeaderValue {
    let date = httpdate::fmt_http_date(Clock::system().now().into());
    HeaderValue::from_str(&date).unwrap()
}
