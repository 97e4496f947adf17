//! All identities of an app set at once, its own and user-assigned ones: what it has of them stays as it is, the rest is given and taken away in
//! one commit. So whoever has as many as there may be can change one for another, and of a refusal nothing is left.

use crate::{App, AppView, HostError, app, user_assigned};
use access::Manager;
use directory::IdentityIds;
use domain::{AppId, AppName, AttachmentId, Entropy, IdentityName, PrincipalId, TenantId, Timestamp};
use std::sync::Arc;
use store::{Decision, Halt, View, Write, refuse};

/// Which identities an app is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedIdentities {
    /// One of its own.
    pub own: bool,
    /// User-assigned ones.
    pub named: Vec<IdentityName>,
    /// What becomes of those that it has and that are not named.
    pub others: Others,
}

/// What becomes of other user-assigned identities of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Others {
    /// They are taken away.
    Go,
    /// They stay, but for these.
    StayBut(Vec<IdentityName>),
}

impl WantedIdentities {
    /// Is one that the app has to stay?
    fn keeps(&self, name: &IdentityName) -> bool {
        self.named.contains(name)
            || match &self.others {
                Others::Go => false,
                Others::StayBut(gone) => !gone.contains(name),
            }
    }
}

/// What is new with what is given, and when tokens of what is taken away have expired.
pub(crate) struct New {
    tenant: TenantId,
    own: IdentityIds,
    /// One for each that is named.
    attachments: Vec<AttachmentId>,
    over: Timestamp,
}

impl New {
    /// What is new with these.
    pub(crate) fn random(
        entropy: &dyn Entropy,
        tenant: TenantId,
        wanted: &WantedIdentities,
        over: Timestamp,
    ) -> Self {
        let attachments = wanted.named.iter().map(|_| AttachmentId::random(entropy)).collect();
        Self { tenant, own: IdentityIds::random(entropy), attachments, over }
    }
}

/// Gives this very app the identities that it is to have, and takes the others away: once it is written no token is issued to it under those any more,
/// and what it has of them is worth nothing. Answers the app as it is then, and the principal of its own that it had.
pub(crate) fn set(
    view: &View,
    by: Manager<'_>,
    (name, id): (&AppName, AppId),
    wanted: &WantedIdentities,
    new: &New,
    now: Timestamp,
) -> Result<Decision<(AppView, Option<PrincipalId>)>, Halt<HostError>> {
    let mut current = app::show(view, name)?;
    if current.app.id != id {
        return refuse(HostError::AppNotFound(name.clone()));
    }
    let _permit = app::may(view, by, app::WRITE, &current.app)?;
    // Their principals are named like them.
    let named = |name: &str| IdentityName::parse(name).ok();
    let (kept, taken): (Vec<_>, Vec<_>) = std::mem::take(&mut current.user_assigned)
        .into_iter()
        .partition(|(_, principal)| named(&principal.display_name).is_some_and(|name| wanted.keeps(&name)));
    let had: Vec<_> = kept.iter().filter_map(|(_, principal)| named(&principal.display_name)).collect();
    let revoked =
        |(assigned, principal): &(_, Arc<_>)| user_assigned::revoke(principal, *assigned, new.over, now);
    let mut writes: Vec<Write> = taken.iter().map(revoked).collect();
    let mut is_another = !taken.is_empty();
    current.user_assigned = kept;
    for (name, attachment) in wanted.named.iter().zip(&new.attachments) {
        if !had.contains(name) {
            is_another |= user_assigned::give(view, by, &mut current.user_assigned, name, *attachment)?;
        }
    }
    let (mut identity, mut removed) = (current.app.identity, None);
    match (wanted.own, &current.principal) {
        (true, None) => {
            let registered = app::register(&current.app, (new.tenant, new.own), now);
            writes.extend(registered.writes);
            identity = Some(registered.principal.id);
            current.principal = Some(Arc::new(registered.principal));
        }
        (true, Some(_)) => {}
        (false, _) => {
            removed = identity.take();
            writes.extend(app::unregister(view, removed)?);
            current.principal = None;
        }
    }
    if !is_another && identity == current.app.identity {
        return Ok(Decision::read((current, None)));
    }
    let user_assigned = user_assigned::living(&current);
    let app = App { identity, user_assigned, changed: now, ..App::clone(&current.app) };
    writes.push(store::put::<App>(name, &app));
    Ok(Decision::of((AppView { app: Arc::new(app), ..current }, removed), writes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use access::Principal;
    use crypt::SystemEntropy;
    use directory::managed;
    use domain::{ClientId, Placement, ResourceGroupName};
    use identity::Assigned;

    const ADMIN: Manager<'_> = Manager::Administrator;
    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    fn shop() -> AppName {
        AppName::parse("shop").unwrap()
    }

    fn readers() -> IdentityName {
        IdentityName::parse("Readers").unwrap()
    }

    fn ids() -> IdentityIds {
        IdentityIds {
            principal: PrincipalId::random(&SystemEntropy),
            client: ClientId::random(&SystemEntropy),
        }
    }

    fn new() -> New {
        New {
            tenant: TenantId::random(&SystemEntropy),
            own: ids(),
            attachments: vec![AttachmentId::random(&SystemEntropy)],
            over: Timestamp::from_seconds(5_000),
        }
    }

    /// An app with an identity of its own and a user-assigned one.
    fn with_both() -> (View<'static>, App, Arc<Principal>) {
        let (group, tenant) = (ResourceGroupName::default(), TenantId::random(&SystemEntropy));
        let shared = managed::register_user_assigned(&readers(), &group, tenant, ids(), NOW).principal;
        let id = AppId::random(&SystemEntropy);
        let own = managed::register(id, &shop(), &group, tenant, ids(), NOW).principal;
        let assigned = Assigned { identity: shared.id, attachment: AttachmentId::random(&SystemEntropy) };
        let app = App {
            id,
            name: shop(),
            identity: Some(own.id),
            user_assigned: vec![assigned],
            placement: Placement::default(),
            created: NOW,
            changed: NOW,
        };
        let view = View::fixture()
            .with::<App>(&shop(), &app)
            .with::<Principal>(&own.id, &own)
            .with::<Principal>(&shared.id, &shared);
        (view, app, Arc::new(shared))
    }

    #[test]
    fn what_it_has_already_stays_as_it_is() {
        let (view, app, _) = with_both();
        for (named, others) in [
            (vec![IdentityName::parse("READERS").unwrap()], Others::Go),
            (Vec::new(), Others::StayBut(Vec::new())),
        ] {
            let wanted = WantedIdentities { own: true, named, others };
            let decided = set(&view, ADMIN, (&shop(), app.id), &wanted, &new(), NOW).unwrap();
            assert!(decided.writes.is_empty(), "{wanted:?}");
            assert_eq!(*decided.value.0.app, app);
        }
    }

    #[test]
    fn what_is_taken_away_is_worth_nothing_from_the_one_commit_on() {
        for others in [Others::Go, Others::StayBut(vec![readers()])] {
            let (view, app, shared) = with_both();
            let wanted = WantedIdentities { own: false, named: Vec::new(), others };
            let decided = set(&view, ADMIN, (&shop(), app.id), &wanted, &new(), NOW).unwrap();
            let (after, removed) = decided.value;
            assert_eq!(removed, app.identity);
            assert!(after.app.identity.is_none() && after.principal.is_none());
            assert!(after.app.user_assigned.is_empty() && after.user_assigned.is_empty());
            let key = <Principal as store::Record>::key(&shared.id);
            let written = decided.writes.iter().find_map(|write| match write {
                Write::Put(put, value) if *put == key => serde_json::from_slice::<Principal>(value).ok(),
                _ => None,
            });
            let attachment = app.user_assigned[0].attachment.uuid();
            assert!(written.unwrap().revocations.refuse(NOW, &[attachment]));
        }
    }

    #[test]
    fn another_app_of_its_name_is_not_meant() {
        let (view, app, _) = with_both();
        let wanted = WantedIdentities { own: false, named: Vec::new(), others: Others::Go };
        let before = AppId::random(&SystemEntropy);
        let refused = set(&view, ADMIN, (&shop(), before), &wanted, &new(), NOW);
        assert!(matches!(refused, Err(Halt::Refuse(HostError::AppNotFound(_)))));
        assert!(!set(&view, ADMIN, (&shop(), app.id), &wanted, &new(), NOW).unwrap().writes.is_empty());
    }
}
