//! Settings over views: kept sealed, replaced, removed, refused; and that nobody reads those of another app.

use super::*;
use crate::fixtures::id;
use domain::{Entropy, Placement};
use store::Write;

const NOW: Timestamp = Timestamp::from_seconds(1_000);

struct Fixed;
impl Entropy for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(5);
    }
}

fn key() -> Key256 {
    Key256::random(&Fixed)
}

fn name() -> AppName {
    AppName::parse("Shop").unwrap()
}

fn app(number: u128) -> App {
    let id = id::<AppId>(number);
    App {
        id,
        name: name(),
        identity: None,
        user_assigned: Vec::new(),
        placement: Placement::default(),
        created: NOW,
        changed: NOW,
    }
}

fn setting(name: &str, value: &str) -> Setting {
    Setting { name: name.to_owned(), value: Secret::new(value.to_owned()), is_secret: false }
}

fn decide(view: &View, set: &[Setting], remove: &[&str]) -> Result<Decision<Arc<Desired>>, Halt<HostError>> {
    let remove: Vec<String> = remove.iter().map(|&name| name.to_owned()).collect();
    change(view, Manager::Administrator, &name(), (set, &remove), &key(), (&Fixed, 0), NOW)
}

/// The view after a change.
fn after(number: u128, decided: &Decision<Arc<Desired>>) -> View<'static> {
    let mut view = View::fixture().with::<App>(&name(), &app(number));
    for write in &decided.writes {
        let Write::Put(key, value) = write else { panic!("{write:?}") };
        if key.as_bytes().starts_with(b"app-settings/") {
            view = view.with::<SettingsRecord>(&name(), &serde_json::from_slice(value).unwrap());
        } else if key.as_bytes().starts_with(b"app-desired/") {
            view = view.with::<Desired>(&name(), &serde_json::from_slice(value).unwrap());
        }
    }
    view
}

fn told(view: &View) -> Vec<(String, String)> {
    let settings = of(view, &name(), &key()).unwrap();
    settings.into_iter().map(|setting| (setting.name, setting.value.expose().clone())).collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn settings_are_set_replaced_and_removed_and_instances_follow() {
    let view = View::fixture().with::<App>(&name(), &app(1));
    assert_eq!(told(&view), []);
    let first = decide(&view, &[setting("B", "2"), setting("A", "1")], &[]).unwrap();
    let view = after(1, &first);
    assert_eq!(told(&view), [pair("A", "1"), pair("B", "2")]);
    let second = decide(&view, &[setting("A", "3")], &["B"]).unwrap();
    assert_eq!(second.value.revision, first.value.revision + 1);
    assert_eq!(told(&after(1, &second)), [pair("A", "3")]);
}

#[test]
fn no_value_stands_in_the_store_in_clear_or_opens_for_another_app() {
    let decided =
        decide(&View::fixture().with::<App>(&name(), &app(1)), &[setting("A", "Ti3f-geheim")], &[]).unwrap();
    for write in &decided.writes {
        let Write::Put(_, value) = write else { panic!("{write:?}") };
        assert!(!String::from_utf8_lossy(value).contains("Ti3f"));
    }
    // The app was deleted, and another of its name made: its settings are gone.
    assert_eq!(told(&after(2, &decided)), []);
    // Even with the record's app changed by whoever can write the store.
    let forged = after(1, &decided);
    let record = forged.get::<SettingsRecord>(&name()).unwrap().unwrap();
    let forged = View::fixture().with::<App>(&name(), &app(2)).with::<SettingsRecord>(
        &name(),
        &SettingsRecord { app: app(2).id, ..SettingsRecord::clone(&record) },
    );
    assert!(matches!(of(&forged, &name(), &key()), Err(Halt::Refuse(HostError::Crypt(_)))));
}

#[test]
fn what_cannot_be_is_refused_with_the_rule() {
    let view = View::fixture().with::<App>(&name(), &app(1));
    for bad in ["", "1A", "A B", "A=B", "A-B", "Ä", &"A".repeat(limits::APP_SETTING_NAME_BYTES_MAX + 1)] {
        assert!(
            matches!(
                decide(&view, &[setting(bad, "x")], &[]),
                Err(Halt::Refuse(HostError::SettingInvalid { .. }))
            ),
            "{bad}"
        );
    }
    for reserved in RESERVED {
        let refused = decide(&view, &[setting(reserved, "x")], &[]);
        assert!(matches!(refused, Err(Halt::Refuse(HostError::SettingReserved { .. }))), "{reserved}");
    }
    for value in ["a\0b".to_owned(), "x".repeat(limits::APP_SETTING_VALUE_BYTES_MAX + 1)] {
        assert!(matches!(
            decide(&view, &[setting("A", &value)], &[]),
            Err(Halt::Refuse(HostError::SettingInvalid { .. }))
        ));
    }
    let many: Vec<_> =
        (0..=limits::APP_SETTINGS_MAX).map(|number| setting(&format!("A{number}"), "x")).collect();
    assert!(matches!(decide(&view, &many, &[]), Err(Halt::Refuse(HostError::SettingInvalid { .. }))));
    let large: Vec<_> = (0..3)
        .map(|number| setting(&format!("A{number}"), &"x".repeat(limits::APP_SETTING_VALUE_BYTES_MAX)))
        .collect();
    assert!(matches!(decide(&view, &large, &[]), Err(Halt::Refuse(HostError::SettingInvalid { .. }))));
    assert!(matches!(decide(&view, &[], &["A"]), Err(Halt::Refuse(HostError::SettingNotFound { .. }))));
    assert!(matches!(decide(&View::fixture(), &[], &[]), Err(Halt::Refuse(HostError::AppNotFound(_)))));
}

/// What may be set fits one record of the store.
#[test]
fn as_many_settings_as_there_may_be_are_kept() {
    let view = View::fixture().with::<App>(&name(), &app(1));
    let large = |bytes: usize| decide(&view, &[setting("A", &"x".repeat(bytes)), setting("B", "y")], &[]);
    let many = |bytes: usize| {
        let set: Vec<_> = (0..limits::APP_SETTINGS_MAX)
            .map(|number| setting(&format!("SETTING_{number:03}"), &"x".repeat(bytes)))
            .collect();
        decide(&view, &set, &[])
    };
    let mut kept = 0;
    for decided in (0..400).map(many).chain([large(limits::APP_SETTING_VALUE_BYTES_MAX)]) {
        let Ok(decided) = decided else { continue };
        kept += 1;
        for write in &decided.writes {
            let Write::Put(_, value) = write else { panic!("{write:?}") };
            assert!(value.len() <= store::contract::VALUE_BYTES_MAX, "{}", value.len());
        }
    }
    assert!(kept > 1, "{kept}");
}
