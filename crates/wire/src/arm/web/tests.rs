//! Paths of Microsoft.Web, and what of a configuration is kept.

use super::{super::said::Said, *};
use serde_json::{Value, json};

fn group() -> Level {
    Level::Group(ResourceGroupName::parse("shop").unwrap())
}

fn said(json: Value) -> Said {
    serde_json::from_value(json).unwrap()
}

fn site(method: &Method, rest: &str) -> Option<SiteOperation> {
    let rest: Vec<&str> = rest.split('/').filter(|segment| !segment.is_empty()).collect();
    let whole = [&["sites", "Web"], rest.as_slice()].concat();
    match WebOperation::route(method, &group(), &whole).ok()? {
        WebOperation::Site(_, name, operation) => {
            assert_eq!(name.as_str(), "Web");
            Some(operation)
        }
        _ => None,
    }
}

#[test]
fn words_of_paths_are_the_same_in_any_case() {
    let (get, put, post) = (&Method::GET, &Method::PUT, &Method::POST);
    assert_eq!(site(put, ""), Some(SiteOperation::Put));
    assert_eq!(site(&Method::PATCH, "Config/Web"), Some(SiteOperation::ChangeWeb));
    assert_eq!(site(post, "config/appSettings/list"), Some(SiteOperation::ListSettings));
    assert_eq!(site(get, "config/slotConfigNames"), Some(SiteOperation::GetSlotNames));
    assert_eq!(site(get, "basicPublishingCredentialsPolicies/SCM"), Some(SiteOperation::GetBasic("scm")));
    assert_eq!(site(get, "deploymentStatus/AB"), Some(SiteOperation::DeploymentStatus("ab".to_owned())));
    // Values are read by who may list them, and by no GET.
    for (method, path) in [
        (get, "config/appsettings"),
        (get, "config/appsettings/list"),
        (get, "config/publishingcredentials/list"),
        (post, "config/web"),
        (get, "basicPublishingCredentialsPolicies/other"),
        (post, ""),
        (get, "extensions/onedeploy"),
    ] {
        assert_eq!(site(method, path), None, "{method} {path}");
    }
    let tenant = WebOperation::route(get, &Level::Tenant, &["webappstacks"]);
    assert!(matches!(tenant, Ok(WebOperation::Stacks)));
    assert!(WebOperation::route(get, &Level::Tenant, &["sites"]).is_err());
    assert!(WebOperation::route(get, &Level::Subscription, &["sites", "web"]).is_err());
    let all = WebOperation::route(get, &Level::Subscription, &["serverFarms"]);
    assert!(matches!(all, Ok(WebOperation::Plans(None))));
}

#[test]
fn what_is_said_is_told_again_and_what_is_not_known_is_dropped() {
    let body = json!({
        "LinuxFxVersion": "PYTHON|3.12",
        "alwaysOn": true,
        "phpVersion": null,
        "azureStorageAccounts": {"a": {"accessKey": "hunter2"}},
    });
    let values = config::read(config::WEB, &said(body)).unwrap();
    assert_eq!(values.len(), 2);
    let site = host::Site {
        values: values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        ..host::Site::default()
    };
    let told = config::web(&site, None);
    assert_eq!((&told["linuxFxVersion"], &told["alwaysOn"]), (&json!("PYTHON|3.12"), &json!(true)));
    assert_eq!((&told["numberOfWorkers"], &told["appCommandLine"]), (&json!(1), &json!("")));
    assert!(!told.to_string().contains("hunter2"));
    assert!(config::read(config::WEB, &said(json!({"alwaysOn": "yes"}))).is_err());
    // Everything that can be kept fits.
    const { assert!(config::KEPT <= domain::limits::SITE_VALUES_MAX) };
}

#[test]
fn what_would_be_relied_on_and_is_not_so_is_refused() {
    let everybody =
        json!({"ipAddress": "Any", "action": "Allow", "priority": 2_147_483_647, "name": "Allow all"});
    let network = json!({"ipAddress": "10.0.0.0/8", "action": "Allow"});
    for (group, sound) in [
        (
            config::SITE,
            json!({"publicNetworkAccess": "Enabled", "clientCertEnabled": false, "enabled": true}),
        ),
        (
            config::SITE,
            json!({"publicNetworkAccess": null, "clientCertMode": "Optional", "hostNamesDisabled": false}),
        ),
        (config::WEB, json!({"ipSecurityRestrictions": [everybody], "scmIpSecurityRestrictions": []})),
        (
            config::WEB,
            json!({"ipSecurityRestrictionsDefaultAction": "allow", "cors": {"allowedOrigins": []}}),
        ),
        (
            config::WEB,
            json!({"minTlsVersion": "1.0", "scmMinTlsVersion": "1.2", "linuxFxVersion": "NODE|20-lts"}),
        ),
    ] {
        assert!(config::read(group, &said(sound.clone())).is_ok(), "{sound}");
    }
    for (group, wrong) in [
        (config::SITE, json!({"publicNetworkAccess": "Disabled"})),
        (config::SITE, json!({"PublicNetworkAccess": false})),
        (config::SITE, json!({"clientCertEnabled": true})),
        (config::SITE, json!({"enabled": false})),
        (config::SITE, json!({"hostNamesDisabled": true})),
        (config::WEB, json!({"publicNetworkAccess": "Disabled"})),
        (config::WEB, json!({"ipSecurityRestrictions": [everybody, network]})),
        (config::WEB, json!({"ipSecurityRestrictions": [{"ipAddress": "Any", "action": "Deny"}]})),
        (config::WEB, json!({"ipSecurityRestrictions": {}})),
        (config::WEB, json!({"scmIpSecurityRestrictions": [{"ipAddress": "10.0.0.1/32", "action": "Deny"}]})),
        (config::WEB, json!({"ipSecurityRestrictionsDefaultAction": "Deny"})),
        (config::WEB, json!({"scmIpSecurityRestrictionsDefaultAction": "Deny"})),
        (config::WEB, json!({"cors": {"allowedOrigins": ["https://a.example"]}})),
        (config::WEB, json!({"minTlsVersion": "1.3"})),
        (config::WEB, json!({"scmMinTlsVersion": "9.9"})),
        (config::WEB, json!({"linuxFxVersion": "docker|nginx"})),
        (config::WEB, json!({"linuxFxVersion": "sitecontainers"})),
        (config::WEB, json!({"windowsFxVersion": "DOCKER|mcr.example/iis"})),
    ] {
        assert!(config::read(group, &said(wrong.clone())).is_err(), "{wrong}");
    }
}

#[test]
fn a_level_of_logs_may_be_said_by_whether_there_is_one() {
    for (is_on, level) in [(json!(true), "Error"), (json!(false), "Off"), (json!("Verbose"), "Verbose")] {
        let body = json!({"applicationLogs": {"fileSystem": {"level": is_on}}});
        let values = config::read(config::LOGS, &said(body)).unwrap();
        let site = host::Site {
            values: values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
            ..host::Site::default()
        };
        let told = Value::Object(config::told(config::LOGS, &site));
        assert_eq!(told["applicationLogs"]["fileSystem"]["level"], level, "{told}");
    }
}

#[test]
fn settings_of_a_body_are_secrets_from_the_parser_on() {
    let body = said(json!({
        "appSettings": [{"name": "KEY", "value": "hunter2"}, {"name": "KEPT", "value": "@Keyless.Secret(KEPT)"}],
        "connectionStrings": [{"name": "DB", "connectionString": "hunter2", "type": "SQLAzure"}],
    }));
    let settings = settings::of_config(&body).unwrap();
    assert!(!format!("{body:?} {settings:?}").contains("hunter2"));
    let told = |one: &host::WantedSetting| {
        (one.name.clone(), one.value.as_ref().map(|value| value.expose().clone()))
    };
    let all: Vec<_> = settings.kinds().iter().flat_map(|(wanted, _)| *wanted).map(told).collect();
    let hunter = Some("hunter2".to_owned());
    let expected = [("KEY", hunter.clone()), ("KEPT", None), ("SQLAZURECONNSTR_DB", hunter)];
    assert_eq!(all, expected.map(|(name, value)| (name.to_owned(), value)));
    for bad in [
        json!({"appSettings": [{"name": "A", "value": ["hunter2"]}]}),
        json!({"appSettings": [{"value": "hunter2"}]}),
        json!({"appSettings": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}),
        json!({"appSettings": [{"name": "SQLCONNSTR_A", "value": "1"}]}),
        json!({"appSettings": {"A": "1"}}),
        json!({"connectionStrings": [{"name": "A", "connectionString": "1", "type": "Other"}]}),
        json!({"connectionStrings": [{"name": "A"}]}),
    ] {
        assert!(settings::of_config(&said(bad.clone())).is_err(), "{bad}");
    }
}
