//! App settings: what an app gets as its environment.
//!
//! Owns: names and values with their rules, and their record. Every value is sealed in the store; one that is marked as a secret is not told
//! again either. Owns not: what a reference to a vault's secret resolves to (`reference`, `server`).

use crate::{App, HostError, app, desired, desired::Desired};
use access::Manager;
use crypt::{Key256, Sealed};
use domain::{AppId, AppName, Entropy, Secret, Timestamp, limits};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use store::{Decision, Halt, Key, Record, View, refuse};

/// Variables that a start sets. A setting of this name would be worth nothing, or an identity of somebody else's.
pub const RESERVED: [&str; 8] = [
    "KEYLESS_APP",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "MSI_ENDPOINT",
    "MSI_SECRET",
    "PORT",
    "WEBSITE_SITE_NAME",
    "WEBSITE_INSTANCE_ID",
];

/// The settings of an app as they are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SettingsRecord {
    app: AppId,
    values: BTreeMap<String, SealedSetting>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SealedSetting {
    value: Sealed,
    is_secret: bool,
}

/// A setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value, or the reference to one.
    pub value: Secret<String>,
    /// Whether the value is told to nobody but the app.
    pub is_secret: bool,
}

impl Record for SettingsRecord {
    type Id = AppName;

    fn key(name: &AppName) -> Key {
        Key::of(&[b"app-settings/", name.folded().as_bytes()])
    }
}

/// Where a value is sealed for: no app's setting opens as another's.
fn address(app: AppId, name: &str) -> Vec<u8> {
    format!("app-settings/{app}/{name}").into_bytes()
}

/// All settings of an app, as whoever may see their values is told them.
pub(crate) fn read(
    view: &View,
    by: Manager<'_>,
    name: &AppName,
    key: &Key256,
) -> Result<Vec<Setting>, Halt<HostError>> {
    let _permit = app::may(view, by, "Microsoft.Web/sites/config/list/Action", &*app::existing(view, name)?)?;
    of(view, name, key)
}

/// All settings of an app.
pub(crate) fn of(view: &View, name: &AppName, key: &Key256) -> Result<Vec<Setting>, Halt<HostError>> {
    let Some(app) = view.get::<App>(name)? else { return refuse(HostError::AppNotFound(name.clone())) };
    let Some(record) = view.get::<SettingsRecord>(name)?.filter(|record| record.app == app.id) else {
        return Ok(Vec::new());
    };
    record.values.iter().map(|(name, sealed)| open(app.id, name, sealed, key).map_err(Halt::Refuse)).collect()
}

fn open(app: AppId, name: &str, sealed: &SealedSetting, key: &Key256) -> Result<Setting, HostError> {
    let value = crypt::envelope::open(key, &address(app, name), &sealed.value)?;
    let text = str::from_utf8(value.expose()).map_err(|_| HostError::SettingBroken)?;
    Ok(Setting { name: name.to_owned(), value: Secret::new(text.to_owned()), is_secret: sealed.is_secret })
}

/// Sets some settings of an app and removes others; its instances are to follow. Answers what is desired of it then.
pub(crate) fn change(
    view: &View,
    by: Manager<'_>,
    name: &AppName,
    (set, remove): (&[Setting], &[String]),
    key: &Key256,
    (entropy, block): (&dyn Entropy, u32),
    now: Timestamp,
) -> Result<Decision<Arc<Desired>>, Halt<HostError>> {
    let _permit = app::may(view, by, CHANGE, &*app::existing(view, name)?)?;
    set.iter().try_for_each(check).map_err(Halt::Refuse)?;
    let (before, mut writes) = desired::current(view, name, block, now)?;
    let mut values = match view.get::<SettingsRecord>(name)?.filter(|record| record.app == before.app) {
        Some(record) => record.values.clone(),
        None => BTreeMap::new(),
    };
    for setting in set {
        let sealed = seal(before.app, setting, key, entropy).map_err(Halt::Refuse)?;
        values.insert(setting.name.clone(), sealed);
    }
    for gone in remove {
        if values.remove(gone).is_none() {
            return refuse(HostError::SettingNotFound { name: gone.clone() });
        }
    }
    check_all(&values).map_err(Halt::Refuse)?;
    let after = Desired { revision: before.revision + 1, changed: now, ..Desired::clone(&before) };
    writes.push(store::put::<Desired>(name, &after));
    writes.push(store::put::<SettingsRecord>(name, &SettingsRecord { app: before.app, values }));
    Ok(Decision::of(Arc::new(after), writes))
}

/// What is to be the value of a setting.
#[derive(Debug)]
pub struct Wanted {
    /// The setting.
    pub name: String,
    /// Its value; `None`: that which it has, which must be secret.
    pub value: Option<Secret<String>>,
}

/// Which names of settings are meant.
pub type Meant<'a> = &'a (dyn Fn(&str) -> bool + Sync);

/// Makes these all the settings of an app whose names `are_meant`: sets what is another, and removes what is not among them. Nothing is
/// written, and no instance follows, if they are so already and no secret one is said. A secret one stays secret, and only of a secret one the
/// value is kept; answers which of them are.
pub(crate) fn replace(
    view: &View,
    by: Manager<'_>,
    name: &AppName,
    (wanted, are_meant): (&[Wanted], Meant<'_>),
    key: &Key256,
    (entropy, block): (&dyn Entropy, u32),
    now: Timestamp,
) -> Result<Decision<BTreeSet<String>>, Halt<HostError>> {
    let _permit = app::may(view, by, CHANGE, &*app::existing(view, name)?)?;
    let before = of(view, name, key)?;
    let (mut set, mut remove, mut secret) = (Vec::new(), Vec::new(), BTreeSet::new());
    for one in wanted {
        let known = before.iter().find(|known| known.name == one.name);
        if known.is_some_and(|known| known.is_secret) {
            secret.insert(one.name.clone());
        }
        match (&one.value, known) {
            (None, Some(known)) if known.is_secret => {}
            (None, _) => return refuse(HostError::SettingNotFound { name: one.name.clone() }),
            // Of a secret one nobody is told whether it was guessed.
            (Some(value), Some(known)) if !known.is_secret && known.value.expose() == value.expose() => {}
            (Some(value), known) => set.push(Setting {
                name: one.name.clone(),
                value: Secret::new(value.expose().clone()),
                is_secret: known.is_some_and(|known| known.is_secret),
            }),
        }
    }
    for known in before {
        if are_meant(&known.name) && !wanted.iter().any(|one| one.name == known.name) {
            remove.push(known.name);
        }
    }
    if set.is_empty() && remove.is_empty() {
        return Ok(Decision::read(secret));
    }
    let decided = change(view, by, name, (&set, &remove), key, (entropy, block), now)?;
    Ok(Decision::of(secret, decided.writes))
}

fn seal(
    app: AppId,
    setting: &Setting,
    key: &Key256,
    entropy: &dyn Entropy,
) -> Result<SealedSetting, HostError> {
    let (address, value) = (address(app, &setting.name), setting.value.expose().as_bytes());
    let value = crypt::envelope::seal(key, &address, value, entropy)?;
    Ok(SealedSetting { value, is_secret: setting.is_secret })
}

/// Are they not too many, and not too much?
fn check_all(values: &BTreeMap<String, SealedSetting>) -> Result<(), HostError> {
    if values.len() > limits::APP_SETTINGS_MAX {
        return Err(HostError::SettingInvalid { what: "settings", rule: "at most 200 of an app" });
    }
    // As text: four letters for three bytes, and what JSON needs around them.
    let bytes: usize =
        values.iter().map(|(name, sealed)| name.len() + sealed.value.as_bytes().len() * 4 / 3 + 64).sum();
    if bytes > limits::APP_SETTINGS_BYTES_MAX {
        let rule = "all of an app together at most 60 KiB, sealed";
        return Err(HostError::SettingInvalid { what: "settings", rule });
    }
    Ok(())
}

/// The operation of the resource manager by which settings are changed.
const CHANGE: &str = "Microsoft.Web/sites/config/write";

fn check(setting: &Setting) -> Result<(), HostError> {
    let name = &setting.name;
    let is_name = !name.is_empty()
        && name.len() <= limits::APP_SETTING_NAME_BYTES_MAX
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.');
    if !is_name {
        let rule = "1 to 256 letters, digits, underscores and periods, no digit first";
        return Err(HostError::SettingInvalid { what: "setting's name", rule });
    }
    if RESERVED.contains(&name.as_str()) {
        return Err(HostError::SettingReserved { name: name.clone() });
    }
    let value = setting.value.expose();
    if value.len() > limits::APP_SETTING_VALUE_BYTES_MAX || value.contains('\0') {
        let rule = "at most 32 KiB, without a zero byte";
        return Err(HostError::SettingInvalid { what: "setting's value", rule });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
