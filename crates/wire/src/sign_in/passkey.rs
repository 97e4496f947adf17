//! Passkeys on pages: the script that makes and uses them, its forms, and reading what a browser has answered (Web Authentication Level 2).
//!
//! The forms are hidden until the script has found that the browser knows passkeys.

use super::visit::Visit;
use crate::oauth2::form::Form;
use directory::{
    User,
    passkeys::{NewPasskey, PasskeyAnswer},
};
use maud::{Markup, PreEscaped, html};

/// The script. Its hash is in the policy of every page of forms.
pub(super) const SCRIPT: &str = include_str!("passkey.js");

/// The form by which somebody signs in with a passkey.
pub(super) fn use_form(visit: &Visit<'_>) -> Markup {
    let (challenge, site) = (challenge(visit), visit.state.names.login_host());
    let inside = html! {
        input type="hidden" name="passkey_challenge" value=(challenge);
        (fields(&["passkey_id", "passkey_user", "passkey_client_data", "passkey_data", "passkey_signature"]))
        p.alert role="alert" hidden {}
        button type="submit" { "Use a passkey" }
    };
    html! {
        form method="post" action=(visit.place.href()) data-passkey="use" data-site=(site) data-challenge=(challenge) hidden {
            (visit.hidden("passkey"))
            (inside)
        }
        script { (PreEscaped(SCRIPT)) }
    }
}

/// The form by which somebody adds one. `ticket`: that the password was shown just before.
pub(super) fn make_form(visit: &Visit<'_>, user: &User, ticket: &Markup) -> Markup {
    let (challenge, site) = (challenge(visit), visit.state.names.login_host());
    let known: Vec<&str> = user.passkeys.iter().map(|known| &*known.passkey.id).collect();
    html! {
        noscript { p.warning { "This needs a script, which your browser does not run." } }
        form method="post" action=(visit.place.href()) data-passkey="make" data-site=(site) data-challenge=(challenge)
            data-user=(user.id) data-name=(user.user_name.as_str()) data-known=(known.join(" ")) hidden {
            (visit.hidden("make-passkey"))
            (ticket)
            input type="hidden" name="passkey_challenge" value=(challenge);
            (fields(&["passkey_client_data", "passkey_object"]))
            p.alert role="alert" hidden {}
            button.primary type="submit" { "Make a passkey" }
        }
        script { (PreEscaped(SCRIPT)) }
    }
}

fn challenge(visit: &Visit<'_>) -> String {
    visit.state.directory.passkey_challenge(&visit.browser.id, visit.context.now)
}

fn fields(names: &[&str]) -> Markup {
    html! { @for name in names { input type="hidden" name=(name) value=""; } }
}

fn bytes(form: &mut Form, name: &str) -> Option<Vec<u8>> {
    crypt::encoding::from_base64url(form.take(name)?).ok()
}

/// What a browser has answered that uses a passkey.
pub(super) fn answer(form: &mut Form) -> Option<PasskeyAnswer> {
    Some(PasskeyAnswer {
        challenge: form.take("passkey_challenge")?,
        user: bytes(form, "passkey_user")?,
        id: form.take("passkey_id")?,
        client_data: bytes(form, "passkey_client_data")?,
        data: bytes(form, "passkey_data")?,
        signature: bytes(form, "passkey_signature")?,
    })
}

/// What a browser has answered that has made one.
pub(super) fn made(form: &mut Form) -> Option<NewPasskey> {
    Some(NewPasskey {
        challenge: form.take("passkey_challenge")?,
        client_data: bytes(form, "passkey_client_data")?,
        attestation: bytes(form, "passkey_object")?,
    })
}
