//! The pages by which people sign in, at the login host: authorization requests, device codes, signing out, one's own account,
//! what an error's number means.
//!
//! Owns: HTML, cookies, which page comes next. Owns not: any decision (`directory::interaction`, `directory::sign_in`).
//! Every step works without script. What a page needs to know travels in its own URL and is read again at each step; a form is taken only from
//! the browser that it was given to, and leads to pages of ours only (`onward`). Spec: RFC 6749 section 4.1, OpenID Connect Core section
//! 3.1.2, RFC 9207, RFC 9700.

mod account;
pub(crate) mod answer;
mod authorize;
mod browser;
mod device;
mod fault;
mod hint;
pub(crate) mod layout;
mod number;
mod onward;
mod passkey;
mod place;
mod realm;
mod reply;
mod sign_out;
mod steps;
mod visit;
mod words;

use crate::context::{Context, State};
use axum::{
    Extension, Router,
    extract::{Path, Request},
    response::Response,
    routing::{MethodRouter, get},
};
use directory::Endpoint;
use std::collections::HashMap;

/// The routes of the pages.
pub fn routes() -> Router<State> {
    Router::new()
        .route("/{tenant}/oauth2/v2.0/authorize", page(Page::Authorize(Endpoint::V2)))
        .route("/{tenant}/oauth2/authorize", page(Page::Authorize(Endpoint::V1)))
        .route("/{tenant}/oauth2/v2.0/logout", page(Page::SignOut))
        .route("/{tenant}/oauth2/logout", page(Page::SignOut))
        .route("/devicelogin", page(Page::Device))
        .route("/error", page(Page::Number))
        .route("/", page(Page::Account))
}

/// What programs ask before they send a password.
pub fn realms() -> Router<State> {
    Router::new()
        .route("/{tenant}/userrealm/{user}", get(realm::realm))
        .route("/{tenant}/UserRealm/{user}", get(realm::realm))
}

/// Which page a route leads to.
#[derive(Clone, Copy, Debug)]
enum Page {
    Authorize(Endpoint),
    Device,
    SignOut,
    Account,
    Number,
}

fn page(page: Page) -> MethodRouter<State> {
    let handler = move |state: axum::extract::State<State>,
                        Extension(context): Extension<Context>,
                        Path(parts): Path<HashMap<String, String>>,
                        request: Request| async move {
        let tenant = parts.get("tenant").map_or("", String::as_str);
        serve(page, &state, &context, tenant, request).await
    };
    axum::routing::any(handler)
}

async fn serve(page: Page, state: &State, context: &Context, tenant: &str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let visit = match visit::Visit::begin(state, context, parts).await {
        Ok(visit) => visit,
        Err(fault) => return fault::before(state, context, &fault),
    };
    let response = match visit.form(body).await {
        Err(fault) => visit.refuse(page.action(), &fault),
        Ok(form) => match page {
            Page::Authorize(endpoint) => authorize::page(&visit, endpoint, tenant, form).await,
            Page::Device => device::page(&visit, form).await,
            Page::SignOut => sign_out::page(&visit, tenant, form).await,
            Page::Account => account::page(&visit, form).await,
            Page::Number => number::page(&visit),
        },
    };
    visit.end(response)
}

impl Page {
    /// What the audit log calls a request that is refused before it is understood.
    const fn action(self) -> &'static str {
        match self {
            Self::Authorize(_) => authorize::ACTION,
            Self::Device => device::ACTION,
            Self::SignOut => sign_out::ACTION,
            Self::Account => account::ACTION,
            Self::Number => number::ACTION,
        }
    }
}
