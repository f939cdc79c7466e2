//! gRPC health checking: `Check` and `Watch`, also during shutdown.

use iai_facade::server::shutdown::Signal;
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::harness::Facade;

const SERVICE: &str = "iaifacade.v1.FaceRecognitionService";

#[tokio::test]
async fn the_server_and_its_service_are_serving() {
    let facade = Facade::start().await;
    let mut health = HealthClient::new(facade.channel());

    for name in ["", SERVICE] {
        let response = health.check(asking(name)).await.unwrap().into_inner();
        assert_eq!(response.status(), ServingStatus::Serving, "{name}");
    }
    let unknown = health.check(asking("another.Service")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn a_health_watch_sees_the_shutdown_and_does_not_delay_it() {
    let facade = Facade::start().await;
    let mut health = HealthClient::new(facade.channel());
    let mut watched = Vec::new();
    for name in ["", SERVICE] {
        let mut stream = health.watch(asking(name)).await.unwrap().into_inner();
        let first = stream.message().await.unwrap().unwrap();
        assert_eq!(first.status(), ServingStatus::Serving);
        watched.push(stream);
    }

    facade.begin_shutdown();

    for mut stream in watched {
        let last = stream.message().await.unwrap().unwrap();
        assert_eq!(last.status(), ServingStatus::NotServing);
        assert!(stream.message().await.unwrap().is_none());
    }
    facade.stopped().await;
}

#[tokio::test]
async fn an_unknown_service_name_can_be_watched() {
    let facade = Facade::start().await;
    let mut health = HealthClient::new(facade.channel());

    let stream = health.watch(asking("another.Service")).await.unwrap();

    let mut stream = stream.into_inner();
    let first = stream.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);
    // The response to the check follows any end of the stream on the same connection.
    let next = tokio::spawn(async move { stream.message().await });
    health.check(asking("")).await.unwrap();
    assert!(!next.is_finished());
    facade.begin_shutdown();
    assert!(next.await.unwrap().unwrap().is_none());
    facade.stopped().await;
}

#[tokio::test]
async fn health_is_not_serving_during_the_delay_and_watches_end_after_it() {
    let facade = Facade::start_with(&["--unready-delay", "1h"]).await;
    let mut health = HealthClient::new(facade.channel());
    let mut stream = health.watch(asking("")).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);

    facade.begin_shutdown();

    let next = stream.message().await.unwrap().unwrap();
    assert_eq!(next.status(), ServingStatus::NotServing);
    let response = health.check(asking(SERVICE)).await.unwrap().into_inner();
    assert_eq!(response.status(), ServingStatus::NotServing);
    let mut late = health.watch(asking(SERVICE)).await.unwrap().into_inner();
    let only = late.message().await.unwrap().unwrap();
    assert_eq!(only.status(), ServingStatus::NotServing);
    facade.signal(Signal::Terminate);
    assert!(stream.message().await.unwrap().is_none());
    assert!(late.message().await.unwrap().is_none());
    facade.stopped().await;
}

fn asking(name: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: name.to_owned(),
    }
}
