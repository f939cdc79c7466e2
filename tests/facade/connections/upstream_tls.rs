//! TLS verification of the upstream endpoint.

use tonic::Code;

use crate::harness::{Facade, error_info, group, start_emulator, tls_proxy::TlsProxy};

#[tokio::test]
async fn an_endpoint_of_an_additional_authority_is_trusted() {
    let emulator = start_emulator().await;
    let tls = TlsProxy::start(emulator.address(), "localhost", "http/1.1").await;
    let flags = [
        "--endpoint",
        &tls.endpoint,
        "--upstream-ca",
        tls.authority(),
    ];
    let facade = Facade::start_before(emulator, &flags).await;

    facade.client().get_group_info(group("aaa")).await.unwrap();

    assert!(tls.endpoint.ends_with(&facade.emulator.requests()[0].host));
}

#[tokio::test]
async fn an_untrusted_endpoint_receives_no_request() {
    let emulator = start_emulator().await;
    // Any authority will do; without one, the service cannot start on a machine without root certificates.
    let other = TlsProxy::start(emulator.address(), "localhost", "http/1.1").await;
    let tls = TlsProxy::start(emulator.address(), "localhost", "http/1.1").await;
    let flags = [
        "--endpoint",
        &tls.endpoint,
        "--upstream-ca",
        other.authority(),
    ];
    let facade = Facade::start_before(emulator, &flags).await;

    let status = facade
        .client()
        .get_group_info(group("aaa"))
        .await
        .unwrap_err();

    assert_eq!(status.code(), Code::Internal);
    assert_eq!(error_info(&status).reason, "UPSTREAM_RESPONSE_INVALID");
    assert!(facade.emulator.requests().is_empty());
}
