//! What happens without a request: the audit log is synced and anchored, ended workloads are noticed, certificates are renewed, signing keys
//! roll, in the vaults is done what is due, and hosts files are looked through.
//!
//! Each task ends when the server stops; none of them may be needed for a request to be answered rightly.

use crate::{
    anchor,
    authority::Certificates,
    listen::{Stop, stopped},
};
use audit::{Actor, AuditLog, AuditSink, Outcome, SharedOrigin};
use domain::{Clock, Entropy, RequestId, Timestamp, limits};
use host::HostService;
use std::{future::Future, path::PathBuf, pin::Pin, sync::Arc, time::Duration};
use store::{Condition, Store};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior},
};
use vault::Done;
use wire::{Context, Door, Named, Services, Sparing, admin::Installation};

/// How often ended workloads are looked for. An ended workload's endpoint refuses in any case: nobody is in its cgroup.
const REAP_INTERVAL: Duration = Duration::from_secs(2);
/// How often the server's certificate is looked at.
const RENEW_INTERVAL: Duration = Duration::from_secs(6 * 3_600);

/// How often is looked for what is due in the vaults and with the signing keys: looking costs one short list and a few records.
const DUE_INTERVAL: Duration = Duration::from_secs(5);

/// How often is looked for audit records that have been kept for long enough: looking reads the ends of a few files.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(600);

/// How often all names are read for hosts files: whoever made or deleted something may not have known that it did, or have gone before it said
/// so. Ours: it reads all apps and vaults.
const NAMES_INTERVAL: Duration = Duration::from_secs(30);

/// What runs beside others.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task to be spawned, behind a pointer. The runtime knows two ways to keep one, by its size, and both would be compiled around each: all
/// that a server does is in some task.
pub(crate) fn boxed(task: impl Future<Output = ()> + Send + 'static) -> Task {
    Box::pin(task)
}

/// Runs something at an interval until the server stops. The first time is one interval from now.
async fn every<F: Future<Output = ()>>(interval: Duration, mut stop: Stop, mut run: impl FnMut() -> F) {
    let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => run().await,
            () = stopped(&mut stop) => return,
        }
    }
}

/// Syncs the audit log and keeps its anchor.
pub(crate) async fn sync(log: Arc<AuditLog>, store: Arc<dyn Store>, entropy: Arc<dyn Entropy>, stop: Stop) {
    every(limits::AUDIT_SYNC_INTERVAL, stop, || sync_once(log.clone(), &*store, &*entropy)).await;
}

/// Logs when the store does not write any more, and why: whoever asks it is told that it is away, and no more.
pub(crate) async fn condition(mut store: watch::Receiver<Condition>, path: PathBuf, mut stop: Stop) {
    let (mut is_stopped, mut is_full) = (false, false);
    loop {
        let condition = store.borrow_and_update().clone();
        let path = path.display();
        if let Some(why) = condition.stopped.as_ref().filter(|_| !is_stopped) {
            tracing::error!(%path, error = %why, "THE STORE DOES NOT WRITE any more: look at its disk, then start the server again");
        }
        match (is_full, condition.is_full()) {
            (false, true) => tracing::error!(%path, "the store finds no room on its disk: make room"),
            (true, false) => tracing::info!(%path, "the store has room again"),
            _ => {}
        }
        (is_stopped, is_full) = (condition.stopped.is_some(), condition.is_full());
        tokio::select! {
            changed = store.changed() => if changed.is_err() { return },
            () = stopped(&mut stop) => return,
        }
    }
}

/// One round of [`sync`]; also the last thing before the server ends.
pub(crate) async fn sync_once(log: Arc<AuditLog>, store: &dyn Store, entropy: &dyn Entropy) {
    // Of each second, as long as a disk fails.
    static NOT_KEPT: Sparing = Sparing::new();
    static NOT_SYNCED: Sparing = Sparing::new();
    // The disk may take its time: not on a thread that answers requests.
    match tokio::task::spawn_blocking(move || log.sync()).await {
        Ok(Ok(Some(at))) => {
            if let Err(error) = anchor::save(store, entropy, at).await
                && let Some(left_out) = NOT_KEPT.due()
            {
                let error = domain::chain(&error);
                tracing::error!(error, left_out, "the audit log's anchor cannot be kept");
            }
        }
        Ok(Ok(None)) | Err(_) => {}
        Ok(Err(error)) => {
            if let Some(left_out) = NOT_SYNCED.due() {
                let error = domain::chain(&error);
                tracing::error!(error, left_out, "the audit log cannot be synced");
            }
        }
    }
}

/// Takes away audit records that have been kept for long enough: at each start, and then now and then.
pub(crate) async fn expire(
    log: Arc<AuditLog>,
    services: Arc<Services>,
    store: Arc<dyn Store>,
    keep: Duration,
    stop: Stop,
) {
    let round = || async {
        let Services { audit, entropy, clock, .. } = &*services;
        if let Err(error) = expire_once(&log, &**audit, &*store, &**entropy, clock.now(), keep).await {
            tracing::error!(error = %error, "audit records that have expired are kept still");
        }
    };
    round().await;
    every(EXPIRE_INTERVAL, stop, round).await;
}

/// One round of [`expire`]. That they go is recorded and kept before they do: after a crash in between they go in the next round.
async fn expire_once(
    log: &Arc<AuditLog>,
    audit: &dyn AuditSink,
    store: &dyn Store,
    entropy: &dyn Entropy,
    now: Timestamp,
    keep: Duration,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let known = anchor::begin(store).await?;
    let looking = log.clone();
    let expired = tokio::task::spawn_blocking(move || {
        looking.turn(now.minus(limits::AUDIT_KEPT_MIN))?;
        looking.expired(now.minus(keep))
    });
    let known_seq = known.map_or(0, |known| known.seq);
    let expired = expired.await??.filter(|expired| expired.seq > known_seq);
    if let Some(begin) = expired {
        let (target, reason) =
            (format!("records {} to {}", known_seq + 1, begin.seq), "they were kept for as long as is set");
        let context = context(entropy, now);
        let (system, allowed) = (Actor::System, Outcome::Allowed);
        let recorded = context.record(audit, system, "audit.expire", target, allowed, reason.to_owned());
        let _recorded = recorded.map_err(|_unavailable| "that they go cannot be recorded")?;
        sync_once(log.clone(), store, entropy).await;
        anchor::save_begin(store, entropy, begin).await?;
    }
    if let Some(begin) = expired.or(known) {
        let removing = log.clone();
        tokio::task::spawn_blocking(move || removing.begin_after(&begin)).await??;
    }
    Ok(())
}

/// Of something that happens without a request.
fn context(entropy: &dyn Entropy, now: Timestamp) -> Context {
    Context { request: RequestId::random(entropy), now, origin: SharedOrigin::default(), door: Door::Own }
}

/// Ends workloads whose last process is gone.
pub(crate) async fn reap(host: Arc<HostService>, clock: Arc<dyn Clock>, stop: Stop) {
    every(REAP_INTERVAL, stop, || async {
        match host.reap(clock.now()).await {
            Ok(over) => over.iter().for_each(|workload| tracing::debug!(%workload, "workload is over")),
            Err(error) => tracing::warn!(%error, "ended workloads cannot be cleaned up"),
        }
    })
    .await;
}

/// Renews the server's certificate when it is due.
pub(crate) async fn renew(certificates: Arc<Certificates>, clock: Arc<dyn Clock>, stop: Stop) {
    every(RENEW_INTERVAL, stop, || async {
        if let Err(error) = certificates.renew(clock.now()).await {
            tracing::error!(%error, "the server's certificate cannot be renewed");
        }
    })
    .await;
}

/// Makes good what hosts files lack, or have too much.
pub(crate) async fn names(installation: Arc<dyn Installation>, stop: Stop) {
    every(NAMES_INTERVAL, stop, || async { installation.names_changed(Named::Any) }).await;
}

/// Does what is due: in the vaults purges, rotations, renewals; signing keys roll; sessions, codes and the like that are over are taken away. Each
/// thing due leaves its record; while none can be written, nothing is done.
pub(crate) async fn due(services: Arc<Services>, stop: Stop) {
    every(DUE_INTERVAL, stop, || async { drop(due_once(&services).await) }).await;
}

/// One round of [`due`]. Answers what was done, as the log names it; nothing if it could not be.
pub(crate) async fn due_once(services: &Services) -> Option<Vec<String>> {
    let now = services.clock.now();
    let context = || context(&*services.entropy, now);
    if context().ready(&*services.audit).is_err() {
        return None;
    }
    let keys = keys_once(services, &context(), now).await;
    let vaults = vaults_once(services, context, now).await;
    if let Err(error) = services.directory.sweep(now).await {
        tracing::warn!(%error, "what is over in the directory cannot be taken away yet");
    }
    if let Err(error) = services.vault.sweep(now).await {
        tracing::warn!(%error, "what was purged cannot be removed yet");
    }
    if let Err(error) = services.resource.sweep().await {
        tracing::warn!(%error, "roles at what is gone cannot be taken away yet");
    }
    let (mut told, vaults) = (keys?, vaults?);
    told.extend(vaults);
    Some(told)
}

async fn keys_once(services: &Services, context: &Context, now: Timestamp) -> Option<Vec<String>> {
    let changes = match services.directory.roll_due(now).await {
        Ok(changes) => changes,
        Err(error) => {
            tracing::error!(%error, "signing keys cannot be rolled: the current one signs on");
            return None;
        }
    };
    for change in &changes {
        let recorded = context.record_key_change(services, Actor::System, change, "its time has come");
        if recorded.is_err() {
            tracing::error!(?change, "was done, and cannot be written to the audit log");
        }
    }
    Some(changes.iter().map(|change| format!("{}/{}", change.action(), change.kid())).collect())
}

async fn vaults_once(
    services: &Services,
    context: impl Fn() -> Context,
    now: Timestamp,
) -> Option<Vec<String>> {
    let done = match services.vault.run_due(now).await {
        Ok(done) => done,
        Err(error) => {
            tracing::warn!(%error, "what is due in the vaults cannot be done");
            return None;
        }
    };
    let certain = done.iter().filter(|done| done.is_certain);
    let told = certain.map(|done| format!("{}/{}", done.vault.folded(), done.task)).collect();
    for Done { vault, task, is_certain } in done {
        let (outcome, reason) = match is_certain {
            true => (Outcome::Allowed, "its time has come"),
            false => (Outcome::Failed, "its time has come; whether it was done is not known"),
        };
        let target = format!("{}/{task}", vault.folded());
        let recorded = context().record(
            &*services.audit,
            Actor::System,
            "vault.due",
            target,
            outcome,
            reason.to_owned(),
        );
        if recorded.is_err() {
            tracing::error!(%vault, %task, "was done, and cannot be written to the audit log");
        }
    }
    Some(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use audit::{MemoryAudit, SyncPolicy};
    use crypt::{Key256, SystemEntropy};
    use std::sync::Mutex;
    use store::Memory;
    use wire::admin::{HostingFacts, InstallationFacts, clock::Later};

    #[derive(Default)]
    struct StandIn(Mutex<Vec<Named>>);

    impl Installation for StandIn {
        fn facts(&self) -> InstallationFacts {
            unreachable!("nobody asks")
        }

        fn hosting_facts(&self) -> Later<'_, Result<HostingFacts, String>> {
            unreachable!("nobody asks")
        }

        fn names_changed(&self, of: Named) {
            self.0.lock().unwrap().push(of);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_names_are_looked_through_now_and_then_until_the_server_stops() {
        let (stand_in, (stop, stopping)) = (Arc::new(StandIn::default()), tokio::sync::watch::channel(false));
        let looked = tokio::spawn(names(stand_in.clone(), stopping));
        tokio::time::sleep(NAMES_INTERVAL * 3 + Duration::from_secs(1)).await;
        assert_eq!(*stand_in.0.lock().unwrap(), [Named::Any, Named::Any, Named::Any]);
        stop.send(true).unwrap();
        looked.await.unwrap();
    }

    #[tokio::test]
    async fn audit_records_stay_while_that_they_go_cannot_be_recorded() {
        const DAY: Duration = Duration::from_secs(86_400);
        let day = |number: u32| Timestamp::from_seconds(1_800_000_000).plus(DAY * number);
        let folder = std::env::temp_dir().join(format!("keyless-expire-{}", std::process::id()));
        let key = Key256::random(&SystemEntropy);
        let log = Arc::new(AuditLog::open(&folder, &key, SyncPolicy::EverySecond, None).unwrap());
        for number in 0..4 {
            log.turn(day(number)).unwrap();
            let (system, allowed) = (Actor::System, Outcome::Allowed);
            let context = context(&SystemEntropy, day(number));
            let _recorded =
                context.record(&*log, system, "of.a.day", "x".into(), allowed, "".into()).unwrap();
        }
        let (store, full) = (Memory::new(), MemoryAudit::new());
        let files = || std::fs::read_dir(&folder).unwrap().count();
        let expire = |audit| expire_once(&log, audit, &store, &SystemEntropy, day(4), DAY * 2);

        let before = files();
        full.set_failed(true);
        let refused = expire(&full).await.unwrap_err();
        assert_eq!(refused.to_string(), "that they go cannot be recorded");
        assert_eq!((files(), anchor::begin(&store).await.unwrap()), (before, None));

        full.set_failed(false);
        expire(&full).await.unwrap();
        assert!(files() < before, "{} of {before} files are left", files());
        let begin = anchor::begin(&store).await.unwrap().unwrap();
        let told: Vec<_> = full.records().into_iter().map(|record| (record.action, record.target)).collect();
        assert_eq!(told, [("audit.expire", format!("records 1 to {}", begin.seq))]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
