//! Why a client may not act in a user's name. `wire/oauth2/error.rs` gives these their AADSTS numbers.

use domain::ClientId;

/// A grant that does not hold. Texts are the caller's own, cut to a length and never a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Another response type than `code`.
    #[error("the response type is not supported")]
    ResponseTypeUnsupported {
        /// As asked for.
        response_type: String,
    },
    /// The user must sign in, and must not be asked to.
    #[error("nobody is signed in")]
    SignInRequired,
    /// The user must agree first.
    #[error("the user has not consented to what client {client} asks for")]
    ConsentRequired {
        /// Who asks.
        client: ClientId,
    },
    /// What the client asks for only an administrator can agree to, and the user is none.
    #[error("client {client} asks for what only an administrator can agree to")]
    AdministratorMustAgree {
        /// Who asks.
        client: ClientId,
    },
    /// The client asks for all that it is registered to want of a resource, and is registered to want others.
    #[error(
        "client {client} does not list the resource among those that it wants, and nobody has agreed to it"
    )]
    ResourceNotListed {
        /// Who asks.
        client: ClientId,
        /// For what, as asked for.
        resource: String,
    },
    /// The user does not agree.
    #[error("the user has declined")]
    ConsentDeclined,
    /// There is no such code, or its time is over.
    #[error("the authorization code is unknown or has expired")]
    CodeInvalid,
    /// The code was issued to another client.
    #[error("the authorization code was issued to another client")]
    CodeOfAnother,
    /// The code has been redeemed before: what it brought is revoked.
    #[error("the authorization code was redeemed before; what it brought is revoked")]
    CodeRedeemed,
    /// The redirect URI is not the one that the code was sent to.
    #[error("the redirect URI is not the one of the authorization request")]
    RedirectUriChanged,
    /// The verifier does not fit the challenge.
    #[error("the code verifier does not fit the code challenge")]
    VerifierWrong,
    /// There is no such refresh token (any more), or it is another client's.
    #[error("the refresh token is not valid")]
    RefreshTokenInvalid,
    /// Nobody has used the refresh token for too long.
    #[error("the refresh token has expired")]
    RefreshTokenExpired,
    /// A page's refresh tokens are good for a day in all, and it is over.
    #[error("the refresh token of a page has had its time")]
    RefreshTokenOver,
    /// A refresh token comes again: its family is revoked.
    #[error("the refresh token was used before; its family is revoked")]
    RefreshTokenReused,
    /// The user has signed out, was disabled or deleted, or has another password.
    #[error("the session has ended")]
    SessionEnded,
    /// The user's token says nothing to this client.
    #[error("the user's token is not accepted: {why}")]
    UserTokenInvalid {
        /// Why.
        why: &'static str,
    },
    /// Nobody has answered yet.
    #[error("the user has not answered yet")]
    DevicePending,
    /// The user has said no.
    #[error("the user has declined the device")]
    DeviceDeclined,
    /// There is no such device code (any more).
    #[error("the device code is not valid")]
    DeviceCodeInvalid,
    /// Its time is over.
    #[error("the device code has expired")]
    DeviceCodeExpired,
    /// No device waits under this code.
    #[error("no device waits under this code")]
    UserCodeUnknown,
    /// The password grant is off.
    #[error("the password grant is not enabled here")]
    PasswordGrantDisabled,
    /// Users must set another password first, which a client cannot do for them.
    #[error("the user must set another password first")]
    PasswordMustChange,
    /// Users must show their second factor, which a client cannot do for them.
    #[error("the user must show a second factor")]
    SecondFactorNeeded,
}
