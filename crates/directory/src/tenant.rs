//! The tenant: exactly one for now, made at the first start.

use crate::{DirectoryError, RequestError};
use domain::{PrincipalId, SubscriptionId, TenantId, Timestamp, limits};
use serde::{Deserialize, Serialize};
use store::{Key, Record};

/// A directory tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// The tenant id (`tid`).
    pub id: TenantId,
    /// The domain name by which it is known too, in lower case.
    pub domain: String,
    /// The administrator's principal.
    pub administrator: PrincipalId,
    /// The one subscription, in which everything is. A tenant of before there were any has none written down: its apps may know their
    /// identities by resource ids that name the tenant in its place.
    #[serde(default)]
    subscription: Option<SubscriptionId>,
    /// When it was made.
    pub created: Timestamp,
}

impl Record for Tenant {
    type Id = ();

    fn key((): &()) -> Key {
        Key::new("tenant")
    }
}

/// What the tenant part of a URL names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantAlias {
    /// Our tenant, by id or domain name.
    Named,
    /// Whichever tenant the user is of: `common`, `organizations`. Good for documents, not for a client that acts for itself.
    Any,
}

impl Tenant {
    /// A new tenant.
    pub fn new(
        id: TenantId,
        domain: String,
        administrator: PrincipalId,
        subscription: SubscriptionId,
        created: Timestamp,
    ) -> Self {
        Self { id, domain, administrator, subscription: Some(subscription), created }
    }

    /// The subscription in which everything is.
    pub fn subscription(&self) -> SubscriptionId {
        self.subscription.unwrap_or_else(|| SubscriptionId::from_uuid(self.id.uuid()))
    }

    /// What does this text name?
    ///
    /// # Errors
    /// [`RequestError::TenantMalformed`], [`RequestError::TenantNotFound`].
    pub fn alias(&self, text: &str) -> Result<TenantAlias, DirectoryError> {
        if matches!(text, "common" | "organizations") {
            return Ok(TenantAlias::Any);
        }
        if text.eq_ignore_ascii_case(&self.domain)
            || text.parse::<TenantId>().is_ok_and(|tenant| tenant == self.id)
        {
            return Ok(TenantAlias::Named);
        }
        let is_id = text.parse::<TenantId>().is_ok();
        let is_domain = text.len() <= limits::AUDIENCE_CHARS_MAX
            && text.contains('.')
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
        let tenant = shown(text);
        if is_id || is_domain || text == "consumers" {
            Err(DirectoryError::Request(RequestError::TenantNotFound { tenant }))
        } else {
            Err(DirectoryError::Request(RequestError::TenantMalformed { tenant }))
        }
    }
}

/// A caller's text for a message: printable ASCII that needs no escape in JSON, and not much of it. Some clients cannot read an
/// error with an escape in it.
pub(crate) fn shown(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 128;
    let is_plain = |c: char| (c.is_ascii_graphic() || c == ' ') && !matches!(c, '"' | '\\' | '<' | '>' | '&');
    text.chars().take(SHOWN_CHARS_MAX).map(|c| if is_plain(c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn a_tenant_is_known_by_id_and_domain_name() {
        let tenant = fixtures::tenant();
        for text in
            [tenant.id.to_string(), tenant.id.to_string().to_uppercase(), "Keyless.Localhost".to_owned()]
        {
            assert_eq!(tenant.alias(&text).unwrap(), TenantAlias::Named, "{text}");
        }
        for text in ["common", "organizations"] {
            assert_eq!(tenant.alias(text).unwrap(), TenantAlias::Any);
        }
    }

    /// As releases before the resource manager wrote it: resource ids named the tenant where the subscription stands now, and apps have
    /// such ids in their settings.
    #[test]
    fn a_tenant_of_before_is_its_own_subscription() {
        let tenant = fixtures::tenant();
        assert_ne!(tenant.subscription().uuid(), tenant.id.uuid());
        let mut written = serde_json::to_value(&tenant).unwrap();
        assert_eq!(serde_json::from_value::<Tenant>(written.clone()).unwrap(), tenant);
        written.as_object_mut().unwrap().remove("subscription").unwrap();
        let old: Tenant = serde_json::from_value(written).unwrap();
        assert_eq!(old.subscription().uuid(), tenant.id.uuid());
    }

    #[test]
    fn other_tenants_are_not_here_and_other_texts_are_none() {
        let tenant = fixtures::tenant();
        let other = "99999999-9999-4999-8999-999999999999";
        for text in [other, "contoso.onmicrosoft.com", "consumers", "keyless.localhost.", "a.b"] {
            assert!(
                matches!(
                    tenant.alias(text),
                    Err(DirectoryError::Request(RequestError::TenantNotFound { .. }))
                ),
                "{text}"
            );
        }
        for text in [
            "",
            "Common",
            "keyless",
            "a b.c",
            "té.st",
            "a/b.c",
            &format!("{{{other}}}"),
            &format!("a.{}", "x".repeat(600)),
        ] {
            assert!(
                matches!(
                    tenant.alias(text),
                    Err(DirectoryError::Request(RequestError::TenantMalformed { .. }))
                ),
                "{text}"
            );
        }
    }

    #[test]
    fn shown_text_needs_no_escape() {
        assert_eq!(shown("a\"b\\c\r\n\u{e9}<'>"), "a?b?c????'?");
        assert_eq!(shown(&"x".repeat(1_000)).len(), 128);
    }
}
