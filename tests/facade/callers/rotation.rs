//! Rotation: certificates, authorities and tokens are replaced while calls continue.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Mutex,
};

use iai_facade::{auth::AuthFiles, clock::Clock, server::Server, trace::Tracer, upstream::Client};
use tempfile::TempDir;
use tokio_rustls::rustls::{pki_types::CertificateDer, version::TLS13};
use tonic::Code;

use crate::harness::{
    Program, TRACE_LOG,
    authority::{Authority, Issued},
    bearer_tokens::digest,
    credentials, fifo,
    samples::Samples,
    settings,
    steady_callers::{Load, call},
    tls_client::{channel, open},
};

const ORDERS: &str = "spiffe://example.org/orders";
const OLD: &str = "the-old-correct-horse";
const NEW: &str = "the-new-correct-horse";
const REPLACED: &str = "files reloaded";
const INVALID: &str = "server certificate in use is not valid, clients will reject it";
const KEPT: &str = "reload failed, keeping previous version";

#[tokio::test]
async fn certificates_and_tokens_rotate_under_load_without_a_failed_call() {
    let [before, after] = [Authority::new(), Authority::new()];
    let secrets = Secrets::new(&before.server(), &before.pem(), &tokens(&[OLD]));
    let mut program = Running::serve(&secrets).await;
    let load = Load::start(program.address, &before, &before.client(&[ORDERS]), OLD);
    load.goes_on().await;
    let settled = channel(program.address, &before, Some(&before.client(&[ORDERS])));
    assert_eq!(call(settled.clone(), OLD).await, Ok(()));

    // The certificate and its key; clients already trust its authority.
    let first = program.certificate(&before).await;
    secrets.put(&before.server(), &before.pem(), &tokens(&[OLD]));
    program.reload(REPLACED, "certificates").await;
    assert_ne!(program.certificate(&before).await, first);
    load.goes_on().await;

    // A second client authority in addition to the first.
    let other = after.client(&[ORDERS]);
    let foreign = || call(channel(program.address, &before, Some(&other)), OLD);
    assert!(foreign().await.is_err());
    let server = before.server();
    let both = before.pem() + &after.pem();
    secrets.put(&server, &both, &tokens(&[OLD]));
    program.reload(REPLACED, "certificates").await;
    let foreign = call(channel(program.address, &before, Some(&other)), OLD);
    assert_eq!(foreign.await, Ok(()));
    load.goes_on().await;

    // A new token in addition to the old one, and then only the new one.
    secrets.put(&server, &both, &tokens(&[OLD, NEW]));
    program.reload(REPLACED, "tokens").await;
    load.use_token(NEW);
    load.goes_on().await;
    secrets.put(&server, &both, &tokens(&[NEW]));
    program.reload(REPLACED, "tokens").await;
    assert_eq!(call(settled.clone(), OLD).await, Err(Code::Unauthenticated));
    load.goes_on().await;
    load.end().await;

    // The first authority is removed: open connections stay, new ones with its certificates fail.
    secrets.put(&server, &after.pem(), &tokens(&[NEW]));
    program.reload(REPLACED, "certificates").await;
    assert_eq!(call(settled, NEW).await, Ok(()));
    let gone = before.client(&[ORDERS]);
    let gone = call(channel(program.address, &before, Some(&gone)), NEW);
    assert!(gone.await.is_err());
    let foreign = call(channel(program.address, &before, Some(&other)), NEW);
    assert_eq!(foreign.await, Ok(()));
    program.ended(&secrets).await;
}

#[tokio::test]
async fn a_failed_reload_keeps_the_previous_version_and_is_logged_once() {
    let authority = Authority::new();
    let server = authority.server();
    let good = (fs::read(&server.cert).unwrap(), tokens(&[OLD]));
    let secrets = Secrets::new(&server, &authority.pem(), &good.1);
    let mut program = Running::serve(&secrets).await;
    let client = authority.client(&[ORDERS]);
    let certificate = program.certificate(&authority).await;
    let mismatched = Issued {
        cert: authority.server().cert,
        key: server.key.clone(),
    };
    let cut = secrets.file("cut.pem", &good.0[..good.0.len() / 2]);
    let cut = Issued {
        cert: cut,
        key: server.key.clone(),
    };

    for (broken, reason) in [(&mismatched, "KeyMismatch"), (&cut, "PEM")] {
        secrets.put(broken, &authority.pem(), &good.1);
        let line = program.reload(KEPT, "certificates").await;
        assert!(line.contains(reason), "{line}");
        assert_eq!(program.certificate(&authority).await, certificate);
    }
    secrets.put(&server, "no authority", &good.1);
    program.reload(KEPT, "certificates").await;
    secrets.put(&server, &authority.pem(), "orders correct-horse\n");
    let line = program.reload(KEPT, "tokens").await;
    assert!(
        line.contains("line 1: ") && !line.contains("correct-horse"),
        "{line}"
    );
    // Unchanged files are reloaded together with changed ones, without a log line.
    secrets.put(
        &authority.server(),
        &authority.pem(),
        "orders correct-horse\n",
    );
    program.reload(REPLACED, "certificates").await;
    secrets.put(&server, &authority.pem(), &tokens(&[NEW]));
    program.reload(REPLACED, "tokens").await;

    let samples = Samples::scrape(program.admin).await;
    for (file, outcome, reloads) in [
        ("certificates", "failed", 3.0),
        ("tokens", "failed", 1.0),
        ("tokens", "replaced", 1.0),
    ] {
        let labels = format!("file=\"{file}\",outcome=\"{outcome}\"");
        let sample = format!("iai_facade_file_reloads_total{{{labels}}}");
        assert_eq!(samples.get(&sample), reloads, "{sample}");
    }
    assert!(samples.get("iai_facade_tls_certificate_expiry_timestamp_seconds") > 0.0);
    let ended = channel(program.address, &authority, Some(&client));
    assert_eq!(call(ended, NEW).await, Ok(()));
    let log = program.ended(&secrets).await;
    assert_eq!(log.matches(KEPT).count(), 4, "{log}");
}

#[tokio::test]
async fn an_invalid_server_certificate_does_not_replace_a_valid_one() {
    let authority = Authority::new();
    let secrets = Secrets::new(&authority.server(), &authority.pem(), &tokens(&[OLD]));
    let mut program = Running::serve(&secrets).await;
    let certificate = program.certificate(&authority).await;

    for (years, reason) in [
        (
            2019..2020,
            "the certificate expired at 2020-01-01T00:00:00Z",
        ),
        (
            2200..2201,
            "the certificate is not valid before 2200-01-01T00:00:00Z",
        ),
    ] {
        secrets.put(
            &authority.server_in(years),
            &authority.pem(),
            &tokens(&[OLD]),
        );
        let line = program.reload(KEPT, "certificates").await;
        assert!(line.contains(reason) && line.contains("WARN"), "{line}");
        assert_eq!(program.certificate(&authority).await, certificate);
    }
    secrets.put(&authority.server(), &authority.pem(), &tokens(&[OLD]));
    program.reload(REPLACED, "certificates").await;
    let client = authority.client(&[ORDERS]);
    let ours = channel(program.address, &authority, Some(&client));
    assert_eq!(call(ours, OLD).await, Ok(()));
    let log = program.ended(&secrets).await;
    assert_eq!(log.matches(KEPT).count(), 2, "{log}");
    assert!(!log.contains(INVALID), "{log}");
}

#[tokio::test]
async fn an_invalid_server_certificate_at_the_start_is_a_warning() {
    let authority = Authority::new();
    let secrets = Secrets::new(
        &authority.server_in(2019..2020),
        &authority.pem(),
        &tokens(&[OLD]),
    );
    let mut program = Running::serve(&secrets).await;
    let line = program.program.line(INVALID).await;
    assert_eq!(line["level"], "WARN");
    let reason = "the certificate expired at 2020-01-01T00:00:00Z";
    assert_eq!(line["error.message"], reason);

    // Another invalid certificate replaces an invalid one.
    secrets.put(
        &authority.server_in(2020..2021),
        &authority.pem(),
        &tokens(&[OLD]),
    );
    program.reload(REPLACED, "certificates").await;
    let line = program.program.line(INVALID).await;
    let reason = "the certificate expired at 2021-01-01T00:00:00Z";
    assert_eq!(line["error.message"], reason);
    secrets.put(&authority.server(), &authority.pem(), &tokens(&[OLD]));
    program.reload(REPLACED, "certificates").await;
    let client = authority.client(&[ORDERS]);
    let ours = channel(program.address, &authority, Some(&client));
    assert_eq!(call(ours, OLD).await, Ok(()));
    let log = program.ended(&secrets).await;
    assert_eq!(log.matches(INVALID).count(), 2, "{log}");
}

#[tokio::test]
async fn a_certificate_that_became_a_pipe_does_not_block_token_reloads() {
    let authority = Authority::new();
    let server = authority.server();
    let secrets = Secrets::new(&server, &authority.pem(), &tokens(&[OLD, NEW]));
    let mut program = Running::serve(&secrets).await;
    let client = authority.client(&[ORDERS]);
    let ours = channel(program.address, &authority, Some(&client));
    assert_eq!(call(ours.clone(), OLD).await, Ok(()));

    let fifo = fifo(secrets.folder.path());
    let certificate = secrets.path("cert.pem");
    fs::remove_file(&certificate).unwrap();
    symlink(&fifo, &certificate).unwrap();
    let line = program.reload(KEPT, "certificates").await;
    let words = "cert.pem: not a regular file but a pipe, which cannot be read again";
    assert!(line.contains(words), "{line}");
    secrets.put(&server, &authority.pem(), &tokens(&[NEW]));
    program.reload(REPLACED, "tokens").await;
    assert_eq!(call(ours.clone(), OLD).await, Err(Code::Unauthenticated));
    assert_eq!(call(ours, NEW).await, Ok(()));

    fs::remove_file(&certificate).unwrap();
    symlink("..data/cert.pem", &certificate).unwrap();
    program
        .reload("reload succeeded again, nothing changed", "certificates")
        .await;
    let log = program.ended(&secrets).await;
    assert_eq!(log.matches(KEPT).count(), 1, "{log}");
}

#[tokio::test]
async fn files_are_reloaded_without_a_signal() {
    let authority = Authority::new();
    let secrets = Secrets::new(&authority.server(), &authority.pem(), &tokens(&[OLD]));
    let mut program = Running::serve(&secrets).await;

    secrets.put(&authority.server(), &authority.pem(), &tokens(&[NEW]));

    let mut replaced = [
        program.program.line(REPLACED).await["what"].take(),
        program.program.line(REPLACED).await["what"].take(),
    ];
    // The second group may have been reloaded before the files changed, and the first after.
    replaced.sort_by_key(ToString::to_string);
    assert_eq!(replaced, ["certificates", "tokens"]);
    let client = authority.client(&[ORDERS]);
    let ours = channel(program.address, &authority, Some(&client));
    assert_eq!(call(ours, NEW).await, Ok(()));
    program.ended(&secrets).await;
}

#[tokio::test]
async fn no_public_type_prints_a_key_or_a_token() {
    let authority = Authority::new();
    let secrets = Secrets::new(&authority.server(), &authority.pem(), &tokens(&[OLD]));
    let flags = secrets.flags();
    let flags = flags.each_ref().map(String::as_str);

    let settings = settings(&flags);
    let client = Client::new(&settings, credentials(), Clock::system()).unwrap();
    let files = AuthFiles::read(&settings.callers.files).unwrap();
    let tracer = Tracer::new(true, false);
    let server = Server::bind(&settings, &files, client, None, tracer)
        .await
        .unwrap();

    let printed = format!("{settings:?} {files:?} {server:?}");
    assert_eq!(secrets.found_in(&printed), None);
    let key = fs::read_to_string(secrets.path("key.pem")).unwrap();
    assert!(secrets.found_in(&key).is_some() && secrets.found_in(&digest(OLD)).is_some());
}

/// A directory of files mounted like a Kubernetes secret: a symbolic link replaces all of them at
/// once.
struct Secrets {
    folder: TempDir,
    versions: Mutex<u32>,
    /// The forms in which parts of all private keys so far could appear in a text.
    keys: Mutex<Vec<String>>,
}

impl Secrets {
    fn new(server: &Issued, authorities: &str, tokens: &str) -> Self {
        let secrets = Self {
            folder: tempfile::tempdir().unwrap(),
            versions: Mutex::new(0),
            keys: Mutex::default(),
        };
        secrets.put(server, authorities, tokens);
        for name in ["cert.pem", "key.pem", "ca.pem", "tokens"] {
            symlink(Path::new("..data").join(name), secrets.path(name)).unwrap();
        }
        secrets
    }

    fn put(&self, server: &Issued, authorities: &str, tokens: &str) {
        let version = {
            let mut versions = self.versions.lock().unwrap();
            *versions += 1;
            versions.to_string()
        };
        let folder = self.path(&version);
        fs::create_dir(&folder).unwrap();
        fs::copy(&server.cert, folder.join("cert.pem")).unwrap();
        fs::copy(&server.key, folder.join("key.pem")).unwrap();
        self.keys.lock().unwrap().extend(server.key_forms());
        fs::write(folder.join("ca.pem"), authorities).unwrap();
        fs::write(folder.join("tokens"), tokens).unwrap();
        symlink(&version, self.path("..tmp")).unwrap();
        fs::rename(self.path("..tmp"), self.path("..data")).unwrap();
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Returns the flags of a service that reads these files.
    fn flags(&self) -> [String; 4] {
        let flags = [
            ("--tls-cert", "cert.pem"),
            ("--tls-key", "key.pem"),
            ("--tls-client-ca", "ca.pem"),
            ("--tokens-file", "tokens"),
        ];
        flags.map(|(flag, name)| format!("{flag}={}", self.path(name).display()))
    }

    /// Returns a token, a digest or a part of a key that the text contains.
    fn found_in(&self, text: &str) -> Option<String> {
        let tokens = [OLD, NEW].map(|token| [token.to_owned(), digest(token)]);
        let keys = self.keys.lock().unwrap();
        let mut secrets = tokens.into_iter().flatten().chain(keys.iter().cloned());
        secrets.find(|secret| text.contains(secret))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The program, which requires client certificates and tokens.
struct Running {
    program: Program,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Running {
    async fn serve(secrets: &Secrets) -> Self {
        let flags = secrets.flags();
        let flags = flags.each_ref().map(String::as_str);
        let (program, addresses) =
            Program::serve(&[&["--emulate"], &flags[..]].concat(), &TRACE_LOG).await;
        Self {
            program,
            address: addresses.grpc,
            admin: addresses.admin,
        }
    }

    /// Triggers a reload and returns the log line about these files.
    async fn reload(&mut self, message: &str, what: &str) -> String {
        self.program.signal("HUP").await;
        loop {
            let line = self.program.line(message).await;
            if line["what"] == what {
                return line.to_string();
            }
        }
    }

    /// Returns the server certificate that new connections receive.
    async fn certificate(&self, authority: &Authority) -> CertificateDer<'static> {
        let stream = open(self.address, authority.connector(&[&TLS13])).await;
        let certificates = stream.get_ref().1.peer_certificates().unwrap();
        certificates[0].clone().into_owned()
    }

    /// Stops the program and returns its trace log, after a check that it contains no secret.
    async fn ended(self, secrets: &Secrets) -> String {
        let log = self.program.ended_without(&[]).await;
        assert_eq!(secrets.found_in(&log), None);
        log
    }
}

/// Returns the token file lines of these tokens.
fn tokens(tokens: &[&str]) -> String {
    let lines = tokens
        .iter()
        .map(|token| format!("orders {}\n", digest(token)));
    lines.collect()
}
