//! `grpc.health.v1`, and what becomes of those who watch it.

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
        let answer = health.check(asking(name)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{name}");
    }
    let unknown = health.check(asking("another.Service")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn who_watches_the_health_sees_it_end_and_holds_up_nothing() {
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
async fn a_name_that_is_unknown_can_be_watched() {
    let facade = Facade::start().await;
    let mut health = HealthClient::new(facade.channel());

    let stream = health.watch(asking("another.Service")).await.unwrap();

    let mut stream = stream.into_inner();
    let first = stream.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);
    // The check is answered on the same connection, after an end of the stream would have been told.
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
    let answer = health.check(asking(SERVICE)).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::NotServing);
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
