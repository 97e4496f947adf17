//! `/`: who is signed in; signing out, and setting another password.

use super::{
    fault::PageFault,
    layout::alert,
    onward::onward,
    steps::{self, Told, Whom, password_fields},
    visit::{Sent, Visit},
};
use crate::oauth2::form::Form;
use audit::{Actor, Outcome};
use axum::response::Response;
use directory::{DirectoryError, UserError, session::SignedIn};
use http::StatusCode;
use maud::html;

pub(super) const ACTION: &str = "account.show";

pub(super) async fn page(visit: &Visit<'_>, sent: Sent) -> Response {
    let whom = Whom { name: None, client: None };
    let answered = match sent {
        Sent::Clients(_) => Err(PageFault::OtherSite),
        Sent::Nothing => Ok(match &visit.signed_in {
            Some(signed_in) => show(visit, signed_in, None),
            None => steps::password_page(visit, &whom, "", None),
        }),
        Sent::Ours(form) => posted(visit, form, &whom).await,
    };
    answered.unwrap_or_else(|fault| visit.refuse(ACTION, &fault))
}

async fn posted(visit: &Visit<'_>, mut form: Form, whom: &Whom<'_>) -> Result<Response, PageFault> {
    let step = form.take("step").unwrap_or_default();
    if let Some(response) = steps::take(visit, &step, &mut form, whom, &visit.place).await {
        return response;
    }
    let Some(signed_in) = &visit.signed_in else { return Ok(onward("Please sign in again", &visit.place)) };
    visit.ready()?;
    match &*step {
        "change-password" => change_password(visit, signed_in, form).await,
        _ => Err(PageFault::Malformed),
    }
}

async fn change_password(
    visit: &Visit<'_>,
    signed_in: &SignedIn,
    mut form: Form,
) -> Result<Response, PageFault> {
    const ACTION: &str = "user.password.change";
    let (current, new) = (form.take_secret("password"), form.take_secret("new_password"));
    let again = form.take_secret("new_password_again");
    let (Some(current), Some(new), Some(again)) = (current, new, again) else {
        let told = Told::new(StatusCode::BAD_REQUEST, "Fill in all three fields.");
        return Ok(show(visit, signed_in, Some(&told)));
    };
    if new.expose() != again.expose() {
        let told = Told::new(StatusCode::BAD_REQUEST, "The two new passwords are not the same.");
        return Ok(show(visit, signed_in, Some(&told)));
    }
    let (name, now) = (signed_in.user.user_name.as_str(), visit.context.now);
    let actor = Actor::Principal { id: signed_in.user.id, client: None };
    let target = format!("user {name} ({})", signed_in.user.id);
    let directory = &visit.state.directory;
    match directory.change_password(name, &current, &new, visit.address(), now).await {
        Ok(changed) => {
            let reason = "the user has set another one".to_owned();
            let _recorded = visit.record(actor, ACTION, target, Outcome::Allowed, reason)?;
            // All that was signed in before is over, this browser's own session too; it has just shown the password, and goes on.
            let (former, methods) = (visit.browser.session.as_ref(), &signed_in.session.methods);
            let (cookie, _) = directory.begin_session(changed.user.id, methods, former, now).await?;
            let mut response = onward("Your password is set", &visit.place);
            visit.sign_in(&mut response, &cookie);
            Ok(response)
        }
        Err(error) => {
            let outcome =
                if matches!(error, DirectoryError::User(_)) { Outcome::Refused } else { Outcome::Failed };
            let _recorded = visit.record(actor, ACTION, target, outcome, error.to_string())?;
            let told = match &error {
                DirectoryError::User(UserError::SignInRefused) => {
                    Told::new(StatusCode::FORBIDDEN, "The current password is wrong.")
                }
                _ => Told::of(&error)?,
            };
            Ok(show(visit, signed_in, Some(&told)))
        }
    }
}

fn show(visit: &Visit<'_>, signed_in: &SignedIn, told: Option<&Told>) -> Response {
    let heading = "Your account";
    let user = &signed_in.user;
    let tenant = visit.state.directory.tenant().id;
    let inside = html! {
        input type="text" name="username" value=(user.user_name.as_str()) autocomplete="username" hidden readonly;
        (password_fields())
        button.primary type="submit" { "Set password" }
    };
    let body = html! {
        h1 { (heading) }
        (alert(told.map(|told| &*told.text)))
        p.who { strong { (user.display_name) } br; (user.user_name.as_str()) }
        p.fine {
            @if user.has_second_factor() { "Signing in needs a code of your authenticator app." }
            @else { "Signing in needs your password only. An administrator can add an authenticator app." }
        }
        details open[told.is_some()] {
            summary { "Change password" }
            p.fine { "Everything that you have signed in to elsewhere will ask for it again." }
            (visit.form_of("change-password", &inside))
        }
        p { a.button href=(format!("/{tenant}/oauth2/v2.0/logout")) { "Sign out" } }
    };
    Told::answer(told, visit, heading, &body)
}
