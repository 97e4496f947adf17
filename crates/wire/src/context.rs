//! What every request carries: its id, its time, where it comes from; and the one way to leave an audit record before an answer.

use crate::sparing::Sparing;
use access::{Verifier, VerifierConfig, audience::vault_audiences};
use audit::{Actor, AuditError, AuditSink, Outcome, Record, SharedOrigin, append_together};
use axum::{extract::Request, middleware::Next, response::Response};
use directory::audience::{deployment_audiences, graph_audiences, management_audiences};
use domain::{Clock, Entropy, HostNames, RequestId, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;

/// The header of every answer whose times are a test clock's: by how many seconds it is ahead of the real one.
pub const TEST_CLOCK: HeaderName = HeaderName::from_static("x-keyless-test-clock");

const REQUEST: HeaderName = HeaderName::from_static("x-ms-request-id");
const CLIENT_REQUEST: HeaderName = HeaderName::from_static("x-ms-client-request-id");

/// Verify bearer tokens, each for its own audiences: a token for one is none for another.
pub struct Verifiers {
    /// The vaults.
    pub vaults: Verifier,
    /// Microsoft Graph.
    pub graph: Verifier,
    /// The resource manager.
    pub management: Verifier,
    /// Deployments to apps.
    pub deployment: Verifier,
}

impl Verifiers {
    /// Of tokens that this directory has issued.
    pub fn of(directory: &directory::DirectoryService, names: &HostNames, entropy: &dyn Entropy) -> Self {
        let of = |audiences| {
            let (issuers, tenant) = (directory.issuers().into(), directory.tenant().id);
            Verifier::new(VerifierConfig { issuers, audiences, tenant }, entropy)
        };
        Self {
            vaults: of(vault_audiences(&names.vault_resource())),
            graph: of(graph_audiences(names)),
            management: of(management_audiences(names)),
            deployment: of(deployment_audiences(names)),
        }
    }
}

/// The services behind all routes.
pub struct Services {
    /// Tenants, registrations, tokens.
    pub directory: Arc<directory::DirectoryService>,
    /// Verify bearer tokens.
    pub verifiers: Arc<Verifiers>,
    /// Vaults and their secrets.
    pub vault: Arc<vault::VaultService>,
    /// Managed identity tokens.
    pub identity: Arc<identity::IdentityService>,
    /// Apps and workloads.
    pub host: Arc<host::HostService>,
    /// The subscription, resource groups.
    pub resource: Arc<resource::ResourceService>,
    /// What is done where requests may not.
    pub outside: Arc<crate::OutsidePlace>,
    /// Where records go before answers.
    pub audit: Arc<dyn AuditSink>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Domain and port.
    pub names: HostNames,
}

impl Services {
    /// The names that are ours at this door.
    pub fn names_at(&self, door: Door) -> &HostNames {
        match door {
            Door::Own => &self.names,
            Door::Azure => HostNames::azure(),
        }
    }

    /// What was given to others at what is gone goes, too. It allows nothing any more: if it cannot go now, it only takes up room until it is
    /// swept away, and what was asked for is done all the same.
    pub(crate) async fn forget_soon(&self, gone: &[access::Gone]) {
        if let Err(error) = self.resource.forget(gone).await {
            tracing::warn!(error = domain::chain(&error), "roles that were given at what is gone are left");
        }
    }
}

/// Shared by all routes.
pub type State = Arc<Services>;

/// By which of our listeners a request came, and so which names are ours for it (ADR 0021).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Door {
    /// One of the installation's own names.
    #[default]
    Own,
    /// The listener of one program in shadow mode, where the public cloud's names are ours and our own are not.
    Azure,
}

/// One request's own facts, stamped by [`stamp`] before any handler runs.
#[derive(Clone, Debug)]
pub struct Context {
    /// Answered as `x-ms-request-id` and written to the audit log.
    pub request: RequestId,
    /// The one time at which this request happens.
    pub now: Timestamp,
    /// What the kernel said of the calling process, as far as known.
    pub origin: SharedOrigin,
    /// By which listener it came.
    pub door: Door,
}

/// Proof that a request's audit record has been handed to the kernel. Handlers make their answers out of it.
#[must_use]
pub struct Recorded(());

/// The audit log cannot be written: the request must be refused with the protocol's 503.
#[derive(Debug)]
pub struct AuditUnavailable;

impl Context {
    /// The names by which its client knows us: documents, challenges and identifiers are told in these.
    pub fn names<'s>(&self, services: &'s Services) -> &'s HostNames {
        services.names_at(self.door)
    }

    /// Makes sure that the log can be written before something is done that it must tell of. A log that has failed is tried with a record
    /// of its own: refusing without one would refuse for ever. So only requests that were under way when the log failed can have an
    /// effect that their 503 does not tell.
    ///
    /// # Errors
    /// [`AuditUnavailable`]; then do nothing, and refuse.
    pub fn ready(&self, sink: &dyn AuditSink) -> Result<(), AuditUnavailable> {
        if !sink.is_failed() {
            return Ok(());
        }
        let reason = "a record can be written again".to_owned();
        self.record(sink, Actor::System, "audit.resume", "audit".to_owned(), Outcome::Allowed, reason)
            .map(drop)
    }

    /// Writes the record of this request. Nothing may be answered that has no record.
    ///
    /// # Errors
    /// [`AuditUnavailable`]; then refuse.
    pub fn record(
        &self,
        sink: &dyn AuditSink,
        actor: Actor,
        action: &'static str,
        target: String,
        outcome: Outcome,
        reason: String,
    ) -> Result<Recorded, AuditUnavailable> {
        let record = self.recording(actor, action, target, outcome, reason);
        recorded(sink.append(&record), action)
    }

    /// The same, together with the records of others where there are many of them.
    ///
    /// # Errors
    /// [`AuditUnavailable`]; then refuse.
    pub(crate) fn record_together<'s>(
        &self,
        sink: &'s dyn AuditSink,
        actor: Actor,
        action: &'static str,
        target: String,
        outcome: Outcome,
        reason: String,
    ) -> impl Future<Output = Result<Recorded, AuditUnavailable>> + Send + use<'s> {
        let record = self.recording(actor, action, target, outcome, reason);
        async move { recorded(append_together(sink, &record).await, action) }
    }

    fn recording(
        &self,
        actor: Actor,
        action: &'static str,
        target: String,
        outcome: Outcome,
        reason: String,
    ) -> Record {
        let (at, request, origin) = (self.now, self.request, self.origin.clone());
        Record { at, request, actor, action, target, outcome, reason, origin }
    }
}

fn recorded(appended: Result<(), AuditError>, action: &str) -> Result<Recorded, AuditUnavailable> {
    // Whoever sends requests, strangers too, would fill the disk still more.
    static UNWRITTEN: Sparing = Sparing::new();
    appended.map(|()| Recorded(())).map_err(|error| {
        if let Some(left_out) = UNWRITTEN.due() {
            tracing::error!(
                error = domain::chain(&error),
                action,
                left_out,
                "the audit log cannot be written"
            );
        }
        AuditUnavailable
    })
}

impl Context {
    /// Writes what was done to a signing key: each has its own record, whoever asked for it.
    ///
    /// # Errors
    /// [`AuditUnavailable`].
    pub fn record_key_change(
        &self,
        services: &Services,
        actor: Actor,
        change: &directory::KeyChange,
        reason: &str,
    ) -> Result<Recorded, AuditUnavailable> {
        let target = format!("signing key {}", change.kid());
        self.record(&*services.audit, actor, change.action(), target, Outcome::Allowed, reason.to_owned())
    }
}

/// A request's own facts, and the id that its client gave it.
pub(crate) fn stamp_of(
    state: &Services,
    headers: &HeaderMap,
    origin: SharedOrigin,
    door: Door,
) -> (Context, Option<HeaderValue>) {
    let context =
        Context { request: RequestId::random(&*state.entropy), now: state.clock.now(), origin, door };
    let client_request = headers.get(CLIENT_REQUEST).filter(|id| id.len() <= 64).cloned();
    (context, client_request)
}

/// An answer's request id headers.
pub(crate) fn stamp_response(
    state: &Services,
    context: &Context,
    client_request: Option<HeaderValue>,
    response: &mut Response,
) {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let id = context.request.uuid().as_hyphenated().encode_lower(&mut text);
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert(REQUEST, value);
    }
    stamp_test_clock(state, response.headers_mut());
    if let Some(value) = client_request {
        response.headers_mut().insert(CLIENT_REQUEST, value);
    }
}

/// A client that keeps what it was told must know that it was told of another time.
pub(crate) fn stamp_test_clock(state: &Services, headers: &mut HeaderMap) {
    if let Some(ahead) = state.clock.ahead() {
        headers.insert(TEST_CLOCK, HeaderValue::from(ahead.as_secs()));
    }
}

/// Layer: gives each request its [`Context`] and its answer the request id headers. The listener has put a [`SharedOrigin`] into the
/// request's extensions; without one the caller is unknown.
pub async fn stamp(
    axum::extract::State(state): axum::extract::State<State>,
    mut request: Request,
    next: Next,
) -> Response {
    let origin = request.extensions_mut().remove::<SharedOrigin>().unwrap_or_default();
    let (context, client_request) = stamp_of(&state, request.headers(), origin, Door::Own);
    request.extensions_mut().insert(context.clone());
    let mut response = next.run(request).await;
    stamp_response(&state, &context, client_request, &mut response);
    response
}
