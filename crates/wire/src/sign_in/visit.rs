//! One request for a page: who is there, where, and with which form.

use super::{
    answer::{self, Forms},
    browser::{self, Browser},
    fault::{self, PageFault},
    place::Place,
};
use crate::{
    context::{AuditUnavailable, Context, Recorded, Services, State},
    oauth2::{
        form::Form,
        token::{is_form, read_form_of},
    },
};
use audit::{Actor, Outcome};
use axum::{body::Body, response::Response};
use directory::session::SignedIn;
use domain::{Secret, limits};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use maud::{Markup, html};
use std::net::IpAddr;

/// The fields of all forms of ours, and those of requests that clients send as forms.
const FIELDS: &[&str] = &[
    "form_token",
    "step",
    "answer",
    "ticket",
    "username",
    "password",
    "code",
    "new_password",
    "new_password_again",
    "user_code",
    "passkey_challenge",
    "passkey_id",
    "passkey_user",
    "passkey_client_data",
    "passkey_data",
    "passkey_signature",
    "passkey_object",
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "resource",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "login_hint",
    "max_age",
    "client_info",
    "sid",
    "id_token_hint",
    "post_logout_redirect_uri",
    "logout_hint",
];
/// Of those, what a client says.
const OF_CLIENTS: &[&str] = &[
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "resource",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "login_hint",
    "max_age",
    "client_info",
    "sid",
    "id_token_hint",
    "post_logout_redirect_uri",
    "logout_hint",
];

/// What a browser has sent with its request.
pub(super) enum Sent {
    /// Nothing: it asks for the page.
    Nothing,
    /// A form of ours, from the browser that we gave it to.
    Ours(Form),
    /// A client's request as a form (OpenID Connect Core section 3.1.2.1): the place is the same request by query.
    Clients(Place),
}

/// One request for a page.
pub(super) struct Visit<'a> {
    pub(super) state: &'a Services,
    pub(super) context: &'a Context,
    pub(super) place: Place,
    pub(super) browser: Browser,
    /// Whoever is signed in.
    pub(super) signed_in: Option<SignedIn>,
    headers: HeaderMap,
    method: Method,
}

impl<'a> Visit<'a> {
    pub(super) async fn begin(
        state: &'a State,
        context: &'a Context,
        request: Parts,
    ) -> Result<Self, PageFault> {
        let query = request.uri.query().unwrap_or_default();
        if query.len() > limits::PAGE_REQUEST_BYTES_MAX {
            return Err(PageFault::QueryTooLong);
        }
        let browser = Browser::of(&request.headers, &*state.entropy);
        let signed_in = match &browser.session {
            Some(session) => state.directory.signed_in(session, context.now).await?,
            None => None,
        };
        Ok(Self {
            state,
            context,
            place: Place::new(request.uri.path(), query),
            browser,
            signed_in,
            headers: request.headers,
            method: request.method,
        })
    }

    /// Takes what the browser has sent. A form of ours must be one that this browser was given.
    pub(super) async fn form(&self, body: Body) -> Result<Sent, PageFault> {
        match self.method {
            Method::GET | Method::HEAD => return Ok(Sent::Nothing),
            Method::POST if !is_form(&self.headers) => return Err(PageFault::NotForm),
            Method::POST => {}
            _ => return Err(PageFault::WrongMethod),
        }
        let mut form = read_form_of(body, FIELDS, limits::PAGE_REQUEST_BYTES_MAX).await?;
        let Some(token) = form.take("form_token") else {
            let said = OF_CLIENTS.iter().filter_map(|name| Some((*name, form.take(name)?)));
            return Ok(Sent::Clients(self.place.of(&said.collect::<Vec<_>>())));
        };
        if !browser::is_from_us(&self.headers) {
            return Err(PageFault::OtherSite);
        }
        if self.browser.is_new() {
            return Err(PageFault::NoCookies);
        }
        let session = self.browser.session.as_ref();
        if !self.state.directory.is_form_token(&token, &self.browser.id, session) {
            return Err(PageFault::NotTheirs);
        }
        Ok(Sent::Ours(form))
    }

    /// A parameter of the query.
    pub(super) fn query(&self, wanted: &[&'static str]) -> Result<Form, PageFault> {
        Form::parse(self.place.query().as_bytes(), wanted).map_err(|_| PageFault::Malformed)
    }

    /// Where the request comes from.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.context.origin.address.map(|address| address.ip())
    }

    /// Who the audit log says has asked.
    pub(super) fn actor(&self) -> Actor {
        match &self.signed_in {
            Some(signed_in) => Actor::Principal { id: signed_in.user.id, client: None },
            None => Actor::Anonymous,
        }
    }

    pub(super) fn record(
        &self,
        actor: Actor,
        action: &'static str,
        target: String,
        outcome: Outcome,
        reason: String,
    ) -> Result<Recorded, AuditUnavailable> {
        self.context.record(&*self.state.audit, actor, action, target, outcome, reason)
    }

    /// Makes sure that what is about to be done can be written down.
    pub(super) fn ready(&self) -> Result<(), AuditUnavailable> {
        self.context.ready(&*self.state.audit)
    }

    /// Tells a fault, after its record.
    pub(super) fn refuse(&self, action: &'static str, fault: &PageFault) -> Response {
        if fault.outcome() == Outcome::Failed {
            tracing::error!(request_id = %self.context.request, error = %fault, action, "a page has failed");
        }
        let again = matches!(fault, PageFault::NotTheirs | PageFault::NoCookies).then(|| self.place.href());
        match self.record(self.actor(), action, "a page".to_owned(), fault.outcome(), fault.to_string()) {
            Ok(_recorded) => fault::page(fault, self.context, again.as_deref()),
            Err(unavailable) => fault::page(&unavailable.into(), self.context, None),
        }
    }

    /// A page of forms for us.
    pub(super) fn page(&self, status: StatusCode, title: &str, body: &Markup) -> Response {
        answer::page(status, title, &Forms::ToUs, body)
    }

    /// A form of ours that comes back to this place.
    pub(super) fn form_of(&self, step: &str, inside: &Markup) -> Markup {
        html! {
            form method="post" action=(self.place.href()) {
                (self.hidden(step))
                (inside)
            }
        }
    }

    /// The hidden fields of every form.
    pub(super) fn hidden(&self, step: &str) -> Markup {
        let token = self.state.directory.form_token(&self.browser.id, self.browser.session.as_ref());
        html! {
            input type="hidden" name="form_token" value=(token);
            input type="hidden" name="step" value=(step);
        }
    }

    /// Adds what every answer has.
    pub(super) fn end(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        answer::harden(headers);
        // A browser that signs in or out gets its cookies there.
        if self.browser.is_new() && !headers.contains_key(header::SET_COOKIE) {
            self.cookies(headers, [Browser::keep(&self.browser.id)]);
        }
        response
    }

    /// Sets the cookies of who has just signed in. The browser's own is fresh too: forms of before are over.
    pub(super) fn sign_in(&self, response: &mut Response, session: &Secret<String>) {
        let fresh = crypt::fresh_secret(&*self.state.entropy);
        self.cookies(response.headers_mut(), [Browser::keep(&fresh), Browser::sign_in(session)]);
    }

    /// Takes the cookies of who has just signed out.
    pub(super) fn sign_out(&self, response: &mut Response) {
        let fresh = crypt::fresh_secret(&*self.state.entropy);
        self.cookies(response.headers_mut(), [Browser::keep(&fresh), Browser::sign_out()]);
    }

    fn cookies(&self, headers: &mut HeaderMap, cookies: impl IntoIterator<Item = Option<HeaderValue>>) {
        for cookie in cookies.into_iter().flatten() {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
}
