//! `keyless principal`: acting identities, looked at, disabled and enabled.

use crate::{
    admin::Admin,
    app::List,
    failure::Failure,
    output::{self, Format},
};
use clap::Subcommand;
use domain::PrincipalId;
use http::Method;
use serde::{Deserialize, Serialize};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// All principals
    List,
    /// One principal
    Show {
        /// Its (object) id
        id: PrincipalId,
    },
    /// Refuse it everywhere, from the answer on
    Disable {
        /// Its (object) id
        id: PrincipalId,
    },
    /// Let it act again
    Enable {
        /// Its (object) id
        id: PrincipalId,
    },
}

#[derive(Debug, Deserialize, Serialize)]
struct Principal {
    id: String,
    client_id: String,
    tenant: String,
    kind: serde_json::Value,
    display_name: String,
    enabled: bool,
    created: i64,
}

pub(crate) async fn principal(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    let path = |id: PrincipalId| format!("/v1/principals/{id}");
    match command {
        Command::List => {
            let all: List<Principal> = admin.get("/v1/principals").await?;
            match format {
                Format::Json => output::json(&all.value),
                Format::Table => output::table(
                    &["name", "kind", "principal", "state"],
                    all.value.iter().map(|one| {
                        vec![one.display_name.clone(), kind(&one.kind), one.id.clone(), state(one).into()]
                    }),
                    "There are no principals.",
                ),
            }
        }
        Command::Show { id } => show(format, &admin.get(&path(id)).await?),
        Command::Disable { id } => {
            show(format, &admin.ask(Method::PATCH, &path(id), &serde_json::json!({"enabled": false})).await?);
            output::note("It is refused everywhere from now on.");
        }
        Command::Enable { id } => {
            show(format, &admin.ask(Method::PATCH, &path(id), &serde_json::json!({"enabled": true})).await?);
        }
    }
    Ok(())
}

fn show(format: Format, one: &Principal) {
    if format == Format::Json {
        return output::json(one);
    }
    output::facts(&[
        ("name", one.display_name.clone()),
        ("kind", kind(&one.kind)),
        ("principal", one.id.clone()),
        ("client id", one.client_id.clone()),
        ("tenant", one.tenant.clone()),
        ("state", state(one).into()),
        ("created", output::time(one.created)),
    ]);
}

const fn state(one: &Principal) -> &'static str {
    if one.enabled { "enabled" } else { "disabled" }
}

/// The kind's own name.
pub(crate) fn kind(kind: &serde_json::Value) -> String {
    kind.get("type").and_then(serde_json::Value::as_str).unwrap_or("unknown").replace(['_', '-'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_told_by_its_name() {
        for (told, expected) in [
            (serde_json::json!({"type": "user"}), "user"),
            (serde_json::json!({"type": "managed_identity", "app": "x"}), "managed identity"),
            (serde_json::json!({"type": "application", "registration": "x"}), "application"),
        ] {
            assert_eq!(kind(&told), expected);
        }
    }
}
