//! What a token request asks for, in our words; `wire/msi` makes it out of a query string.

/// The question of one token request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenQuery {
    /// The resource as it was asked for: echoed in the answer.
    pub resource: String,
    /// Which identity; `None` is the system-assigned one, also when the app has one user-assigned identity and no other, as App Service has
    /// it.
    pub selector: Option<Selector>,
}

/// Names one identity of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// By client id.
    Client(String),
    /// By principal (object) id.
    Principal(String),
    /// By resource id, which only user-assigned identities have.
    Resource(String),
    /// The system-assigned one, or where there is none the only user-assigned one: as IMDS has it for who names none.
    OwnOrOnly,
}
