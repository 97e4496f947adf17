//! What plays a table of commands: a row, what shows that it was done, and what of it the page of commands is told.

use super::{Az, noted};
use e2e::{Ended, Registered, wait};
use serde_json::Value;

/// What `az` is told, its exit status, and what shows that it was so. `$D` is the domain with its port, `$P` the operator's principal, `$C` its
/// client id, `$S` the subscription, `$G` the group g, `$V` the vault shop and `$I` the identity readers in
/// it; `~` is a space that parts nothing.
pub(super) struct Row<'a>(pub(super) &'a str, pub(super) i32, pub(super) Shown<'a>);

/// What shows it.
pub(super) enum Shown<'a> {
    /// Nothing but the exit status.
    Done,
    /// At this place of the JSON is this text, or the text of this value.
    At(&'a str, &'a str),
    /// It says these words, which it was not told.
    Says(&'a str),
    /// This command of ours says these words.
    Ours(&'a str, &'a str),
    /// It does not say them.
    Gone(&'a str, &'a str),
    /// It fails, and says them.
    Refused(&'a str, &'a str),
}

use Shown::{At, Done, Gone, Ours, Refused, Says};

/// Does all of a table, and tells all that was otherwise.
pub(super) fn play(az: &Az, operator: &Registered, rows: &[Row<'_>]) {
    play_with(az, operator, &[], rows);
}

/// The same, where these stand for more.
pub(super) fn play_with(az: &Az, operator: &Registered, more: &[(&str, &str)], rows: &[Row<'_>]) {
    let subscription = az.run("account show")["id"].as_str().unwrap_or_default().to_owned();
    let domain = format!("keyless.localhost:{}", az.server().port());
    let group = format!("/subscriptions/{subscription}/resourceGroups/g");
    let vault = format!("{group}/providers/Microsoft.KeyVault/vaults/shop");
    let identity = format!("{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/readers");
    let filled = |words: &str| {
        more.iter()
            .fold(words.to_owned(), |words, (name, value)| words.replace(name, value))
            .replace("$D", &domain)
            .replace("$P", &operator.principal)
            .replace("$C", &operator.client)
            .replace("$S", &subscription)
            .replace("$G", &group)
            .replace("$V", &vault)
            .replace("$I", &identity)
    };
    let otherwise: Vec<String> = rows.iter().filter_map(|row| row.otherwise(az, &filled)).collect();
    assert!(otherwise.is_empty(), "{}", otherwise.join("\n"));
}

impl Row<'_> {
    /// Does it, and notes it for the page; or says what was otherwise.
    pub(super) fn otherwise(&self, az: &Az, filled: &impl Fn(&str) -> String) -> Option<String> {
        let Row(words, code, shown) = self;
        let ended = az.ended(&filled(words));
        let ours = |command: &str| {
            let mut command_line = az.server().command([]);
            command_line.args(filled(command).split(' '));
            Ended::from(wait::output(&mut command_line, b""))
        };
        let (is_so, how, told) = match shown {
            Done => (true, String::new(), String::new()),
            At(place, text) => {
                let told: Value = serde_json::from_str(&ended.stdout).unwrap_or_default();
                let found = told.pointer(place).map(|found| match found {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                (found.as_deref() == Some(&*filled(text)), String::new(), format!("{place} {text}"))
            }
            Says(said) => {
                let how = if *code == 0 { "" } else { said };
                let (said, typed) = (filled(said), filled(words));
                assert!(
                    !said.is_empty() && !typed.contains(&said),
                    "az {typed}: whatever it says has {said:?} in it"
                );
                (ended.said().contains(&said), how.to_owned(), format!("says {said}"))
            }
            Ours(command, said) => {
                let told = ours(command);
                let is_so = told.code == Some(0) && told.stdout.contains(&filled(said));
                (is_so, by(command), format!("{command}: {said}\n{}", told.said()))
            }
            Gone(command, said) => {
                let told = ours(command);
                let is_so = told.code == Some(0) && !told.stdout.contains(&filled(said));
                (is_so, by(command), format!("{command}: gone is {said}\n{}", told.said()))
            }
            Refused(command, said) => {
                let told = ours(command);
                let is_so = !matches!(told.code, None | Some(0)) && told.stderr.contains(&filled(said));
                (is_so, by(command), format!("{command}: refused with {said}\n{}", told.said()))
            }
        };
        if ended.code == Some(*code) && is_so && !ended.said().contains("Traceback") {
            noted(words, *code, &how);
            return None;
        }
        Some(format!("az {words}\n  {:?}, and not {code}; {told}\n{}", ended.code, ended.said()))
    }
}

/// A command of ours as the page has it.
fn by(command: &str) -> String {
    format!("`keyless {}`", command.trim_end_matches(" -o json").replace('$', ""))
}

/// Signs in an owner and does all of a table.
pub(super) fn owner(name: &str, rows: &[Row<'_>]) {
    let Some(az) = Az::start_warm(name) else { return };
    let operator = az.operator("operator", "Owner");
    let _account = az.sign_in(&operator);
    play(&az, &operator, rows);
}
