//! Callers that cost next to nothing, to load the service from the processors that it runs on: their
//! calls are written as frames, and of the answers only the kind is looked at.
//!
//! A call of a real client costs more of a processor than the service needs to answer it.

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

/// Over how many connections they call.
const CONNECTIONS: usize = 32;

/// What a caller is told to wait if too many calls are in progress.
const DELAY: Duration = Duration::from_millis(100);

/// How often it is looked whether callers have waited.
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

/// The largest window of flow control, less the one that a connection begins with.
const REST_OF_WINDOW: u32 = 0x7fff_ffff - 0xffff;

/// What became of the calls.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Those that were answered.
    pub(crate) answered: usize,
    /// Those that were refused, or failed.
    pub(crate) refused: usize,
}

/// Lets so many callers call for `duration`. Each calls again as soon as it is answered, and when it
/// is refused after the delay that it is told.
pub(crate) async fn run(service: SocketAddr, callers: usize, duration: Duration) -> Tally {
    let end = Instant::now() + duration;
    let mut running = JoinSet::new();
    for _ in 0..CONNECTIONS {
        running.spawn(async move {
            let mut connection = Connection::open(service, callers / CONNECTIONS).await;
            connection.run(end).await;
            connection.tally
        });
    }
    let tallies = running.join_all().await;
    tallies.iter().fold(Tally::default(), |sum, tally| Tally {
        answered: sum.answered + tally.answered,
        refused: sum.refused + tally.refused,
    })
}

/// The connection of some callers.
struct Connection {
    stream: TcpStream,
    callers: usize,
    /// Callers whose call is in progress.
    calling: usize,
    /// When callers were refused who still wait to call again.
    waiting: VecDeque<Instant>,
    /// The stream of the next call.
    next: u32,
    /// Whether a message has arrived on a stream, by half its number.
    has_message: Vec<bool>,
    unsent: Vec<u8>,
    unread: Vec<u8>,
    tally: Tally,
}

impl Connection {
    async fn open(service: SocketAddr, callers: usize) -> Self {
        let stream = TcpStream::connect(service).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut unsent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        write_frame(&mut unsent, SETTINGS, 0, 0, &[]);
        // What arrives is never held up.
        write_frame(
            &mut unsent,
            WINDOW_UPDATE,
            0,
            0,
            &REST_OF_WINDOW.to_be_bytes(),
        );
        Self {
            stream,
            callers,
            calling: 0,
            waiting: VecDeque::new(),
            next: 1,
            has_message: Vec::new(),
            unsent,
            unread: Vec::new(),
            tally: Tally::default(),
        }
    }

    async fn run(&mut self, end: Instant) {
        let mut buffer = vec![0; 64 << 10];
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while Instant::now() < end {
            let now = Instant::now();
            while self.waiting.front().is_some_and(|at| *at + DELAY <= now) {
                self.waiting.pop_front();
            }
            while self.calling + self.waiting.len() < self.callers {
                self.call();
            }
            self.stream.write_all(&self.unsent).await.unwrap();
            self.unsent.clear();
            tokio::select! {
                read = self.stream.read(&mut buffer) => self.received(&buffer[..read.unwrap()]),
                _ = ticks.tick() => {}
            }
        }
    }

    fn call(&mut self) {
        let group_id = format!("group-{}", fastrand::usize(..GROUPS));
        let message = GetGroupInfoRequest { group_id }.encode_to_vec();
        let message = [&[0, 0, 0, 0, message.len() as u8], &message[..]].concat();
        // The first call writes the fields that the others refer to.
        let fields = match self.next {
            1 => fields(),
            _ => references(),
        };
        write_frame(&mut self.unsent, HEADERS, END_HEADERS, self.next, &fields);
        write_frame(&mut self.unsent, DATA, END_STREAM, self.next, &message);
        self.has_message.push(false);
        self.calling += 1;
        self.next += 2;
    }

    fn received(&mut self, bytes: &[u8]) {
        assert!(!bytes.is_empty(), "the service ended a connection");
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
                        self.ended(self.has_message[index]);
                    }
                }
                RST_STREAM | GOAWAY => panic!("the service ended what it should have answered"),
                _ => {}
            }
        }
        self.unread.drain(..read);
    }

    fn ended(&mut self, is_answered: bool) {
        self.calling -= 1;
        if is_answered {
            self.tally.answered += 1;
        } else {
            self.tally.refused += 1;
            self.waiting.push_back(Instant::now());
        }
    }
}

/// The fields of a call: two that the service knows, and others that it shall remember
/// ([RFC 7541](https://www.rfc-editor.org/rfc/rfc7541), section 6.2.1).
fn fields() -> Vec<u8> {
    let remembered = [
        (":authority", "facade"),
        (":path", "/iaifacade.v1.FaceRecognitionService/GetGroupInfo"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("grpc-timeout", "2S"),
    ];
    let literal = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let remembered = remembered
        .iter()
        .flat_map(|(name, value)| [vec![0x40], literal(name), literal(value)].concat());
    KNOWN.into_iter().chain(remembered).collect()
}

/// The same fields, by their places in the table: what was remembered last is the first after the 61
/// that every table begins with.
fn references() -> Vec<u8> {
    let remembered = (62..=66).rev().map(|index| 0x80 | index);
    KNOWN.into_iter().chain(remembered).collect()
}

/// `:method: POST` and `:scheme: http`, by their places.
const KNOWN: [u8; 2] = [0x83, 0x86];

/// Writes a frame as it travels.
fn write_frame(to: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    to.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    to.extend_from_slice(&[kind, flags]);
    to.extend_from_slice(&stream.to_be_bytes());
    to.extend_from_slice(payload);
}
