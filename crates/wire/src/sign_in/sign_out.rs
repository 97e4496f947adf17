//! `/{tenant}/oauth2/v2.0/logout` and `/{tenant}/oauth2/logout`: signing out (OpenID Connect RP-Initiated Logout 1.0).
//!
//! A client that shows an id token of this very session has the user's wish as far as anybody can know it; without one the user is asked, since
//! anybody can send a browser here. The way back is one that the client has registered, or none; where no client is named, one that a client
//! has registered which this session has been in.

use super::{
    answer,
    fault::PageFault,
    hint, onward,
    visit::{Sent, Visit},
};
use audit::{Actor, Outcome};
use axum::response::Response;
use directory::session::SignedIn;
use domain::ClientId;
use http::StatusCode;
use maud::html;

pub(super) const ACTION: &str = "session.end";
const FIELDS: &[&str] = &["id_token_hint", "client_id", "post_logout_redirect_uri", "state"];

pub(super) async fn page(visit: &Visit<'_>, tenant: &str, sent: Sent) -> Response {
    answer_to(visit, tenant, sent).await.unwrap_or_else(|fault| visit.refuse(ACTION, &fault))
}

async fn answer_to(visit: &Visit<'_>, tenant: &str, sent: Sent) -> Result<Response, PageFault> {
    visit.state.directory.tenant().alias(tenant)?;
    let mut query = visit.query(FIELDS)?;
    let (token, named) = (query.take("id_token_hint"), query.take("client_id"));
    let is_unnamed = token.is_none() && named.is_none();
    let hint = token.and_then(|token| hint::read(visit, &token));
    let named = named.and_then(|client| client.parse().ok());
    let client = match (&hint, named) {
        // Two opinions of which client it is: neither is sent anything.
        (Some(hint), Some(named)) if hint.aud != named => None,
        (Some(hint), _) => Some(hint.aud),
        (None, named) => named,
    };
    let clients = match (client, &visit.signed_in) {
        (Some(client), _) => vec![client],
        // MSAL for JavaScript names no client. One that this very session has been in may have its user back, who is asked first: nobody
        // else's address is reached by sending people here.
        (None, Some(signed_in)) if is_unnamed => signed_in.session.clients().to_vec(),
        (None, _) => Vec::new(),
    };
    let back = match query.take("post_logout_redirect_uri") {
        Some(uri) => way_back(visit, &clients, &uri, query.take("state")).await?,
        None => None,
    };
    let back = back.as_deref();
    match (sent, &visit.signed_in) {
        (Sent::Clients(place), _) => answer::see_other(&place.href()).ok_or(PageFault::Malformed),
        (Sent::Ours(mut form), Some(_)) => match form.take("step").as_deref() {
            Some("sign-out") => end(visit, "the user has said so", back).await,
            _ => Err(PageFault::Malformed),
        },
        (Sent::Nothing, Some(signed_in)) if hint.is_some_and(|hint| hint.sid == signed_in.session.id) => {
            end(visit, "a client has shown an id token of the session", back).await
        }
        (Sent::Nothing, Some(signed_in)) => Ok(ask(visit, signed_in)),
        // A disabled user is not signed in, and the session must not come back with the user.
        (Sent::Nothing | Sent::Ours(_), None) => {
            end(visit, "nobody is signed in by it at present", back).await
        }
    }
}

/// Where the browser goes afterwards, if one of these clients has registered it.
async fn way_back(
    visit: &Visit<'_>,
    clients: &[ClientId],
    uri: &str,
    state: Option<String>,
) -> Result<Option<String>, PageFault> {
    let mut is_registered = false;
    for client in clients {
        let application = visit.state.directory.application(*client).await?;
        is_registered |= application.is_some_and(|application| application.platform_at(uri).is_some());
    }
    if !is_registered {
        return Ok(None);
    }
    let Some(state) = state else { return Ok(Some(uri.to_owned())) };
    let state = form_urlencoded::Serializer::new(String::new()).append_pair("state", &state).finish();
    Ok(Some(format!("{uri}{}{state}", if uri.contains('?') { '&' } else { '?' })))
}

/// Ends the session of the browser's cookie, if it has one.
async fn end(visit: &Visit<'_>, why: &str, back: Option<&str>) -> Result<Response, PageFault> {
    let mut response = signed_out(visit, back);
    let Some(cookie) = &visit.browser.session else { return Ok(response) };
    visit.ready()?;
    if let Some(ended) = visit.state.directory.sign_out(cookie, visit.context.now).await? {
        let actor = Actor::Principal { id: ended.principal, client: None };
        let target = format!("session {}", ended.id);
        let _recorded = visit.record(actor, ACTION, target, Outcome::Allowed, why.to_owned())?;
    }
    visit.sign_out(&mut response);
    Ok(response)
}

fn signed_out(visit: &Visit<'_>, back: Option<&str>) -> Response {
    let heading = "You are signed out";
    match back {
        Some(back) => onward::to(heading, back),
        None => {
            let text = "Apps that you have used may still know you for a while. On a machine of other people, close the browser.";
            visit.page(StatusCode::OK, heading, &html! { h1 { (heading) } p role="status" { (text) } })
        }
    }
}

fn ask(visit: &Visit<'_>, signed_in: &SignedIn) -> Response {
    let heading = "Sign out?";
    let inside = html! { button.primary type="submit" { "Sign out" } };
    let body = html! {
        h1 { (heading) }
        p.who { strong { (signed_in.user.display_name) } br; (signed_in.user.user_name.as_str()) }
        p { "All apps that you have signed in to from this browser lose their access." }
        (visit.form_of("sign-out", &inside))
        p.fine { "To stay signed in, close this page." }
    };
    visit.page(StatusCode::OK, heading, &body)
}
