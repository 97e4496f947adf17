//! The last phases of every token request: claims, and the signatures.

use crate::{
    Audience, DirectoryError, IssuedToken, KeyRing, TokenVersion,
    claims::{self, Claims, Facts, UserFacts},
    grants::delegated::Delegated,
    id_token::{self, IdFacts},
    scope::DEFAULT,
    session::Method,
    token::{Granted, IssuedToUser},
};
use crypt::{
    MacKey,
    jws::{self, Thumbprint},
};
use domain::{
    ClientId, Entropy, HostNames, PrincipalId, Secret, SubscriptionId, TenantId, Timestamp, world::random,
};
use serde::Serialize;
use std::time::Duration;

/// What signs, and what it says of us.
pub(crate) struct Issuer<'a> {
    pub(crate) names: &'a HostNames,
    pub(crate) subscription: SubscriptionId,
    pub(crate) ring: &'a KeyRing,
    pub(crate) entropy: &'a dyn Entropy,
    /// Makes of a user another subject for each client, so that two clients cannot tell that they know the same one.
    pub(crate) subjects: &'a MacKey,
    pub(crate) lifetime: Duration,
}

impl Issuer<'_> {
    /// Issues what was granted.
    pub(crate) fn issue(&self, granted: Granted, now: Timestamp) -> Result<IssuedToken, DirectoryError> {
        let Granted { principal, client, audience, proof, user, can_be_challenged, hosting, roles, .. } =
            &granted;
        let token = crypt::encoding::base64url(&random::<16>(self.entropy));
        // Of the second in which all was revoked: nobody must take it for one of before.
        let issued = now.max(principal.revocations.valid_from());
        let expires = now.plus(self.lifetime);
        let subject = user.is_some().then(|| subject(self.subjects, *client, principal.id));
        let claims: Claims = claims::claims(Facts {
            principal,
            client: *client,
            audience,
            proof: *proof,
            names: self.names,
            subscription: self.subscription,
            issued,
            not_before: now,
            expires,
            token: token.clone(),
            can_be_challenged: *can_be_challenged,
            hosting: hosting.as_ref(),
            roles: roles.clone(),
            user: user.as_ref().zip(subject.clone()).map(|(user, subject)| UserFacts {
                subject,
                user_name: user.signed_in.user.user_name.as_str().to_owned(),
                scopes: scp(user),
                session: user.signed_in.session.id,
                grant: user.grant,
                methods: Method::amr(&user.signed_in.session.methods),
            }),
        });
        let thumbprint = match audience.version {
            TokenVersion::V1 => Thumbprint::Included,
            TokenVersion::V2 => Thumbprint::Omitted,
        };
        let mut issued = IssuedToken {
            access_token: jws::sign(self.ring.current(), thumbprint, &claims)?,
            issued: now,
            expires_on: expires,
            resource: audience.requested.clone(),
            principal: principal.id,
            client: *client,
            token,
            proof: *proof,
            user: None,
        };
        if let Some((user, subject)) = user.as_ref().zip(subject) {
            let id_token = self.id_token(&granted, user, subject, now)?;
            let (scope, client_info) = (told(user, audience), client_info(principal.id, principal.tenant)?);
            let refresh_token = granted.user.and_then(|user| user.refresh_token);
            issued.user = Some(IssuedToUser { scope, id_token, refresh_token, client_info });
        }
        Ok(issued)
    }

    fn id_token(
        &self,
        granted: &Granted,
        user: &Delegated,
        subject: String,
        now: Timestamp,
    ) -> Result<Option<Secret<String>>, DirectoryError> {
        if !user.scopes.openid.id_token {
            return Ok(None);
        }
        let facts = IdFacts {
            user,
            subject,
            endpoint: granted.endpoint,
            client: granted.client,
            tenant: granted.principal.tenant,
            names: self.names,
            issued: now,
            expires: now.plus(self.lifetime),
            token: crypt::encoding::base64url(&random::<16>(self.entropy)),
            roles: &granted.roles_at_client,
        };
        Ok(Some(jws::sign(self.ring.current(), Thumbprint::Omitted, &id_token::claims(facts))?))
    }
}

pub(crate) fn client_info(uid: PrincipalId, utid: TenantId) -> Result<String, DirectoryError> {
    let ids = serde_json::to_vec(&ClientInfo { uid, utid });
    let ids = ids.map_err(|_| DirectoryError::Broken { what: "ids are no JSON" })?;
    Ok(crypt::encoding::base64url(&ids))
}

#[derive(Serialize)]
struct ClientInfo {
    uid: PrincipalId,
    utid: TenantId,
}

/// A user as one client knows it (OpenID Connect Core section 8.1, pairwise).
pub(crate) fn subject(key: &MacKey, client: ClientId, user: PrincipalId) -> String {
    crypt::encoding::base64url(&key.mac(&[client.text().as_ref(), user.text().as_ref()]))
}

/// `scp`: what the client may do at the resource, by the resource's own names.
fn scp(user: &Delegated) -> String {
    let own = user.granted.iter().map(String::as_str);
    match user.granted.is_empty() {
        false => own.collect::<Vec<_>>().join(" "),
        // A sign-in alone: who it is may be asked for.
        true => user.scopes.openid.told().collect::<Vec<_>>().join(" "),
    }
}

/// What was granted, spelled as it would be asked for: clients look for it by that.
fn told(user: &Delegated, audience: &Audience) -> String {
    let names = user.granted.iter().map(String::as_str).chain(user.scopes.is_default().then_some(DEFAULT));
    let whole = |name| format!("{}/{name}", audience.requested);
    let scopes = names.map(|name| user.scopes.spelled(name).map_or_else(|| whole(name), str::to_owned));
    let openid = user.scopes.openid.told().map(str::to_owned);
    scopes.chain(openid).collect::<Vec<_>>().join(" ")
}
