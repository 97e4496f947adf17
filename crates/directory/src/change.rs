//! Changing an app registration: its names, where its sign-ins end, what it offers. One decision and one commit with every index.

use crate::{
    AppRole, AppRoleError, DirectoryError, DirectoryService, Registration, TokenVersion,
    redirect::{Platform, RedirectUri},
    registration::{ExposedScope, RequiredAccess, UriIndex},
    registry::find,
};
use access::Principal;
use domain::CredentialId;
use std::sync::Arc;
use store::{Decision, Halt, View, refuse, transact};

/// What should change of a registration. `None`: stays.
#[derive(Clone, Debug, Default)]
pub struct RegistrationChange {
    /// A name for people.
    pub display_name: Option<String>,
    /// By which others ask for tokens to it.
    pub identifier_uris: Option<Vec<String>>,
    /// Where codes of its sign-ins may be sent.
    pub redirect_uris: Option<Vec<RedirectUri>>,
    /// The same for some platforms; those of others stay.
    pub redirect_uris_at: Vec<(Platform, Vec<String>)>,
    /// Which tokens it wants to be sent.
    pub token_version: Option<TokenVersion>,
    /// Whether it is software that cannot keep a secret.
    pub is_public: Option<bool>,
    /// Whether each of its own assertions is good once.
    pub single_use_assertions: Option<bool>,
    /// What users may let others do with it.
    pub scopes: Option<Vec<ExposedScope>>,
    /// What principals may do in it.
    pub app_roles: Option<Vec<AppRole>>,
    /// Are there tokens for it only for those who have a role in it?
    pub assignment_required: Option<bool>,
    /// What it wants to be allowed elsewhere.
    pub required_access: Option<Vec<RequiredAccess>>,
}

impl RegistrationChange {
    /// The registration as it would be.
    pub(crate) fn applied(&self, before: &Registration) -> Registration {
        let mut after = before.clone();
        put(&mut after.display_name, self.display_name.as_ref());
        put(&mut after.identifier_uris, self.identifier_uris.as_ref());
        put(&mut after.redirect_uris, self.redirect_uris.as_ref());
        for (platform, uris) in &self.redirect_uris_at {
            after.redirect_uris.retain(|known| known.platform != *platform);
            after
                .redirect_uris
                .extend(uris.iter().map(|uri| RedirectUri { uri: uri.clone(), platform: *platform }));
        }
        put(&mut after.token_version, self.token_version.as_ref());
        put(&mut after.is_public, self.is_public.as_ref());
        put(&mut after.single_use_assertions, self.single_use_assertions.as_ref());
        put(&mut after.scopes, self.scopes.as_ref());
        put(&mut after.app_roles, self.app_roles.as_ref());
        put(&mut after.assignment_required, self.assignment_required.as_ref());
        put(&mut after.required_access, self.required_access.as_ref());
        after
    }
}

fn put<T: Clone>(place: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        place.clone_from(value);
    }
}

impl DirectoryService {
    /// Changes a registration.
    ///
    /// # Errors
    /// [`DirectoryError::RegistrationNotFound`], [`DirectoryError::IdentifierUriTaken`], [`DirectoryError::ClientHasCredentials`] for one
    /// that is to be public; all of what a new one may not be.
    pub async fn update_registration(
        &self,
        named: &str,
        change: &RegistrationChange,
    ) -> Result<Registration, DirectoryError> {
        transact(&*self.store, &*self.entropy, |view| {
            let before = find(view, named)?;
            update(self, view, &before, &change.applied(&before))
        })
        .await
    }
}

impl DirectoryService {
    /// Adds an app role.
    ///
    /// # Errors
    /// [`DirectoryError::RegistrationNotFound`], [`AppRoleError::Invalid`].
    pub async fn add_app_role(&self, named: &str, role: AppRole) -> Result<Registration, DirectoryError> {
        self.edit(named, |after| {
            after.app_roles.push(role.clone());
            Ok(())
        })
        .await
    }

    /// Adds a scope that users can let others have.
    ///
    /// # Errors
    /// [`DirectoryError::RegistrationNotFound`], [`AppRoleError::Invalid`].
    pub async fn add_scope(&self, named: &str, scope: ExposedScope) -> Result<Registration, DirectoryError> {
        self.edit(named, |after| {
            after.scopes.push(scope.clone());
            Ok(())
        })
        .await
    }

    /// Takes an app role or a scope away: no token says it any more.
    ///
    /// # Errors
    /// [`DirectoryError::RegistrationNotFound`], [`AppRoleError::RoleUnknown`].
    pub async fn remove_offer(&self, named: &str, id: CredentialId) -> Result<Registration, DirectoryError> {
        self.edit(named, |after| {
            let before = after.app_roles.len() + after.scopes.len();
            after.app_roles.retain(|role| role.id != id);
            after.scopes.retain(|scope| scope.id != id);
            match after.app_roles.len() + after.scopes.len() < before {
                true => Ok(()),
                false => Err(AppRoleError::RoleUnknown { role: id.to_string() }),
            }
        })
        .await
    }

    async fn edit(
        &self,
        named: &str,
        edit: impl Fn(&mut Registration) -> Result<(), AppRoleError> + Send + Sync,
    ) -> Result<Registration, DirectoryError> {
        transact(&*self.store, &*self.entropy, |view| {
            let before = find(view, named)?;
            let mut after = Registration::clone(&before);
            edit(&mut after)?;
            update(self, view, &before, &after)
        })
        .await
    }
}

/// Puts one registration in the place of another, which is the same one as it was.
pub(crate) fn update(
    directory: &DirectoryService,
    view: &View,
    before: &Arc<Registration>,
    after: &Registration,
) -> Result<Decision<Registration>, Halt<DirectoryError>> {
    directory.check(after).map_err(Halt::Refuse)?;
    let has_credentials =
        !(after.credentials.is_empty() && after.certificates.is_empty() && after.federated.is_empty());
    if after.is_public && has_credentials {
        return refuse(DirectoryError::ClientHasCredentials { client: after.client });
    }
    let is_in = |uris: &[String], uri: &str| uris.iter().any(|other| other.eq_ignore_ascii_case(uri));
    let mut writes = vec![store::put::<Registration>(&after.id, after)];
    for uri in before.identifier_uris.iter().filter(|uri| !is_in(&after.identifier_uris, uri)) {
        writes.push(store::delete::<UriIndex>(uri));
    }
    for uri in after.identifier_uris.iter().filter(|uri| !is_in(&before.identifier_uris, uri)) {
        if view.get::<UriIndex>(uri)?.is_some() {
            return refuse(DirectoryError::IdentifierUriTaken { uri: uri.clone() });
        }
        writes.push(store::put::<UriIndex>(uri, &UriIndex { registration: after.id }));
    }
    if after.display_name != before.display_name
        && let Some(principal) = view.get::<Principal>(&after.principal)?
    {
        let named = Principal { display_name: after.display_name.clone(), ..Principal::clone(&principal) };
        writes.push(store::put::<Principal>(&named.id, &named));
    }
    Ok(Decision::of(after.clone(), writes))
}
