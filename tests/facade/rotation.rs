//! Certificates, authorities and tokens that are replaced while calls go on.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Mutex,
};

use iai_facade::{clock::Clock, server::Server, upstream::Client};
use tempfile::TempDir;
use tokio_rustls::rustls::{pki_types::CertificateDer, version::TLS13};
use tonic::Code;

use crate::{
    authority::{Authority, Issued},
    callers::digest,
    harness::{LOUD, Program, credentials, settings},
    steady_callers::{Load, call},
    tls_client::{channel, open},
};

const ORDERS: &str = "spiffe://example.org/orders";
const OLD: &str = "the-old-correct-horse";
const NEW: &str = "the-new-correct-horse";
const REPLACED: &str = "replaced by what is in the files now";
const KEPT: &str = "what is in the files now cannot be used";

#[tokio::test]
async fn everything_is_replaced_under_load_without_a_failed_call() {
    let [before, after] = [Authority::new(), Authority::new()];
    let secrets = Secrets::new(&before.server(), &before.pem(), &tokens(&[OLD]));
    let mut program = Running::serve(&secrets).await;
    let load = Load::start(program.address, &before, &before.client(&[ORDERS]), OLD);
    load.goes_on().await;
    let settled = channel(program.address, &before, Some(&before.client(&[ORDERS])));
    assert_eq!(call(settled.clone(), OLD).await, Ok(()));

    // The certificate, and its key: clients believe its authority already.
    let first = program.certificate(&before).await;
    secrets.put(&before.server(), &before.pem(), &tokens(&[OLD]));
    program.reload(REPLACED, "certificates").await;
    assert_ne!(program.certificate(&before).await, first);
    load.goes_on().await;

    // Another authority of callers beside the one before.
    let other = after.client(&[ORDERS]);
    let stranger = || call(channel(program.address, &before, Some(&other)), OLD);
    assert!(stranger().await.is_err());
    let server = before.server();
    let both = before.pem() + &after.pem();
    secrets.put(&server, &both, &tokens(&[OLD]));
    program.reload(REPLACED, "certificates").await;
    let stranger = call(channel(program.address, &before, Some(&other)), OLD);
    assert_eq!(stranger.await, Ok(()));
    load.goes_on().await;

    // A new token beside the old one, and then alone.
    secrets.put(&server, &both, &tokens(&[OLD, NEW]));
    program.reload(REPLACED, "tokens").await;
    load.use_token(NEW);
    load.goes_on().await;
    secrets.put(&server, &both, &tokens(&[NEW]));
    program.reload(REPLACED, "tokens").await;
    assert_eq!(call(settled.clone(), OLD).await, Err(Code::Unauthenticated));
    load.goes_on().await;
    load.end().await;

    // The authority before is gone. Who is connected stays, and nobody comes by it any more.
    secrets.put(&server, &after.pem(), &tokens(&[NEW]));
    program.reload(REPLACED, "certificates").await;
    assert_eq!(call(settled, NEW).await, Ok(()));
    let gone = before.client(&[ORDERS]);
    let gone = call(channel(program.address, &before, Some(&gone)), NEW);
    assert!(gone.await.is_err());
    let stranger = call(channel(program.address, &before, Some(&other)), NEW);
    assert_eq!(stranger.await, Ok(()));
    program.ended(&secrets).await;
}

#[tokio::test]
async fn what_cannot_be_used_keeps_what_was_there_and_is_told_once() {
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
    // They are read again beside what is new, and nothing is told of them.
    secrets.put(
        &authority.server(),
        &authority.pem(),
        "orders correct-horse\n",
    );
    program.reload(REPLACED, "certificates").await;
    secrets.put(&server, &authority.pem(), &tokens(&[NEW]));
    program.reload(REPLACED, "tokens").await;

    let ended = channel(program.address, &authority, Some(&client));
    assert_eq!(call(ended, NEW).await, Ok(()));
    let log = program.ended(&secrets).await;
    assert_eq!(log.matches(KEPT).count(), 4, "{log}");
}

#[tokio::test]
async fn files_are_read_anew_without_being_asked() {
    let authority = Authority::new();
    let secrets = Secrets::new(&authority.server(), &authority.pem(), &tokens(&[OLD]));
    let mut program = Running::serve(&secrets).await;

    secrets.put(&authority.server(), &authority.pem(), &tokens(&[NEW]));

    let mut replaced = [
        program.program.line(REPLACED).await["what"].take(),
        program.program.line(REPLACED).await["what"].take(),
    ];
    // The second may have been read before the files were there, and the first after.
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

    let server = Server::bind(&settings, client, None).await.unwrap();

    let printed = format!("{settings:?} {server:?}");
    assert_eq!(secrets.found_in(&printed), None);
    let key = fs::read_to_string(secrets.path("key.pem")).unwrap();
    assert!(secrets.found_in(&key).is_some() && secrets.found_in(&digest(OLD)).is_some());
}

/// A folder of files, mounted as Kubernetes mounts a secret: all are replaced at once, by a link.
struct Secrets {
    folder: TempDir,
    versions: Mutex<u32>,
    /// How parts of all keys that were there would look.
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

    /// Returns the flags of a service that takes them from here.
    fn flags(&self) -> [String; 4] {
        let flags = [
            ("--tls-cert", "cert.pem"),
            ("--tls-key", "key.pem"),
            ("--tls-client-ca", "ca.pem"),
            ("--tokens-file", "tokens"),
        ];
        flags.map(|(flag, name)| format!("{flag}={}", self.path(name).display()))
    }

    /// Returns a token, the digest of one, or a part of a key that is in a text.
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

/// The program, which wants certificates and tokens.
struct Running {
    program: Program,
    address: SocketAddr,
}

impl Running {
    async fn serve(secrets: &Secrets) -> Self {
        let flags = secrets.flags();
        let flags = flags.each_ref().map(String::as_str);
        let (program, addresses) =
            Program::serve(&[&["--emulate"], &flags[..]].concat(), &LOUD).await;
        let address = addresses.grpc;
        Self { program, address }
    }

    /// Has the files read, and returns what is told of these.
    async fn reload(&mut self, message: &str, what: &str) -> String {
        self.program.signal("HUP").await;
        loop {
            let line = self.program.line(message).await;
            if line["what"] == what {
                return line.to_string();
            }
        }
    }

    /// Returns the certificate that new connections see.
    async fn certificate(&self, authority: &Authority) -> CertificateDer<'static> {
        let stream = open(self.address, authority.connector(&[&TLS13])).await;
        let certificates = stream.get_ref().1.peer_certificates().unwrap();
        certificates[0].clone().into_owned()
    }

    /// Ends the program, and returns its log, which is loud, and has none of the secrets in it.
    async fn ended(self, secrets: &Secrets) -> String {
        let log = self.program.ended_without(&[]).await;
        assert_eq!(secrets.found_in(&log), None);
        log
    }
}

/// Returns the lines of these tokens.
fn tokens(tokens: &[&str]) -> String {
    let lines = tokens
        .iter()
        .map(|token| format!("orders {}\n", digest(token)));
    lines.collect()
}
