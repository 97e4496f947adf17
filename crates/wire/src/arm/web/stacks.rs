//! What a client asks before it makes an app: which runtimes there are, and whether a name is free.

use super::super::{Asked, answer, error::ArmError, list as listed, said, said::Said};
use access::Manager;
use axum::{body::Body, response::Response};
use domain::AppName;
use host::HostError;
use http::StatusCode;
use serde_json::{Map, Value, json};

/// A runtime that clients may name. Which one really runs is what the package says and the machine has.
struct Stack {
    name: &'static str,
    text: &'static str,
    /// What its versions are called, for Linux and for Windows.
    versions: &'static [(&'static str, &'static str, &'static str)],
}

const STACKS: [Stack; 3] = [
    Stack {
        name: "python",
        text: "Python",
        versions: &[
            ("3.14", "PYTHON|3.14", ""),
            ("3.13", "PYTHON|3.13", ""),
            ("3.12", "PYTHON|3.12", ""),
            ("3.11", "PYTHON|3.11", ""),
            ("3.10", "PYTHON|3.10", ""),
        ],
    },
    Stack {
        name: "node",
        text: "Node",
        versions: &[
            ("24 LTS", "NODE|24-lts", "~24"),
            ("22 LTS", "NODE|22-lts", "~22"),
            ("20 LTS", "NODE|20-lts", "~20"),
        ],
    },
    // Whatever else a package starts.
    Stack { name: "custom", text: "Custom", versions: &[("1.0", "CUSTOM|1.0", "1.0")] },
];

/// `webAppStacks`.
pub(super) async fn list(asked: &Asked<'_>) -> Result<Response, ArmError> {
    known(asked, "Microsoft.Web/webAppStacks/read").await?;
    listed(asked, STACKS.iter().map(shown).collect())
}

fn shown(stack: &Stack) -> Value {
    let settings = |version: &str| {
        json!({
            "runtimeVersion": version,
            "remoteDebuggingSupported": false,
            "appInsightsSettings": {"isSupported": false, "isDefaultOff": true},
            "gitHubActionSettings": {"isSupported": false},
            "isPreview": false,
            "isDeprecated": false,
            "isHidden": false,
            "isAutoUpdate": false,
            "isEarlyAccess": false,
        })
    };
    let versions = stack.versions.iter().map(|(version, linux, windows)| {
        let text = format!("{} {version}", stack.text);
        let mut of_version = Map::new();
        of_version.insert("linuxRuntimeSettings".to_owned(), settings(linux));
        if !windows.is_empty() {
            of_version.insert("windowsRuntimeSettings".to_owned(), settings(windows));
        }
        json!({
            "displayText": text,
            "value": version,
            "minorVersions": [{"displayText": text, "value": version, "stackSettings": of_version}],
        })
    });
    json!({
        "id": format!("/providers/Microsoft.Web/webAppStacks/{}", stack.name),
        "name": stack.name,
        "type": "Microsoft.Web/webAppStacks",
        "properties": {
            "displayText": stack.text,
            "value": stack.name,
            "preferredOs": "linux",
            "majorVersions": versions.collect::<Vec<_>>(),
        },
    })
}

/// `checknameavailability`: names of apps are one space for the installation.
pub(super) async fn check_name(asked: &Asked<'_>, body: Body) -> Result<Response, ArmError> {
    known(asked, "Microsoft.Web/checknameavailability/read").await?;
    let whole = said(body).await?;
    let Some(text) = whole.member("name").and_then(Said::text) else {
        return Err(ArmError::bad_content("The name is missing."));
    };
    if whole.member("type").is_some_and(|kind| kind.text().is_none()) {
        return Err(ArmError::bad_content("The property \"type\" is no string."));
    }
    if whole.member("isFqdn").is_some_and(|is| is.flag().is_none()) {
        return Err(ArmError::bad_content("The property \"isFqdn\" is no boolean."));
    }
    let said = match AppName::parse(text) {
        Err(error) => unavailable("Invalid", &error.to_string()),
        Ok(name) => match asked.state.host.app(Manager::Administrator, &name).await {
            Ok(_) => unavailable(
                "AlreadyExists",
                &format!("Hostname '{name}' already exists. Please select a different name."),
            ),
            Err(HostError::AppNotFound(_)) => json!({"nameAvailable": true, "reason": "", "message": ""}),
            Err(error) => return Err(error.into()),
        },
    };
    Ok(answer(StatusCode::OK, &said))
}

fn unavailable(reason: &str, message: &str) -> Value {
    json!({"nameAvailable": false, "reason": reason, "message": message})
}

/// Such things are told to whoever has any role here.
async fn known(asked: &Asked<'_>, operation: &'static str) -> Result<(), ArmError> {
    match asked.state.resource.has_any_role(asked.by()).await? {
        true => Ok(()),
        false => Err(ArmError::not_authorized(operation)),
    }
}
