//! What the pages ask of the directory, one step each: read a request, begin a session, consent, issue a code, answer a device, sign out.
//!
//! Owns: the order in which a step checks what the steps before have shown; every step reads it again from the store, so no page is trusted to
//! have come from another. Owns not: HTML, cookies and CSRF (`wire`), passwords and second factors (`sign_in`).

use crate::{
    Audience, DirectoryError, DirectoryService, GrantError, RequestError, app_role,
    application::Application,
    assertion::UsedAssertion,
    authorization::{self, Authorization, AuthorizeRefusal, AuthorizeRequest},
    consent::{self, Agreed, Asked, AskedOf, Giver},
    grants::{authorization_code, delegated, device_code},
    issue,
    passkeys::UsedChallenge,
    scope::Scopes,
    session::{self, Kept, Method, Session, SignedIn},
    tenant::shown,
    token::Endpoint,
    user::{Person, User},
};
use access::Principal;
use crypt::fresh_secret;
use domain::{ClientId, PrincipalId, Secret, Timestamp, limits};
use std::sync::Arc;
use store::{Decision, Halt, View, query, refuse, transact};

/// What a device asks for (RFC 8628 section 3.1).
#[derive(Clone, Debug, Default)]
pub struct DeviceRequest {
    /// The tenant of the URL.
    pub tenant: String,
    /// The endpoint.
    pub endpoint: Endpoint,
    /// `client_id`.
    pub client: Option<String>,
    /// `scope`.
    pub scope: Option<String>,
    /// `resource`, of the v1.0 endpoint.
    pub resource: Option<String>,
}

/// What a device is told (RFC 8628 section 3.2).
#[derive(Debug)]
pub struct DeviceStarted {
    /// By which it asks for its tokens.
    pub device_code: Secret<String>,
    /// What the user types.
    pub user_code: String,
    /// Which client it is.
    pub client: ClientId,
}

/// A device that waits for a user's answer.
#[derive(Clone, Debug)]
pub struct WaitingDevice {
    /// Which client it is.
    pub application: Application,
    /// What it wants to call.
    pub audience: Audience,
    /// What the user would agree to with a yes, beyond what was agreed to before.
    pub asked: Option<Asked>,
}

impl DirectoryService {
    /// Reads an authorization request.
    ///
    /// # Errors
    /// [`AuthorizeRefusal`].
    pub async fn authorization(&self, request: &AuthorizeRequest) -> Result<Authorization, AuthorizeRefusal> {
        query(&*self.store, |view| authorization::read(view, self.tenant(), self.names(), request)).await
    }

    /// Begins a session for a user who has just signed in by these methods, all that are needed. `proven` is the user as it was when it signed
    /// in: whatever has ended its sign-ins since, such as another password, keeps this one from beginning. Answers the session's cookie, which
    /// nothing else ever will. A session that the browser had before (`former`) ends: whoever planted it gets nothing of this one.
    ///
    /// # Errors
    /// [`GrantError::SessionEnded`] if the user is no more, or disabled, or all its sign-ins were ended meanwhile; the store's.
    pub async fn begin_session(
        &self,
        proven: &Person,
        methods: &[Method],
        former: Option<&Secret<String>>,
        now: Timestamp,
    ) -> Result<(Secret<String>, SignedIn), DirectoryError> {
        let user = proven.user.id;
        let (session, cookie) = session::begin(user, methods.to_vec(), Kept::InBrowser, &*self.entropy, now);
        let session = session.begun_after(&proven.principal);
        let cookie = cookie.ok_or(DirectoryError::Broken { what: "a browser's session without a cookie" })?;
        let lifetime = self.settings.token_lifetime;
        let signed_in = transact(&*self.store, &*self.entropy, |view| {
            let (person, principal) = enabled(view, user)?;
            if person.must_change_password {
                return refuse(DirectoryError::Grant(GrantError::PasswordMustChange));
            }
            if session.is_over(&principal) {
                return refuse(DirectoryError::Grant(GrantError::SessionEnded));
            }
            let mut writes = vec![store::put::<Session>(&session.id, &session)];
            let before = former.map(|former| session::named(view, former)).transpose()?.flatten();
            if let Some(before) = before.filter(|before| before.principal != user) {
                writes.extend(session::end(view, &before, lifetime, now)?);
            }
            let signed_in = SignedIn { session: Arc::new(session.clone()), user: person, principal };
            Ok(Decision::of(signed_in, writes))
        })
        .await?;
        Ok((cookie, signed_in))
    }

    /// Whose browser is this?
    ///
    /// # Errors
    /// The store's.
    pub async fn signed_in(
        &self,
        cookie: &Secret<String>,
        now: Timestamp,
    ) -> Result<Option<SignedIn>, DirectoryError> {
        query(&*self.store, |view| Ok(session::of_cookie(view, cookie, now)?)).await
    }

    /// Signs out: the session of a cookie and everything that came from it end at once, also if nobody is signed in by it at present, as a
    /// disabled user is not. Answers the session that has ended.
    ///
    /// # Errors
    /// The store's.
    pub async fn sign_out(
        &self,
        cookie: &Secret<String>,
        now: Timestamp,
    ) -> Result<Option<Arc<Session>>, DirectoryError> {
        let lifetime = self.settings.token_lifetime;
        transact(&*self.store, &*self.entropy, |view| {
            let Some(session) = session::named(view, cookie)? else { return Ok(Decision::read(None)) };
            let writes = session::end(view, &session, lifetime, now)?;
            Ok(Decision::of(Some(session), writes))
        })
        .await
    }

    /// What the user must be asked to agree to before the request can be answered, by resource: nothing where there is none.
    ///
    /// # Errors
    /// [`DirectoryError::ScopeUnknown`]; [`app_role::AppRoleError::NotAssigned`], before anybody agrees in vain;
    /// [`GrantError::AdministratorMustAgree`] if the user cannot.
    pub async fn to_agree(
        &self,
        signed_in: &SignedIn,
        authorization: &Authorization,
    ) -> Result<Vec<AskedOf>, DirectoryError> {
        let application = &authorization.application;
        query(&*self.store, |view| {
            app_role::admits(view, &signed_in.principal, application)?;
            let giver = Giver::user(&signed_in.user, self.tenant().administrator);
            let mut all = Vec::new();
            for (audience, scopes) in authorization.resources() {
                let agreed = consent::agreed(view, application, signed_in.user.id, audience, scopes)?;
                let Agreed::Ask(asked) = agreed else { continue };
                giver.may_give(application.client(), audience, &asked.scopes).map_err(Halt::Refuse)?;
                all.push(AskedOf { audience: audience.clone(), asked });
            }
            Ok(all)
        })
        .await
    }

    /// All that a request asks for, whether or not it was agreed to before.
    ///
    /// # Errors
    /// [`DirectoryError::ScopeUnknown`], [`GrantError::ResourceNotListed`].
    pub async fn all_asked(
        &self,
        signed_in: &SignedIn,
        authorization: &Authorization,
    ) -> Result<Vec<AskedOf>, DirectoryError> {
        let (application, user) = (&authorization.application, signed_in.user.id);
        query(&*self.store, |view| {
            let all = authorization.resources().map(|(audience, scopes)| {
                let asked = consent::all(view, application, user, audience, scopes)?;
                Ok(AskedOf { audience: audience.clone(), asked })
            });
            all.collect()
        })
        .await
    }

    /// The application with a client id.
    ///
    /// # Errors
    /// The store's.
    pub async fn application(&self, client: ClientId) -> Result<Option<Application>, DirectoryError> {
        query(&*self.store, |view| Ok(Application::find(view, client)?)).await
    }

    /// The ids of a user as clients want them beside a code or token (`client_info`).
    ///
    /// # Errors
    /// None that can happen.
    pub fn client_info(&self, user: PrincipalId) -> Result<String, DirectoryError> {
        issue::client_info(user, self.tenant().id)
    }

    /// The user agrees to what the request asks for.
    ///
    /// # Errors
    /// [`GrantError::SessionEnded`], [`GrantError::AdministratorMustAgree`], [`DirectoryError::TooMany`];
    /// [`app_role::AppRoleError::NotAssigned`], [`RequestError::ClientDisabled`] of an application that is closed to the user.
    pub async fn agree(
        &self,
        signed_in: &SignedIn,
        authorization: &Authorization,
    ) -> Result<(), DirectoryError> {
        let application = &authorization.application;
        transact(&*self.store, &*self.entropy, |view| {
            let signed_in = still(view, signed_in)?;
            app_role::admits(view, &signed_in.principal, application)?;
            let giver = Giver::user(&signed_in.user, self.tenant().administrator);
            let write = consent::give(view, application, giver, authorization.resources())?;
            Ok(Decision::of((), vec![write]))
        })
        .await
    }

    /// Issues an authorization code to the client that asks, for the user who is signed in.
    ///
    /// # Errors
    /// [`GrantError::SessionEnded`], [`GrantError::ConsentRequired`], [`DirectoryError::ScopeUnknown`],
    /// [`app_role::AppRoleError::NotAssigned`].
    pub async fn issue_code(
        &self,
        signed_in: &SignedIn,
        authorization: &Authorization,
        now: Timestamp,
    ) -> Result<Secret<String>, DirectoryError> {
        let code = fresh_secret(&*self.entropy);
        transact(&*self.store, &*self.entropy, |view| {
            let signed_in = still(view, signed_in)?;
            let Authorization { application, scopes, .. } = authorization;
            delegated::may(view, self.names(), application, &signed_in, scopes)?;
            for (audience, scopes) in &authorization.also {
                let client = application.client();
                match consent::agreed(view, application, signed_in.user.id, audience, scopes)? {
                    Agreed::Granted(_) => {}
                    Agreed::Ask(_) => {
                        return refuse(DirectoryError::Grant(GrantError::ConsentRequired { client }));
                    }
                }
            }
            let mut writes = vec![authorization_code::issue(&code, authorization, &signed_in, now)];
            writes.extend(session::enter(&signed_in.session, application.client()));
            Ok(Decision::of((), writes))
        })
        .await?;
        Ok(code)
    }

    /// A device asks for a code.
    ///
    /// # Errors
    /// [`DirectoryError`]'s of a request; [`RequestError::ClientProofMissing`] of a client that is not public.
    pub async fn begin_device(
        &self,
        request: &DeviceRequest,
        now: Timestamp,
    ) -> Result<DeviceStarted, DirectoryError> {
        self.tenant().alias(&request.tenant)?;
        let missing = |name| DirectoryError::Request(RequestError::MissingParameter { name });
        let client = request.client.as_deref().filter(|client| !client.is_empty());
        let client = client.ok_or_else(|| missing("client_id"))?;
        let client: ClientId = client
            .parse()
            .map_err(|_| DirectoryError::Request(RequestError::ClientMalformed { client: shown(client) }))?;
        let scopes = match request.endpoint {
            Endpoint::V1 => request.resource.clone().map(Scopes::of_resource),
            Endpoint::V2 => {
                request.scope.as_deref().map(|scope| Scopes::parse(scope, self.names())).transpose()?
            }
        };
        let scopes = scopes
            .ok_or_else(|| missing(if request.endpoint == Endpoint::V1 { "resource" } else { "scope" }))?;
        let device_code = fresh_secret(&*self.entropy);
        let user_code = device_code::user_code(&*self.entropy);
        transact(&*self.store, &*self.entropy, |view| {
            let Some(application) = Application::find(view, client)? else {
                return refuse(DirectoryError::ClientUnknown { client });
            };
            if !application.may_be_a_device() {
                return refuse(DirectoryError::Request(RequestError::ClientProofMissing));
            }
            app_role::require_enabled(view, &application)?;
            // Said now rather than when the user has signed in for it.
            let audience = scopes.audience(view, self.names())?;
            consent::check(&audience, &scopes).map_err(Halt::Refuse)?;
            device_code::begin(view, &application, &scopes, &device_code, &user_code, now)
        })
        .await?;
        Ok(DeviceStarted { device_code, user_code, client })
    }

    /// The device that waits under a code that a user has typed.
    ///
    /// # Errors
    /// [`GrantError::UserCodeUnknown`]; [`app_role::AppRoleError::NotAssigned`], [`RequestError::ClientDisabled`] of an application that is
    /// closed to the user; [`GrantError::AdministratorMustAgree`] if the user cannot agree to what it asks for.
    pub async fn waiting_device(
        &self,
        typed: &str,
        signed_in: &SignedIn,
        now: Timestamp,
    ) -> Result<WaitingDevice, DirectoryError> {
        let code =
            device_code::read_user_code(typed).ok_or(DirectoryError::Grant(GrantError::UserCodeUnknown))?;
        query(&*self.store, |view| {
            let device = device_code::waiting(view, &code, now)?;
            let Some(application) = Application::find(view, device.client)? else {
                return refuse(DirectoryError::Grant(GrantError::UserCodeUnknown));
            };
            app_role::admits(view, &signed_in.principal, &application)?;
            let audience = device.scopes.audience(view, self.names())?;
            let agreed = consent::agreed(view, &application, signed_in.user.id, &audience, &device.scopes)?;
            let asked = match agreed {
                Agreed::Granted(_) => None,
                Agreed::Ask(asked) => {
                    let giver = Giver::user(&signed_in.user, self.tenant().administrator);
                    giver.may_give(device.client, &audience, &asked.scopes).map_err(Halt::Refuse)?;
                    Some(asked)
                }
            };
            Ok(WaitingDevice { application, audience, asked })
        })
        .await
    }

    /// The user says yes to a device, and agrees to what it asks for.
    ///
    /// # Errors
    /// [`GrantError::UserCodeUnknown`], [`GrantError::SessionEnded`]; those of [`Self::waiting_device`].
    pub async fn approve_device(
        &self,
        typed: &str,
        signed_in: &SignedIn,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let code =
            device_code::read_user_code(typed).ok_or(DirectoryError::Grant(GrantError::UserCodeUnknown))?;
        let session = device_code::session_of(signed_in, &*self.entropy, now);
        transact(&*self.store, &*self.entropy, |view| {
            let signed_in = still(view, signed_in)?;
            let device = device_code::waiting(view, &code, now)?;
            let session = session.begun_after(&signed_in.principal);
            let mut writes = device_code::approve(view, &code, &session, now)?;
            let application = Application::find(view, device.client)?;
            if let Some(application) = &application {
                app_role::admits(view, &signed_in.principal, application)?;
            }
            if let Some(application) = application.filter(Application::needs_consent) {
                let audience = device.scopes.audience(view, self.names())?;
                let giver = Giver::user(&signed_in.user, self.tenant().administrator);
                let resource = [(&audience, &device.scopes)];
                writes.push(consent::give(view, &application, giver, resource)?);
            }
            Ok(Decision::of((), writes))
        })
        .await
    }

    /// The user says no to a device.
    ///
    /// # Errors
    /// [`GrantError::UserCodeUnknown`].
    pub async fn decline_device(&self, typed: &str, now: Timestamp) -> Result<(), DirectoryError> {
        let code =
            device_code::read_user_code(typed).ok_or(DirectoryError::Grant(GrantError::UserCodeUnknown))?;
        transact(&*self.store, &*self.entropy, |view| device_code::decline(view, &code, now)).await
    }

    /// How long a device's code is good, and how long the device waits between two questions, both in seconds.
    pub fn device_times() -> (u64, u64) {
        (limits::DEVICE_CODE_LIFETIME.as_secs(), limits::DEVICE_CODE_INTERVAL.as_secs())
    }

    /// An administrator agrees for all users to what a client may do at a resource.
    ///
    /// # Errors
    /// [`DirectoryError::ClientUnknown`], [`DirectoryError::ResourceUnknown`], [`DirectoryError::ScopeUnknown`].
    pub async fn agree_for_everybody(&self, client: ClientId, scope: &str) -> Result<(), DirectoryError> {
        let scopes = Scopes::parse(scope, self.names())?;
        transact(&*self.store, &*self.entropy, |view| {
            let Some(application) = Application::find(view, client)? else {
                return refuse(DirectoryError::ClientUnknown { client });
            };
            let audience = scopes.audience(view, self.names())?;
            let write = consent::give(view, &application, Giver::EVERYBODY, [(&audience, &scopes)])?;
            Ok(Decision::of((), vec![write]))
        })
        .await
    }

    /// Takes away what is over: sessions, codes, refresh tokens, devices, used assertions. Returns how many records.
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep(&self, now: Timestamp) -> Result<usize, DirectoryError> {
        Ok(self.sweep_prefix::<Session>(session::PREFIX, now).await?
            + self.sweep_prefix::<authorization_code::Code>(authorization_code::PREFIX, now).await?
            + self
                .sweep_prefix::<crate::grants::refresh_token::Family>(
                    crate::grants::refresh_token::PREFIX,
                    now,
                )
                .await?
            + self.sweep_prefix::<device_code::Device>(device_code::PREFIX, now).await?
            + self.sweep_prefix::<device_code::UserCode>(device_code::USER_CODE_PREFIX, now).await?
            + self.sweep_deleted(now).await?
            + self.sweep_prefix::<UsedAssertion>(UsedAssertion::PREFIX, now).await?
            + self.sweep_prefix::<UsedChallenge>(UsedChallenge::PREFIX, now).await?)
    }
}

/// Is somebody still signed in, at the moment of this decision?
fn still(view: &View, signed_in: &SignedIn) -> Result<SignedIn, Halt<DirectoryError>> {
    match session::live(view, signed_in.session.id)? {
        Some(signed_in) => Ok(signed_in),
        None => refuse(DirectoryError::Grant(GrantError::SessionEnded)),
    }
}

fn enabled(view: &View, user: PrincipalId) -> Result<(Arc<User>, Arc<Principal>), Halt<DirectoryError>> {
    let person = view.get::<User>(&user)?;
    let principal = view.get::<Principal>(&user)?.filter(|principal| principal.enabled);
    match person.zip(principal) {
        Some(both) => Ok(both),
        None => refuse(DirectoryError::Grant(GrantError::SessionEnded)),
    }
}
