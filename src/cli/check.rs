//! The command `check`: finds out whether `serve` would work with its settings, and if not, why. It makes
//! the steps of a first call one by one, and says for a failed one what the likely cause is and what to do.

mod advice;
mod code_advice;
mod form;
mod json_report;
mod progress;
mod requested;
mod requests;
mod responses;
mod route;
mod run;
mod setup;
mod step;
mod text_report;
mod tls;
mod tunnel;

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use self::{
    advice::Fault,
    progress::Progress,
    requests::{Api, compare_clocks},
    route::Route,
    run::Run,
    step::{Finding, Status, Step, StepResult},
    text_report::Style,
};
use super::output::print;
use crate::{
    clock::Clock, config::ServeArgs, error_chain::error_chain, upstream::DiagnosticClient,
};

/// The settings of `check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Check only the settings and files; open no connection
    #[arg(long, conflicts_with_all = ["group_id", "person_id"])]
    offline: bool,

    /// Format of the report: a line for each step as text, or one object as JSON
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,

    /// Compare the response for this group with the documentation of the API
    #[arg(long, value_name = "ID")]
    group_id: Option<String>,

    /// Compare the responses for this person, and for one that does not exist, with the documentation of the
    /// API
    #[arg(long, value_name = "ID")]
    person_id: Option<String>,

    #[command(flatten)]
    serve: ServeArgs,
}

/// The format of a report.
// Variants with a description would change the layout of the whole help.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Exit codes. The codes 2 and 3 have the meaning that they have for `probe`, and 64 that of `serve`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Exit {
    Works = 0,
    NotConnected = 2,
    CallFailed = 3,
    NoCredential = 4,
    WrongClock = 5,
    ResponsesDiffer = 6,
    InvalidSettings = 64,
}

/// Makes the steps and prints the report. Returns the exit code.
pub(super) async fn check(args: CheckArgs) -> ExitCode {
    let (format, is_offline) = (args.format, args.offline);
    let style = Style::of_stdout();
    let mut written = ExitCode::SUCCESS;
    let mut report = |result: &StepResult| {
        if format == Format::Text {
            written = print(&text_report::step(result, style));
        }
    };
    let results = make_steps(args, &mut report).await;
    let code = Exit::of(&results) as u8;
    let end = match format {
        Format::Text => text_report::end(&results, is_offline, style),
        Format::Json => json_report::json(&results, code),
    };
    match (written, print(&end)) {
        (ExitCode::SUCCESS, ExitCode::SUCCESS) => ExitCode::from(code),
        _ => ExitCode::FAILURE,
    }
}

/// Makes the steps in their order. After a failed one, the others are skipped.
async fn make_steps(args: CheckArgs, report: &mut dyn FnMut(&StepResult)) -> Vec<StepResult> {
    let plan = plan(&args);
    let mut run = Run::new(Progress::new(), report);
    // What is not made is skipped, and the last result says why.
    let _ = steps(args, &mut run).await;
    run.skip_rest(&plan, "--offline");
    run.into_results()
}

/// Returns the steps that are made if none fails.
fn plan(args: &CheckArgs) -> Vec<Step> {
    let (has_group, has_person) = (args.group_id.is_some(), args.person_id.is_some());
    [
        (Step::Settings, true),
        (Step::Credential, true),
        (Step::Dns, true),
        (Step::Tcp, true),
        (Step::Proxy, true),
        (Step::Tls, true),
        (Step::Http, true),
        (Step::Clock, true),
        (Step::Call, true),
        (Step::Headers, has_group || has_person),
        (Step::Group, has_group),
        (Step::Person, has_person),
        (Step::UnknownPerson, has_person),
    ]
    .into_iter()
    .filter_map(|(step, is_planned)| is_planned.then_some(step))
    .collect()
}

/// Makes the steps up to the first that fails, or up to the settings with `--offline`.
async fn steps(args: CheckArgs, run: &mut Run<'_>) -> Option<()> {
    let CheckArgs {
        offline,
        format: _,
        group_id,
        person_id,
        serve,
    } = args;
    let setup = async { setup::read(serve, group_id.as_deref(), person_id.as_deref()) };
    let mut setup = run.step(Step::Settings, setup).await?;
    if offline {
        return None;
    }
    let resolved = run
        .step(Step::Credential, setup::resolve(&mut setup))
        .await?;

    let upstream = &setup.settings.upstream;
    let route = Route::new(upstream);
    let addresses = run.step(Step::Dns, route.resolve()).await?;
    let stream = run.step(Step::Tcp, route.connect(&addresses)).await?;
    let passed = route.pass_proxy(stream, &setup.tls);
    let connection = run.step(Step::Proxy, passed).await?;
    run.step(Step::Tls, route.handshake(connection, &setup.tls))
        .await?;

    let timeout = setup.settings.calls.max_call_time;
    let api = async {
        let api = match DiagnosticClient::new(upstream, Clock::system()) {
            Ok(client) => Api::new(client, resolved.credential, Clock::system(), timeout),
            Err(error) => {
                let advice = Fault::CannotSetUp.advice();
                return (Finding::failed(error_chain(&error), advice), None);
            }
        };
        let (finding, times) = api.request().await;
        (finding, times.map(|times| (api, times)))
    };
    let (api, times) = run.step(Step::Http, api).await?;
    run.step(Step::Clock, async { compare_clocks(&times) })
        .await?;
    let head = run.step(Step::Call, responses::call(&api)).await?;

    let requested = &setup.requested;
    if requested.group.is_some() || requested.person.is_some() {
        run.last_step(Step::Headers, async { responses::headers(head) })
            .await;
    }
    if let Some(request) = &requested.group {
        run.last_step(Step::Group, responses::group(&api, request))
            .await;
    }
    if let Some(request) = &requested.person {
        run.last_step(Step::Person, responses::person(&api, request))
            .await;
        run.last_step(Step::UnknownPerson, responses::unknown_person(&api))
            .await;
    }
    Some(())
}

impl Exit {
    /// Returns the exit code for the first step that failed, or else for responses that differ.
    fn of(results: &[StepResult]) -> Self {
        let with = |status| {
            let mut results = results.iter();
            results.find(move |result| result.finding.status == status)
        };
        match with(Status::Failed).map(|failed| failed.step) {
            Some(Step::Settings) => Self::InvalidSettings,
            Some(Step::Credential) => Self::NoCredential,
            Some(Step::Dns | Step::Tcp | Step::Proxy | Step::Tls | Step::Http) => {
                Self::NotConnected
            }
            Some(Step::Clock) => Self::WrongClock,
            Some(Step::Call | Step::Headers | Step::Group | Step::Person | Step::UnknownPerson) => {
                Self::CallFailed
            }
            None if with(Status::Differs).is_some() => Self::ResponsesDiffer,
            None => Self::Works,
        }
    }
}
