//! Each change over views: what it makes, what it counts up, and what it refuses.

use super::*;
use crate::fixtures::id;
use domain::Placement;
use store::Write;

const NOW: Timestamp = Timestamp::from_seconds(1_000);
const LATER: Timestamp = Timestamp::from_seconds(2_000);

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

fn deployment(number: u128) -> Deployment {
    Deployment {
        id: id(number),
        runtime: "python".to_owned(),
        command: "python3 app.py".to_owned(),
        instead_of: None,
        path: vec![".venv/bin".to_owned()],
        image: None,
        created: NOW,
    }
}

fn with(desired: &Desired) -> View<'static> {
    View::fixture().with::<App>(&name(), &app(1)).with::<Desired>(&name(), desired)
}

fn changed(view: &View, asked: &Change) -> Arc<Desired> {
    change(view, Manager::Administrator, &name(), asked, 0, LATER).unwrap().value
}

fn refused(asked: &Change) -> HostError {
    match change(&with(&Desired::new(app(1).id, 7, NOW)), Manager::Administrator, &name(), asked, 0, LATER) {
        Err(Halt::Refuse(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_file_replaces_instances_and_a_record_of_before_has_none() {
    let before = Desired { revision: 5, ..Desired::new(app(1).id, 7, NOW) };
    let written = serde_json::to_string(&before).unwrap();
    assert!(!written.contains("token_file"), "as releases of before read it: {written}");
    assert_eq!(serde_json::from_str::<Desired>(&written).unwrap(), before);
    let switch = |on| Change { token_file: Some(on), ..Change::default() };
    let on = changed(&with(&before), &switch(true));
    assert_eq!((on.token_file, on.revision), (true, 6));
    let written = serde_json::to_string(&*on).unwrap();
    assert_eq!(serde_json::from_str::<Desired>(&written).unwrap(), *on);
    assert_eq!(changed(&with(&on), &switch(true)).revision, 6, "nothing is another");
    let off = changed(&with(&on), &switch(false));
    assert_eq!((off.token_file, off.revision), (false, 7));
}

#[test]
fn azure_arc_replaces_instances_and_a_record_of_before_is_without() {
    let before = Desired { revision: 5, ..Desired::new(app(1).id, 7, NOW) };
    assert!(!serde_json::to_string(&before).unwrap().contains("arc"), "as releases of before read it");
    let switch = |on| Change { arc: Some(on), ..Change::default() };
    let on = changed(&with(&before), &switch(true));
    assert_eq!((on.arc, on.revision), (true, 6));
    assert_eq!(serde_json::from_str::<Desired>(&serde_json::to_string(&*on).unwrap()).unwrap(), *on);
    assert_eq!(changed(&with(&on), &switch(true)).revision, 6, "nothing is another");
    let off = changed(&with(&on), &switch(false));
    assert_eq!((off.arc, off.revision), (false, 7));
}

#[test]
fn the_first_change_makes_it_and_takes_an_account() {
    let view = View::fixture().with::<App>(&name(), &app(1));
    let made = change(
        &view,
        Manager::Administrator,
        &name(),
        &Change { deployment: Some(deployment(1)), ..Change::default() },
        0,
        LATER,
    )
    .unwrap();
    let keys: Vec<_> = made
        .writes
        .iter()
        .map(|write| String::from_utf8_lossy(write.key().as_bytes()).into_owned())
        .collect();
    assert_eq!(keys, ["app-accounts", "app-desired/shop"]);
    assert!(made.writes.iter().all(|write| matches!(write, Write::Put(..))));
    let desired = made.value;
    assert_eq!((desired.account, desired.revision, desired.instances), (limits::ACCOUNT_FIRST, 1, 1));
    assert_eq!(desired.start_command(), Some("python3 app.py"));
    assert_eq!((desired.state, desired.changed), (DesiredState::Running, LATER));
}

#[test]
fn what_instances_must_follow_counts_up_and_the_rest_does_not() {
    let before = Desired { deployment: Some(deployment(1)), ..Desired::new(app(1).id, 7, NOW) };
    let cases = [
        (Change { instances: Some(3), ..Change::default() }, false),
        (Change { state: Some(DesiredState::Stopped), ..Change::default() }, false),
        (Change { command: Some(Some("./run".to_owned())), ..Change::default() }, true),
        (Change { health: Some(Health::Path("/health".to_owned())), ..Change::default() }, true),
        (Change { memory_mib: Some(Some(128)), ..Change::default() }, true),
        (Change { cpu_thousandths: Some(Some(500)), ..Change::default() }, true),
        (Change { processes: Some(None), ..Change::default() }, true),
        (Change { deployment: Some(deployment(2)), ..Change::default() }, true),
        (Change { restart: true, ..Change::default() }, true),
    ];
    for (asked, counts) in cases {
        let after = changed(&with(&before), &asked);
        assert_eq!(after.revision, before.revision + u64::from(counts), "{asked:?}");
        assert_eq!(after.changed, LATER, "{asked:?}");
    }
}

/// `app deploy --command` was silently nothing once `app configure --command` had been used, and `configure --command ''` did not get rid of it.
#[test]
fn of_two_commands_the_one_that_was_given_last_is_run() {
    let deploy = |number, command: &str, instead_of| Change {
        deployment: Some(Deployment { command: command.to_owned(), instead_of, ..deployment(number) }),
        ..Change::default()
    };
    let own = || Some(OwnCommand::Package("python3 app.py".to_owned()));
    let configure =
        |command: Option<&str>| Change { command: Some(command.map(str::to_owned)), ..Change::default() };
    let steps = [
        (deploy(1, "python3 app.py", None), "python3 app.py"),
        (configure(Some("./configured")), "./configured"),
        // A deployment that says nothing of it leaves it so.
        (deploy(2, "python3 app.py", None), "./configured"),
        (deploy(3, "./given", own()), "./given"),
        (configure(Some("./later")), "./later"),
        (configure(None), "python3 app.py"),
        (deploy(4, "./given", own()), "./given"),
        (configure(None), "python3 app.py"),
        (deploy(5, "./given", own()), "./given"),
        (deploy(6, "python3 app.py", None), "python3 app.py"),
    ];
    let mut desired = Desired::new(app(1).id, 7, NOW);
    for (number, (asked, command)) in steps.iter().enumerate() {
        let after = changed(&with(&desired), asked);
        assert_eq!(after.start_command(), Some(*command), "step {number}");
        assert!(after.revision > desired.revision, "instances follow step {number}");
        desired = Desired::clone(&after);
    }
}

#[test]
fn a_command_stands_in_the_place_of_what_the_image_says_or_of_nothing() {
    let given = |instead_of| Deployment { command: "./given".to_owned(), instead_of, ..deployment(1) };
    let desired =
        |instead_of| Desired { deployment: Some(given(instead_of)), ..Desired::new(app(1).id, 7, NOW) };
    let asked = Change { command: Some(None), ..Change::default() };
    assert_eq!(changed(&with(&desired(Some(OwnCommand::Image))), &asked).start_command(), None);
    let nothing = desired(Some(OwnCommand::Nothing));
    match change(&with(&nothing), Manager::Administrator, &name(), &asked, 0, LATER) {
        Err(Halt::Refuse(error)) => assert!(error.to_string().contains("does not say itself"), "{error}"),
        other => panic!("{other:?}"),
    }
    // A record of before says it not: nobody knows any more what it stands instead of.
    let of_before = desired(None);
    let written = serde_json::to_string(&of_before).unwrap();
    assert!(!written.contains("instead_of"), "{written}");
    assert_eq!(serde_json::from_str::<Desired>(&written).unwrap(), of_before);
    assert_eq!(changed(&with(&of_before), &asked).start_command(), Some("./given"));
}

#[test]
fn a_change_to_what_is_already_so_writes_nothing() {
    let before = Desired { instances: 3, ..Desired::new(app(1).id, 7, NOW) };
    let decided = change(
        &with(&before),
        Manager::Administrator,
        &name(),
        &Change { instances: Some(3), ..Change::default() },
        0,
        LATER,
    )
    .unwrap();
    assert!(decided.writes.is_empty());
    assert_eq!(*decided.value, before);
}

/// Another app of the same name has nothing of the one that was deleted: neither its package nor its account.
#[test]
fn a_new_app_of_an_old_name_begins_anew() {
    let of_another = Desired { deployment: Some(deployment(1)), ..Desired::new(app(9).id, 7, NOW) };
    let after = changed(&with(&of_another), &Change::default());
    assert_eq!(
        (after.app, after.deployment.clone(), after.account),
        (app(1).id, None, limits::ACCOUNT_FIRST)
    );
}

/// What was built for an app that was deleted meanwhile does not run as another one of its name.
#[test]
fn a_deployment_is_of_one_app() {
    let view = with(&Desired::new(app(1).id, 7, NOW));
    let of = |number| Change {
        of: Some(id::<AppId>(number)),
        deployment: Some(deployment(1)),
        ..Change::default()
    };
    assert!(changed(&view, &of(1)).deployment.is_some());
    let other = change(&view, Manager::Administrator, &name(), &of(9), 0, LATER);
    assert!(matches!(other, Err(Halt::Refuse(HostError::AppNotFound(_)))));
}

#[test]
fn what_cannot_be_is_refused_with_the_rule() {
    let text = |length: usize| "x".repeat(length);
    for asked in [
        Change { instances: Some(0), ..Change::default() },
        Change { instances: Some(limits::INSTANCES_MAX + 1), ..Change::default() },
        Change { command: Some(Some(" ".to_owned())), ..Change::default() },
        Change { command: Some(Some("a\nb".to_owned())), ..Change::default() },
        Change { command: Some(Some("a\0b".to_owned())), ..Change::default() },
        Change { command: Some(Some(text(limits::START_COMMAND_BYTES_MAX + 1))), ..Change::default() },
        Change { health: Some(Health::Path("health".to_owned())), ..Change::default() },
        Change { health: Some(Health::Path("/a b".to_owned())), ..Change::default() },
        Change { health: Some(Health::Path("/<>".to_owned())), ..Change::default() },
        Change { health: Some(Health::Path("/a\r\nHost: b".to_owned())), ..Change::default() },
        Change {
            health: Some(Health::Path(format!("/{}", text(limits::HEALTH_PATH_BYTES_MAX)))),
            ..Change::default()
        },
        Change { memory_mib: Some(Some(1)), ..Change::default() },
        Change { cpu_thousandths: Some(Some(1)), ..Change::default() },
        Change { processes: Some(Some(1)), ..Change::default() },
    ] {
        assert!(matches!(refused(&asked), HostError::SettingInvalid { .. }), "{asked:?}");
    }
    let nobody = change(&View::fixture(), Manager::Administrator, &name(), &Change::default(), 0, NOW);
    assert!(matches!(nobody, Err(Halt::Refuse(HostError::AppNotFound(_)))));
}

#[test]
fn an_account_of_another_block_is_left_when_the_app_is_deployed_again() {
    let before = Desired::new(app(1).id, limits::ACCOUNT_FIRST + 3 * limits::ACCOUNTS_MAX, NOW);
    assert!(!account::is_of(before.account, 0));
    // Files are still the old account's: what does not bring others changes nothing.
    let scaled = changed(&with(&before), &Change { instances: Some(2), ..Change::default() });
    assert_eq!(scaled.account, before.account);
    let begun = Change { deploying: true, ..Change::default() };
    let after = changed(&with(&before), &begun);
    assert!(account::is_of(after.account, 0));
    assert_eq!(changed(&with(&after), &begun).account, after.account, "it has one now");
}

#[test]
fn another_network_replaces_instances_and_a_record_of_before_is_of_the_hosts() {
    let before = Desired { revision: 5, ..Desired::new(app(1).id, 7, NOW) };
    let written = serde_json::to_string(&before).unwrap();
    assert!(!written.contains("network"), "as releases of before read it: {written}");
    assert_eq!(serde_json::from_str::<Desired>(&written).unwrap(), before);
    assert!(!before.has_own_network());
    let own = changed(&with(&before), &Change { network: Some(AppNetwork::Own), ..Change::default() });
    assert_eq!((own.network, own.revision, own.has_own_network()), (AppNetwork::Own, 6, true));
    let written = serde_json::to_string(&*own).unwrap();
    assert_eq!(serde_json::from_str::<Desired>(&written).unwrap(), *own);
    let again = changed(&with(&own), &Change { network: Some(AppNetwork::Own), ..Change::default() });
    assert_eq!(again.revision, 6, "nothing is another");
    let host = changed(&with(&own), &Change { network: Some(AppNetwork::Host), ..Change::default() });
    assert_eq!((host.network, host.revision), (AppNetwork::Host, 7));
    let image = Some(Image { name: "web".to_owned(), id: "1".to_owned() });
    let container = Some(Deployment { image, ..deployment(1) });
    let container = changed(&with(&before), &Change { deployment: container, ..Change::default() });
    assert!(container.has_own_network(), "a container has one in any case");
}
