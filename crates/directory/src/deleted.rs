//! What was deleted and can be brought back for a time (Microsoft Graph: `directory/deletedItems`): registrations with their principals,
//! users, groups.
//!
//! A deleted thing is not there: its records are moved aside in the commit that deletes it, so that nothing that looks for it finds it. It
//! comes back under its ids, if nobody has its names by then; tokens of before do not, nor does an administrator's rank.

use crate::{
    DirectoryError, DirectoryService, FederatedCredential, Registration, User,
    graph::GraphError,
    group::{self, Membership},
    principal,
    registration::{ClientIndex, UriIndex},
    user::{self, UserNameIndex},
};
use access::{Group, Principal};
use domain::{GroupId, Timestamp, limits};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Decision, Halt, Key, Record, View, Write, refuse, transact};
use uuid::Uuid;

/// A deleted thing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deleted {
    /// Its object id.
    pub id: Uuid,
    /// When it was deleted.
    pub at: Timestamp,
    /// What it was.
    pub what: What,
    /// Its principal, if it had one.
    pub principal: Option<Principal>,
}

/// What a deleted thing was.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A registration: in a record of its own, as it may be large.
    Registration,
    /// A user.
    User(Box<User>),
    /// A group.
    Group(Group),
}

impl Record for Deleted {
    type Id = Uuid;

    fn key(id: &Uuid) -> Key {
        Key::new(format!("deleted-item/{id}"))
    }
}

pub(crate) const PREFIX: &str = "deleted-item/";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DeletedRegistration(Registration);

impl Record for DeletedRegistration {
    type Id = Uuid;

    fn key(id: &Uuid) -> Key {
        Key::new(format!("deleted-registration/{id}"))
    }
}

type Refusal = Halt<DirectoryError>;

impl Deleted {
    /// Until when it can be brought back.
    #[must_use]
    pub fn ends(&self) -> Timestamp {
        self.at.plus(limits::DELETED_KEPT)
    }
}

/// The writes by which a registration is set aside instead of ceasing to be.
pub(crate) fn keep_registration(
    registration: &Registration,
    principal: Option<&Principal>,
    now: Timestamp,
) -> [Write; 2] {
    let id = registration.id.uuid();
    let deleted = Deleted { id, at: now, what: What::Registration, principal: principal.cloned() };
    [
        store::put::<Deleted>(&id, &deleted),
        store::put::<DeletedRegistration>(&id, &DeletedRegistration(registration.clone())),
    ]
}

pub(crate) fn keep_user(user: &User, principal: &Principal, now: Timestamp) -> Write {
    let (id, what) = (user.id.uuid(), What::User(Box::new(user.clone())));
    store::put::<Deleted>(&id, &Deleted { id, at: now, what, principal: Some(principal.clone()) })
}

pub(crate) fn keep_group(group: &Group, now: Timestamp) -> Write {
    let (id, what) = (group.id.uuid(), What::Group(group.clone()));
    store::put::<Deleted>(&id, &Deleted { id, at: now, what, principal: None })
}

/// Finds what can be brought back.
pub(crate) fn find(view: &View, id: Uuid, now: Timestamp) -> Result<Arc<Deleted>, Refusal> {
    let found = view.get::<Deleted>(&id)?.filter(|deleted| now < deleted.ends());
    found.ok_or_else(|| Halt::Refuse(GraphError::NotFound { named: id.to_string() }.into()))
}

/// A deleted registration as it was.
pub(crate) fn registration(view: &View, id: Uuid) -> Result<Registration, Refusal> {
    match view.get::<DeletedRegistration>(&id)? {
        Some(found) => Ok(found.0.clone()),
        None => refuse(DirectoryError::Broken { what: "a deleted registration is missing" }),
    }
}

/// Brings a thing back under its ids.
pub(crate) fn restore(view: &View, id: Uuid, now: Timestamp) -> Result<Decision<Arc<Deleted>>, Refusal> {
    let deleted = find(view, id, now)?;
    let mut writes = vec![store::delete::<Deleted>(&id)];
    match &deleted.what {
        What::Registration => {
            let registration = registration(view, id)?;
            writes.push(store::delete::<DeletedRegistration>(&id));
            let index = ClientIndex { registration: registration.id };
            writes.push(store::put::<Registration>(&registration.id, &registration));
            writes.push(store::put::<ClientIndex>(&registration.client, &index));
            for uri in &registration.identifier_uris {
                if view.get::<UriIndex>(uri)?.is_some() {
                    return refuse(DirectoryError::IdentifierUriTaken { uri: uri.clone() });
                }
                writes.push(store::put::<UriIndex>(uri, &UriIndex { registration: registration.id }));
            }
        }
        What::User(user) => {
            let name = &user.user_name;
            if view.get::<UserNameIndex>(name)?.is_some() {
                return Err(user::UserError::NameTaken { name: name.clone() }.into());
            }
            let back = User { is_administrator: false, ..User::clone(user) };
            writes.push(store::put::<User>(&back.id, &back));
            writes.push(store::put::<UserNameIndex>(name, &UserNameIndex { user: back.id }));
        }
        What::Group(group) => writes.push(store::put::<Group>(&group.id, group)),
    }
    if let Some(principal) = &deleted.principal {
        let mut back = principal.clone();
        back.member_of.clear();
        for id in &principal.member_of {
            if view.get::<Group>(id)?.is_some() {
                back.member_of.push(*id);
                writes.push(store::put::<Membership>(&(*id, back.id), &Membership::of(back.id, now)));
            }
        }
        // Whoever had a token before must ask again.
        back.revocations.revoke_all(now);
        writes.extend(principal::put(&back));
    }
    Ok(Decision::of(deleted, writes))
}

/// The writes by which a deleted thing is gone for good.
pub(crate) fn purge(view: &View, id: Uuid) -> Result<Decision<Arc<Deleted>>, Refusal> {
    let Some(deleted) = view.get::<Deleted>(&id)? else {
        return refuse(GraphError::NotFound { named: id.to_string() }.into());
    };
    let mut writes = vec![store::delete::<Deleted>(&id)];
    match &deleted.what {
        What::Registration => {
            let registration = registration(view, id)?;
            writes.push(store::delete::<DeletedRegistration>(&id));
            writes.extend(registration.federated.iter().map(store::delete::<FederatedCredential>));
        }
        What::User(_) => {}
        What::Group(group) => writes.push(group::swept_later(group.id)),
    }
    Ok(Decision::of(deleted, writes))
}

impl DirectoryService {
    /// Takes away for good what was deleted long enough ago. Returns how many.
    pub(crate) async fn sweep_deleted(&self, now: Timestamp) -> Result<usize, DirectoryError> {
        let mut swept = 0;
        for deleted in self.all::<Deleted>(PREFIX).await? {
            if deleted.ends() > now {
                continue;
            }
            let gone = transact(&*self.store, &*self.entropy, |view| {
                // It may have been brought back, and deleted again, since it was listed.
                match view.get::<Deleted>(&deleted.id)?.filter(|deleted| deleted.ends() <= now) {
                    Some(_) => {
                        purge(view, deleted.id).map(|done| Decision::of(Some(done.value), done.writes))
                    }
                    None => Ok(Decision::read(None)),
                }
            })
            .await?;
            if let Some(gone) = gone {
                self.sweep_after(&gone).await?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// Removes what a thing that is gone for good has left behind: it gives nobody anything.
    pub(crate) async fn sweep_after(&self, gone: &Deleted) -> Result<(), DirectoryError> {
        if let Some(principal) = &gone.principal {
            self.sweep_assignments(principal.id).await?;
        }
        if matches!(gone.what, What::Group(_)) {
            self.sweep_assignments(GroupId::from_uuid(gone.id).subject()).await?;
            self.sweep_groups().await?;
        }
        Ok(())
    }
}
