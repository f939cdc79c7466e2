//! Vendor names: all variables, paths, addresses and fields, compared with a list made from the
//! vendor's SDKs.

use std::{
    collections::BTreeSet,
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use iai_emulator::{Account, Action, Emulator, Fault, FaultKind};
use iai_facade::{
    clock::Clock,
    credentials::{Credential, Credentials, ProviderContext, Unavailable},
};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::harness::{DeadUpstream, settings, start_emulator};

const PAIR: [&str; 2] = ["TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY"];

const LIST: &str = include_str!("../../data/vendor_credentials.csv");

#[tokio::test]
async fn the_variables_and_files_that_are_read_are_those_of_the_vendor() {
    let dead_upstream = DeadUpstream::new();
    let metadata = format!("http://{}", dead_upstream.address());
    let requested = Arc::new(Mutex::new(BTreeSet::new()));
    let context = |set: &'static [&str]| {
        let requested = Arc::clone(&requested);
        ProviderContext::new(move |name| {
            requested.lock().unwrap().insert(name.to_owned());
            set.contains(&name).then(|| "/nowhere".to_owned())
        })
    };
    let flags = ["--metadata-endpoint", &metadata];

    let report = start(&flags, context(&["HOME"])).await.unwrap_err();
    start(&flags, context(&PAIR)).await.unwrap();

    let vendors = names("variable");
    let requested = requested.lock().unwrap();
    let differing: Vec<_> = requested.symmetric_difference(&vendors).collect();
    assert!(
        differing.is_empty(),
        "{differing:?} is only read or only listed"
    );
    for path in names("path") {
        let path = path.replace('~', "/nowhere");
        assert!(
            report.to_string().contains(&path),
            "{path} is not in: {report}"
        );
    }
}

#[tokio::test]
async fn the_entries_of_a_profile_are_those_of_the_vendor() {
    let home = TempDir::new().unwrap();
    fs::create_dir(home.path().join(".tencentcloud")).unwrap();
    let names: Vec<_> = rows("profile").collect();
    let text = format!(
        "[{}]\n{} = AKIDprofile\n{} = key\n",
        names[0], names[1], names[2]
    );
    fs::write(home.path().join(".tencentcloud/credentials"), text).unwrap();
    let home = home.path().to_str().unwrap().to_owned();
    let context = ProviderContext::new(move |name| (name == "HOME").then(|| home.clone()));

    let credentials = start(&["--credentials", "profile"], context).await.unwrap();

    let expected = Credential::new("AKIDprofile".to_owned(), "key".to_owned(), None).unwrap();
    assert_eq!(*credentials.current().await.unwrap(), expected);
}

#[tokio::test]
async fn sent_addresses_and_parameters_are_those_of_the_vendor() {
    let emulator = start_emulator().await;
    emulator.set_instance_role(Some("iai-reader"));
    let folder = TempDir::new().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "emulator-web-identity").unwrap();
    let token = token.to_str().unwrap().to_owned();
    let arn = "qcs::cam::uin/1:roleName/iai";

    let both = ["--role-arn", arn, "--credentials", "instance-role"];
    start(&at(&emulator, &both), ProviderContext::new(|_| None))
        .await
        .unwrap();
    let context = ProviderContext::new(move |name| match name {
        "TKE_REGION" => Some("ap-shanghai".to_owned()),
        "TKE_PROVIDER_ID" => Some("cls-example".to_owned()),
        "TKE_WEB_IDENTITY_TOKEN_FILE" => Some(token.clone()),
        "TKE_ROLE_ARN" => Some(arn.to_owned()),
        _ => None,
    });
    start(&at(&emulator, &["--credentials", "web-identity"]), context)
        .await
        .unwrap();

    let calls = emulator.requests();
    let [role, credential, assumed, identified] = calls.try_into().unwrap();
    let usual = settings(&[]).credentials;
    let sent: BTreeSet<_> = [
        usual
            .metadata_endpoint
            .url()
            .join(&role.path)
            .unwrap()
            .to_string(),
        usual
            .sts_endpoint
            .url()
            .join(&assumed.path)
            .unwrap()
            .to_string(),
    ]
    .into();
    assert_eq!(sent, names("url"));
    assert_eq!(credential.path, format!("{}iai-reader", role.path));
    assert_eq!(assumed.signed_service.as_deref(), Some("sts"));
    assert_eq!(identified.signed_service, None);
    for (call, region) in [(assumed, "ap-guangzhou"), (identified, "ap-shanghai")] {
        let parameters = call.parameters.as_object().unwrap().keys().cloned();
        assert_eq!(
            parameters.collect::<BTreeSet<_>>(),
            names(&call.action),
            "{}",
            call.action
        );
        assert_eq!(BTreeSet::from([call.version]), names("version"));
        assert_eq!(call.region.as_deref(), Some(region));
        assert_eq!(call.parameters["DurationSeconds"], 7_200);
    }
}

#[tokio::test]
async fn the_parsed_fields_are_those_of_the_vendor() {
    let value = |name: &str| match name {
        "Code" => json!("Success"),
        "ExpiredTime" => json!(u32::MAX),
        name => json!(format!("the-{name}")),
    };
    let object = |kind| {
        rows(kind)
            .map(|name| (name.to_owned(), value(name)))
            .collect::<Map<_, _>>()
    };
    let page = Value::Object(object("instance role")).to_string();
    let response = json!({"Response": {
        "Credentials": object("sts response"), "ExpiredTime": u32::MAX, "RequestId": "r",
    }});
    let emulator = start_emulator().await;
    emulator.set_instance_role(Some("iai-reader"));
    let delay = Fault::from(FaultKind::Delay(Duration::ZERO)).on(Action::SecurityCredentials);
    let expected = ["the-TmpSecretId", "the-TmpSecretKey", "the-Token"].map(str::to_owned);
    let [id, key, token] = expected;
    let expected = Credential::new(id, key, Some(token)).unwrap();

    // The first request is for the role name.
    emulator.script(delay);
    emulator.script(Fault::from(FaultKind::response(page)).on(Action::SecurityCredentials));
    let flags = at(&emulator, &["--credentials", "instance-role"]);
    let credentials = start(&flags, ProviderContext::new(|_| None)).await.unwrap();
    assert_eq!(*credentials.current().await.unwrap(), expected);

    emulator.script(Fault::from(FaultKind::response(response.to_string())).on(Action::AssumeRole));
    let account = Account::default();
    let context = ProviderContext::new(move |name| match name {
        "TENCENTCLOUD_SECRET_ID" => Some(account.secret_id().to_owned()),
        "TENCENTCLOUD_SECRET_KEY" => Some(account.secret_key().to_owned()),
        _ => None,
    });
    let flags = at(&emulator, &["--role-arn", "qcs::cam::uin/1:roleName/iai"]);
    let credentials = start(&flags, context).await.unwrap();
    assert_eq!(*credentials.current().await.unwrap(), expected);
}

async fn start(
    flags: &[impl AsRef<str>],
    context: ProviderContext,
) -> Result<Credentials, Unavailable> {
    let flags: Vec<_> = flags.iter().map(AsRef::as_ref).collect();
    let settings = settings(&flags);
    let clock = Clock::system();
    Credentials::start(&settings.credentials, &settings.upstream, context, clock).await
}

/// Returns flags that point to an emulator, and other flags.
fn at(emulator: &Emulator, flags: &[&str]) -> Vec<String> {
    let endpoint = emulator.endpoint();
    let ours = [
        "--sts-endpoint",
        &endpoint,
        "--metadata-endpoint",
        &endpoint,
    ];
    ours.iter()
        .chain(flags)
        .map(|flag| (*flag).to_owned())
        .collect()
}

fn names(kind: &str) -> BTreeSet<String> {
    rows(kind).map(str::to_owned).collect()
}

fn rows(kind: &str) -> impl Iterator<Item = &'static str> {
    LIST.lines().filter_map(move |line| {
        let mut cells = line.split(',');
        (cells.next() == Some(kind)).then(|| cells.next().unwrap())
    })
}
