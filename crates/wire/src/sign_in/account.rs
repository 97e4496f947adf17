//! `/`: who is signed in; setting another password, adding and removing an authenticator app, signing out.
//!
//! Whatever changes how one signs in asks for the password again: somebody may sit at a browser that is signed in.

use super::{
    fault::PageFault,
    layout::alert,
    onward::onward,
    passkey,
    steps::{self, Told, Whom, code_field, password_fields},
    visit::{Sent, Visit},
};
use crate::oauth2::form::Form;
use audit::{Actor, Outcome};
use axum::response::Response;
use directory::{
    DirectoryError, Enrolment, UserError,
    session::{Method, SignedIn},
};
use http::StatusCode;
use maud::{Markup, html};

pub(super) const ACTION: &str = "account.show";
const PASSWORD: &str = "user.password.change";
const ADD: &str = "user.authenticator.add";
const CONFIRM: &str = "user.authenticator.confirm";
const ADD_PASSKEY: &str = "user.passkey.add";
const REMOVE_PASSKEY: &str = "user.passkey.remove";
const REMOVE: &str = "user.authenticator.remove";

pub(super) async fn page(visit: &Visit<'_>, sent: Sent) -> Response {
    let whom = Whom { name: None, client: None };
    let answered = match sent {
        Sent::Clients(_) => Err(PageFault::OtherSite),
        Sent::Nothing => Ok(match &visit.signed_in {
            Some(signed_in) => Account { visit, signed_in }.show(None),
            None => steps::password_page(visit, &whom, "", None),
        }),
        Sent::Ours(form) => posted(visit, form, &whom).await,
    };
    answered.unwrap_or_else(|fault| visit.refuse(ACTION, &fault))
}

type Answer = Result<Response, PageFault>;

async fn posted(visit: &Visit<'_>, mut form: Form, whom: &Whom<'_>) -> Answer {
    let step = form.take("step").unwrap_or_default();
    if let Some(response) = steps::take(visit, &step, &mut form, whom, &visit.place).await {
        return response;
    }
    let Some(signed_in) = &visit.signed_in else { return Ok(onward("Please sign in again", &visit.place)) };
    visit.ready()?;
    let account = Account { visit, signed_in };
    match &*step {
        "change-password" => account.change_password(form).await,
        "add-authenticator" => account.add_authenticator(form).await,
        "confirm-authenticator" => account.confirm_authenticator(form).await,
        "remove-authenticator" => account.remove_authenticator(form).await,
        "add-passkey" => account.add_passkey(form).await,
        "make-passkey" => account.make_passkey(form).await,
        "remove-passkey" => account.remove_passkey(form).await,
        _ => Err(PageFault::Malformed),
    }
}

/// Somebody's account, in their browser.
struct Account<'a> {
    visit: &'a Visit<'a>,
    signed_in: &'a SignedIn,
}

impl Account<'_> {
    fn name(&self) -> &str {
        self.signed_in.user.user_name.as_str()
    }

    fn id(&self) -> String {
        self.signed_in.user.id.to_string()
    }

    fn record(&self, action: &'static str, outcome: Outcome, reason: &str) -> Result<(), PageFault> {
        let actor = Actor::Principal { id: self.signed_in.user.id, client: None };
        let target = format!("user {} ({})", self.name(), self.signed_in.user.id);
        let _recorded = self.visit.record(actor, action, target, outcome, reason.to_owned())?;
        Ok(())
    }

    /// What is said of an error, after its record.
    fn refuse(&self, action: &'static str, error: &DirectoryError) -> Result<Told, PageFault> {
        let is_users = matches!(error, DirectoryError::User(_));
        self.record(action, if is_users { Outcome::Refused } else { Outcome::Failed }, &error.to_string())?;
        match error {
            DirectoryError::User(UserError::SignInRefused) => {
                Ok(Told::new(StatusCode::FORBIDDEN, "The current password is wrong."))
            }
            error => Told::of(error),
        }
    }

    async fn change_password(&self, mut form: Form) -> Answer {
        let (current, new) = (form.take_secret("password"), form.take_secret("new_password"));
        let again = form.take_secret("new_password_again");
        let (Some(current), Some(new), Some(again)) = (current, new, again) else {
            let told = Told::new(StatusCode::BAD_REQUEST, "Fill in all three fields.");
            return Ok(self.show(Some(&told)));
        };
        if new.expose() != again.expose() {
            let told = Told::new(StatusCode::BAD_REQUEST, "The two new passwords are not the same.");
            return Ok(self.show(Some(&told)));
        }
        let (visit, now) = (self.visit, self.visit.context.now);
        let directory = &visit.state.directory;
        let changed = directory.change_password(self.name(), &current, &new, visit.address(), now).await;
        let changed = match changed {
            Ok(changed) => changed,
            Err(error) => return Ok(self.show(Some(&self.refuse(PASSWORD, &error)?))),
        };
        self.record(PASSWORD, Outcome::Allowed, "the user has set another one")?;
        // All that was signed in before is over, this browser too. It has just shown the password, and goes on if that is enough.
        let mut response = onward("Your password is set", &visit.place);
        if changed.user.has_second_factor() {
            visit.sign_out(&mut response);
        } else {
            let former = visit.browser.session.as_ref();
            let begun = directory.begin_session(&changed, &[Method::Password], former, now).await?;
            visit.sign_in(&mut response, &begun.0);
        }
        Ok(response)
    }

    /// The password of who sits here. The answer is the refusal, if it is another one.
    async fn is_right(&self, form: &mut Form, action: &'static str) -> Result<Option<Response>, PageFault> {
        let Some(password) = form.take_secret("password") else {
            let told = Told::new(StatusCode::BAD_REQUEST, "Type your current password.");
            return Ok(Some(self.show(Some(&told))));
        };
        let (directory, now) = (&self.visit.state.directory, self.visit.context.now);
        match directory.check_password(self.name(), &password, self.visit.address(), now).await {
            Ok(_person) => Ok(None),
            Err(error) => Ok(Some(self.show(Some(&self.refuse(action, &error)?)))),
        }
    }

    async fn add_authenticator(&self, mut form: Form) -> Answer {
        if let Some(refusal) = self.is_right(&mut form, ADD).await? {
            return Ok(refusal);
        }
        match self.visit.state.directory.add_authenticator(&self.id(), self.visit.context.now).await {
            Ok(enrolment) => {
                self.record(
                    ADD,
                    Outcome::Allowed,
                    "the user has asked for it; it counts once it is confirmed",
                )?;
                Ok(self.enrolment(&enrolment))
            }
            Err(error) => Ok(self.show(Some(&self.refuse(ADD, &error)?))),
        }
    }

    async fn confirm_authenticator(&self, mut form: Form) -> Answer {
        let (directory, now) = (&self.visit.state.directory, self.visit.context.now);
        let code = form.take("code").unwrap_or_default();
        match directory.confirm_authenticator(&self.id(), &code, now).await {
            Ok(_person) => {
                self.record(CONFIRM, Outcome::Allowed, "the user has shown its first code")?;
                Ok(onward("Your authenticator app is added", &self.visit.place))
            }
            Err(error) => {
                let told = self.refuse(CONFIRM, &error)?;
                Ok(self.confirmation(Some(&told), &html! {}))
            }
        }
    }

    async fn remove_authenticator(&self, mut form: Form) -> Answer {
        if let Some(refusal) = self.is_right(&mut form, REMOVE).await? {
            return Ok(refusal);
        }
        let (directory, now) = (&self.visit.state.directory, self.visit.context.now);
        let code = form.take("code").unwrap_or_default();
        let address = self.visit.address();
        if let Err(error) = directory.check_code(self.signed_in.user.id, &code, address, now).await {
            return Ok(self.show(Some(&self.refuse(REMOVE, &error)?)));
        }
        match directory.remove_authenticator(&self.id()).await {
            Ok(_person) => {
                self.record(REMOVE, Outcome::Allowed, "the user has shown password and code")?;
                Ok(onward("Your authenticator app is removed", &self.visit.place))
            }
            Err(error) => Ok(self.show(Some(&self.refuse(REMOVE, &error)?))),
        }
    }

    /// The password was shown: on to the browser's part.
    async fn add_passkey(&self, mut form: Form) -> Answer {
        if let Some(refusal) = self.is_right(&mut form, ADD_PASSKEY).await? {
            return Ok(refusal);
        }
        let visit = self.visit;
        let person = visit.state.directory.user(&self.id()).await?;
        let (browser, now) = (&visit.browser.id, visit.context.now);
        let ticket = visit.state.directory.seal_half(&person, &[Method::Password], browser, now)?;
        let heading = "Add a passkey";
        let ticket = html! { input type="hidden" name="ticket" value=(ticket.expose()); };
        let body = html! {
            h1 { (heading) }
            p { "A passkey is kept by this device or a security key, and opened by your finger, face or PIN. It signs you in without password and code." }
            (passkey::make_form(visit, &person.user, &ticket))
            p.fine { a href=(visit.place.href()) { "Back to your account" } }
        };
        Ok(visit.page(StatusCode::OK, heading, &body))
    }

    async fn make_passkey(&self, mut form: Form) -> Answer {
        let (directory, now) = (&self.visit.state.directory, self.visit.context.now);
        let browser = &self.visit.browser.id;
        let ticket = form.take_secret("ticket");
        let shown = match &ticket {
            Some(ticket) => directory.open_half(ticket, browser, now).await?,
            None => None,
        };
        // The password of this very user, minutes ago.
        let is_shown = shown.is_some_and(|shown| shown.person.user.id == self.signed_in.user.id);
        let (true, Some(made)) = (is_shown, passkey::made(&mut form)) else {
            return Err(PageFault::NotTheirs);
        };
        match directory.add_passkey(self.signed_in.user.id, &made, browser, now).await {
            Ok(_person) => {
                self.record(ADD_PASSKEY, Outcome::Allowed, "the user has shown the password")?;
                Ok(onward("Your passkey is added", &self.visit.place))
            }
            Err(error) => Ok(self.show(Some(&self.refuse(ADD_PASSKEY, &error)?))),
        }
    }

    async fn remove_passkey(&self, mut form: Form) -> Answer {
        if let Some(refusal) = self.is_right(&mut form, REMOVE_PASSKEY).await? {
            return Ok(refusal);
        }
        let id = form.take("passkey_id").unwrap_or_default();
        match self.visit.state.directory.remove_passkey(self.signed_in.user.id, &id).await {
            Ok(_person) => {
                self.record(REMOVE_PASSKEY, Outcome::Allowed, "the user has shown the password")?;
                Ok(onward("Your passkey is removed", &self.visit.place))
            }
            Err(error) => Ok(self.show(Some(&self.refuse(REMOVE_PASSKEY, &error)?))),
        }
    }

    fn passkeys(&self) -> Markup {
        let day = |at: domain::Timestamp| {
            let at = jiff::Timestamp::from_second(at.seconds()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
            at.strftime("%Y-%m-%d").to_string()
        };
        html! {
            details {
                summary { "Add a passkey" }
                p.fine { "A finger, face or PIN instead of password and code." }
                (self.form("add-passkey", "Continue", &password_field("passkey")))
            }
            @for (number, known) in self.signed_in.user.passkeys.iter().enumerate() {
                details {
                    summary { "Passkey of " (day(known.created)) }
                    (self.form("remove-passkey", "Remove", &html! {
                        input type="hidden" name="passkey_id" value=(known.passkey.id);
                        (password_field(&format!("passkey-{number}")))
                    }))
                }
            }
        }
    }

    /// The secret, this once, and the field for the first code.
    fn enrolment(&self, enrolment: &Enrolment) -> Response {
        let secret = enrolment.secret.expose();
        let inside = html! {
            p { "In the app choose " strong { "Enter a setup key" } ", and type:" }
            p.who.secret {
                @for group in secret.as_bytes().chunks(4) { span { (String::from_utf8_lossy(group)) } " " }
            }
            p { a href=(enrolment.uri.expose()) { "Open it in an app on this machine" } }
            p.fine { "It is shown this once. Kind: time-based, 6 digits, 30 seconds." }
        };
        self.confirmation(None, &inside)
    }

    fn confirmation(&self, told: Option<&Told>, before: &Markup) -> Response {
        let heading = "Add an authenticator app";
        let inside = html! {
            (code_field("Code that the app shows now"))
            button.primary type="submit" { "Add" }
        };
        let body = html! {
            h1 { (heading) }
            (alert(told.map(|told| &*told.text)))
            (before)
            (self.visit.form_of("confirm-authenticator", &inside))
            p.fine { a href=(self.visit.place.href()) { "Back to your account" } }
        };
        Told::answer(told, self.visit, heading, &body)
    }

    fn show(&self, told: Option<&Told>) -> Response {
        let heading = "Your account";
        let user = &self.signed_in.user;
        let tenant = self.visit.state.directory.tenant().id;
        let body = html! {
            h1 { (heading) }
            (alert(told.map(|told| &*told.text)))
            p.who { strong { (user.display_name) } br; (self.name()) }
            details {
                summary { "Change password" }
                p.fine { "Everything that you have signed in to will ask for it again." }
                (self.form("change-password", "Set password", &password_fields("change")))
            }
            @if user.has_second_factor() {
                details {
                    summary { "Remove authenticator app" }
                    p.fine { "From then on your password is enough. If the phone is lost, ask your administrator." }
                    (self.form("remove-authenticator", "Remove", &html! { (password_field("remove")) (code_field("Code that the app shows now")) }))
                }
            } @else {
                details {
                    summary { "Add an authenticator app" }
                    p.fine { "From then on signing in asks for a code that your phone shows." }
                    (self.form("add-authenticator", "Continue", &password_field("add")))
                }
            }
            (self.passkeys())
            p.last { a.button href=(format!("/{tenant}/oauth2/v2.0/logout")) { "Sign out" } }
        };
        Told::answer(told, self.visit, heading, &body)
    }

    fn form(&self, step: &str, button: &str, fields: &Markup) -> Markup {
        let inside = html! {
            // For password managers: whose password it is.
            input type="text" name="username" value=(self.name()) autocomplete="username" hidden readonly;
            (fields)
            button.primary type="submit" { (button) }
        };
        self.visit.form_of(step, &inside)
    }
}

fn password_field(of: &str) -> Markup {
    let id = format!("password-{of}");
    html! {
        label for=(id) { "Current password" }
        input id=(id) name="password" type="password" autocomplete="current-password" maxlength="256" required;
    }
}
