//! Which instances of an app take requests, how many each has at the moment, and when one that is to end has none any more.
//!
//! Owns: the table, whose turn it is, and for how long the front keeps what it has of an instance. Owns not: connections (`wire::proxy`),
//! processes and when one is ready (whoever adds it). Nothing here waits or reads anything: a lease is taken and given back, and a task
//! that waits for an instance is woken.

use domain::AppName;
use std::{
    any::Any,
    collections::HashMap,
    fmt,
    future::Future,
    io,
    net::{SocketAddr, TcpStream},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// A connection on its way.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// A way to an instance that no address of ours leads to, such as one in a network of its own.
pub trait Connect: Send + Sync {
    /// Opens another connection, which is set to non-blocking.
    fn connect(&self) -> Connecting;
}

/// Where an instance takes connections.
#[derive(Clone)]
pub enum Reach {
    /// At an address of this machine.
    At(SocketAddr),
    /// By somebody who knows the way.
    By(Arc<dyn Connect>),
}

impl fmt::Debug for Reach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => write!(formatter, "At({address})"),
            Self::By(_) => formatter.write_str("By(..)"),
        }
    }
}

/// An instance in the table; never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceKey(u64);

/// What an app is meant to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing was deployed to it yet.
    Nothing,
    /// It is being deployed or started; instances that there are take requests meanwhile.
    Starting,
    /// It runs.
    Running,
    /// Somebody has stopped it: no instance takes requests, whether it still runs or not.
    Stopped,
}

/// Why a request cannot go to an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unroutable {
    /// There is no such app.
    #[error("there is no such app")]
    NotFound,
    /// Nothing was deployed to it yet.
    #[error("nothing is deployed to the app")]
    Empty,
    /// Somebody has stopped it.
    #[error("the app is stopped")]
    Stopped,
    /// No instance is ready yet.
    #[error("the app is being started")]
    Starting,
    /// None runs, and somebody should look why.
    #[error("no instance of the app runs")]
    NoInstance,
}

/// The table.
#[derive(Default)]
pub struct Routes {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    apps: HashMap<AppName, Entry>,
    keys: u64,
}

struct Entry {
    wanted: Wanted,
    instances: Vec<Arc<Instance>>,
    /// Where to begin looking for the least busy one.
    turn: usize,
}

struct Instance {
    key: InstanceKey,
    reach: Reach,
    load: Mutex<Load>,
}

/// What the front keeps for an instance.
type Kept = Arc<dyn Any + Send + Sync>;

#[derive(Default)]
struct Load {
    leases: usize,
    is_draining: bool,
    waiting: Vec<Waker>,
    kept: Option<Kept>,
}

impl Load {
    /// What nobody needs any more, to be dropped when the lock is not held: many programs that are asked to end wait until all
    /// connections to them are closed.
    fn unneeded(&mut self) -> Option<Kept> {
        if self.is_draining && self.leases == 0 { self.kept.take() } else { None }
    }
}

impl Routes {
    /// With no app.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what an app is meant to do, whether it was known or not. Its instances stay.
    pub fn set(&self, app: &AppName, wanted: Wanted) {
        let mut table = locked(&self.table);
        match table.apps.get_mut(app) {
            Some(entry) => entry.wanted = wanted,
            None => {
                table.apps.insert(app.clone(), Entry { wanted, instances: Vec::new(), turn: 0 });
            }
        }
    }

    /// Forgets an app and its instances: from now on it is not found. Leases stay good.
    pub fn forget(&self, app: &AppName) {
        locked(&self.table).apps.remove(app);
    }

    /// Lets an instance that is ready take requests. An app that was not known is running from now on.
    pub fn add(&self, app: &AppName, reach: Reach) -> InstanceKey {
        let mut table = locked(&self.table);
        table.keys = table.keys.wrapping_add(1);
        let key = InstanceKey(table.keys);
        let instance = Instance { key, reach, load: Mutex::default() };
        let new = || Entry { wanted: Wanted::Running, instances: Vec::new(), turn: 0 };
        table.apps.entry(app.clone()).or_insert_with(new).instances.push(Arc::new(instance));
        key
    }

    /// Lets an instance take no more requests. Ready when it has answered those that it has; at once if there is no such instance.
    pub fn drain(&self, app: &AppName, key: InstanceKey) -> Drained {
        let instance = locked(&self.table).find(app, key);
        if let Some(instance) = &instance {
            let mut load = locked(&instance.load);
            load.is_draining = true;
            let unneeded = load.unneeded();
            drop(load);
            drop(unneeded);
        }
        Drained { instance }
    }

    /// Takes an instance out of the table, whether it has requests or not.
    pub fn remove(&self, app: &AppName, key: InstanceKey) {
        if let Some(entry) = locked(&self.table).apps.get_mut(app) {
            entry.instances.retain(|instance| instance.key != key);
        }
    }

    /// How many requests each instance of an app has, those that are to end included.
    pub fn in_flight(&self, app: &AppName) -> Vec<(InstanceKey, usize)> {
        let table = locked(&self.table);
        let instances = table.apps.get(app).map_or(&[][..], |entry| &entry.instances);
        instances.iter().map(|instance| (instance.key, locked(&instance.load).leases)).collect()
    }

    /// The instance that has least to do; among equals they take turns.
    ///
    /// # Errors
    /// [`Unroutable`].
    pub fn lease(&self, app: &AppName) -> Result<Lease, Unroutable> {
        self.lease_besides(app, None)
    }

    /// The same for a request that has failed at one instance: another one, if there is another one.
    ///
    /// # Errors
    /// [`Unroutable`].
    pub fn lease_besides(&self, app: &AppName, failed: Option<InstanceKey>) -> Result<Lease, Unroutable> {
        let mut table = locked(&self.table);
        let entry = table.apps.get_mut(app).ok_or(Unroutable::NotFound)?;
        if entry.wanted == Wanted::Stopped {
            return Err(Unroutable::Stopped);
        }
        let (before, after) = entry.instances.split_at(entry.turn.min(entry.instances.len()));
        let in_turn = after.iter().chain(before);
        let ready = in_turn.filter_map(|instance| {
            let load = locked(&instance.load);
            (!load.is_draining).then_some((Some(instance.key) == failed, load.leases, instance))
        });
        // The first of equals, so the one whose turn it is.
        let Some((_, _, chosen)) = ready.min_by_key(|(has_failed, leases, _)| (*has_failed, *leases)) else {
            return Err(match entry.wanted {
                Wanted::Nothing => Unroutable::Empty,
                Wanted::Starting => Unroutable::Starting,
                Wanted::Running | Wanted::Stopped => Unroutable::NoInstance,
            });
        };
        let chosen = chosen.clone();
        let place = entry.instances.iter().position(|instance| instance.key == chosen.key);
        entry.turn = place.map_or(0, |place| place.wrapping_add(1));
        // Still under the table's lock: whoever drains the instance from here on sees this lease.
        let mut load = locked(&chosen.load);
        load.leases = load.leases.saturating_add(1);
        drop(load);
        Ok(Lease { instance: chosen })
    }
}

impl Table {
    fn find(&self, app: &AppName, key: InstanceKey) -> Option<Arc<Instance>> {
        self.apps.get(app)?.instances.iter().find(|instance| instance.key == key).cloned()
    }
}

/// A request's place at an instance. Dropping it gives the place back.
pub struct Lease {
    instance: Arc<Instance>,
}

impl Lease {
    /// Which instance.
    pub fn key(&self) -> InstanceKey {
        self.instance.key
    }

    /// Where it takes connections.
    pub fn reach(&self) -> &Reach {
        &self.instance.reach
    }

    /// Something of the front's, such as connections to the instance, that goes when the instance does, or takes no more requests and has
    /// answered those that it had. Made by whoever asks first; all ask for the same type, and who does not has one of their own.
    pub fn keep<T: Any + Send + Sync>(&self, make: impl Fn() -> T) -> Arc<T> {
        let kept = locked(&self.instance.load).kept.get_or_insert_with(|| Arc::new(make())).clone();
        kept.downcast().unwrap_or_else(|_| Arc::new(make()))
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Lease").field("instance", &self.instance.key).finish_non_exhaustive()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut load = locked(&self.instance.load);
        load.leases = load.leases.saturating_sub(1);
        let woken = if load.leases == 0 { std::mem::take(&mut load.waiting) } else { Vec::new() };
        let unneeded = load.unneeded();
        drop(load);
        drop(unneeded);
        woken.into_iter().for_each(Waker::wake);
    }
}

/// Ready when an instance that takes no more requests has none.
pub struct Drained {
    instance: Option<Arc<Instance>>,
}

impl Future for Drained {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(instance) = &self.instance else { return Poll::Ready(()) };
        let mut load = locked(&instance.load);
        if load.leases == 0 {
            return Poll::Ready(());
        }
        if !load.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            load.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }
}

/// What is behind these locks is whole after each statement, so a thread that panicked has left nothing half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn app() -> AppName {
        AppName::parse("Web").unwrap()
    }

    fn reach() -> Reach {
        Reach::At(([127, 0, 0, 1], 1).into())
    }

    struct Count(AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn what_is_not_routed_says_why() {
        let routes = Routes::new();
        let why = || routes.lease(&app()).map(drop).unwrap_err();
        assert_eq!(why(), Unroutable::NotFound);
        routes.set(&app(), Wanted::Nothing);
        assert_eq!(why(), Unroutable::Empty);
        routes.set(&app(), Wanted::Starting);
        assert_eq!(why(), Unroutable::Starting);
        routes.set(&AppName::parse("WEB").unwrap(), Wanted::Running);
        assert_eq!(why(), Unroutable::NoInstance);
        let key = routes.add(&app(), reach());
        let lease = routes.lease(&app()).unwrap();
        routes.set(&app(), Wanted::Stopped);
        assert_eq!(why(), Unroutable::Stopped);
        routes.set(&app(), Wanted::Starting);
        assert_eq!(routes.lease(&app()).unwrap().key(), key, "the old one serves while a new one starts");
        routes.forget(&app());
        assert_eq!(why(), Unroutable::NotFound);
        assert_eq!(lease.key(), key);
    }

    #[test]
    fn the_least_busy_is_next_and_equals_take_turns() {
        let routes = Routes::new();
        let keys: Vec<_> = (0..3).map(|_| routes.add(&app(), reach())).collect();
        let turns: Vec<_> = (0..6).map(|_| routes.lease(&app()).unwrap().key()).collect();
        assert_eq!(turns, [keys.clone(), keys.clone()].concat(), "each lease was given back at once");
        let mut leases: Vec<_> = (0..6).map(|_| routes.lease(&app()).unwrap()).collect();
        assert_eq!(routes.in_flight(&app()), keys.iter().map(|key| (*key, 2)).collect::<Vec<_>>());
        leases.retain(|lease| lease.key() != keys[1]);
        for _ in 0..2 {
            leases.push(routes.lease(&app()).unwrap());
            assert_eq!(leases.last().unwrap().key(), keys[1]);
        }
        let other = routes.lease_besides(&app(), Some(keys[0])).unwrap().key();
        assert_ne!(other, keys[0]);
        routes.remove(&app(), keys[1]);
        routes.remove(&app(), keys[2]);
        assert_eq!(routes.lease_besides(&app(), Some(keys[0])).unwrap().key(), keys[0], "it is the only one");
    }

    #[test]
    fn draining_ends_with_the_last_lease() {
        let routes = Routes::new();
        let key = routes.add(&app(), reach());
        let (one, two) = (routes.lease(&app()).unwrap(), routes.lease(&app()).unwrap());
        let mut drained = routes.drain(&app(), key);
        assert_eq!(routes.lease(&app()).map(drop), Err(Unroutable::NoInstance));
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(count.clone());
        let mut poll = || Pin::new(&mut drained).poll(&mut Context::from_waker(&waker));
        assert!(poll().is_pending() && poll().is_pending());
        drop(one);
        assert_eq!((poll(), count.0.load(Ordering::SeqCst)), (Poll::Pending, 0));
        // Taken out of the table meanwhile.
        routes.remove(&app(), key);
        drop(two);
        assert_eq!((poll(), count.0.load(Ordering::SeqCst)), (Poll::Ready(()), 1));
        let mut gone = routes.drain(&app(), key);
        assert!(Pin::new(&mut gone).poll(&mut Context::from_waker(&waker)).is_ready());
    }

    #[test]
    fn what_is_kept_for_an_instance_goes_with_it() {
        let routes = Routes::new();
        let key = routes.add(&app(), reach());
        let lease = routes.lease(&app()).unwrap();
        let kept = lease.keep(|| String::from("connections"));
        assert!(Arc::ptr_eq(&kept, &routes.lease(&app()).unwrap().keep(|| String::from("others"))));
        assert_eq!(Arc::strong_count(&kept), 2);
        routes.remove(&app(), key);
        drop(lease);
        assert_eq!(Arc::strong_count(&kept), 1);
    }

    #[test]
    fn what_is_kept_goes_with_the_last_lease_of_an_instance_that_is_to_end() {
        let routes = Routes::new();
        let key = routes.add(&app(), reach());
        let (one, two) = (routes.lease(&app()).unwrap(), routes.lease(&app()).unwrap());
        let kept = one.keep(|| String::from("connections"));
        drop(one);
        drop(routes.drain(&app(), key));
        assert!(Arc::ptr_eq(&kept, &two.keep(|| String::from("others"))), "it has a request still");
        assert_eq!(Arc::strong_count(&kept), 2);
        drop(two);
        assert_eq!(Arc::strong_count(&kept), 1);
        // With no request under way it goes at once.
        let key = routes.add(&app(), reach());
        let kept = routes.lease(&app()).unwrap().keep(|| String::from("connections"));
        assert_eq!(Arc::strong_count(&kept), 2);
        drop(routes.drain(&app(), key));
        assert_eq!(Arc::strong_count(&kept), 1);
    }
}
