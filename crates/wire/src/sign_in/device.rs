//! `/devicelogin`: somebody types the code that a device shows, and says whether it is theirs (RFC 8628 section 3.3).
//!
//! One signs in first, so that nobody else can try codes; and a code comes by the form only: a link that holds one would make it easy to have
//! somebody else's device confirmed (section 5.4).

use super::{
    fault::PageFault,
    layout::alert,
    onward::onward,
    steps::{self, Told, Whom},
    visit::{Sent, Visit},
    words,
};
use crate::oauth2::form::Form;
use audit::{Actor, Outcome};
use axum::response::Response;
use directory::{
    AppRoleError, DirectoryError, GrantError, RequestError, interaction::WaitingDevice, session::SignedIn,
};
use http::StatusCode;
use maud::html;

pub(super) const ACTION: &str = "device.answer";

pub(super) async fn page(visit: &Visit<'_>, sent: Sent) -> Response {
    let whom = Whom { name: Some("a device"), client: None };
    let answered = match sent {
        // What others post here means nothing.
        Sent::Clients(_) => Err(PageFault::OtherSite),
        Sent::Nothing => Ok(match &visit.signed_in {
            Some(signed_in) => code_page(visit, signed_in, None),
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
    let typed = form.take("user_code").unwrap_or_default();
    let directory = &visit.state.directory;
    let device = match directory.waiting_device(&typed, signed_in, visit.context.now).await {
        Ok(device) => device,
        Err(error) => return refused(visit, signed_in, &error),
    };
    match (&*step, &*form.take("answer").unwrap_or_default()) {
        ("device-code", _) => Ok(question(visit, signed_in, &device, &typed)),
        ("device", "yes") => {
            visit.ready()?;
            if let Err(error) = directory.approve_device(&typed, signed_in, visit.context.now).await {
                return refused(visit, signed_in, &error);
            }
            record(visit, signed_in, &device, "device.approve", "the user has said that it is theirs")?;
            let text = "Go back to it: it goes on by itself. You may close this window.";
            Ok(done(visit, "The device is signed in", text))
        }
        ("device", "no") => {
            visit.ready()?;
            if let Err(error) = directory.decline_device(&typed, visit.context.now).await {
                return refused(visit, signed_in, &error);
            }
            record(visit, signed_in, &device, "device.decline", "the user has said that it is not theirs")?;
            let text = "Nothing was given to it. If somebody sent you the code, they wanted to act in your name: tell your administrator.";
            Ok(done(visit, "The device was turned away", text))
        }
        _ => Err(PageFault::Malformed),
    }
}

fn record(
    visit: &Visit<'_>,
    signed_in: &SignedIn,
    device: &WaitingDevice,
    action: &'static str,
    reason: &str,
) -> Result<(), PageFault> {
    let client = device.application.client();
    let actor = Actor::Principal { id: signed_in.user.id, client: None };
    let target = format!("a device of client {client} for {}", device.audience.claim());
    let _recorded = visit.record(actor, action, target, Outcome::Allowed, reason.to_owned())?;
    Ok(())
}

fn refused(visit: &Visit<'_>, signed_in: &SignedIn, error: &DirectoryError) -> Result<Response, PageFault> {
    let outcome = match error {
        DirectoryError::Grant(_) | DirectoryError::AppRole(_) | DirectoryError::Request(_) => {
            Outcome::Refused
        }
        _ => Outcome::Failed,
    };
    let _recorded = visit.record(visit.actor(), ACTION, "a device".to_owned(), outcome, error.to_string())?;
    match error {
        DirectoryError::Grant(GrantError::UserCodeUnknown) => {
            let told = Told::new(
                StatusCode::NOT_FOUND,
                "No device waits under this code. Check it; codes are good for 15 minutes, and once.",
            );
            Ok(code_page(visit, signed_in, Some(&told)))
        }
        // What it wanted when it asked for the code is there no more.
        DirectoryError::ScopeUnknown { .. } | DirectoryError::ResourceUnknown { .. } => {
            let told = Told::new(
                StatusCode::BAD_REQUEST,
                "The device asks for something that is no longer there. Start again on the device.",
            );
            Ok(code_page(visit, signed_in, Some(&told)))
        }
        DirectoryError::AppRole(AppRoleError::NotAssigned { .. })
        | DirectoryError::Request(RequestError::ClientDisabled { .. }) => {
            let told = Told::new(
                StatusCode::FORBIDDEN,
                "The app on the device is not for you: it is disabled, or you are not assigned to it. Ask your administrator.",
            );
            Ok(code_page(visit, signed_in, Some(&told)))
        }
        DirectoryError::Grant(GrantError::AdministratorMustAgree { .. }) => {
            let told = Told::new(
                StatusCode::FORBIDDEN,
                "The app on the device asks for something that only an administrator can allow. Ask one to allow it, then start again on the device.",
            );
            Ok(code_page(visit, signed_in, Some(&told)))
        }
        DirectoryError::Grant(GrantError::ResourceNotListed { .. }) => {
            let told = Told::new(
                StatusCode::BAD_REQUEST,
                "The app on the device asks for something that it is not registered for. Tell whoever made it.",
            );
            Ok(code_page(visit, signed_in, Some(&told)))
        }
        DirectoryError::Grant(GrantError::SessionEnded) => Ok(onward("Please sign in again", &visit.place)),
        _ => Err(PageFault::Unexpected(error.to_string())),
    }
}

fn code_page(visit: &Visit<'_>, signed_in: &SignedIn, told: Option<&Told>) -> Response {
    let heading = "Connect a device";
    let inside = html! {
        label for="user_code" { "Code" }
        input #user_code.code name="user_code" type="text" autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="16" autofocus required;
        button.primary type="submit" { "Continue" }
    };
    let body = html! {
        h1 { (heading) }
        p { "Type the code that your device or program shows." }
        (alert(told.map(|told| &*told.text)))
        (visit.form_of("device-code", &inside))
        p.fine { "Signed in as " (signed_in.user.user_name.as_str()) "." }
    };
    Told::answer(told, visit, heading, &body)
}

fn question(visit: &Visit<'_>, signed_in: &SignedIn, device: &WaitingDevice, typed: &str) -> Response {
    let heading = "Is this your device?";
    let wishes =
        device.asked.as_ref().map(|asked| words::wishes(&device.audience, asked)).unwrap_or_default();
    let inside = html! {
        input type="hidden" name="user_code" value=(typed);
        div.row {
            button.primary name="answer" value="yes" type="submit" { "Yes, it is mine" }
            button name="answer" value="no" type="submit" { "No" }
        }
    };
    let body = html! {
        h1 { (heading) }
        p { "A device that runs " strong { (device.application.name()) } " wants to be signed in as" }
        p.who { strong { (signed_in.user.display_name) } br; (signed_in.user.user_name.as_str()) }
        @if !wishes.is_empty() {
            p { "It would like to:" }
            ul.wishes { @for wish in &wishes { li { (wish.words) " " code { (wish.name) } } } }
        }
        p.warning { "Did you start this yourself, just now? If somebody gave you the code, say no: yes would let them act in your name." }
        (visit.form_of("device", &inside))
    };
    visit.page(StatusCode::OK, heading, &body)
}

fn done(visit: &Visit<'_>, heading: &str, text: &str) -> Response {
    visit.page(StatusCode::OK, heading, &html! { h1 { (heading) } p role="status" { (text) } })
}
