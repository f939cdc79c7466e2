//! Expiry: warnings, metrics and lines of `/readyz?verbose` before certificates and credentials expire.

use std::{fs, net::SocketAddr, ops::Range, time::Duration};

use http::StatusCode;
use iai_emulator::{Account, Action, Fault, FaultKind};
use iai_facade::clock::Clock;
use serde_json::Value;
use time::OffsetDateTime;

use crate::harness::{Program, authority::Authority, http, samples::Samples, start_emulator};

const CERTIFICATE: &str = "certificate expires soon";
const CREDENTIAL: &str = "credential expires soon";
const OVERDUE: &str = "credential refresh overdue";
const ROLE: &str = "qcs::cam::uin/1:roleName/iai";

const DAY: u64 = 24 * 60 * 60;

#[tokio::test]
async fn certificates_that_expire_soon_are_reported_before_they_do() {
    let authority = Authority::valid_in(days(-99, 1));
    let files = authority.server_valid_in(days(-80, 20));
    let (mut program, addresses) = serve_tls(&files.cert, &files.key, &authority.path()).await;

    let mut lines = [
        program.line(CERTIFICATE).await,
        program.line(CERTIFICATE).await,
    ];
    lines.sort_by_key(|line| line["what"].to_string());
    for (line, what, day) in [
        (&lines[0], "client CA", 0),
        (&lines[1], "server certificate", 19),
    ] {
        assert_eq!(
            (&line["level"], &line["what"]),
            (&"WARN".into(), &what.into())
        );
        assert_eq!(number(line, "expires_in_s") / DAY, day);
        assert_eq!(number(line, "lifetime_s"), 100 * DAY);
    }
    let report = report(addresses.admin).await;
    assert!(
        report.contains("[!] server certificate expires at 2"),
        "{report}"
    );
    assert!(report.contains(", in 19days 23h "), "{report}");
    assert!(report.contains("[!] client CA expires at 2"), "{report}");
    assert!(report.ends_with("\nready\n"), "{report}");
    let samples = Samples::scrape(addresses.admin).await;
    for (name, lifetime) in [("certificate", 100 * DAY), ("client_ca", 100 * DAY)] {
        let sample = format!("iai_facade_tls_{name}_lifetime_seconds");
        assert_eq!(samples.get(&sample), lifetime as f64);
    }
    let expiry = |name| samples.get(&format!("iai_facade_tls_{name}_expiry_timestamp_seconds"));
    assert_eq!(
        expiry("certificate") - expiry("client_ca"),
        19.0 * DAY as f64
    );

    // A successor is warned of anew; one with enough time left is not.
    for (period, days_left) in [(days(-95, 5), Some(4)), (days(-10, 90), None)] {
        let next = authority.server_valid_in(period);
        fs::copy(&next.key, &files.key).unwrap();
        fs::copy(&next.cert, &files.cert).unwrap();
        program.signal("HUP").await;
        program.line("files reloaded").await;
        if let Some(days_left) = days_left {
            let line = program.line(CERTIFICATE).await;
            assert_eq!(number(&line, "expires_in_s") / DAY, days_left);
        }
    }
    let report = self::report(addresses.admin).await;
    assert!(
        report.contains("[+] server certificate expires at 2"),
        "{report}"
    );
    program.signal("TERM").await;
    let (_, log) = program.ended().await;
    assert_eq!(log.matches(CERTIFICATE).count(), 3, "{log}");
}

#[tokio::test]
async fn an_expired_client_ca_is_a_warning_and_the_service_stays_ready() {
    let authority = Authority::valid_in(days(-99, -1));
    let other = Authority::new();
    let files = other.server();
    let (mut program, addresses) = serve_tls(&files.cert, &files.key, &authority.path()).await;

    let line = program.line("certificate expired").await;
    assert_eq!(
        (&line["level"], &line["what"]),
        (&"WARN".into(), &"client CA".into())
    );
    let report = report(addresses.admin).await;
    assert!(report.contains("[!] client CA expired at 2"), "{report}");
    assert!(report.ends_with("\nready\n"), "{report}");
}

#[tokio::test]
async fn a_credential_that_is_not_refreshed_is_reported_three_times() {
    let emulator = start_emulator().await;
    let lifetime = 4;
    emulator.set_credential_lifetime(Duration::from_secs(lifetime));
    let account = Account::default();
    let endpoint = emulator.endpoint();
    let flags = [
        "--endpoint",
        &endpoint,
        "--sts-endpoint",
        &endpoint,
        "--role-arn",
        ROLE,
    ];
    let secrets = [
        ("TENCENTCLOUD_SECRET_ID", account.secret_id()),
        ("TENCENTCLOUD_SECRET_KEY", account.secret_key()),
    ];
    let (mut program, addresses) = Program::serve(&flags, &secrets).await;
    let samples = Samples::scrape(addresses.admin).await;
    let rest = samples.get("iai_facade_credential_lifetime_seconds");
    assert!(rest <= lifetime as f64 && rest > 0.0, "{rest}");
    assert!(samples.get("iai_facade_credential_expiry_timestamp_seconds") > 0.0);
    let down = Fault::from(FaultKind::status(StatusCode::SERVICE_UNAVAILABLE));
    emulator.script(down.on(Action::AssumeRole).times(u32::MAX));

    let line = program.line(OVERDUE).await;
    assert_eq!(line["level"], "WARN");
    assert!(number(&line, "expires_in_s") <= lifetime / 2);
    let overdue = report(addresses.admin).await;
    for _ in 0..2 {
        let line = program.line(CREDENTIAL).await;
        assert_eq!(line["level"], "WARN");
        assert!(number(&line, "expires_in_s") <= lifetime / 3);
    }
    // The credential may have expired before the page was read.
    let is_reported =
        overdue.contains(", refresh overdue\n") || overdue.contains("[!] credential expired");
    assert!(is_reported, "{overdue}");
    program.signal("TERM").await;
    let (_, log) = program.ended().await;
    assert_eq!(log.matches(OVERDUE).count(), 1, "{log}");
    assert_eq!(log.matches(CREDENTIAL).count(), 2, "{log}");
}

/// Starts the program with these files.
async fn serve_tls(
    certificate: &str,
    key: &str,
    client_ca: &str,
) -> (Program, crate::harness::Addresses) {
    let flags = [
        "--tls-cert",
        certificate,
        "--tls-key",
        key,
        "--tls-client-ca",
        client_ca,
    ];
    Program::serve(&[&["--emulate"], &flags[..]].concat(), &[]).await
}

/// Returns the period from `start` to `end`, in days from now.
fn days(start: i64, end: i64) -> Range<OffsetDateTime> {
    let now = OffsetDateTime::from(Clock::system().now());
    now + time::Duration::days(start)..now + time::Duration::days(end)
}

async fn report(admin: SocketAddr) -> String {
    http(admin, "GET", "/readyz?verbose", "").await.1
}

fn number(line: &Value, field: &str) -> u64 {
    line[field].as_u64().unwrap()
}
