//! What a client asks for in a user's name: scopes of one resource, and those of OpenID Connect (RFC 6749 section 3.3, OpenID Connect Core
//! section 5.4, Microsoft identity platform scopes).
//!
//! `{resource}/{name}` is a scope of a resource, a bare name one of Microsoft Graph. `{resource}/.default` stands for everything that the
//! client is registered to want, or that the user has agreed to. One resource has many spellings: whether two are of one, [`Scopes::audience`]
//! finds out, and answers tell each scope as it was asked for, by which clients look for it.

use crate::{Audience, DirectoryError, audience, tenant::shown};
use domain::{HostNames, limits};
use serde::{Deserialize, Serialize};
use store::{Halt, View};

/// The scope that stands for all.
pub(crate) const DEFAULT: &str = ".default";

/// The scopes of OpenID Connect, which are of no resource.
pub(crate) const OPENID_SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// A whole scope parameter, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scopes {
    /// The resource as asked for.
    pub(crate) resource: String,
    /// Other spellings of it. Only of what was just read: what is kept has been found to be of one resource.
    #[serde(skip)]
    others: Vec<String>,
    /// Names of scopes there, in the order in which they were asked for; none if only OpenID Connect's were.
    pub(crate) names: Vec<String>,
    /// The same, whole, as they were asked for. Records of before have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    spelled: Vec<String>,
    /// Those of OpenID Connect.
    pub(crate) openid: OpenId,
}

/// Scopes of one resource, and which that is.
pub(crate) type OfResource = (Audience, Scopes);

/// The scopes of OpenID Connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenId {
    /// `openid`: wants an id token.
    pub(crate) id_token: bool,
    /// `profile`.
    pub(crate) profile: bool,
    /// `email`.
    pub(crate) email: bool,
    /// `offline_access`: wants a refresh token.
    pub(crate) offline_access: bool,
}

impl OpenId {
    /// What of this is also asked for there.
    pub(crate) const fn within(self, other: Self) -> Self {
        Self {
            id_token: self.id_token && other.id_token,
            profile: self.profile && other.profile,
            email: self.email && other.email,
            offline_access: self.offline_access && other.offline_access,
        }
    }

    /// As answers tell them. What `offline_access` has brought is told by the refresh token itself.
    pub(crate) fn told(self) -> impl Iterator<Item = &'static str> {
        [(self.id_token, "openid"), (self.profile, "profile"), (self.email, "email")]
            .into_iter()
            .filter_map(|(is_asked, name)| is_asked.then_some(name))
    }
}

impl Scopes {
    /// Takes a scope parameter apart.
    ///
    /// # Errors
    /// [`DirectoryError::ScopeMalformed`].
    pub(crate) fn parse(scope: &str, names: &HostNames) -> Result<Self, DirectoryError> {
        let malformed = || DirectoryError::ScopeMalformed { scope: shown(scope) };
        let mut found: Option<String> = None;
        let mut scopes = Self::of(String::new(), OpenId::default());
        let mut count = 0;
        for one in scope.split(' ').filter(|one| !one.is_empty()) {
            count += 1;
            if count > limits::SCOPES_MAX || one.len() > limits::AUDIENCE_CHARS_MAX || !is_token(one) {
                return Err(malformed());
            }
            let (resource, name) = match one {
                "openid" => {
                    scopes.openid.id_token = true;
                    continue;
                }
                "profile" => {
                    scopes.openid.profile = true;
                    continue;
                }
                "email" => {
                    scopes.openid.email = true;
                    continue;
                }
                "offline_access" => {
                    scopes.openid.offline_access = true;
                    continue;
                }
                _ => taken_apart(one, names),
            };
            if resource.is_empty() || name.is_empty() {
                return Err(malformed());
            }
            match &found {
                Some(first) if *first == resource || scopes.others.contains(&resource) => {}
                Some(_) => scopes.others.push(resource),
                None => found = Some(resource),
            }
            if !scopes.spelled.iter().any(|known| known.eq_ignore_ascii_case(one)) {
                scopes.push(name, one);
            }
        }
        if count == 0 {
            return Err(malformed());
        }
        // Who asks for a sign-in alone gets a token with which to ask who has signed in.
        scopes.resource = found.unwrap_or_else(|| names.graph_resource());
        Ok(scopes)
    }

    /// What a request of the v1.0 endpoint asks for: a resource, all of it, with what the later endpoint must be asked for by name.
    pub(crate) fn of_resource(resource: String) -> Self {
        let openid = OpenId { id_token: true, profile: true, email: true, offline_access: true };
        Self { names: vec![DEFAULT.to_owned()], ..Self::of(resource, openid) }
    }

    const fn of(resource: String, openid: OpenId) -> Self {
        Self { resource, others: Vec::new(), names: Vec::new(), spelled: Vec::new(), openid }
    }

    fn push(&mut self, name: &str, whole: &str) {
        self.names.push(name.to_owned());
        self.spelled.push(whole.to_owned());
    }

    /// Those of each resource, the first one's with what is of OpenID Connect: a user may be asked for several at once.
    ///
    /// # Errors
    /// [`DirectoryError::ResourceUnknown`], or what must be loaded first.
    pub(crate) fn by_resource(
        self,
        view: &View,
        names: &HostNames,
    ) -> Result<(OfResource, Vec<OfResource>), Halt<DirectoryError>> {
        let first = audience::resolve(view, names, &self.resource)?;
        if self.others.is_empty() {
            return Ok(((first, self), Vec::new()));
        }
        let mut own = Self::of(self.resource, self.openid);
        let mut others: Vec<OfResource> = Vec::new();
        for whole in &self.spelled {
            let (resource, name) = taken_apart(whole, names);
            let audience = audience::resolve(view, names, &resource)?;
            if audience.key() == first.key() {
                own.push(name, whole);
                continue;
            }
            match others.iter_mut().find(|(known, _)| known.key() == audience.key()) {
                Some((_, scopes)) => scopes.push(name, whole),
                None => {
                    let mut scopes = Self::of(resource, OpenId::default());
                    scopes.push(name, whole);
                    others.push((audience, scopes));
                }
            }
        }
        Ok(((first, own), others))
    }

    /// The same with these of OpenID Connect.
    pub(crate) fn with(&self, openid: OpenId) -> Self {
        Self { openid, ..self.clone() }
    }

    /// For which resource they are: one, however often it is named and in whichever spellings.
    ///
    /// # Errors
    /// [`DirectoryError::ScopesOfTwoResources`], [`DirectoryError::ResourceUnknown`], or what must be loaded first.
    pub(crate) fn audience(&self, view: &View, names: &HostNames) -> Result<Audience, Halt<DirectoryError>> {
        let two = || Halt::Refuse(DirectoryError::ScopesOfTwoResources);
        // Of two that nobody knows, nobody knows that they are one.
        let one_of_two = |halt| match halt {
            Halt::Refuse(DirectoryError::ResourceUnknown { .. }) => two(),
            halt => halt,
        };
        let audience = audience::resolve(view, names, &self.resource);
        if self.others.is_empty() {
            return audience;
        }
        let audience = audience.map_err(one_of_two)?;
        for other in &self.others {
            if audience::resolve(view, names, other).map_err(one_of_two)?.key() != audience.key() {
                return Err(two());
            }
        }
        Ok(audience)
    }

    /// A scope of the resource as it was asked for, if it was: `None` where it came with others by [`DEFAULT`].
    pub(crate) fn spelled(&self, name: &str) -> Option<&str> {
        let at = self.names.iter().position(|known| known.eq_ignore_ascii_case(name))?;
        self.spelled.get(at).map(String::as_str)
    }

    /// Is everything asked for that there is?
    pub(crate) fn is_default(&self) -> bool {
        self.names.iter().any(|name| name == DEFAULT)
    }
}

/// The resource and the name of one scope.
fn taken_apart<'a>(one: &'a str, names: &HostNames) -> (String, &'a str) {
    match one.rsplit_once('/') {
        Some((resource, name)) => (resource.to_owned(), name),
        None => (names.graph_resource(), one),
    }
}

/// RFC 6749 section 3.3, without what no error message could show.
fn is_token(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, names};

    fn parse(scope: &str) -> Result<Scopes, DirectoryError> {
        Scopes::parse(scope, &names())
    }

    #[test]
    fn a_scope_is_of_a_resource() {
        for (scope, resource, wanted) in [
            ("https://vault.azure.net/.default", "https://vault.azure.net", &[".default"][..]),
            ("https://x//.default", "https://x/", &[".default"]),
            ("api://a/b/Orders.Read api://a/b/Orders.Write", "api://a/b", &["Orders.Read", "Orders.Write"]),
            ("api://a/x api://a/X", "api://a", &["x"]),
            ("User.Read", "https://graph.keyless.localhost:8443", &["User.Read"]),
            ("openid profile", "https://graph.keyless.localhost:8443", &[]),
            (
                "User.Read https://graph.microsoft.com//Group.Read.All",
                "https://graph.keyless.localhost:8443",
                &["User.Read", "Group.Read.All"],
            ),
        ] {
            let scopes = parse(scope).unwrap();
            assert_eq!(scopes.resource, resource, "{scope}");
            assert_eq!(scopes.names, wanted, "{scope}");
        }
        let scopes = parse("offline_access  api://a/x openid").unwrap();
        let openid = OpenId { id_token: true, offline_access: true, ..OpenId::default() };
        assert_eq!((scopes.openid, scopes.is_default()), (openid, false));
        assert_eq!(scopes.openid.told().collect::<Vec<_>>(), ["openid"]);
        assert!(Scopes::of_resource("https://x".to_owned()).is_default());
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        let many = (0..=limits::SCOPES_MAX).map(|number| format!("s{number}")).collect::<Vec<_>>().join(" ");
        for scope in ["", " ", "/.default", "x/", "a\"b", "a\\b", "\u{e9}", "a\tb", &"x".repeat(513), &many] {
            assert!(matches!(parse(scope), Err(DirectoryError::ScopeMalformed { .. })), "{scope}");
        }
    }

    #[test]
    fn one_resource_has_many_spellings() {
        let (registration, principal) = fixtures::registration(1);
        let view = fixtures::view(&registration, &principal);
        let audience = |scope: &str| match parse(scope).unwrap().audience(&view, &names()) {
            Ok(audience) => Ok(audience.requested().to_owned()),
            Err(Halt::Refuse(refused)) => Err(refused),
            Err(halt) => panic!("{halt:?}"),
        };
        let own = format!("api://{0}/a {0}/b https://Orders.example/1/c", registration.client);
        for (scope, first) in [
            ("User.Read https://graph.microsoft.com/Group.Read.All", "https://graph.keyless.localhost:8443"),
            (
                "https://graph.microsoft.com//User.Read Mail.Read 00000003-0000-0000-c000-000000000000/x",
                "https://graph.microsoft.com/",
            ),
            ("https://vault.azure.net/.default https://vault.azure.net//.default", "https://vault.azure.net"),
            (&own, &format!("api://{}", registration.client)),
        ] {
            assert_eq!(audience(scope).unwrap(), first, "{scope}");
        }
        for scope in [
            "x/a y/a",
            "User.Read api://a/b",
            "User.Read https://vault.azure.net/.default",
            "https://vault.azure.net/.default User.Read https://vault.azure.net//.default",
            "https://x/.default https://x//.default",
            &format!("{own} User.Read"),
        ] {
            assert!(matches!(audience(scope), Err(DirectoryError::ScopesOfTwoResources)), "{scope}");
        }
        assert!(matches!(audience("x/a x/b"), Err(DirectoryError::ResourceUnknown { .. })));
    }

    #[test]
    fn scopes_of_several_resources_are_taken_apart() {
        let view = View::fixture();
        let apart = |scope: &str| match parse(scope).unwrap().by_resource(&view, &names()) {
            Ok(((first, own), others)) => {
                assert!(others.iter().all(|(_, scopes)| scopes.openid == OpenId::default()));
                let all = std::iter::once((first, own)).chain(others);
                all.map(|(audience, scopes)| (audience.key(), scopes.spelled.join(" "))).collect::<Vec<_>>()
            }
            Err(halt) => panic!("{halt:?}"),
        };
        let all = apart(
            "https://vault.azure.net/.default openid User.Read https://vault.azure.net//user_impersonation \
             https://management.azure.com//.default https://graph.microsoft.com/Group.Read.All",
        );
        let all: Vec<_> = all.iter().map(|(key, scopes)| (&**key, &**scopes)).collect();
        assert_eq!(
            all,
            [
                ("vaults", "https://vault.azure.net/.default https://vault.azure.net//user_impersonation"),
                ("graph", "User.Read https://graph.microsoft.com/Group.Read.All"),
                ("management", "https://management.azure.com//.default"),
            ]
        );
        assert_eq!(apart("openid").len(), 1);
        let refused = parse("User.Read https://nowhere/x").unwrap().by_resource(&view, &names());
        assert!(matches!(refused, Err(Halt::Refuse(DirectoryError::ResourceUnknown { .. }))));
    }

    #[test]
    fn a_scope_is_told_as_it_was_asked_for() {
        let scopes = parse("user.read https://graph.microsoft.com/Group.Read.All").unwrap();
        assert_eq!(scopes.spelled("User.Read"), Some("user.read"));
        assert_eq!(scopes.spelled("Group.Read.All"), Some("https://graph.microsoft.com/Group.Read.All"));
        assert_eq!(scopes.spelled("User.Read.All"), None);
        let kept = serde_json::to_value(&scopes).unwrap();
        let again: Scopes = serde_json::from_value(kept.clone()).unwrap();
        assert_eq!((again.spelled("User.Read"), again.others.len()), (Some("user.read"), 0));
        let mut before = kept;
        before.as_object_mut().unwrap().remove("spelled");
        let before: Scopes = serde_json::from_value(before).unwrap();
        assert_eq!((before.spelled("User.Read"), before.names.len()), (None, 2));
    }
}
