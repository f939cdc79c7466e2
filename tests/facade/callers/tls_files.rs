//! Error messages of unusable certificates and private keys.

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use tempfile::TempDir;

use crate::harness::{
    Program,
    authority::{Authority, Issued},
    errors, run,
};

const ENCRYPTED: &str = "the private key is encrypted, which is not supported; decrypt it \
    with: openssl pkey -in FILE -out key.pem";

#[tokio::test]
async fn an_unusable_certificate_or_key_is_named_with_the_remedy() {
    let authority = Authority::new();
    let (server, other) = (authority.server(), authority.server());
    let folder = tempfile::tempdir().unwrap();
    let cert = fs::read_to_string(&server.cert).unwrap();
    let key = fs::read_to_string(&server.key).unwrap();
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let older = key.replace("PRIVATE KEY", "EC PRIVATE KEY").replacen(
        "KEY-----\n",
        "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n",
        1,
    );
    let file = |name, content: &[u8]| file(&folder, name, content);
    let (encrypted, older) = (
        file("encrypted.pem", encrypted.as_bytes()),
        file("older.pem", older.as_bytes()),
    );
    let empty = file("empty.pem", b"");
    let (cert_der, key_der) = (file("cert.der", &der(&cert)), file("key.der", &der(&key)));

    let cases = [
        (&server.cert, &encrypted, ENCRYPTED),
        (&server.cert, &older, ENCRYPTED),
        (&server.key, &server.key, "it has a private key section"),
        (&server.cert, &server.cert, "it has a certificate section"),
        (
            &server.cert,
            &other.key,
            "the private key does not belong to the certificate",
        ),
        (
            &cert_der,
            &server.key,
            "openssl x509 -inform DER -in FILE -out cert.pem",
        ),
        (
            &server.cert,
            &key_der,
            "openssl pkey -inform DER -in FILE -out key.pem",
        ),
        (&empty, &server.key, "the file is empty"),
        (&server.cert, &empty, "the file is empty"),
    ];
    let secrets = server.key_forms();
    for (cert, key, words) in cases {
        let (program, client) = ([cert, key], [cert.as_str(), key]);
        let flags = [
            "serve",
            "--emulate",
            "--tls-cert",
            program[0],
            "--tls-key",
            program[1],
        ];
        let shown = ["--cert", client[0], "--key", client[1]];
        let probe = ["probe", "--address", "https://localhost:1"];
        for (arguments, code) in [(&flags[..], 64), (&[&probe[..], &shown].concat(), 1)] {
            let output = run(arguments, &[]).await;
            let text = errors(&output);
            assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
            assert!(text.contains(words), "{arguments:?}: {text}");
            assert!(
                !secrets.iter().any(|secret| text.contains(secret)),
                "{text}"
            );
        }
    }

    // CA files of upstream and of clients.
    for (ca, words) in [(&empty, "the file is empty"), (&cert_der, "-inform DER")] {
        let probe = ["probe", "--address", "https://localhost:1", "--ca", ca];
        let output = run(&probe, &[]).await;
        assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
        assert!(errors(&output).contains(words), "{}", errors(&output));
    }
}

#[tokio::test]
async fn a_ca_certificate_from_openssl_is_explained_with_the_right_command() {
    const FAULT: &str =
        "the certificate is that of a certificate authority (basicConstraints CA:TRUE)";
    const COMMAND: &str = "make one for the server with: openssl req -x509 -newkey rsa:2048 -nodes \
        -days 90 -keyout server-key.pem -out server.pem -subj /CN=server \
        -addext subjectAltName=DNS:localhost -addext basicConstraints=CA:FALSE\n";
    let authority = Authority::new();
    let ours = authority.self_signed_authority();
    let call = ["call", "get-group-info", "--group-id", "aaa"];

    let (program, address) = serve(&ours, &[]).await;
    for command in [&["probe"][..], &call] {
        let flags = ["--address", &address, "--ca", &ours.cert];
        let output = run(&[command, &flags].concat(), &[]).await;
        let text = errors(&output);
        assert!(!output.status.success() && text.contains(FAULT), "{text}");
        assert!(text.ends_with(COMMAND), "{text}");
    }
    drop(program);

    // For the client authority, the error is about the client's certificate.
    let (mut program, address) = serve(&authority.server(), &["--tls-client-ca", &ours.cert]).await;
    let ca = authority.path();
    for command in [&["probe"][..], &call] {
        let flags = ["--address", &address, "--ca", &ca];
        let shown = ["--cert", &ours.cert, "--key", &ours.key];
        let output = run(&[command, &flags, &shown].concat(), &[]).await;
        let text = errors(&output);
        assert!(!output.status.success() && text.contains(FAULT), "{text}");
        assert!(
            text.contains("make one for the client with: openssl req"),
            "{text}"
        );
    }
    let line = program.line("TLS handshakes failed").await;
    assert_eq!(line["error.type"], "client certificate: bad certificate");
    let error = line["error.message"].as_str().unwrap();
    assert!(
        error.contains(FAULT) && error.ends_with("basicConstraints=CA:FALSE"),
        "{line}"
    );
}

async fn serve(server: &Issued, flags: &[&str]) -> (Program, String) {
    let tls = [
        "--emulate",
        "--tls-cert",
        &server.cert,
        "--tls-key",
        &server.key,
    ];
    let (program, addresses) = Program::serve(&[&tls, flags].concat(), &[]).await;
    (
        program,
        format!("https://localhost:{}", addresses.grpc.port()),
    )
}

fn file(folder: &TempDir, name: &str, content: &[u8]) -> String {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    Path::to_str(&path).unwrap().to_owned()
}

/// Returns the contents of a PEM file.
fn der(pem: &str) -> Vec<u8> {
    let lines = pem.lines().filter(|line| !line.starts_with('-'));
    BASE64_STANDARD.decode(lines.collect::<String>()).unwrap()
}
