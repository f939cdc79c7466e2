//! `grpc.health.v1`, and what becomes of those who watch it.

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
    let mut facade = Facade::start().await;
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

fn asking(name: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: name.to_owned(),
    }
}
