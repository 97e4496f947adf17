//! `keyless signing-key`: the keys that sign the directory's tokens; rolled on command, revoked when one is compromised.

use crate::{
    admin::{Admin, segment},
    failure::Failure,
    output::{self, Colour, Format, paint},
};
use clap::Subcommand;
use http::Method;
use serde::{Deserialize, Serialize};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// All published keys, and what each is good for
    List,
    /// Let another key sign: as soon as all who verify tokens can know it, which takes ten minutes
    Roll {
        /// Now; who verifies tokens by keys that it loaded before may refuse new ones until it loads them again
        #[arg(long)]
        now: bool,
    },
    /// A key is compromised: take it away, refuse all that it has signed, and let another sign; all at once
    Revoke {
        /// Its id
        #[arg(allow_hyphen_values = true)]
        kid: String,
    },
}

#[derive(Debug, Deserialize, Serialize)]
struct Keys {
    value: Vec<Key>,
    next_roll: Option<i64>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Key {
    kid: String,
    #[serde(flatten)]
    state: State,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum State {
    Announced { since: i64, signs_from: i64 },
    Current { since: i64, token_seconds: u64 },
    Retired { since: i64, gone_at: i64 },
}

#[derive(Debug, Deserialize, Serialize)]
struct Changed {
    done: Vec<serde_json::Value>,
    #[serde(flatten)]
    keys: Keys,
}

pub(crate) async fn signing_key(admin: &Admin, format: Format, command: Command) -> Result<(), Failure> {
    let (changed, note) = match command {
        Command::List => {
            let keys: Keys = admin.get("/v1/signing-keys").await?;
            match format {
                Format::Json => output::json(&keys),
                Format::Table => show(&keys),
            }
            return Ok(());
        }
        Command::Roll { now } => {
            let body = serde_json::json!({ "now": now });
            let changed: Changed = admin.ask(Method::POST, "/v1/signing-keys/roll", &body).await?;
            let note = match changed.done.is_empty() {
                true => "Nothing is done: another key is announced already, and its time has not come.",
                false => {
                    "No token becomes worthless by this: retired keys verify until the last of theirs has expired."
                }
            };
            (changed, note)
        }
        Command::Revoke { kid } => {
            let path = format!("/v1/signing-keys/{}", segment(&kid));
            let changed = admin.ask(Method::DELETE, &path, &serde_json::json!({})).await?;
            (
                changed,
                "What it has signed is refused here from now on. Others who verify tokens of this directory must load its keys again, or \
                 be started again: they may trust the key until then. SDKs that hold such a token are refused (401) until they ask for \
                 another.",
            )
        }
    };
    if format == Format::Json {
        output::json(&changed);
    } else {
        show(&changed.keys);
    }
    output::note(note);
    Ok(())
}

fn show(keys: &Keys) {
    let rows = keys.value.iter().map(|key| {
        let (state, since, then) = match key.state {
            State::Announced { since, signs_from } => {
                ("announced".to_owned(), since, format!("signs from {}", output::time(signs_from)))
            }
            State::Current { since, .. } => (
                paint(Colour::Good, "current"),
                since,
                keys.next_roll.map_or_else(
                    || "signs until you roll it".to_owned(),
                    |roll| format!("signs until {}", output::time(roll)),
                ),
            ),
            State::Retired { since, gone_at } => {
                ("retired".to_owned(), since, format!("gone at {}", output::time(gone_at)))
            }
        };
        vec![key.kid.clone(), state, since_when(since), then]
    });
    output::table(&["key", "state", "since", "then"], rows, "There are no signing keys.");
}

/// A ring of before keys rolled does not know how old its key is.
pub(crate) fn since_when(since: i64) -> String {
    if since == 0 { "long ago".to_owned() } else { output::time(since) }
}
