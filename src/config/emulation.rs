//! Settings of the emulator, within `serve` or as the command `emulate`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Args;
use secrecy::SecretString;

use super::{Invalid, Log, Problems, log::LogArgs, parsed};
use crate::files::{
    bounded_file::{self, FileKind},
    secret_text,
};

const FIXTURES_HELP: &str = "File of the groups, persons, credential and faults of the emulator \
    [default: the examples of Tencent Cloud's documentation]";

/// The settings of the emulator within `serve`, unparsed.
#[derive(Args, Debug)]
#[command(next_help_heading = "Emulator")]
pub(super) struct EmulationArgs {
    /// Start an emulator of the Tencent Cloud API in this process and use it as upstream: true or
    /// false
    #[arg(long, env = "IAI_FACADE_EMULATE", value_name = "BOOL", default_value = "false",
        num_args = 0..=1, default_missing_value = "true")]
    emulate: String,

    #[arg(long, env = "IAI_FACADE_FIXTURES", value_name = "FILE", help = FIXTURES_HELP)]
    fixtures: Option<String>,
}

/// The settings of `emulate`, unparsed.
#[derive(Args, Debug)]
pub struct EmulateArgs {
    /// Address and port of the emulated API (HTTP/1.1); port 0 selects a free port
    #[arg(
        long,
        env = "IAI_FACADE_EMULATOR_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9080"
    )]
    listen: String,

    #[arg(long, env = "IAI_FACADE_EMULATOR_FIXTURES", value_name = "FILE", help = FIXTURES_HELP)]
    fixtures: Option<String>,

    /// PEM file of the server certificate followed by its intermediate certificates. With --tls-key,
    /// the port accepts TLS 1.2 and 1.3 beside plain text
    #[arg(long, env = "IAI_FACADE_EMULATOR_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<String>,

    /// PEM file of the private key of the server certificate
    #[arg(long, env = "IAI_FACADE_EMULATOR_TLS_KEY", value_name = "FILE")]
    tls_key: Option<String>,

    /// Address and port of the control API (HTTP/1.1), which seeds, resets and inspects the emulator while
    /// it runs; port 0 selects a free port. An address other than loopback requires
    /// --control-token-file [default: no control API]
    #[arg(
        long,
        env = "IAI_FACADE_EMULATOR_CONTROL_LISTEN",
        value_name = "ADDRESS"
    )]
    control_listen: Option<String>,

    /// File of the bearer token that requests to the control API must carry [default: none required]
    #[arg(
        long,
        env = "IAI_FACADE_EMULATOR_CONTROL_TOKEN_FILE",
        value_name = "FILE"
    )]
    control_token_file: Option<String>,

    #[command(flatten)]
    log: LogArgs,
}

/// The settings of `emulate`, parsed and checked.
#[derive(Clone, Debug)]
pub struct Emulate {
    /// The listening address.
    pub listen: SocketAddr,
    /// The control API, if it is enabled.
    pub control: Option<ControlApi>,
    /// The log.
    pub log: Log,
}

/// The settings of the emulator's control API.
#[derive(Clone, Debug)]
pub struct ControlApi {
    /// The listening address.
    pub listen: SocketAddr,
    /// The bearer token that requests must carry. Present if the address is not loopback.
    pub token: Option<SecretString>,
}

impl EmulationArgs {
    /// Returns the file of fixtures, if the emulator is enabled.
    pub(super) fn fixtures(&self) -> Option<PathBuf> {
        let is_enabled = parsed::switch(&self.emulate) == Ok(true);
        parsed::file(self.fixtures.as_deref()).filter(|_| is_enabled)
    }

    /// Returns whether the emulator is enabled. The flags in `explicit` are set and contradict
    /// `--emulate`.
    pub(super) fn checked(
        self,
        explicit: &[&'static str],
        problems: &mut Problems,
    ) -> Result<bool, Invalid> {
        let is_enabled = problems.take("emulate", parsed::switch(&self.emulate))?;
        if is_enabled {
            for flag in explicit {
                problems.note(
                    flag,
                    "cannot be combined with --emulate, which is the upstream",
                );
            }
        } else if parsed::file(self.fixtures.as_deref()).is_some() {
            problems.note("fixtures", "requires --emulate");
        }
        Ok(is_enabled)
    }
}

impl EmulateArgs {
    /// Returns the file of fixtures, which the emulator reads at its start.
    pub fn fixtures(&self) -> Option<PathBuf> {
        parsed::file(self.fixtures.as_deref())
    }

    /// Returns the files of the server certificate and its private key, which the emulator reads at its
    /// start, if both are set.
    pub fn tls_files(&self) -> Option<(PathBuf, PathBuf)> {
        parsed::file(self.tls_cert.as_deref()).zip(parsed::file(self.tls_key.as_deref()))
    }

    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// Fails with a list of all errors.
    pub fn checked(self) -> Result<Emulate, Problems> {
        let mut problems = Problems::default();
        let listen = problems.take("listen", parsed::address(&self.listen));
        let has_cert = parsed::file(self.tls_cert.as_deref()).is_some();
        let has_key = parsed::file(self.tls_key.as_deref()).is_some();
        if has_key && !has_cert {
            problems.note("tls-cert", "is missing; --tls-key requires it");
        }
        if has_cert && !has_key {
            problems.note("tls-key", "is missing; --tls-cert requires it");
        }
        let control = control(
            self.control_listen.as_deref(),
            self.control_token_file.as_deref(),
            &mut problems,
        );
        let log = self.log.checked(&mut problems);

        let settings = || {
            Ok(Emulate {
                listen: listen?,
                control: control?,
                log: log?,
            })
        };
        problems.into_result(settings())
    }
}

fn control(
    listen: Option<&str>,
    token_file: Option<&str>,
    problems: &mut Problems,
) -> Result<Option<ControlApi>, Invalid> {
    let token_file = parsed::file(token_file);
    let token = token_file.as_deref().map(read_token).transpose();
    let token = problems.take("control-token-file", token);
    let Some(listen) = listen.filter(|listen| !listen.is_empty()) else {
        if token_file.is_some() {
            problems.note("control-token-file", "requires --control-listen");
        }
        return token.map(|_| None);
    };
    let listen = problems.take("control-listen", parsed::address(listen))?;
    if token_file.is_none() && !listen.ip().is_loopback() {
        problems.note(
            "control-listen",
            "an address other than loopback requires --control-token-file",
        );
        return Err(Invalid);
    }
    Ok(Some(ControlApi {
        listen,
        token: token?,
    }))
}

fn read_token(path: &Path) -> Result<SecretString, String> {
    let content = bounded_file::read_once(path, FileKind::Credential);
    let content = content.map_err(|error| error.to_string())?;
    let token = secret_text::parse(&content);
    let token = token.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(token.into())
}
