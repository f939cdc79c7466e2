//! Whom the service believes to be upstream.

use tonic::Code;

use crate::{
    encryption::encrypted,
    harness::{Facade, error_info, group, start_emulator},
};

#[tokio::test]
async fn an_endpoint_is_trusted_by_an_extra_authority() {
    let emulator = start_emulator().await;
    let (endpoint, authority) = encrypted(emulator.address(), "localhost", "http/1.1").await;
    let file = authority.path().to_str().unwrap();
    let flags = ["--endpoint", &endpoint, "--upstream-ca", file];
    let facade = Facade::start_before(emulator, &flags).await;

    facade.client().get_group_info(group("aaa")).await.unwrap();

    assert!(endpoint.ends_with(&facade.emulator.calls()[0].host));
}

#[tokio::test]
async fn an_endpoint_that_is_not_trusted_is_not_called() {
    let names = [("localhost", false), ("other.example", true)];

    for (name, has_authority) in names {
        let emulator = start_emulator().await;
        let (endpoint, authority) = encrypted(emulator.address(), name, "http/1.1").await;
        // Any authority, so that a machine without authorities of its own can start.
        let other = encrypted(emulator.address(), name, "http/1.1").await.1;
        let file = if has_authority { &authority } else { &other };
        let flags = [
            "--endpoint",
            &endpoint,
            "--upstream-ca",
            file.path().to_str().unwrap(),
        ];
        let facade = Facade::start_before(emulator, &flags).await;

        let status = facade
            .client()
            .get_group_info(group("aaa"))
            .await
            .unwrap_err();

        assert_eq!(status.code(), Code::Internal, "{name}");
        let reason = error_info(&status).reason;
        assert_eq!(reason, "UPSTREAM_RESPONSE_INVALID", "{name}");
        assert!(facade.emulator.calls().is_empty());
    }
}
