//! The reconciler's plan: what to do next so that what runs becomes what is desired. A plain function of both and the time.
//!
//! Owns: rolling replacement, restarts with back-off, how long a start and a stop may take, when an instance is unhealthy. Owns not:
//! doing it (`server` does, and tells what it observes). Planning twice without doing anything plans the same.
//!
//! New instances run beside the old ones until enough of them are ready; only then do the old ones go. One that does not become ready
//! never costs the app the instances that serve.

use crate::desired::{Desired, DesiredState};
use domain::{WorkloadId, limits};
use std::time::Duration;

/// A time on the supervisor's own clock, which never goes back: since it began.
pub type Elapsed = Duration;

/// What an instance is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its program runs and has not been seen ready.
    Starting,
    /// It serves.
    Ready,
    /// It gets no more requests, and ends those that it has.
    Draining,
    /// It was asked to end.
    Stopping,
    /// It was made to end, and has not yet.
    Killing,
    /// Its program has ended.
    Ended,
}

/// An instance as it is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Which.
    pub workload: WorkloadId,
    /// The revision of [`Desired`] that it was started for.
    pub revision: u64,
    /// What it is at.
    pub phase: Phase,
    /// Since when.
    pub since: Elapsed,
    /// Health checks that failed in a row.
    pub failed_checks: u32,
    /// Requests that it is answering.
    pub in_flight: usize,
}

/// How starts of an app have gone of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restarts {
    /// Instances in a row that ended by themselves, were unhealthy or did not become ready.
    pub failures: u32,
    /// No start before.
    pub not_before: Elapsed,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start an instance of the desired revision.
    Start,
    /// Give it no more requests.
    Drain(WorkloadId),
    /// Ask it to end (SIGTERM).
    Stop(WorkloadId),
    /// Make it end (SIGKILL, all that it has started).
    Kill(WorkloadId),
    /// It is over: take its endpoint, cgroup and record away.
    Forget(WorkloadId),
}

/// What to do, and by when to look again even if nothing is observed until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The steps, in order.
    pub actions: Vec<Action>,
    /// When a time that matters comes.
    pub look_again: Option<Elapsed>,
}

impl Restarts {
    /// An instance failed: the next start waits, each time twice as long.
    #[must_use]
    pub fn failed(self, now: Elapsed) -> Self {
        let failures = self.failures.saturating_add(1);
        Self { failures, not_before: now + back_off(failures) }
    }

    /// An instance has served for a while, or somebody wants something else: start at once again.
    #[must_use]
    pub const fn forgiven() -> Self {
        Self { failures: 0, not_before: Duration::ZERO }
    }
}

/// How long a start waits after this many failures in a row: nothing after the first, then 1, 2, 4, … seconds.
fn back_off(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        more => limits::RESTART_BACK_OFF_MAX.min(Duration::from_secs(1 << (more - 2).min(16))),
    }
}

/// The plan. Without `desired` the app is gone, and so is all that runs of it.
pub fn plan(desired: Option<&Desired>, observed: &[Observed], restarts: Restarts, now: Elapsed) -> Plan {
    let mut planner = Planner { actions: Vec::new(), look_again: None, now };
    let wanted = desired
        .filter(|desired| desired.state == DesiredState::Running && desired.deployment.is_some())
        .map_or(0, |desired| usize::from(desired.instances));
    let revision = desired.map(|desired| desired.revision);
    let is_current = |instance: &&Observed| Some(instance.revision) == revision && wanted > 0;

    let current: Vec<_> = observed.iter().filter(is_current).collect();
    let ready = current.iter().filter(|one| one.phase == Phase::Ready).count();
    let coming = current.iter().filter(|one| one.phase == Phase::Starting && !is_late(one, now)).count();

    // The oldest go first when there are too many of the current revision; starting ones before ready ones.
    let mut surplus = (ready + coming).saturating_sub(wanted);
    let mut leaving: Vec<WorkloadId> = Vec::new();
    for phase in [Phase::Starting, Phase::Ready] {
        for instance in current.iter().filter(|one| one.phase == phase && !is_late(one, now)) {
            if surplus > 0 {
                surplus -= 1;
                leaving.push(instance.workload);
            }
        }
    }
    // Those of an earlier revision serve until as many of the current one are ready.
    let may_replace = ready >= wanted;
    for instance in observed {
        let is_kept = is_current(&instance) && !leaving.contains(&instance.workload)
            || !may_replace && instance.phase == Phase::Ready && wanted > 0;
        planner.instance(instance, is_kept);
    }
    let missing = wanted.saturating_sub(ready + coming);
    if missing > 0 {
        if restarts.not_before <= now {
            planner.actions.extend(std::iter::repeat_n(Action::Start, missing));
        } else {
            planner.at(restarts.not_before);
        }
    }
    Plan { actions: planner.actions, look_again: planner.look_again }
}

/// Has it taken too long to become ready?
fn is_late(instance: &Observed, now: Elapsed) -> bool {
    instance.phase == Phase::Starting && now >= instance.since + limits::START_TIME_MAX
}

struct Planner {
    actions: Vec<Action>,
    look_again: Option<Elapsed>,
    now: Elapsed,
}

impl Planner {
    fn at(&mut self, time: Elapsed) {
        self.look_again = Some(self.look_again.map_or(time, |earlier| earlier.min(time)));
    }

    /// Now if it is time, else look again then.
    fn when(&mut self, time: Elapsed, action: Action) {
        if time <= self.now { self.actions.push(action) } else { self.at(time) }
    }

    fn instance(&mut self, instance: &Observed, is_kept: bool) {
        let id = instance.workload;
        let is_sick = instance.failed_checks >= limits::HEALTH_FAILURES_MAX;
        match instance.phase {
            Phase::Ended => self.actions.push(Action::Forget(id)),
            Phase::Killing => self.at(self.now + KILL_PATIENCE),
            Phase::Stopping => self.when(instance.since + limits::STOP_TIME_MAX, Action::Kill(id)),
            Phase::Draining if instance.in_flight == 0 => self.actions.push(Action::Stop(id)),
            Phase::Draining => self.when(instance.since + limits::DRAIN_TIME_MAX, Action::Stop(id)),
            Phase::Starting if is_late(instance, self.now) => self.actions.push(Action::Stop(id)),
            Phase::Starting if !is_kept => self.actions.push(Action::Stop(id)),
            Phase::Starting => self.at(instance.since + limits::START_TIME_MAX),
            Phase::Ready if !is_kept || is_sick => self.actions.push(Action::Drain(id)),
            Phase::Ready => {}
        }
    }
}

/// How often one that was killed is looked at again. Ours: the kernel takes milliseconds, or a disk is stuck.
const KILL_PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
