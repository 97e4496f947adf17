//! `GET` and `POST /{tenant}/oauth2/v2.0/authorize` and `/{tenant}/oauth2/authorize`: a client asks a browser to sign its user in.
//!
//! Owns: which page comes next ([`next`], a plain function), and the answer. `prompt` and `max_age` are about the page that is shown first: once
//! the user has done what they ask for, the browser goes on to the same place without them, so that no memory of ours is needed. That a
//! user can leave them out is no loss: what a client may rely on is `auth_time` in the id token, which is ours.

use super::{
    fault::PageFault,
    hint,
    onward::onward,
    reply::{After, reply},
    steps::{self, Whom},
    visit::{Sent, Visit},
    words,
};
use crate::oauth2::error::OAuthError;
use audit::{Actor, Outcome};
use axum::response::Response;
use directory::{
    DirectoryError, Endpoint, GrantError, RequestError, TenantAlias,
    authorization::{Authorization, AuthorizeRefusal, AuthorizeRequest, Prompt, ReplyTo},
    consent::AskedOf,
    session::SignedIn,
};
use domain::{PrincipalId, Timestamp};
use http::StatusCode;
use maud::{Markup, html};

pub(super) const ACTION: &str = "code.issue";
/// Done with once the user has signed in, or has said as whom to go on.
const SETTLED: &[&str] = &["prompt", "max_age", "login_hint", "sid", "id_token_hint"];
const FIELDS: &[&str] = &[
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
];

/// A request that may be answered, and whatever the answer needs besides.
struct Wanted {
    authorization: Authorization,
    endpoint: Endpoint,
    /// Was a tenant named? Else whose the answer would be was not said, and clients would not know the issuer again.
    is_named: bool,
    wants_client_info: bool,
    /// Which session the client means (`sid` of an id token), if it says.
    session: Option<String>,
    /// Whom it means, by an id token.
    user: Option<PrincipalId>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Somebody must sign in.
    SignIn,
    /// The user says as whom to go on.
    Choose,
    /// Nobody may be asked, and somebody would have to be.
    Refuse,
    /// On with whoever is signed in.
    GoOn,
}

/// Which page comes next, up to consent. Pure. `age`: for how many seconds somebody has been signed in, if so; `is_hinted`: is it who the
/// client thinks?
fn next(prompt: Prompt, max_age: Option<u32>, age: Option<i64>, is_hinted: bool) -> Next {
    let is_fresh = age.is_some_and(|age| max_age.is_none_or(|max| age <= i64::from(max)));
    match prompt {
        Prompt::None if is_fresh && is_hinted => Next::GoOn,
        Prompt::None => Next::Refuse,
        Prompt::Login => Next::SignIn,
        Prompt::SelectAccount if age.is_some() => Next::Choose,
        _ if !is_fresh => Next::SignIn,
        _ if !is_hinted => Next::Choose,
        Prompt::AsNeeded | Prompt::Consent | Prompt::SelectAccount => Next::GoOn,
    }
}

pub(super) async fn page(visit: &Visit<'_>, endpoint: Endpoint, tenant: &str, sent: Sent) -> Response {
    if let Sent::Clients(place) = &sent {
        // By a redirect the browser brings its cookies, which another site's form comes without.
        let redirect = super::answer::see_other(&place.href());
        return redirect.unwrap_or_else(|| visit.refuse(ACTION, &PageFault::Malformed));
    }
    let asked = match read(visit, endpoint, tenant).await {
        Ok(asked) => asked,
        Err(response) => return response,
    };
    let answered = match sent {
        Sent::Ours(form) => posted(visit, &asked, form).await,
        Sent::Nothing | Sent::Clients(_) => show(visit, &asked).await,
    };
    answered.unwrap_or_else(|fault| visit.refuse(ACTION, &fault))
}

/// Reads the request, which is the page's own query.
async fn read(visit: &Visit<'_>, endpoint: Endpoint, tenant: &str) -> Result<Wanted, Response> {
    let mut query = visit.query(FIELDS).map_err(|fault| visit.refuse(ACTION, &fault))?;
    let wants_client_info = query.take("client_info").is_some_and(|wanted| wanted == "1");
    let mut said = |name| query.take(name).filter(|value| !value.is_empty());
    let (session, token) = (said("sid"), said("id_token_hint"));
    let hint = token.as_deref().map(|token| hint::read(visit, token));
    let request = AuthorizeRequest {
        tenant: tenant.to_owned(),
        endpoint,
        client: query.take("client_id"),
        redirect_uri: query.take("redirect_uri"),
        response_type: query.take("response_type"),
        response_mode: query.take("response_mode"),
        scope: query.take("scope"),
        resource: query.take("resource"),
        state: query.take("state"),
        nonce: query.take("nonce"),
        code_challenge: query.take("code_challenge"),
        code_challenge_method: query.take("code_challenge_method"),
        prompt: query.take("prompt"),
        login_hint: query.take("login_hint"),
        max_age: query.take("max_age"),
    };
    let is_named =
        visit.state.directory.tenant().alias(tenant).is_ok_and(|alias| alias == TenantAlias::Named);
    match visit.state.directory.authorization(&request).await {
        Ok(authorization) => {
            let is_malformed = matches!(hint, Some(None));
            let user = hint.flatten().map(|hint| hint.oid);
            let wanted = Wanted { authorization, endpoint, is_named, wants_client_info, session, user };
            if !is_malformed {
                return Ok(wanted);
            }
            let error = DirectoryError::Request(RequestError::ParameterInvalid { name: "id_token_hint" });
            let refused = wanted.refused(visit, &error, After::Request);
            Err(refused.unwrap_or_else(|fault| visit.refuse(ACTION, &fault)))
        }
        Err(AuthorizeRefusal::OnPage(error)) => Err(visit.refuse(ACTION, &error.into())),
        Err(AuthorizeRefusal::ToClient(to, error)) => {
            let iss = issuer(visit, endpoint, is_named);
            let target = format!("the redirect URI {}", to.redirect_uri);
            Err(refused(visit, &to, iss, target, &error, After::Request)
                .unwrap_or_else(|fault| visit.refuse(ACTION, &fault)))
        }
    }
}

fn issuer(visit: &Visit<'_>, endpoint: Endpoint, is_named: bool) -> Option<String> {
    let (names, tenant) = (&visit.state.names, visit.state.directory.tenant().id);
    is_named.then(|| match endpoint {
        Endpoint::V1 => names.issuer_v1(tenant),
        Endpoint::V2 => names.issuer_v2(tenant),
    })
}

impl Wanted {
    fn target(&self) -> String {
        let application = &self.authorization.application;
        format!("client {} at {}", application.client(), self.authorization.audience.claim())
    }

    fn whom(&self) -> Whom<'_> {
        let application = &self.authorization.application;
        Whom { name: Some(application.name()), client: Some(application.client()) }
    }

    fn refused(
        &self,
        visit: &Visit<'_>,
        error: &DirectoryError,
        after: After,
    ) -> Result<Response, PageFault> {
        let iss = issuer(visit, self.endpoint, self.is_named);
        refused(visit, &self.authorization.reply_to, iss, self.target(), error, after)
    }
}

/// Tells the client that there is no code, after the record.
fn refused(
    visit: &Visit<'_>,
    to: &ReplyTo,
    iss: Option<String>,
    target: String,
    error: &DirectoryError,
    after: After,
) -> Result<Response, PageFault> {
    let answer = OAuthError::from(error).of_authorization();
    let outcome = if answer.is_failure() { Outcome::Failed } else { Outcome::Refused };
    let _recorded = visit.record(visit.actor(), ACTION, target, outcome, error.to_string())?;
    let (error, description) = answer.told(visit.context);
    let mut parameters = vec![("error", error.to_owned()), ("error_description", description)];
    parameters.extend(iss.map(|iss| ("iss", iss)));
    Ok(reply(to, &parameters, after))
}

/// The browser asks: the next page, or the answer to the client.
async fn show(visit: &Visit<'_>, asked: &Wanted) -> Result<Response, PageFault> {
    let authorization = &asked.authorization;
    let age = visit.signed_in.as_ref().map(|one| age(one, visit.context.now));
    let is_hinted = visit.signed_in.as_ref().is_none_or(|one| is_hinted(visit, one, asked));
    let hint = authorization.login_hint.as_deref();
    match (next(authorization.prompt, authorization.max_age, age, is_hinted), &visit.signed_in) {
        (Next::Refuse, _) => {
            asked.refused(visit, &DirectoryError::Grant(GrantError::SignInRequired), After::Request)
        }
        (Next::Choose, Some(signed_in)) => Ok(choose(visit, asked, signed_in)),
        (Next::GoOn, Some(signed_in)) => go_on(visit, asked, signed_in).await,
        (Next::SignIn | Next::Choose | Next::GoOn, _) => {
            Ok(steps::password_page(visit, &asked.whom(), hint.unwrap_or_default(), None))
        }
    }
}

fn age(signed_in: &SignedIn, now: Timestamp) -> i64 {
    now.seconds_since(signed_in.session.signed_in).max(0)
}

/// Is whoever is signed in the one whom the client thinks will sign in, by session, id token, name or mail? True where it does not say.
fn is_hinted(visit: &Visit<'_>, signed_in: &SignedIn, asked: &Wanted) -> bool {
    let id = signed_in.session.id.to_string();
    if asked.session.as_ref().is_some_and(|session| !session.eq_ignore_ascii_case(&id))
        || asked.user.is_some_and(|user| user != signed_in.user.id)
    {
        return false;
    }
    let Some(hint) = &asked.authorization.login_hint else { return true };
    if signed_in.user.mail.as_ref().is_some_and(|mail| mail.eq_ignore_ascii_case(hint)) {
        return true;
    }
    visit.state.directory.user_name(hint).is_ok_and(|name| name == signed_in.user.user_name)
}

/// Asks for consent where it is needed, else issues the code.
async fn go_on(visit: &Visit<'_>, asked: &Wanted, signed_in: &SignedIn) -> Result<Response, PageFault> {
    let authorization = &asked.authorization;
    let client = authorization.application.client();
    let missing = match visit.state.directory.to_agree(signed_in, authorization).await {
        Ok(missing) => missing,
        Err(DirectoryError::Grant(GrantError::AdministratorMustAgree { .. })) => {
            return must_ask_administrator(visit, asked, signed_in).await;
        }
        Err(error) => return asked.refused(visit, &error, After::Request),
    };
    match (missing.is_empty(), authorization.prompt) {
        (false, Prompt::None) => {
            let error = DirectoryError::Grant(GrantError::ConsentRequired { client });
            asked.refused(visit, &error, After::Request)
        }
        (false, _) => Ok(consent_page(visit, asked, signed_in, &missing)),
        (true, Prompt::Consent) if authorization.application.needs_consent() => {
            let all = visit.state.directory.all_asked(signed_in, authorization).await?;
            Ok(consent_page(visit, asked, signed_in, &all))
        }
        (true, _) => issue(visit, asked, signed_in).await,
    }
}

/// The user cannot agree: says so, and leaves the way back to the client to the user, who may have another account.
async fn must_ask_administrator(
    visit: &Visit<'_>,
    asked: &Wanted,
    signed_in: &SignedIn,
) -> Result<Response, PageFault> {
    let client = asked.authorization.application.client();
    if asked.authorization.prompt == Prompt::None {
        let error = DirectoryError::Grant(GrantError::ConsentRequired { client });
        return asked.refused(visit, &error, After::Request);
    }
    let why = GrantError::AdministratorMustAgree { client }.to_string();
    let _recorded = visit.record(visit.actor(), ACTION, asked.target(), Outcome::Refused, why)?;
    let all = visit.state.directory.all_asked(signed_in, &asked.authorization).await?;
    Ok(administrator_page(visit, asked, signed_in, &all))
}

async fn issue(visit: &Visit<'_>, asked: &Wanted, signed_in: &SignedIn) -> Result<Response, PageFault> {
    visit.ready()?;
    let authorization = &asked.authorization;
    let directory = &visit.state.directory;
    let code = match directory.issue_code(signed_in, authorization, visit.context.now).await {
        Ok(code) => code,
        Err(error) => return asked.refused(visit, &error, After::Request),
    };
    let client = authorization.application.client();
    let actor = Actor::Principal { id: signed_in.user.id, client: Some(client) };
    let reason = format!("session {}", signed_in.session.id);
    let _recorded = visit.record(actor, ACTION, asked.target(), Outcome::Allowed, reason)?;
    let mut parameters = vec![("code", code.expose().clone())];
    if asked.wants_client_info {
        parameters.push(("client_info", directory.client_info(signed_in.user.id)?));
    }
    parameters.push(("session_state", signed_in.session.id.to_string()));
    parameters.extend(issuer(visit, asked.endpoint, asked.is_named).map(|iss| ("iss", iss)));
    Ok(reply(&authorization.reply_to, &parameters, After::Request))
}

/// The browser has sent a form of ours.
async fn posted(
    visit: &Visit<'_>,
    asked: &Wanted,
    mut form: crate::oauth2::form::Form,
) -> Result<Response, PageFault> {
    let step = form.take("step").unwrap_or_default();
    let goes_on = visit.place.without(SETTLED);
    if let Some(response) = steps::take(visit, &step, &mut form, &asked.whom(), &goes_on).await {
        return response;
    }
    let answer = form.take("answer").unwrap_or_default();
    match (&*step, &*answer, &visit.signed_in) {
        // Nobody is signed in any more: the page begins again.
        (_, _, None) => Ok(onward("Please sign in again", &visit.place)),
        ("account", "go-on", Some(_)) => Ok(onward("Going on", &goes_on)),
        (_, "other", Some(_)) => Ok(onward("Going on", &goes_on.with("prompt", "login"))),
        ("consent", "yes", Some(signed_in)) => agree(visit, asked, signed_in).await,
        ("consent", "no", Some(_)) => {
            asked.refused(visit, &DirectoryError::Grant(GrantError::ConsentDeclined), After::Form)
        }
        ("administrator", "no", Some(_)) => {
            let client = asked.authorization.application.client();
            let error = DirectoryError::Grant(GrantError::AdministratorMustAgree { client });
            asked.refused(visit, &error, After::Form)
        }
        _ => Err(PageFault::Malformed),
    }
}

async fn agree(visit: &Visit<'_>, asked: &Wanted, signed_in: &SignedIn) -> Result<Response, PageFault> {
    visit.ready()?;
    let authorization = &asked.authorization;
    let client = authorization.application.client();
    let all = visit.state.directory.all_asked(signed_in, authorization).await?;
    match visit.state.directory.agree(signed_in, authorization).await {
        Ok(()) => {}
        // The page was shown to somebody who was an administrator then, or was made up.
        Err(error @ DirectoryError::Grant(GrantError::AdministratorMustAgree { .. })) => {
            return asked.refused(visit, &error, After::Form);
        }
        Err(error) => return Err(error.into()),
    }
    let actor = Actor::Principal { id: signed_in.user.id, client: None };
    let names = words::wishes_of(&all).map(|wish| wish.name);
    let at: Vec<_> = all.iter().map(|one| one.audience.claim()).collect();
    let reason = format!("the user has agreed to {}", names.collect::<Vec<_>>().join(", "));
    let _recorded = visit.record(
        actor,
        "consent.give",
        format!("client {client} at {}", at.join(", ")),
        Outcome::Allowed,
        reason,
    )?;
    Ok(onward("Thank you", &visit.place.without(&["prompt"])))
}

fn who(signed_in: &SignedIn) -> Markup {
    html! { p.who { strong { (signed_in.user.display_name) } br; (signed_in.user.user_name.as_str()) } }
}

/// As whom?
fn choose(visit: &Visit<'_>, asked: &Wanted, signed_in: &SignedIn) -> Response {
    let heading = "Choose an account";
    let inside = html! {
        button.choice name="answer" value="go-on" type="submit" {
            strong { (signed_in.user.display_name) } br; span { (signed_in.user.user_name.as_str()) }
        }
        button.choice name="answer" value="other" type="submit" { "Use another account" }
    };
    let body = html! {
        h1 { (heading) }
        p { "to go on to " strong { (asked.authorization.application.name()) } }
        (visit.form_of("account", &inside))
    };
    visit.page(StatusCode::OK, heading, &body)
}

/// May it?
fn consent_page(visit: &Visit<'_>, asked: &Wanted, signed_in: &SignedIn, wanted: &[AskedOf]) -> Response {
    let application = &asked.authorization.application;
    let heading = "Permission asked for";
    let inside = html! {
        div.row {
            button.primary name="answer" value="yes" type="submit" { "Allow" }
            button name="answer" value="no" type="submit" { "Do not allow" }
        }
        button.link name="answer" value="other" type="submit" { "Use another account" }
    };
    let body = html! {
        h1 { strong { (application.name()) } " asks for your permission" }
        (who(signed_in))
        p { "It would like to:" }
        ul.wishes {
            @for wish in words::wishes_of(wanted) {
                li { (wish.words) " " code { (wish.name) } }
            }
        }
        p.fine { "It will be sent back to " code { (asked.authorization.reply_to.redirect_uri) } ". Allow only what you have asked for yourself." }
        (visit.form_of("consent", &inside))
    };
    visit.page(StatusCode::OK, heading, &body)
}

/// What it asks for is not the user's to allow.
fn administrator_page(
    visit: &Visit<'_>,
    asked: &Wanted,
    signed_in: &SignedIn,
    wanted: &[AskedOf],
) -> Response {
    let heading = "An administrator must agree";
    let inside = html! {
        div.row {
            button.primary name="answer" value="other" type="submit" { "Use another account" }
            button name="answer" value="no" type="submit" { "Back to the app" }
        }
    };
    let body = html! {
        h1 { (heading) }
        (who(signed_in))
        p { strong { (asked.authorization.application.name()) } " asks for something that only an administrator of this directory can allow. All that it asks for:" }
        ul.wishes {
            @for wish in words::wishes_of(wanted) {
                li { (wish.words) " " code { (wish.name) } }
            }
        }
        p { "Ask one to allow it, then come back." }
        (visit.form_of("administrator", &inside))
    };
    visit.page(StatusCode::FORBIDDEN, heading, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_what_was_asked_for() {
        let cases = [
            (Prompt::AsNeeded, None, None, true, Next::SignIn),
            (Prompt::AsNeeded, None, Some(9), true, Next::GoOn),
            (Prompt::AsNeeded, None, Some(9), false, Next::Choose),
            (Prompt::AsNeeded, Some(9), Some(9), true, Next::GoOn),
            (Prompt::AsNeeded, Some(8), Some(9), true, Next::SignIn),
            (Prompt::Consent, Some(8), Some(9), true, Next::SignIn),
            (Prompt::Consent, None, Some(9), true, Next::GoOn),
            (Prompt::Login, None, Some(0), true, Next::SignIn),
            (Prompt::SelectAccount, None, Some(9), true, Next::Choose),
            (Prompt::SelectAccount, None, None, true, Next::SignIn),
            (Prompt::None, None, None, true, Next::Refuse),
            (Prompt::None, None, Some(9), true, Next::GoOn),
            (Prompt::None, None, Some(9), false, Next::Refuse),
            (Prompt::None, Some(8), Some(9), true, Next::Refuse),
        ];
        for (prompt, max_age, age, is_hinted, expected) in cases {
            assert_eq!(
                next(prompt, max_age, age, is_hinted),
                expected,
                "{prompt:?} {max_age:?} {age:?} {is_hinted}"
            );
        }
    }
}
