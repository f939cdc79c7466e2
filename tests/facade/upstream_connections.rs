//! Whom the service believes to be upstream.

use tonic::Code;

use crate::{
    encryption::Encrypted,
    harness::{Facade, error_info, group, start_emulator},
};

#[tokio::test]
async fn an_endpoint_is_trusted_by_an_extra_authority() {
    let emulator = start_emulator().await;
    let tls = Encrypted::start(emulator.address(), "localhost", "http/1.1").await;
    let flags = [
        "--endpoint",
        &tls.endpoint,
        "--upstream-ca",
        tls.authority(),
    ];
    let facade = Facade::start_before(emulator, &flags).await;

    facade.client().get_group_info(group("aaa")).await.unwrap();

    assert!(tls.endpoint.ends_with(&facade.emulator.calls()[0].host));
}

#[tokio::test]
async fn an_endpoint_that_is_not_trusted_is_not_called() {
    let emulator = start_emulator().await;
    // Of any authority, so that a machine without authorities of its own can start.
    let other = Encrypted::start(emulator.address(), "localhost", "http/1.1").await;
    let tls = Encrypted::start(emulator.address(), "localhost", "http/1.1").await;
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
    assert!(facade.emulator.calls().is_empty());
}
