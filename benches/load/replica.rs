//! A replica: the built program in its own process.

use std::{
    io::{self, BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// A running `serve`. Dropping it kills the process.
pub(crate) struct Replica {
    process: Child,
    /// The address of the gRPC listener.
    pub(crate) address: SocketAddr,
    /// The address of the admin listener.
    pub(crate) admin: SocketAddr,
}

impl Replica {
    /// Starts the program on free ports with this upstream endpoint, and waits until it listens.
    pub(crate) fn start(endpoint: &str, flags: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_iai-facade"))
            .args([
                "serve",
                "--listen=127.0.0.1:0",
                "--admin-listen=127.0.0.1:0",
            ])
            .args(["--endpoint", endpoint, "--log-format=json"])
            .args(flags)
            .env_clear()
            .env("TENCENTCLOUD_SECRET_ID", "AKIDEMULATOR")
            .env("TENCENTCLOUD_SECRET_KEY", "emulator-secret")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let listening = log
            .by_ref()
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap())
            .find(|line| line["message"] == "listening")
            .unwrap();
        let address = |field: &str| listening[field].as_str().unwrap().parse().unwrap();
        // The log is discarded.
        thread::spawn(move || io::copy(&mut log, &mut io::sink()));
        Self {
            process,
            address: address("grpc.address"),
            admin: address("admin.address"),
        }
    }

    /// Returns the number of open file descriptors of the process.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.process.id());
        std::fs::read_dir(folder).unwrap().count()
    }

    /// Returns the processor time of the process.
    pub(crate) fn processor_time(&self) -> Duration {
        processor_time(self.process.id())
    }

    /// Returns the resident memory of the process, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        memory(self.process.id(), "VmRSS")
    }
}

/// Returns a field of the memory of a process, such as `VmRSS` or `VmHWM`, in bytes.
pub(crate) fn memory(process: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes << 10
}

/// Returns the processor time of a process, in user space and in the kernel.
pub(crate) fn processor_time(process: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The second field, the name, may contain spaces, and ends with a parenthesis.
    let (_, fields) = text.rsplit_once(") ").unwrap();
    let fields = fields.split(' ').skip(11).take(2);
    let ticks: u64 = fields.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    // USER_HZ is 100 on Linux: a tick is 10 ms.
    Duration::from_millis(ticks * 10)
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
