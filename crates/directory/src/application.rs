//! The application that asks, when a user signs in: an app registration, or one of the public clients that every tenant of Azure knows.
//!
//! Owns: the table of the latter, and how a client id leads to either. Owns not: how a client proves itself (`client`).

use crate::{
    Registration,
    redirect::{Platform, RedirectUri},
    registration::ClientIndex,
};
use domain::ClientId;
use std::sync::Arc;
use store::{Load, View};
use uuid::{Uuid, uuid};

/// A client that exists in every tenant, under the same id: a program on people's machines, without a credential. SDKs and tools use it
/// unless told otherwise. It may do what the user may, so nobody is asked for consent.
#[derive(Debug, PartialEq, Eq)]
pub struct FirstParty {
    /// The client id.
    pub client: Uuid,
    /// The name on pages.
    pub name: &'static str,
}

/// Source: the client ids that azure-identity, `az` and Azure PowerShell send by default; the last one is ours.
pub const FIRST_PARTY: &[FirstParty] = &[
    FirstParty { client: uuid!("04b07795-8ddb-461a-bbee-02f9e1bf7b46"), name: "Azure CLI" },
    FirstParty { client: uuid!("1950a258-227b-4e31-a9cf-717495945fc2"), name: "Azure PowerShell" },
    FirstParty { client: uuid!("aebc6443-996d-45c2-90f0-388ff96faa56"), name: "Visual Studio Code" },
    FirstParty { client: KEYLESS_CLI, name: "Keyless" },
];

/// The client id of `keyless login`.
pub const KEYLESS_CLI: Uuid = uuid!("7b6c5e0d-2f4a-4d1c-9e83-6b65796c6573");

/// The application behind a client id.
#[derive(Clone, Debug)]
pub enum Application {
    /// An app registration of the tenant.
    Registered(Arc<Registration>),
    /// One that every tenant knows.
    FirstParty(&'static FirstParty),
}

impl Application {
    /// The application with this client id.
    ///
    /// # Errors
    /// What must be loaded first.
    pub fn find(view: &View, client: ClientId) -> Result<Option<Self>, Load> {
        if let Some(known) = FIRST_PARTY.iter().find(|known| known.client == client.uuid()) {
            return Ok(Some(Self::FirstParty(known)));
        }
        let Some(index) = view.get::<ClientIndex>(&client)? else { return Ok(None) };
        Ok(view.get::<Registration>(&index.registration)?.map(Self::Registered))
    }

    /// The client id.
    pub fn client(&self) -> ClientId {
        match self {
            Self::Registered(registration) => registration.client,
            Self::FirstParty(known) => ClientId::from_uuid(known.client),
        }
    }

    /// Its name on pages.
    pub fn name(&self) -> &str {
        match self {
            Self::Registered(registration) => &registration.display_name,
            Self::FirstParty(known) => known.name,
        }
    }

    /// Must a user agree before it acts in the user's name?
    pub const fn needs_consent(&self) -> bool {
        match self {
            Self::Registered(_) => true,
            Self::FirstParty(_) => false,
        }
    }

    /// May it come without a credential?
    pub fn may_be_public(&self) -> bool {
        match self {
            Self::Registered(registration) => {
                registration.is_public
                    || registration.redirect_uris.iter().any(|uri| uri.platform.is_public())
            }
            Self::FirstParty(_) => true,
        }
    }

    /// May it be a program on a device or on a person's machine? A page in a browser, which has no credential either, has the browser.
    pub fn may_be_a_device(&self) -> bool {
        match self {
            Self::Registered(registration) => {
                registration.is_public
                    || registration.redirect_uris.iter().any(|uri| uri.platform == Platform::PublicClient)
            }
            Self::FirstParty(_) => true,
        }
    }

    /// Which kind of client is at this redirect URI, if it is one of the application's?
    pub fn platform_at(&self, redirect_uri: &str) -> Option<Platform> {
        match self {
            Self::Registered(registration) => {
                let uris = || registration.redirect_uris.iter();
                // A program's may be any port of this machine: a page's own is meant where it is named as it is.
                let named = uris().find(|registered| registered.uri == redirect_uri);
                named
                    .or_else(|| uris().find(|registered| registered.matches(redirect_uri)))
                    .map(|registered| registered.platform)
            }
            Self::FirstParty(_) => ["http://localhost", "http://127.0.0.1", "http://[::1]"]
                .into_iter()
                .map(|uri| RedirectUri { uri: uri.to_owned(), platform: Platform::PublicClient })
                .find(|registered| registered.matches(redirect_uri))
                .map(|registered| registered.platform),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, registration};

    #[test]
    fn a_client_id_leads_to_its_application() {
        let (registration, principal) = registration(1);
        let view = fixtures::view(&registration, &principal);
        let find = |client| Application::find(&view, client).unwrap();
        let registered = find(registration.client).unwrap();
        assert_eq!((registered.name(), registered.needs_consent()), ("orders", true));
        assert!(!registered.may_be_public() && registered.platform_at("http://localhost").is_none());
        let known = find(ClientId::from_uuid(KEYLESS_CLI)).unwrap();
        assert_eq!((known.name(), known.needs_consent(), known.may_be_public()), ("Keyless", false, true));
        assert_eq!(known.client().uuid(), KEYLESS_CLI);
        assert_eq!(known.platform_at("http://localhost:8400/"), Some(Platform::PublicClient));
        assert_eq!(known.platform_at("http://localhost:8400/x"), None);
        assert_eq!(known.platform_at("https://shop.example/"), None);
        assert!(find(ClientId::from_uuid(Uuid::nil())).is_none());
    }

    #[test]
    fn a_redirect_uri_that_is_named_as_it_is_comes_before_any_port_of_this_machine() {
        let (mut registration, _) = registration(1);
        let uri = |uri: &str, platform| RedirectUri { uri: uri.to_owned(), platform };
        let (program, page) =
            (uri("http://localhost/", Platform::PublicClient), uri("http://localhost:3000/", Platform::Spa));
        for both in [[program.clone(), page.clone()], [page, program]] {
            registration.redirect_uris = both.to_vec();
            let application = Application::Registered(Arc::new(registration.clone()));
            assert_eq!(application.platform_at("http://localhost:3000/"), Some(Platform::Spa));
            assert_eq!(application.platform_at("http://localhost:3001/"), Some(Platform::PublicClient));
        }
    }

    #[test]
    fn a_registration_is_public_where_it_says_so() {
        let (mut registration, _) = registration(1);
        let is_public = |registration: &Registration| {
            Application::Registered(Arc::new(registration.clone())).may_be_public()
        };
        let uri = |platform| vec![RedirectUri { uri: "https://shop.example/".to_owned(), platform }];
        registration.redirect_uris = uri(Platform::Web);
        assert!(!is_public(&registration));
        registration.redirect_uris = uri(Platform::Spa);
        assert!(is_public(&registration));
        let is_device = |registration: &Registration| {
            Application::Registered(Arc::new(registration.clone())).may_be_a_device()
        };
        assert!(!is_device(&registration), "a page is none");
        registration.redirect_uris = uri(Platform::PublicClient);
        assert!(is_device(&registration));
        registration.redirect_uris.clear();
        registration.is_public = true;
        assert!(is_public(&registration) && is_device(&registration));
    }
}
