//! The plan's rules one by one, and a small world in which plans are carried out until nothing changes.

use super::*;
use crate::desired::{AppNetwork, Deployment, Health, InstanceLimits};
use crate::fixtures::id;
use domain::Timestamp;

const SECOND: Duration = Duration::from_secs(1);
const NOW: Elapsed = Duration::from_secs(1_000);

fn desired(instances: u16, revision: u64) -> Desired {
    Desired {
        app: id(0),
        state: DesiredState::Running,
        instances,
        command: None,
        health: Health::Port,
        limits: InstanceLimits::default(),
        network: AppNetwork::Host,
        deployment: Some(Deployment {
            id: id(0),
            runtime: "executable".to_owned(),
            command: "./start".to_owned(),
            instead_of: None,
            path: Vec::new(),
            image: None,
            created: Timestamp::from_seconds(0),
        }),
        token_file: false,
        arc: false,
        account: 0,
        revision,
        changed: Timestamp::from_seconds(0),
    }
}

fn one(number: u128, revision: u64, phase: Phase) -> Observed {
    Observed { workload: id(number), revision, phase, since: NOW, failed_checks: 0, in_flight: 0 }
}

fn actions(desired: Option<&Desired>, observed: &[Observed], now: Elapsed) -> Vec<Action> {
    plan(desired, observed, Restarts::default(), now).actions
}

#[test]
fn as_many_as_are_missing_are_started() {
    assert_eq!(actions(Some(&desired(3, 1)), &[], NOW), [Action::Start; 3]);
    let observed = [one(1, 1, Phase::Ready), one(2, 1, Phase::Starting)];
    assert_eq!(actions(Some(&desired(3, 1)), &observed, NOW), [Action::Start]);
    assert_eq!(actions(Some(&desired(2, 1)), &observed, NOW), []);
}

#[test]
fn nothing_is_started_that_is_stopped_or_not_deployed_or_gone() {
    let stopped = Desired { state: DesiredState::Stopped, ..desired(3, 1) };
    let empty = Desired { deployment: None, ..desired(3, 1) };
    let observed = [one(1, 1, Phase::Ready), one(2, 1, Phase::Starting)];
    for desired in [Some(&stopped), Some(&empty), None] {
        assert_eq!(actions(desired, &[], NOW), []);
        assert_eq!(actions(desired, &observed, NOW), [Action::Drain(id(1)), Action::Stop(id(2))]);
    }
}

#[test]
fn old_ones_serve_until_the_new_ones_are_ready() {
    let wanted = desired(2, 2);
    let old = [one(1, 1, Phase::Ready), one(2, 1, Phase::Ready)];
    assert_eq!(actions(Some(&wanted), &old, NOW), [Action::Start; 2]);
    let half = [old[0], old[1], one(3, 2, Phase::Ready), one(4, 2, Phase::Starting)];
    assert_eq!(actions(Some(&wanted), &half, NOW), []);
    let whole = [old[0], old[1], one(3, 2, Phase::Ready), one(4, 2, Phase::Ready)];
    assert_eq!(actions(Some(&wanted), &whole, NOW), [Action::Drain(id(1)), Action::Drain(id(2))]);
}

/// One that never serves is of no use to wait for: it gives way at once.
#[test]
fn an_old_one_that_is_still_starting_goes_at_once() {
    let observed = [one(1, 1, Phase::Starting)];
    assert_eq!(actions(Some(&desired(1, 2)), &observed, NOW), [Action::Stop(id(1)), Action::Start]);
}

#[test]
fn a_start_that_takes_too_long_is_given_up_and_the_old_one_stays() {
    let observed = [one(1, 1, Phase::Ready), one(2, 2, Phase::Starting)];
    let wanted = desired(1, 2);
    assert_eq!(
        plan(Some(&wanted), &observed, Restarts::default(), NOW).look_again,
        Some(NOW + limits::START_TIME_MAX)
    );
    let failing = Restarts { failures: 9, not_before: NOW + 10 * limits::START_TIME_MAX };
    let late = plan(Some(&wanted), &observed, failing, NOW + limits::START_TIME_MAX);
    assert_eq!(late.actions, [Action::Stop(id(2))]);
    assert_eq!(late.look_again, Some(failing.not_before));
}

#[test]
fn fewer_are_wanted_and_those_that_do_not_serve_go_first() {
    let observed = [one(1, 1, Phase::Ready), one(2, 1, Phase::Ready), one(3, 1, Phase::Starting)];
    assert_eq!(actions(Some(&desired(2, 1)), &observed, NOW), [Action::Stop(id(3))]);
    assert_eq!(actions(Some(&desired(1, 1)), &observed, NOW), [Action::Drain(id(1)), Action::Stop(id(3))]);
}

#[test]
fn one_that_leaves_ends_its_requests_then_is_asked_then_is_made_to() {
    let wanted = desired(1, 2);
    let ready = one(9, 2, Phase::Ready);
    let busy = Observed { in_flight: 1, ..one(1, 1, Phase::Draining) };
    assert_eq!(actions(Some(&wanted), &[ready, busy], NOW), []);
    assert_eq!(actions(Some(&wanted), &[ready, busy], NOW + limits::DRAIN_TIME_MAX), [Action::Stop(id(1))]);
    assert_eq!(actions(Some(&wanted), &[ready, one(1, 1, Phase::Draining)], NOW), [Action::Stop(id(1))]);
    let stopping = one(1, 1, Phase::Stopping);
    assert_eq!(actions(Some(&wanted), &[ready, stopping], NOW + limits::STOP_TIME_MAX - SECOND), []);
    assert_eq!(
        actions(Some(&wanted), &[ready, stopping], NOW + limits::STOP_TIME_MAX),
        [Action::Kill(id(1))]
    );
    assert_eq!(actions(Some(&wanted), &[ready, one(1, 1, Phase::Killing)], NOW + SECOND), []);
    assert_eq!(actions(Some(&wanted), &[ready, one(1, 1, Phase::Ended)], NOW), [Action::Forget(id(1))]);
}

#[test]
fn one_that_fails_its_checks_is_replaced() {
    let sick = Observed { failed_checks: limits::HEALTH_FAILURES_MAX, ..one(1, 1, Phase::Ready) };
    assert_eq!(actions(Some(&desired(1, 1)), &[sick], NOW), [Action::Drain(id(1))]);
    assert_eq!(
        actions(Some(&desired(1, 1)), &[Observed { phase: Phase::Draining, ..sick }], NOW),
        [Action::Stop(id(1)), Action::Start]
    );
}

#[test]
fn failures_wait_longer_each_time_and_are_forgiven() {
    let mut restarts = Restarts::default();
    let mut waits = Vec::new();
    for _ in 0..9 {
        restarts = restarts.failed(NOW);
        waits.push((restarts.not_before - NOW).as_secs());
    }
    assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
    let waiting = plan(Some(&desired(1, 1)), &[], restarts, NOW);
    assert_eq!((waiting.actions, waiting.look_again), (vec![], Some(restarts.not_before)));
    assert_eq!(plan(Some(&desired(1, 1)), &[], Restarts::forgiven(), NOW).actions, [Action::Start]);
}

/// Plans are carried out in a world where programs become ready, crash and ignore signals; whatever is wanted comes about in the end,
/// nothing is started beside it, and an app that serves goes on serving while it is replaced.
#[test]
fn what_is_desired_comes_about() {
    for seed in 0..300_u64 {
        World::new(seed).run();
    }
}

struct World {
    random: u64,
    now: Elapsed,
    next: u128,
    desired: Desired,
    running: Vec<Observed>,
    restarts: Restarts,
}

impl World {
    fn new(seed: u64) -> Self {
        let running = Vec::new();
        Self {
            random: seed * 2 + 1,
            now: NOW,
            next: 1,
            desired: desired(2, 1),
            running,
            restarts: Restarts::default(),
        }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    fn run(&mut self) {
        for _ in 0..200 {
            match self.draw(12) {
                0 => self.desired.instances = u16::try_from(1 + self.draw(4)).unwrap(),
                1 => self.desired.revision += 1,
                2 => self.crash(),
                _ => {}
            }
            let served = self.serving();
            self.step();
            // What leaves in a step leaves because enough others serve, or because it is too many.
            if served > 0 {
                assert!(self.serving() >= served.min(usize::from(self.desired.instances)).min(1));
            }
            self.pass();
        }
        for _ in 0..2_000 {
            self.step();
            self.pass();
        }
        let is_wanted = |one: &Observed| one.phase == Phase::Ready && one.revision == self.desired.revision;
        assert!(self.running.iter().all(is_wanted), "{:?}", self.running);
        assert_eq!(self.running.len(), usize::from(self.desired.instances));
    }

    fn serving(&self) -> usize {
        self.running.iter().filter(|one| one.phase == Phase::Ready).count()
    }

    fn crash(&mut self) {
        let count = self.running.len() as u64;
        if count > 0 {
            let which = usize::try_from(self.draw(count)).unwrap();
            self.running[which].phase = Phase::Ended;
            self.restarts = self.restarts.failed(self.now);
        }
    }

    fn step(&mut self) {
        let now = self.now;
        for action in plan(Some(&self.desired), &self.running, self.restarts, now).actions {
            let mut set = |id, phase| {
                let found = self.running.iter_mut().find(|one| one.workload == id).unwrap();
                (found.phase, found.since) = (phase, now);
            };
            match action {
                Action::Start => {
                    let started =
                        Observed { since: now, ..one(self.next, self.desired.revision, Phase::Starting) };
                    self.next += 1;
                    self.running.push(started);
                }
                Action::Drain(id) => set(id, Phase::Draining),
                Action::Stop(id) => set(id, Phase::Stopping),
                Action::Kill(id) => set(id, Phase::Killing),
                Action::Forget(id) => self.running.retain(|one| one.workload != id),
            }
        }
        assert!(self.running.len() <= 64, "too many: {:?}", self.running);
    }

    fn pass(&mut self) {
        self.now += SECOND;
        for which in 0..self.running.len() {
            let roll = self.draw(4);
            let found = &mut self.running[which];
            found.phase = match found.phase {
                Phase::Starting if roll == 0 => Phase::Ready,
                Phase::Stopping if roll == 0 => Phase::Ended,
                Phase::Killing => Phase::Ended,
                same => same,
            };
        }
    }
}
