//! The emulator, in the place of upstream or by itself.

use std::{fs, net::SocketAddr, path::Path};

use clap::Args;

use super::{Log, Problems, log::LogArgs, parsed};
use crate::emulator::Fixtures;

const FIXTURES_HELP: &str = "File with the groups, persons, credential and faults of the emulator \
    [default: the examples of the vendor's documentation]";

/// The settings of the emulator within `serve`, as text.
#[derive(Args, Debug)]
#[command(next_help_heading = "Emulator")]
pub(super) struct EmulationArgs {
    /// Call an emulator inside this process, and not Tencent Cloud: true or false
    #[arg(long, env = "IAI_FACADE_EMULATE", value_name = "BOOL", default_value = "false",
        num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    emulate: String,

    #[arg(long, env = "IAI_FACADE_FIXTURES", value_name = "FILE", help = FIXTURES_HELP)]
    fixtures: Option<String>,
}

/// The settings of `emulate`, as text.
#[derive(Args, Debug)]
pub struct EmulateArgs {
    /// Address and port for the emulated API over HTTP/1.1. Port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9080")]
    listen: String,

    #[arg(long, env = "IAI_FACADE_FIXTURES", value_name = "FILE", help = FIXTURES_HELP)]
    fixtures: Option<String>,

    #[command(flatten)]
    log: LogArgs,
}

/// The emulator within `serve`.
#[derive(Clone, Debug)]
pub struct Emulation {
    /// What it knows.
    pub fixtures: Fixtures,
}

/// The settings of `emulate`, checked.
#[derive(Clone, Debug)]
pub struct Emulate {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What it knows.
    pub fixtures: Fixtures,
    /// What to log.
    pub log: Log,
}

impl EmulationArgs {
    /// Checks the settings, beside which the flags `explicit` were given.
    pub(super) fn checked(
        self,
        explicit: &[&'static str],
        problems: &mut Problems,
    ) -> Option<Option<Emulation>> {
        let emulate = problems.take("emulate", parsed::switch(&self.emulate))?;
        if emulate {
            for flag in explicit {
                problems.note(
                    flag,
                    "has no meaning beside --emulate, which calls no other upstream",
                );
            }
            let fixtures =
                problems.take("fixtures", fixtures(parsed::file(self.fixtures).as_deref()))?;
            return Some(Some(Emulation { fixtures }));
        }
        if parsed::file(self.fixtures).is_some() {
            problems.note("fixtures", "has a meaning only beside --emulate");
        }
        Some(None)
    }
}

impl EmulateArgs {
    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// Fails with every mistake there is.
    pub fn checked(self) -> Result<Emulate, Problems> {
        let mut problems = Problems::default();
        let listen = problems.take("listen", parsed::address(&self.listen));
        let fixtures = problems.take("fixtures", fixtures(parsed::file(self.fixtures).as_deref()));
        let log = self.log.checked(&mut problems);

        let settings = || {
            Some(Emulate {
                listen: listen?,
                fixtures: fixtures?,
                log: log?,
            })
        };
        problems.unless_none(settings())
    }
}

fn fixtures(path: Option<&Path>) -> Result<Fixtures, String> {
    let Some(path) = path else {
        return Ok(Fixtures::default());
    };
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Fixtures::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}
