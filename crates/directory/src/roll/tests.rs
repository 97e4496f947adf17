//! The decision as tables: a ring, what is asked of it at a time, and what it becomes.

use super::*;

const DAY: i64 = 86_400;
const POLICY: Policy =
    Policy { lifetime: Some(Duration::from_secs(90 * 86_400)), token_lifetime: Duration::from_secs(3_600) };
const NEVER: Policy = Policy { lifetime: None, ..POLICY };

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

/// Keys as these tests spell them: `a:current@0`, `b:announced@5>605`, `c:retired@7>3907`.
fn ring(text: &str) -> RingRecord {
    let keys = text.split_whitespace().map(|key| {
        let (kid, rest) = key.split_once(':').unwrap();
        let (state, times) = rest.split_once('@').unwrap();
        let mut times = times.split('>').map(|time| at(time.parse().unwrap()));
        let (since, then) = (times.next().unwrap(), times.next());
        let state = match state {
            "current" => KeyState::Current { since, token_seconds: 3_600 },
            "announced" => KeyState::Announced { since, signs_from: then.unwrap() },
            _ => KeyState::Retired { since, gone_at: then.unwrap() },
        };
        RingKey { kid: kid.to_owned(), state }
    });
    RingRecord { keys: keys.collect(), epoch: 7, changes: 3 }
}

fn text(ring: &RingRecord) -> String {
    let keys = ring.keys.iter().map(|RingKey { kid, state }| match state {
        KeyState::Current { since, .. } => format!("{kid}:current@{}", since.seconds()),
        KeyState::Announced { since, signs_from } => {
            format!("{kid}:announced@{}>{}", since.seconds(), signs_from.seconds())
        }
        KeyState::Retired { since, gone_at } => {
            format!("{kid}:retired@{}>{}", since.seconds(), gone_at.seconds())
        }
    });
    keys.collect::<Vec<_>>().join(" ")
}

/// What the ring becomes, with a fresh key `n` if one is needed; and whether it was.
fn becomes(before: &str, order: Order<'_>, now: i64, policy: Policy) -> (String, bool) {
    let before = ring(before);
    let (next, is_fresh) = match next(&before, order, None, at(now), policy).unwrap() {
        Next::KeyNeeded => (super::next(&before, order, Some("n"), at(now), policy).unwrap(), true),
        next => (next, false),
    };
    match next {
        Next::KeyNeeded => panic!("it has a key"),
        Next::Nothing => (text(&before), is_fresh),
        Next::Change { ring, told } => {
            assert_eq!(ring.changes, 4, "each change is one");
            let revoked = told.iter().filter(|change| matches!(change, KeyChange::Revoked { .. })).count();
            assert_eq!(ring.epoch, 7 + revoked as u64, "the epoch grows with what is revoked, and only then");
            let currents = ring.keys.iter().filter(|key| matches!(key.state, KeyState::Current { .. }));
            assert_eq!(currents.count(), 1, "{ring:?}");
            (text(&ring), is_fresh)
        }
    }
}

#[test]
fn what_is_due_is_done_and_nothing_before_it() {
    let lone = "a:current@0";
    for (before, now, after, is_fresh) in [
        (lone, 0, lone, false),
        (lone, 89 * DAY - 1, lone, false),
        (lone, 89 * DAY, "a:current@0 n:announced@7689600>7776000", true),
        // No server ran when its time came: what is published late signs late.
        (lone, 100 * DAY, "a:current@0 n:announced@8640000>8640600", true),
        (lone, 90 * DAY - 1, "a:current@0 n:announced@7775999>7776599", true),
        ("a:current@0 b:announced@5>605", 604, "a:current@0 b:announced@5>605", false),
        ("a:current@0 b:announced@5>605", 605, "a:retired@605>4505 b:current@605", false),
        ("a:current@0 b:announced@5>605", 900, "a:retired@900>4800 b:current@900", false),
        ("a:retired@605>4505 b:current@605", 4_504, "a:retired@605>4505 b:current@605", false),
        ("a:retired@605>4505 b:current@605", 4_505, "b:current@605", false),
        (
            "a:retired@1>2 b:retired@2>9000000 c:current@0",
            89 * DAY,
            "b:retired@2>9000000 c:current@0 n:announced@7689600>7776000",
            true,
        ),
        ("a:retired@1>2 c:current@0 d:announced@3>4", 5, "c:retired@5>3905 d:current@5", false),
    ] {
        assert_eq!(
            becomes(before, Order::Due, now, POLICY),
            (after.to_owned(), is_fresh),
            "{before} at {now}"
        );
    }
}

#[test]
fn without_a_schedule_only_what_was_asked_for_is_done() {
    assert_eq!(becomes("a:current@0", Order::Due, i64::MAX, NEVER), ("a:current@0".to_owned(), false));
    let (after, _) = becomes("a:current@0 b:announced@5>605", Order::Due, 605, NEVER);
    assert_eq!(after, "a:retired@605>4505 b:current@605");
    let (after, _) = becomes("a:retired@605>4505 b:current@605", Order::Due, 4_505, NEVER);
    assert_eq!(after, "b:current@605");
    assert_eq!(next_due(&ring("a:current@0"), NEVER), None);
    assert_eq!(next_roll(&ring("a:current@0"), NEVER), None);
}

#[test]
fn on_command_a_key_signs_as_soon_as_everybody_may_know_it() {
    let (soon, now) = (Order::Roll { at_once: false }, Order::Roll { at_once: true });
    for (before, order, time, after, is_fresh) in [
        ("a:current@0", soon, 100, "a:current@0 n:announced@100>700", true),
        ("a:current@0", now, 100, "a:retired@100>4000 n:current@100", true),
        // The schedule has announced one: it is the one that is meant.
        ("a:current@0 b:announced@5>86405", soon, 100, "a:current@0 b:announced@5>605", false),
        ("a:current@0 b:announced@5>86405", soon, 605, "a:retired@605>4505 b:current@605", false),
        ("a:current@0 b:announced@5>86405", now, 100, "a:retired@100>4000 b:current@100", false),
        // Asked twice is asked once.
        ("a:current@0 b:announced@5>605", soon, 100, "a:current@0 b:announced@5>605", false),
    ] {
        assert_eq!(becomes(before, order, time, NEVER), (after.to_owned(), is_fresh), "{before} {order:?}");
    }
}

#[test]
fn what_is_revoked_goes_at_once_and_another_signs() {
    for (before, kid, after, is_fresh) in [
        ("a:current@0", "a", "n:current@100", true),
        ("a:current@0 b:announced@5>605", "a", "b:current@100", false),
        ("a:current@0 b:announced@5>605", "b", "a:current@0", false),
        ("r:retired@1>4000 a:current@0", "r", "a:current@0", false),
        ("r:retired@1>4000 a:current@0", "a", "r:retired@1>4000 n:current@100", true),
    ] {
        assert_eq!(
            becomes(before, Order::Revoke(kid), 100, POLICY),
            (after.to_owned(), is_fresh),
            "{before}"
        );
    }
    let unknown = next(&ring("a:current@0"), Order::Revoke("z\n"), None, at(0), POLICY);
    assert!(matches!(unknown, Err(DirectoryError::SigningKeyNotFound { kid }) if kid == "z?"));
}

#[test]
fn a_retired_key_outlives_the_longest_token_that_it_may_have_signed() {
    let long = Policy { token_lifetime: Duration::from_secs(86_400), ..POLICY };
    let Next::Change { ring: served, told } =
        next(&ring("a:current@0"), Order::Serve, None, at(0), long).unwrap()
    else {
        panic!("tokens live longer now");
    };
    assert!(told.is_empty());
    // The configuration is back at an hour when the key retires, and its tokens of a day are still about.
    let Next::Change { ring, .. } =
        next(&served, Order::Roll { at_once: true }, Some("n"), at(10), POLICY).unwrap()
    else {
        panic!("it rolls");
    };
    assert_eq!(text(&ring), format!("a:retired@10>{} n:current@10", 10 + 86_400 + 300));
    assert!(matches!(next(&served, Order::Serve, None, at(0), POLICY).unwrap(), Next::Nothing));
}

#[test]
fn the_documents_stay_small() {
    let many: Vec<String> =
        (1..limits::SIGNING_KEYS_MAX).map(|n| format!("r{n}:retired@0>9000000")).collect();
    let full = format!("{} a:current@0", many.join(" "));
    for at_once in [false, true] {
        let refused = next(&ring(&full), Order::Roll { at_once }, Some("n"), at(1), POLICY);
        assert!(matches!(refused, Err(DirectoryError::TooMany { limit: limits::SIGNING_KEYS_MAX, .. })));
    }
    assert_eq!(becomes(&full, Order::Due, 89 * DAY, POLICY), (full.clone(), false), "the schedule waits");
    // A compromise waits for nothing.
    let (after, _) = becomes(&full, Order::Revoke("a"), 1, POLICY);
    assert!(after.ends_with("n:current@1"), "{after}");
}

#[test]
fn what_is_due_next_is_known() {
    for (keys, due, roll) in [
        ("a:current@0", 89 * DAY, 90 * DAY),
        ("a:current@0 b:announced@5>605", 605, 605),
        ("r:retired@1>50 a:current@0 b:announced@5>605", 50, 605),
        ("r:retired@1>4000 a:current@0", 4_000, 90 * DAY),
    ] {
        let keys = ring(keys);
        assert_eq!((next_due(&keys, POLICY), next_roll(&keys, POLICY)), (Some(at(due)), Some(at(roll))));
        assert!(matches!(next(&keys, Order::Due, None, at(due - 1), POLICY).unwrap(), Next::Nothing));
        assert!(!matches!(next(&keys, Order::Due, None, at(due), POLICY).unwrap(), Next::Nothing));
    }
}

#[test]
fn a_key_is_published_longer_than_the_documents_are_kept() {
    assert!(limits::SIGNING_KEY_ANNOUNCED_MIN >= limits::DOCUMENTS_CACHED + Duration::from_secs(60));
    assert!(limits::SIGNING_KEY_ANNOUNCED >= limits::SIGNING_KEY_ANNOUNCED_MIN);
}
