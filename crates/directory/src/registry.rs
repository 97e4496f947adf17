//! What an operator does with app registrations and principals. Each change is one decision and one commit.

use crate::{
    Credential, DirectoryError, DirectoryService, NewCredential, NewRegistration, Registration, audience,
    principal,
    registration::{ClientIndex, LIFETIMES, UriIndex},
    tenant::shown,
};
use access::{Principal, PrincipalKind};
use crypt::{HashedSecret, fresh_secret};
use domain::{ClientId, CredentialId, PrincipalId, RegistrationId, Timestamp, limits};
use std::{num::NonZeroU16, sync::Arc, time::Duration};
use store::{Decision, Halt, Key, Record, View, list_records, query, refuse, transact};

impl DirectoryService {
    /// Registers an app: its registration, its principal, and every index, in one commit.
    ///
    /// # Errors
    /// [`DirectoryError::DisplayNameInvalid`], [`DirectoryError::IdentifierUriInvalid`], [`DirectoryError::IdentifierUriTaken`],
    /// [`DirectoryError::TooMany`].
    pub async fn create_registration(
        &self,
        new: NewRegistration,
        now: Timestamp,
    ) -> Result<Registration, DirectoryError> {
        let registration = Registration {
            id: RegistrationId::random(&*self.entropy),
            client: ClientId::random(&*self.entropy),
            principal: PrincipalId::random(&*self.entropy),
            display_name: new.display_name,
            identifier_uris: new.identifier_uris,
            token_version: new.token_version,
            credentials: Vec::new(),
            created: now,
        };
        self.check(&registration)?;
        let tenant = self.tenant().id;
        transact(&*self.store, &*self.entropy, |view| create(view, &registration, tenant)).await
    }

    /// All app registrations.
    ///
    /// # Errors
    /// The store's.
    pub async fn registrations(&self) -> Result<Vec<Arc<Registration>>, DirectoryError> {
        self.all("registration/").await
    }

    /// One app registration, named by its object id, its client id, or an identifier URI.
    ///
    /// # Errors
    /// [`DirectoryError::RegistrationNotFound`].
    pub async fn registration(&self, named: &str) -> Result<Arc<Registration>, DirectoryError> {
        query(&*self.store, |view| find(view, named)).await
    }

    /// Deletes an app registration with its principal, in one commit: its tokens are worth nothing from then on.
    ///
    /// # Errors
    /// [`DirectoryError::RegistrationNotFound`].
    pub async fn delete_registration(&self, named: &str) -> Result<Arc<Registration>, DirectoryError> {
        transact(&*self.store, &*self.entropy, |view| delete(view, named)).await
    }

    /// Adds a client secret to a registration. The answer holds the secret; nothing else ever will.
    ///
    /// # Errors
    /// [`DirectoryError::RegistrationNotFound`], [`DirectoryError::LifetimeInvalid`], [`DirectoryError::DisplayNameInvalid`],
    /// [`DirectoryError::TooMany`].
    pub async fn add_credential(
        &self,
        named: &str,
        display_name: &str,
        lifetime: Option<Duration>,
        now: Timestamp,
    ) -> Result<NewCredential, DirectoryError> {
        let lifetime = lifetime.unwrap_or(limits::CLIENT_SECRET_LIFETIME);
        if !LIFETIMES.contains(&lifetime) {
            return Err(DirectoryError::LifetimeInvalid);
        }
        if !is_display_name(display_name) {
            return Err(DirectoryError::DisplayNameInvalid);
        }
        let secret = fresh_secret(&*self.entropy);
        let credential = Credential {
            id: CredentialId::random(&*self.entropy),
            hash: HashedSecret::of(&secret),
            hint: secret.expose().chars().take(3).collect(),
            display_name: display_name.to_owned(),
            start: now,
            end: now.plus(lifetime),
        };
        transact(&*self.store, &*self.entropy, |view| {
            change(view, named, |registration| {
                if registration.credentials.len() >= limits::CREDENTIALS_MAX {
                    return refuse(DirectoryError::TooMany {
                        what: "credentials",
                        limit: limits::CREDENTIALS_MAX,
                    });
                }
                registration.credentials.push(credential.clone());
                Ok(())
            })
        })
        .await?;
        Ok(NewCredential { id: credential.id, secret, end: credential.end })
    }

    /// Removes a credential of a registration.
    ///
    /// # Errors
    /// [`DirectoryError::RegistrationNotFound`], [`DirectoryError::CredentialNotFound`].
    pub async fn remove_credential(&self, named: &str, id: CredentialId) -> Result<(), DirectoryError> {
        transact(&*self.store, &*self.entropy, |view| {
            change(view, named, |registration| {
                let before = registration.credentials.len();
                registration.credentials.retain(|credential| credential.id != id);
                if registration.credentials.len() == before {
                    return refuse(DirectoryError::CredentialNotFound {
                        registration: registration.id,
                        credential: id,
                    });
                }
                Ok(())
            })
        })
        .await
    }

    /// All principals.
    ///
    /// # Errors
    /// The store's.
    pub async fn principals(&self) -> Result<Vec<Arc<Principal>>, DirectoryError> {
        self.all("principal/").await
    }

    /// One principal.
    ///
    /// # Errors
    /// [`DirectoryError::PrincipalNotFound`].
    pub async fn principal(&self, id: PrincipalId) -> Result<Arc<Principal>, DirectoryError> {
        query(&*self.store, |view| principal_of(view, id)).await
    }

    /// Enables a principal again.
    ///
    /// # Errors
    /// [`DirectoryError::PrincipalNotFound`].
    pub async fn enable_principal(&self, id: PrincipalId) -> Result<Principal, DirectoryError> {
        transact(&*self.store, &*self.entropy, |view| set_enabled(view, id, true)).await
    }

    /// Disables a principal: from the moment that this is acknowledged it gets no token, and its tokens are worth nothing.
    ///
    /// # Errors
    /// [`DirectoryError::PrincipalNotFound`], [`DirectoryError::AdministratorNeeded`].
    pub async fn disable_principal(&self, id: PrincipalId) -> Result<Principal, DirectoryError> {
        transact(&*self.store, &*self.entropy, |view| set_enabled(view, id, false)).await
    }

    async fn all<R: Record>(&self, prefix: &str) -> Result<Vec<Arc<R>>, DirectoryError> {
        const PAGE: NonZeroU16 = NonZeroU16::new(256).expect("not zero");
        let prefix = Key::new(prefix);
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = list_records::<R>(&*self.store, &prefix, after.as_ref(), PAGE).await?;
            let last = page.items.last().map(|(key, _)| key.clone());
            all.extend(page.items.into_iter().map(|(_, record)| record));
            match last {
                Some(last) if page.more => after = Some(last),
                _ => return Ok(all),
            }
        }
    }

    fn check(&self, registration: &Registration) -> Result<(), DirectoryError> {
        if !is_display_name(&registration.display_name) {
            return Err(DirectoryError::DisplayNameInvalid);
        }
        if registration.identifier_uris.len() > limits::IDENTIFIER_URIS_MAX {
            return Err(DirectoryError::TooMany {
                what: "identifier URIs",
                limit: limits::IDENTIFIER_URIS_MAX,
            });
        }
        for (position, uri) in registration.identifier_uris.iter().enumerate() {
            if !audience::is_uri(uri) {
                let rule = "an absolute URI of at most 255 printable ASCII characters";
                return Err(DirectoryError::IdentifierUriInvalid { rule });
            }
            if audience::is_reserved(self.names(), uri, registration.client) {
                let rule = "the vaults' and other clients' audiences are taken";
                return Err(DirectoryError::IdentifierUriInvalid { rule });
            }
            if registration.identifier_uris.iter().take(position).any(|other| other.eq_ignore_ascii_case(uri))
            {
                return Err(DirectoryError::IdentifierUriInvalid { rule: "no URI twice" });
            }
        }
        Ok(())
    }
}

fn create(
    view: &View,
    registration: &Registration,
    tenant: domain::TenantId,
) -> Result<Decision<Registration>, Halt<DirectoryError>> {
    let index = UriIndex { registration: registration.id };
    let mut writes = vec![
        store::put::<Registration>(&registration.id, registration),
        store::put::<ClientIndex>(&registration.client, &ClientIndex { registration: registration.id }),
    ];
    for uri in &registration.identifier_uris {
        if view.get::<UriIndex>(uri)?.is_some() {
            return refuse(DirectoryError::IdentifierUriTaken { uri: uri.clone() });
        }
        writes.push(store::put::<UriIndex>(uri, &index));
    }
    writes.extend(principal::put(&Principal {
        id: registration.principal,
        client: registration.client,
        tenant,
        kind: PrincipalKind::Application { registration: registration.id },
        display_name: registration.display_name.clone(),
        enabled: true,
        created: registration.created,
    }));
    Ok(Decision::of(registration.clone(), writes))
}

fn find(view: &View, named: &str) -> Result<Arc<Registration>, Halt<DirectoryError>> {
    let mut id = named.parse::<RegistrationId>().ok();
    if let Some(registration) = id
        && let Some(found) = view.get::<Registration>(&registration)?
    {
        return Ok(found);
    }
    if let Ok(client) = named.parse::<ClientId>() {
        id = view.get::<ClientIndex>(&client)?.map(|index| index.registration);
    } else if audience::is_uri(named) {
        id = view.get::<UriIndex>(named)?.map(|index| index.registration);
    }
    match id {
        Some(id) => view.get::<Registration>(&id)?,
        None => None,
    }
    .map_or_else(|| refuse(DirectoryError::RegistrationNotFound { named: shown(named) }), Ok)
}

fn delete(view: &View, named: &str) -> Result<Decision<Arc<Registration>>, Halt<DirectoryError>> {
    let registration = find(view, named)?;
    let mut writes = vec![
        store::delete::<Registration>(&registration.id),
        store::delete::<ClientIndex>(&registration.client),
    ];
    writes.extend(registration.identifier_uris.iter().map(|uri| store::delete::<UriIndex>(uri)));
    if let Some(principal) = view.get::<Principal>(&registration.principal)? {
        writes.extend(principal::delete(&principal));
    }
    Ok(Decision::of(registration, writes))
}

fn change(
    view: &View,
    named: &str,
    edit: impl FnOnce(&mut Registration) -> Result<(), Halt<DirectoryError>>,
) -> Result<Decision<()>, Halt<DirectoryError>> {
    let mut registration = Registration::clone(&*find(view, named)?);
    edit(&mut registration)?;
    Ok(Decision::of((), vec![store::put::<Registration>(&registration.id, &registration)]))
}

fn principal_of(view: &View, id: PrincipalId) -> Result<Arc<Principal>, Halt<DirectoryError>> {
    view.get::<Principal>(&id)?
        .map_or_else(|| refuse(DirectoryError::PrincipalNotFound { principal: id }), Ok)
}

fn set_enabled(
    view: &View,
    id: PrincipalId,
    enabled: bool,
) -> Result<Decision<Principal>, Halt<DirectoryError>> {
    let principal = principal_of(view, id)?;
    if !enabled && principal.kind == PrincipalKind::User {
        return refuse(DirectoryError::AdministratorNeeded);
    }
    if principal.enabled == enabled {
        return Ok(Decision::read(Principal::clone(&principal)));
    }
    let changed = Principal { enabled, ..Principal::clone(&principal) };
    let write = store::put::<Principal>(&id, &changed);
    Ok(Decision::of(changed, vec![write]))
}

fn is_display_name(text: &str) -> bool {
    (1..=limits::DISPLAY_NAME_CHARS_MAX).contains(&text.chars().count())
        && !text.trim().is_empty()
        && !text.chars().any(char::is_control)
}
