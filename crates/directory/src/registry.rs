//! What an operator does with app registrations and principals. Each change is one decision and one commit.

use crate::{
    DirectoryError, DirectoryService, FederatedCredential, NewRegistration, Registration, app_role, audience,
    deleted, principal,
    registration::{ClientIndex, UriIndex},
    tenant::shown,
};
use access::{Principal, PrincipalKind};
use domain::{ClientId, PrincipalId, RegistrationId, Timestamp, limits};
use std::sync::Arc;
use store::{Decision, Halt, Key, Record, View, all_records, query, refuse, transact};

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
        let registration = self.fresh_registration(new, now);
        self.check(&registration)?;
        let tenant = self.tenant().id;
        transact(&*self.store, &*self.entropy, |view| create(view, &registration, Some(tenant))).await
    }

    pub(crate) fn fresh_registration(&self, new: NewRegistration, now: Timestamp) -> Registration {
        Registration {
            id: RegistrationId::random(&*self.entropy),
            client: ClientId::random(&*self.entropy),
            principal: PrincipalId::random(&*self.entropy),
            display_name: new.display_name,
            identifier_uris: new.identifier_uris,
            token_version: new.token_version,
            is_public: new.is_public,
            single_use_assertions: new.single_use_assertions,
            credentials: Vec::new(),
            redirect_uris: new.redirect_uris,
            scopes: Vec::new(),
            app_roles: Vec::new(),
            assignment_required: false,
            required_access: Vec::new(),
            certificates: Vec::new(),
            federated: Vec::new(),
            created: now,
        }
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
        let deleted = transact(&*self.store, &*self.entropy, |view| delete(view, named, None)).await?;
        // What is left over gives nobody anything.
        let _swept = self.sweep_assignments(deleted.principal).await;
        Ok(deleted)
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
        let administrator = self.tenant().administrator;
        transact(&*self.store, &*self.entropy, |view| set_enabled(view, id, true, administrator)).await
    }

    /// Disables a principal: from the moment that this is acknowledged it gets no token, and its tokens are worth nothing.
    ///
    /// # Errors
    /// [`DirectoryError::PrincipalNotFound`], [`DirectoryError::AdministratorNeeded`].
    pub async fn disable_principal(&self, id: PrincipalId) -> Result<Principal, DirectoryError> {
        let administrator = self.tenant().administrator;
        transact(&*self.store, &*self.entropy, |view| set_enabled(view, id, false, administrator)).await
    }

    pub(crate) async fn all<R: Record>(&self, prefix: &str) -> Result<Vec<Arc<R>>, DirectoryError> {
        let all = all_records(&*self.store, &Key::new(prefix)).await?;
        Ok(all.into_iter().map(|(_, record)| record).collect())
    }

    pub(crate) fn check(&self, registration: &Registration) -> Result<(), DirectoryError> {
        if !is_display_name(&registration.display_name) {
            return Err(DirectoryError::DisplayNameInvalid);
        }
        if registration.identifier_uris.len() > limits::IDENTIFIER_URIS_MAX {
            return Err(DirectoryError::TooMany {
                what: "identifier URIs",
                limit: limits::IDENTIFIER_URIS_MAX,
            });
        }
        if registration.redirect_uris.len() > limits::REDIRECT_URIS_MAX {
            return Err(DirectoryError::TooMany { what: "redirect URIs", limit: limits::REDIRECT_URIS_MAX });
        }
        for uri in &registration.redirect_uris {
            uri.check().map_err(|rule| DirectoryError::RedirectUriInvalid { rule })?;
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
        if registration.required_access.len() > limits::CONSENT_RESOURCES_MAX {
            return Err(DirectoryError::TooMany {
                what: "resources that are asked for",
                limit: limits::CONSENT_RESOURCES_MAX,
            });
        }
        Ok(app_role::check(registration)?)
    }
}

/// Makes a registration, and its principal in this tenant, unless that is to come later.
pub(crate) fn create(
    view: &View,
    registration: &Registration,
    tenant: Option<domain::TenantId>,
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
    if let Some(tenant) = tenant {
        writes.extend(principal::put(&own_principal(registration, tenant, registration.created)));
    }
    Ok(Decision::of(registration.clone(), writes))
}

/// The principal of a registration, as it begins.
pub(crate) fn own_principal(
    registration: &Registration,
    tenant: domain::TenantId,
    now: Timestamp,
) -> Principal {
    Principal {
        id: registration.principal,
        client: registration.client,
        tenant,
        kind: PrincipalKind::Application { registration: registration.id },
        display_name: registration.display_name.clone(),
        enabled: true,
        member_of: Vec::new(),
        resource_group: domain::ResourceGroupName::default(),
        created: now,
        revocations: access::Revocations::default(),
    }
}

pub(crate) fn find(view: &View, named: &str) -> Result<Arc<Registration>, Halt<DirectoryError>> {
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

/// Deletes a registration with its principal: for good, or so that it can be brought back from `kept` on.
pub(crate) fn delete(
    view: &View,
    named: &str,
    kept: Option<Timestamp>,
) -> Result<Decision<Arc<Registration>>, Halt<DirectoryError>> {
    let registration = find(view, named)?;
    let mut writes = vec![
        store::delete::<Registration>(&registration.id),
        store::delete::<ClientIndex>(&registration.client),
    ];
    writes.extend(registration.identifier_uris.iter().map(|uri| store::delete::<UriIndex>(uri)));
    let principal = view.get::<Principal>(&registration.principal)?;
    match kept {
        Some(now) => writes.extend(deleted::keep_registration(&registration, principal.as_deref(), now)),
        None => writes.extend(registration.federated.iter().map(store::delete::<FederatedCredential>)),
    }
    if let Some(principal) = principal {
        writes.extend(principal::delete(&principal));
    }
    Ok(Decision::of(registration, writes))
}

pub(crate) fn principal_of(view: &View, id: PrincipalId) -> Result<Arc<Principal>, Halt<DirectoryError>> {
    view.get::<Principal>(&id)?
        .map_or_else(|| refuse(DirectoryError::PrincipalNotFound { principal: id }), Ok)
}

pub(crate) fn set_enabled(
    view: &View,
    id: PrincipalId,
    enabled: bool,
    administrator: PrincipalId,
) -> Result<Decision<Principal>, Halt<DirectoryError>> {
    let principal = principal_of(view, id)?;
    if !enabled && id == administrator {
        return refuse(DirectoryError::AdministratorNeeded);
    }
    if principal.enabled == enabled {
        return Ok(Decision::read(Principal::clone(&principal)));
    }
    let changed = Principal { enabled, ..Principal::clone(&principal) };
    let write = store::put::<Principal>(&id, &changed);
    Ok(Decision::of(changed, vec![write]))
}

pub(crate) fn is_display_name(text: &str) -> bool {
    (1..=limits::DISPLAY_NAME_CHARS_MAX).contains(&text.chars().count())
        && !text.trim().is_empty()
        && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        TokenVersion,
        fixtures::{Fill, NOW, directory},
    };
    use store::Memory;

    fn new(uris: &[&str]) -> NewRegistration {
        NewRegistration {
            display_name: "Orders".to_owned(),
            identifier_uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
            token_version: TokenVersion::V2,
            ..NewRegistration::default()
        }
    }

    fn keys(store: &Memory) -> Vec<String> {
        store
            .dump()
            .into_iter()
            .map(|(key, _)| String::from_utf8_lossy(key.as_bytes()).into_owned())
            .collect()
    }

    #[tokio::test]
    async fn a_registration_is_found_by_each_of_its_names() {
        let (_, directory) = directory().await;
        let made = directory.create_registration(new(&["api://orders"]), NOW).await.unwrap();
        for named in [
            made.id.to_string(),
            made.client.to_string(),
            "api://orders".to_owned(),
            "API://Orders".to_owned(),
        ] {
            assert_eq!(directory.registration(&named).await.unwrap().id, made.id, "{named}");
        }
        for named in [
            made.principal.to_string(),
            String::new(),
            "Orders".to_owned(),
            "a\"b".to_owned(),
            "x:".repeat(600),
        ] {
            let error = directory.registration(&named).await.unwrap_err();
            assert!(matches!(error, DirectoryError::RegistrationNotFound { .. }), "{named}");
        }
        assert_eq!(directory.registrations().await.unwrap().len(), 1);
        let principal = directory.principal(made.principal).await.unwrap();
        assert_eq!(principal.kind, PrincipalKind::Application { registration: made.id });
        assert_eq!(directory.principals().await.unwrap().len(), 2, "the administrator, too");
    }

    #[tokio::test]
    async fn deleting_leaves_nothing_behind() {
        let (store, directory) = directory().await;
        let before = keys(&store);
        let made = directory
            .create_registration(new(&["api://orders", "https://orders.example"]), NOW)
            .await
            .unwrap();
        assert_eq!(keys(&store).len(), before.len() + 6);
        directory.delete_registration("api://orders").await.unwrap();
        assert_eq!(keys(&store), before);
        assert!(matches!(
            directory.principal(made.principal).await,
            Err(DirectoryError::PrincipalNotFound { .. })
        ));
        let error = directory.delete_registration(&made.client.to_string()).await.unwrap_err();
        assert!(matches!(error, DirectoryError::RegistrationNotFound { .. }));
    }

    #[tokio::test]
    async fn a_uri_is_one_registrations_own() {
        let (_, directory) = directory().await;
        directory.create_registration(new(&["api://orders"]), NOW).await.unwrap();
        let error = directory.create_registration(new(&["api://x", "API://ORDERS"]), NOW).await.unwrap_err();
        assert!(matches!(error, DirectoryError::IdentifierUriTaken { uri } if uri == "API://ORDERS"));
        assert!(directory.registration("api://x").await.is_err(), "all or nothing");
        for uris in [&["https://vault.azure.net/"][..], &["orders"], &["api://a", "api://A"], &["a:\u{e9}"]] {
            let error = directory.create_registration(new(uris), NOW).await.unwrap_err();
            assert!(matches!(error, DirectoryError::IdentifierUriInvalid { .. }), "{uris:?}");
        }
    }

    #[tokio::test]
    async fn sizes_are_bounded() {
        let (_, directory) = directory().await;
        let many: Vec<String> =
            (0..=limits::IDENTIFIER_URIS_MAX).map(|number| format!("api://x{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(matches!(
            directory.create_registration(new(&many), NOW).await,
            Err(DirectoryError::TooMany { .. })
        ));
        for display_name in ["", "  ", "a\nb", &"x".repeat(257)] {
            let new = NewRegistration { display_name: display_name.to_owned(), ..new(&[]) };
            assert!(matches!(
                directory.create_registration(new, NOW).await,
                Err(DirectoryError::DisplayNameInvalid)
            ));
        }
        directory.create_registration(new(&many[1..]), NOW).await.unwrap();
    }

    #[tokio::test]
    async fn a_principal_is_disabled_and_enabled() {
        let (_, directory) = directory().await;
        let made = directory.create_registration(new(&[]), NOW).await.unwrap();
        for _ in 0..2 {
            assert!(!directory.disable_principal(made.principal).await.unwrap().enabled);
        }
        assert!(!directory.principal(made.principal).await.unwrap().enabled);
        assert!(directory.enable_principal(made.principal).await.unwrap().enabled);
        let nobody = PrincipalId::random(&Fill(9));
        assert!(matches!(
            directory.disable_principal(nobody).await,
            Err(DirectoryError::PrincipalNotFound { .. })
        ));
    }
}
