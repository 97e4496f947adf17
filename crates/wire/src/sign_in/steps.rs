//! The steps of a sign-in, on whichever page it is needed: password, then a code of the authenticator app, then another password, each if it
//! must be. The session begins with the last one.
//!
//! What a step has shown comes back from the browser sealed ([`directory::browser`]); the user's record is read again each time.

use super::{fault::PageFault, layout::alert, onward::onward, passkey, place::Place, visit::Visit};
use crate::oauth2::form::Form;
use audit::{Actor, Outcome};
use axum::response::Response;
use directory::{DirectoryError, Person, UserError, browser::HalfSignedIn, session::Method};
use domain::{ClientId, Secret};
use http::{HeaderValue, StatusCode, header};
use maud::{Markup, html};

const ACTION: &str = "sign_in";
const HALF_ACTION: &str = "sign_in.first_factor";
const PASSWORD_ACTION: &str = "user.password.change";

/// For whom somebody signs in.
pub(super) struct Whom<'a> {
    /// The app's name. `None`: for pages of ours.
    pub(super) name: Option<&'a str>,
    /// The app.
    pub(super) client: Option<ClientId>,
}

type Answer = Result<Response, PageFault>;

/// Takes a step of a sign-in; `None` if it is none. `goes_on`: where the browser goes once the sign-in is done.
pub(super) async fn take(
    visit: &Visit<'_>,
    step: &str,
    form: &mut Form,
    whom: &Whom<'_>,
    goes_on: &Place,
) -> Option<Answer> {
    let sign_in = SignIn { visit, whom, goes_on };
    Some(match step {
        "password" => sign_in.password(form).await,
        "passkey" => sign_in.passkey(form).await,
        "code" => sign_in.code(form).await,
        "new-password" => sign_in.new_password(form).await,
        _ => return None,
    })
}

struct SignIn<'a> {
    visit: &'a Visit<'a>,
    whom: &'a Whom<'a>,
    goes_on: &'a Place,
}

impl SignIn<'_> {
    async fn password(&self, form: &mut Form) -> Answer {
        let visit = self.visit;
        visit.ready()?;
        let name = form.take("username").unwrap_or_default();
        let name = name.trim();
        let Some(password) = form.take_secret("password").filter(|_| !name.is_empty()) else {
            let told = Told::new(StatusCode::BAD_REQUEST, "Type your user name and your password.");
            return Ok(password_page(visit, self.whom, name, Some(&told)));
        };
        let directory = &visit.state.directory;
        match directory.check_password(name, &password, visit.address(), visit.context.now).await {
            Ok(person) => self.after(&person, &[Method::Password]).await,
            Err(error) => {
                self.refuse(ACTION, self.named(name).await, &error)?;
                let told = Told::of(&error)?;
                Ok(password_page(visit, self.whom, name, Some(&told)))
            }
        }
    }

    async fn passkey(&self, form: &mut Form) -> Answer {
        let visit = self.visit;
        visit.ready()?;
        let Some(answer) = passkey::answer(form) else {
            let told =
                Told::new(StatusCode::BAD_REQUEST, "Your browser has sent no passkey. Use your password.");
            return Ok(password_page(visit, self.whom, "", Some(&told)));
        };
        let directory = &visit.state.directory;
        match directory.check_passkey(&answer, &visit.browser.id, visit.context.now).await {
            Ok(person) => self.after(&person, &[Method::Passkey]).await,
            Err(error) => {
                self.refuse(ACTION, "a passkey".to_owned(), &error)?;
                let told = Told::of(&error)?;
                Ok(password_page(visit, self.whom, "", Some(&told)))
            }
        }
    }

    async fn code(&self, form: &mut Form) -> Answer {
        let visit = self.visit;
        visit.ready()?;
        let Some(HalfSignedIn { person, methods }) = self.half(form).await? else { return self.too_late() };
        let code = form.take("code").unwrap_or_default();
        let directory = &visit.state.directory;
        match directory.check_code(person.user.id, &code, visit.address(), visit.context.now).await {
            // The password was shown before: the session stands on the user as it was then.
            Ok(taken) => {
                let proven = Person { principal: person.principal, ..taken };
                self.after(&proven, &with(&methods, Method::OneTimeCode)).await
            }
            Err(error) => {
                self.refuse(ACTION, format!("user {person}"), &error)?;
                let told = Told::of(&error)?;
                self.code_page(&person, &methods, Some(&told))
            }
        }
    }

    async fn new_password(&self, form: &mut Form) -> Answer {
        let visit = self.visit;
        visit.ready()?;
        let Some(HalfSignedIn { person, methods }) = self.half(form).await? else { return self.too_late() };
        if needs_code(&person, &methods) {
            return self.code_page(&person, &methods, None);
        }
        let (current, new) = (form.take_secret("password"), form.take_secret("new_password"));
        let again = form.take_secret("new_password_again");
        let (Some(current), Some(new), Some(again)) = (current, new, again) else {
            let told = Told::new(StatusCode::BAD_REQUEST, "Fill in all three fields.");
            return self.new_password_page(&person, &methods, Some(&told));
        };
        if new.expose() != again.expose() {
            let told = Told::new(StatusCode::BAD_REQUEST, "The two new passwords are not the same.");
            return self.new_password_page(&person, &methods, Some(&told));
        }
        let (name, address, now) = (person.user.user_name.as_str(), visit.address(), visit.context.now);
        match visit.state.directory.change_password(name, &current, &new, address, now).await {
            Ok(changed) => {
                let actor = Actor::Principal { id: changed.user.id, client: None };
                let reason = "the user has set another one".to_owned();
                let target = format!("user {changed}");
                let _recorded = visit.record(actor, PASSWORD_ACTION, target, Outcome::Allowed, reason)?;
                self.begin(&changed, &methods).await
            }
            Err(error) => {
                self.refuse(PASSWORD_ACTION, format!("user {person}"), &error)?;
                let told = match &error {
                    DirectoryError::User(UserError::SignInRefused) => {
                        Told::new(StatusCode::FORBIDDEN, "The current password is wrong.")
                    }
                    _ => Told::of(&error)?,
                };
                self.new_password_page(&person, &methods, Some(&told))
            }
        }
    }

    /// What is still needed of somebody who has shown this much.
    async fn after(&self, person: &Person, methods: &[Method]) -> Answer {
        let next = match (needs_code(person, methods), person.user.must_change_password) {
            (false, false) => return self.begin(person, methods).await,
            (true, _) => "a code must follow",
            (false, true) => "another password must be set",
        };
        let target = format!("user {person}");
        let visit = self.visit;
        let _recorded =
            visit.record(Actor::Anonymous, HALF_ACTION, target, Outcome::Allowed, next.to_owned())?;
        match needs_code(person, methods) {
            true => self.code_page(person, methods, None),
            false => self.new_password_page(person, methods, None),
        }
    }

    /// Begins the session: all that is needed was shown.
    async fn begin(&self, person: &Person, methods: &[Method]) -> Answer {
        let visit = self.visit;
        let (former, now) = (visit.browser.session.as_ref(), visit.context.now);
        let begun = visit.state.directory.begin_session(person, methods, former, now).await;
        let (cookie, signed_in) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                self.refuse(ACTION, format!("user {person}"), &error)?;
                return Err(error.into());
            }
        };
        let actor = Actor::Principal { id: signed_in.user.id, client: self.whom.client };
        let reason = format!("by {}; session {}", Method::amr(methods).join(", "), signed_in.session.id);
        let _recorded = visit.record(actor, ACTION, format!("user {person}"), Outcome::Allowed, reason)?;
        let mut response = onward("You are signed in", self.goes_on);
        visit.sign_in(&mut response, &cookie);
        Ok(response)
    }

    async fn half(&self, form: &mut Form) -> Result<Option<HalfSignedIn>, PageFault> {
        let Some(ticket) = form.take_secret("ticket") else { return Ok(None) };
        let (directory, now) = (&self.visit.state.directory, self.visit.context.now);
        Ok(directory.open_half(&ticket, &self.visit.browser.id, now).await?)
    }

    fn too_late(&self) -> Answer {
        let target = "a page".to_owned();
        let reason = "what was shown before does not hold any more".to_owned();
        let _recorded = self.visit.record(Actor::Anonymous, ACTION, target, Outcome::Refused, reason)?;
        let told = Told::new(StatusCode::FORBIDDEN, "That took too long. Please begin again.");
        Ok(password_page(self.visit, self.whom, "", Some(&told)))
    }

    /// Whom a name names, for the audit log. What names nobody is not written down: it may be a password in the wrong field.
    async fn named(&self, name: &str) -> String {
        match self.visit.state.directory.user(name).await {
            Ok(person) => format!("user {person}"),
            Err(_) => "a user who is not here".to_owned(),
        }
    }

    fn refuse(&self, action: &'static str, target: String, error: &DirectoryError) -> Result<(), PageFault> {
        let outcome = match error {
            DirectoryError::User(UserError::Busy) => Outcome::Failed,
            DirectoryError::User(_) | DirectoryError::Grant(_) => Outcome::Refused,
            _ => Outcome::Failed,
        };
        let recorded = self.visit.record(Actor::Anonymous, action, target, outcome, error.to_string());
        recorded.map(drop).map_err(PageFault::from)
    }

    fn ticket(&self, person: &Person, methods: &[Method]) -> Result<Markup, PageFault> {
        let (browser, now) = (&self.visit.browser.id, self.visit.context.now);
        let ticket: Secret<String> = self.visit.state.directory.seal_half(person, methods, browser, now)?;
        Ok(html! { input type="hidden" name="ticket" value=(ticket.expose()); })
    }

    fn code_page(&self, person: &Person, methods: &[Method], told: Option<&Told>) -> Answer {
        let heading = "Enter your code";
        let inside = html! {
            (self.ticket(person, methods)?)
            (code_field("Code of your authenticator app"))
            button.primary type="submit" { "Sign in" }
        };
        let body = html! {
            h1 { (heading) }
            (alert(told.map(|told| &*told.text)))
            p.who { (person.user.user_name.as_str()) }
            (self.visit.form_of("code", &inside))
            p.fine { a href=(self.visit.place.href()) { "Begin again" } }
        };
        Ok(Told::answer(told, self.visit, heading, &body))
    }

    fn new_password_page(&self, person: &Person, methods: &[Method], told: Option<&Told>) -> Answer {
        let heading = "Set another password";
        let inside = html! {
            (self.ticket(person, methods)?)
            // For password managers: whose password it is.
            input type="text" name="username" value=(person.user.user_name.as_str()) autocomplete="username" hidden readonly;
            (password_fields("new"))
            button.primary type="submit" { "Set password and sign in" }
        };
        let body = html! {
            h1 { (heading) }
            (alert(told.map(|told| &*told.text)))
            p { "Somebody else knows your password. Choose one that only you know, of at least " (domain::limits::PASSWORD_CHARS_MIN) " characters." }
            (self.visit.form_of("new-password", &inside))
        };
        Ok(Told::answer(told, self.visit, heading, &body))
    }
}

fn needs_code(person: &Person, methods: &[Method]) -> bool {
    person.user.has_second_factor()
        && !methods.iter().any(|method| matches!(method, Method::OneTimeCode | Method::Passkey))
}

fn with(methods: &[Method], method: Method) -> Vec<Method> {
    methods.iter().copied().filter(|known| *known != method).chain([method]).collect()
}

/// The field of a code.
pub(super) fn code_field(label: &str) -> Markup {
    html! {
        label for="code" { (label) }
        input #code.code name="code" type="text" inputmode="numeric" autocomplete="one-time-code" maxlength="16" autofocus required;
    }
}

/// The fields by which a password is changed; `of` tells them from those of other forms on the page.
pub(super) fn password_fields(of: &str) -> Markup {
    let ids = ["current", "new", "again"].map(|field| format!("{of}-{field}"));
    let [current, new, again] = &ids;
    html! {
        label for=(current) { "Current password" }
        input id=(current) name="password" type="password" autocomplete="current-password" maxlength="256" required;
        label for=(new) { "New password" }
        input id=(new) name="new_password" type="password" autocomplete="new-password" maxlength="256" required;
        label for=(again) { "New password again" }
        input id=(again) name="new_password_again" type="password" autocomplete="new-password" maxlength="256" required;
    }
}

/// What went wrong with a step, in words.
pub(super) struct Told {
    status: StatusCode,
    pub(super) text: String,
    retry_after: Option<u64>,
}

impl Told {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), retry_after: None }
    }

    /// The words for an error that is the user's.
    pub(super) fn of(error: &DirectoryError) -> Result<Self, PageFault> {
        let DirectoryError::User(error) = error else {
            return Err(PageFault::of_ours(error));
        };
        Ok(match error {
            UserError::SignInRefused => Self::new(
                StatusCode::FORBIDDEN,
                "The user name or the password is wrong. Check both, and whether Caps Lock is on.",
            ),
            UserError::Disabled { .. } => {
                Self::new(StatusCode::FORBIDDEN, "This account is disabled. Ask your administrator.")
            }
            UserError::TooManyTries { seconds } => Self {
                retry_after: Some(*seconds),
                ..Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    format!("Too many tries. Wait {}, then try again.", duration(*seconds)),
                )
            },
            UserError::Busy => Self {
                retry_after: Some(1),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "Many people are signing in right now. Try again in a moment.",
                )
            },
            UserError::CodeWrong => Self::new(
                StatusCode::FORBIDDEN,
                "The code is wrong, or it was used before. Wait for the next one; if it does not help, check the clock of your phone.",
            ),
            UserError::PasskeyRefused { .. } => Self::new(
                StatusCode::FORBIDDEN,
                "The passkey was not taken. Try again, or use your password.",
            ),
            UserError::PasswordUnfit { rule } => {
                Self::new(StatusCode::BAD_REQUEST, format!("This password cannot be used: {rule}."))
            }
            UserError::AuthenticatorExists { .. } => {
                Self::new(StatusCode::CONFLICT, "You have an authenticator app already.")
            }
            UserError::NoAuthenticator { .. } => {
                Self::new(StatusCode::CONFLICT, "Your authenticator app was taken away. Please begin again.")
            }
            UserError::NotFound { .. }
            | UserError::NameTaken { .. }
            | UserError::NameInvalid(_)
            | UserError::DomainForeign { .. }
            | UserError::MailInvalid => return Err(PageFault::Unexpected(error.to_string())),
        })
    }

    /// A page with its status.
    pub(super) fn answer(told: Option<&Self>, visit: &Visit<'_>, title: &str, body: &Markup) -> Response {
        let mut response = visit.page(told.map_or(StatusCode::OK, |told| told.status), title, body);
        if let Some(seconds) = told.and_then(|told| told.retry_after) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..=1 => "one second".to_owned(),
        2..=119 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

/// The page that a sign-in begins with.
pub(super) fn password_page(visit: &Visit<'_>, whom: &Whom<'_>, name: &str, told: Option<&Told>) -> Response {
    let heading = "Sign in";
    let is_known = !name.is_empty();
    let inside = html! {
        label for="username" { "User name" }
        input #username name="username" type="text" value=(name) autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="256" required autofocus[!is_known];
        label for="password" { "Password" }
        input #password name="password" type="password" autocomplete="current-password" maxlength="256" required autofocus[is_known];
        button.primary type="submit" { "Sign in" }
    };
    let body = html! {
        h1 { (heading) }
        @if let Some(app) = whom.name { p { "to go on to " strong { (app) } } }
        (alert(told.map(|told| &*told.text)))
        (visit.form_of("password", &inside))
        (passkey::use_form(visit))
        p.fine { "Check the address bar: this page is at " strong { (visit.state.names.login_host()) } "." }
    };
    Told::answer(told, visit, heading, &body)
}
