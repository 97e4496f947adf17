//! How callers learn what became of what they asked. Whoever is woken from the writer's thread may take its processor at once, answer, and
//! sleep again before the next is woken: two switches for each commit of a batch. So of the callers of one runtime the first one is woken,
//! and from there, where it is a matter of a queue, all others.

use crate::contract::{Position, StoreError};
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    runtime::{Handle, Id},
    sync::oneshot,
};

/// `None`: given up for good, an answer to [`super::writer::Ask::Resolve`] only.
pub(super) type Verdict = Result<Option<Position>, StoreError>;

/// One who waits for a verdict.
pub(super) struct Caller {
    told: oneshot::Sender<Told>,
    runtime: Option<Id>,
}

/// The verdict of a [`Caller`]; `None` if nobody will tell it any more.
pub(super) struct Answer(oneshot::Receiver<Told>);

/// A verdict, and those of others: wherever this ends, they are told.
struct Told {
    verdict: Option<Verdict>,
    others: VecDeque<(Caller, Verdict)>,
}

impl Caller {
    /// Who asks now.
    pub(super) fn new() -> (Self, Answer) {
        let (told, answer) = oneshot::channel();
        (Self { told, runtime: Handle::try_current().ok().map(|handle| handle.id()) }, Answer(answer))
    }

    /// Tells this one.
    pub(super) fn tell(self, verdict: Verdict) {
        let _ = self.told.send(Told { verdict: Some(verdict), others: VecDeque::new() });
    }
}

/// Tells all of a batch, in this order as far as they are of one runtime.
pub(super) fn tell_all(callers: impl IntoIterator<Item = (Caller, Verdict)>) {
    // There are one or two runtimes.
    let mut groups: Vec<(Id, VecDeque<(Caller, Verdict)>)> = Vec::new();
    for (caller, verdict) in callers {
        let Some(runtime) = caller.runtime else {
            caller.tell(verdict);
            continue;
        };
        match groups.iter_mut().find(|(known, _)| *known == runtime) {
            Some((_, group)) => group.push_back((caller, verdict)),
            None => groups.push((runtime, VecDeque::from([(caller, verdict)]))),
        }
    }
    for (_, mut group) in groups {
        if let Some((first, verdict)) = group.pop_front() {
            // If nobody waits for that one any more this comes back, and the others are told here, as it is dropped.
            let _ = first.told.send(Told { verdict: Some(verdict), others: group });
        }
    }
}

impl Future for Answer {
    type Output = Option<Verdict>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Verdict>> {
        // The others are told here, as this is dropped.
        let told = ready!(Pin::new(&mut self.0).poll(context)).ok();
        Poll::Ready(told.and_then(|mut told| told.verdict.take()))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        for (caller, verdict) in self.others.drain(..) {
            caller.tell(verdict);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::CommitId;
    use std::{
        sync::Arc,
        task::{Wake, Waker},
        thread,
    };

    fn verdict(revision: u64) -> Verdict {
        Ok(Some(Position { revision, commit: CommitId(0) }))
    }

    fn batch(count: u64) -> (Vec<(Caller, Verdict)>, Vec<Answer>) {
        (0..count)
            .map(|revision| {
                let (caller, answer) = Caller::new();
                ((caller, verdict(revision)), answer)
            })
            .unzip()
    }

    /// Who was woken where.
    #[derive(Default)]
    struct Woken(std::sync::Mutex<Vec<thread::ThreadId>>);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.lock().unwrap().push(thread::current().id());
        }
    }

    fn is_waiting(answer: &mut Answer, woken: &Arc<Woken>) -> bool {
        let waker = woken.clone().into();
        Pin::new(answer).poll(&mut Context::from_waker(&waker)).is_pending()
    }

    #[tokio::test]
    async fn one_is_woken_by_the_writer_and_the_others_by_that_one() {
        let (callers, mut answers) = batch(4);
        let woken = Arc::new(Woken::default());
        assert!(answers.iter_mut().all(|answer| is_waiting(answer, &woken)));
        thread::spawn(move || tell_all(callers)).join().unwrap();
        assert_eq!(woken.0.lock().unwrap().len(), 1);
        let mut answers = answers.into_iter();
        assert_eq!(answers.next().unwrap().await, Some(verdict(0)));
        let here = thread::current().id();
        assert_eq!(woken.0.lock().unwrap()[1..], [here; 3]);
        for (answer, revision) in answers.zip(1..) {
            assert_eq!(answer.await, Some(verdict(revision)));
        }
    }

    #[tokio::test]
    async fn whoever_does_not_wait_any_more_leaves_the_others_nothing_to_wait_for() {
        // Before it is told, and after it was told but before it looked.
        for is_told in [false, true] {
            let (callers, mut answers) = batch(4);
            if is_told {
                tell_all(callers);
                drop(answers.drain(..2));
            } else {
                drop(answers.drain(..2));
                tell_all(callers);
            }
            for (answer, revision) in answers.into_iter().zip(2..) {
                assert_eq!(answer.await, Some(verdict(revision)));
            }
        }
    }

    #[test]
    fn a_runtime_that_is_busy_keeps_no_other_waiting_and_none_is_no_runtime() {
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (busy, other) = (runtime(), runtime());
        let (mut callers, unread) = busy.block_on(async { batch(2) });
        let (more, theirs) = other.block_on(async { batch(2) });
        callers.extend(more);
        let (more, mut nowhere) = batch(1);
        callers.extend(more);
        tell_all(callers);
        for (mut answer, revision) in theirs.into_iter().zip(0..) {
            let looked = Pin::new(&mut answer).poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(looked, Poll::Ready(Some(verdict(revision))));
        }
        assert!(!is_waiting(&mut nowhere[0], &Arc::default()));
        drop(unread);
    }

    #[tokio::test]
    async fn who_is_let_go_of_is_told_nothing() {
        let (callers, answers) = batch(2);
        drop(callers);
        for answer in answers {
            assert_eq!(answer.await, None);
        }
    }
}
