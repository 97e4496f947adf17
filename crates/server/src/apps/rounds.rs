//! Whose turn it is: rounds of several apps go on at a time, so that one that waits (for podman, for a process that does not die) holds up
//! nobody else; those of one app come one after the other.

use crate::tasks::boxed;
use domain::AppName;
use std::{
    collections::{BTreeSet, HashMap},
    future::Future,
};
use tokio::task::{Id, JoinSet};

/// Rounds at a time. Ours: each may start processes, and few are enough where none waits.
const ROUNDS_MAX: usize = 32;

/// The rounds that go on, and the apps that wait for theirs. Dropping this cuts off those that go on.
#[derive(Default)]
pub(super) struct Rounds {
    running: JoinSet<()>,
    names: HashMap<Id, AppName>,
    waiting: BTreeSet<AppName>,
}

impl Rounds {
    /// These apps want a round. One that has one now gets another after it: what it is about may have come too late for this one.
    pub(super) fn want(&mut self, names: impl IntoIterator<Item = AppName>) {
        self.waiting.extend(names);
    }

    /// Begins as many rounds as may be.
    pub(super) fn begin<F: Future<Output = ()> + Send + 'static>(&mut self, round: impl Fn(AppName) -> F) {
        let busy: BTreeSet<AppName> = self.names.values().cloned().collect();
        let free = ROUNDS_MAX.saturating_sub(busy.len());
        let chosen: Vec<_> = self.waiting.difference(&busy).take(free).cloned().collect();
        for name in chosen {
            self.waiting.remove(&name);
            let id = self.running.spawn(boxed(round(name.clone()))).id();
            self.names.insert(id, name);
        }
    }

    /// Does an app have its round, or wait for it?
    pub(super) fn holds(&self, name: &AppName) -> bool {
        self.waiting.contains(name) || self.names.values().any(|busy| busy == name)
    }

    /// Waits until a round has ended; for ever if none goes on.
    pub(super) async fn ended(&mut self) {
        let id = match self.running.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => {
                tracing::error!(%error, "a round of an app has ended early");
                error.id()
            }
            None => return std::future::pending().await,
        };
        self.names.remove(&id);
    }

    /// Waits until those have ended that go on; others do not begin.
    pub(super) async fn finish(mut self) {
        while self.running.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tokio::sync::Notify;

    fn app(name: &str) -> AppName {
        name.parse().unwrap()
    }

    #[tokio::test]
    async fn an_app_that_waits_for_podman_holds_up_no_other_and_has_one_round_at_a_time() {
        let (begun, podman) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let round = |name: AppName| {
            let (begun, podman) = (begun.clone(), podman.clone());
            async move {
                begun.lock().unwrap().push(name.to_string());
                if name == app("stuck") {
                    podman.notified().await;
                }
            }
        };
        let mut rounds = Rounds::default();
        rounds.want([app("stuck"), app("web")]);
        rounds.begin(round);
        rounds.ended().await;
        for _ in 0..3 {
            rounds.want([app("stuck"), app("web")]);
            rounds.begin(round);
            rounds.ended().await;
        }
        let told = |name: &str| begun.lock().unwrap().iter().filter(|begun| *begun == name).count();
        assert_eq!((told("web"), told("stuck")), (4, 1));
        assert!(rounds.holds(&app("stuck")) && !rounds.holds(&app("web")));
        podman.notify_one();
        rounds.ended().await;
        rounds.begin(round);
        podman.notify_one();
        rounds.ended().await;
        assert_eq!(told("stuck"), 2, "what has come meanwhile gets its round");
        assert!(!rounds.holds(&app("stuck")));
        rounds.finish().await;
    }

    #[tokio::test]
    async fn a_round_that_panics_is_over_and_many_wait_for_a_place() {
        let mut rounds = Rounds::default();
        rounds.want([app("bad")]);
        rounds.begin(|_| async { panic!("a bug") });
        rounds.ended().await;
        assert!(!rounds.holds(&app("bad")));
        rounds.want((0..=ROUNDS_MAX).map(|number| app(&format!("app{number}"))));
        rounds.begin(|_| async {});
        assert_eq!((rounds.names.len(), rounds.waiting.len()), (ROUNDS_MAX, 1));
        rounds.ended().await;
        rounds.begin(|_| async {});
        assert!(rounds.waiting.is_empty());
        rounds.finish().await;
    }
}
