//! Closed-loop load generator: each caller makes the next call when the previous one has completed.
//!
//! It shares the processor with the service, and a call of a real client takes more processor time than
//! serving it. The generator therefore writes HTTP/2 frames itself, and of a response it only checks
//! whether it has a message.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use iai_facade::proto::GetGroupInfoRequest;
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::upstream::GROUPS;

/// Number of connections.
const CONNECTIONS: usize = 32;

/// The retry delay of the error for too many concurrent calls.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// The period of the check for callers whose retry delay has passed.
const TICK: Duration = Duration::from_millis(1);

/// The types and flags of frames ([RFC 9113](https://www.rfc-editor.org/rfc/rfc9113), section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The difference between the largest and the initial flow-control window.
const WINDOW_INCREMENT: u32 = 0x7fff_ffff - 0xffff;

/// The number of calls with each outcome.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Calls with a response message.
    pub(crate) served: usize,
    /// Calls with an error.
    pub(crate) rejected: usize,
}

/// Runs this number of callers for `duration`. A caller makes its next call when it has a response, or
/// after the retry delay of an error.
pub(crate) async fn run(service: SocketAddr, callers: usize, duration: Duration) -> Counts {
    let end = Instant::now() + duration;
    let mut running = JoinSet::new();
    for _ in 0..CONNECTIONS {
        running.spawn(async move {
            let mut connection = Connection::open(service, callers / CONNECTIONS).await;
            connection.run(end).await;
            connection.counts
        });
    }
    let counts = running.join_all().await;
    counts.iter().fold(Counts::default(), |sum, counts| Counts {
        served: sum.served + counts.served,
        rejected: sum.rejected + counts.rejected,
    })
}

/// The connection of several callers.
struct Connection {
    stream: TcpStream,
    callers: usize,
    /// Calls in progress.
    in_flight: usize,
    /// For each caller that waits for its retry delay, the time of its error.
    backing_off: VecDeque<Instant>,
    /// The stream id of the next call.
    next_stream: u32,
    /// Whether a stream has received a message; the index is half the stream id.
    has_message: Vec<bool>,
    unsent: Vec<u8>,
    unread: Vec<u8>,
    counts: Counts,
}

impl Connection {
    async fn open(service: SocketAddr, callers: usize) -> Self {
        let stream = TcpStream::connect(service).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut unsent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        write_frame(&mut unsent, SETTINGS, 0, 0, &[]);
        // Flow control never delays a response.
        write_frame(
            &mut unsent,
            WINDOW_UPDATE,
            0,
            0,
            &WINDOW_INCREMENT.to_be_bytes(),
        );
        Self {
            stream,
            callers,
            in_flight: 0,
            backing_off: VecDeque::new(),
            next_stream: 1,
            has_message: Vec::new(),
            unsent,
            unread: Vec::new(),
            counts: Counts::default(),
        }
    }

    async fn run(&mut self, end: Instant) {
        let mut buffer = vec![0; 64 << 10];
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while Instant::now() < end {
            let now = Instant::now();
            while self
                .backing_off
                .front()
                .is_some_and(|at| *at + RETRY_DELAY <= now)
            {
                self.backing_off.pop_front();
            }
            while self.in_flight + self.backing_off.len() < self.callers {
                self.start_call();
            }
            self.stream.write_all(&self.unsent).await.unwrap();
            self.unsent.clear();
            tokio::select! {
                read = self.stream.read(&mut buffer) => self.receive(&buffer[..read.unwrap()]),
                _ = ticks.tick() => {}
            }
        }
    }

    fn start_call(&mut self) {
        let group_id = format!("group-{}", fastrand::usize(..GROUPS));
        let message = GetGroupInfoRequest { group_id }.encode_to_vec();
        let message = [&[0, 0, 0, 0, message.len() as u8], &message[..]].concat();
        // The first call adds the header fields to the dynamic table of HPACK.
        let fields = match self.next_stream {
            1 => literal_fields(),
            _ => indexed_fields(),
        };
        write_frame(
            &mut self.unsent,
            HEADERS,
            END_HEADERS,
            self.next_stream,
            &fields,
        );
        write_frame(
            &mut self.unsent,
            DATA,
            END_STREAM,
            self.next_stream,
            &message,
        );
        self.has_message.push(false);
        self.in_flight += 1;
        self.next_stream += 2;
    }

    fn receive(&mut self, bytes: &[u8]) {
        assert!(!bytes.is_empty(), "the service closed a connection");
        self.unread.extend_from_slice(bytes);
        let mut read = 0;
        while let Some((head, rest)) = self.unread[read..].split_first_chunk() {
            let [high, middle, low, kind, flags, stream @ ..]: &[u8; 9] = head;
            let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
            let Some(payload) = rest.get(..length) else {
                break;
            };
            read += head.len() + length;
            match *kind {
                SETTINGS if flags & ACK == 0 => {
                    write_frame(&mut self.unsent, SETTINGS, ACK, 0, &[]);
                }
                PING if flags & ACK == 0 => write_frame(&mut self.unsent, PING, ACK, 0, payload),
                DATA | HEADERS => {
                    let index = u32::from_be_bytes(*stream) as usize / 2;
                    self.has_message[index] |= *kind == DATA && length > 0;
                    if flags & END_STREAM != 0 {
                        self.end_call(self.has_message[index]);
                    }
                }
                RST_STREAM | GOAWAY => panic!("the service reset a stream or sent GOAWAY"),
                _ => {}
            }
        }
        self.unread.drain(..read);
    }

    fn end_call(&mut self, is_served: bool) {
        self.in_flight -= 1;
        if is_served {
            self.counts.served += 1;
        } else {
            self.counts.rejected += 1;
            self.backing_off.push_back(Instant::now());
        }
    }
}

/// Returns the header fields of a call: two of the static table, and literals with incremental indexing
/// ([RFC 7541](https://www.rfc-editor.org/rfc/rfc7541), section 6.2.1).
fn literal_fields() -> Vec<u8> {
    let literals = [
        (":authority", "facade"),
        (":path", "/iaifacade.v1.FaceRecognitionService/GetGroupInfo"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("grpc-timeout", "2S"),
    ];
    let string = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let literals = literals
        .iter()
        .flat_map(|(name, value)| [vec![0x40], string(name), string(value)].concat());
    STATIC_FIELDS.into_iter().chain(literals).collect()
}

/// Returns the same header fields as indexes: the dynamic table begins at 62 with its newest entry.
fn indexed_fields() -> Vec<u8> {
    let dynamic = (62..=66).rev().map(|index| 0x80 | index);
    STATIC_FIELDS.into_iter().chain(dynamic).collect()
}

/// `:method: POST` and `:scheme: http`, as indexes of the static table.
const STATIC_FIELDS: [u8; 2] = [0x83, 0x86];

/// Writes a frame.
fn write_frame(to: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    to.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    to.extend_from_slice(&[kind, flags]);
    to.extend_from_slice(&stream.to_be_bytes());
    to.extend_from_slice(payload);
}
