//! What an endpoint is: whose, and which of Azure's three protocols it speaks.
//!
//! All are one path from the connection to the token; what differs is where a client finds the endpoint, what it must present, and how an
//! answer is written. Azure Arc's wants a key that it has left in a file of the app's (ADR 0025). IMDS has no secret: the kernel alone says who calls. So there is none for a workload that the kernel does not confine,
//! and `server` listens for one only in networks that it made for an app, where nobody else comes by (ADR 0023).

use identity::Workload;
use std::sync::Arc;

/// The endpoint of one workload.
pub struct Endpoint {
    workload: Arc<Workload>,
    protocol: Protocol,
}

/// Which of Azure's endpoints it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// App Service's, which a client knows by `IDENTITY_ENDPOINT`; it presents the secret of `IDENTITY_HEADER`.
    AppService {
        /// The port of 127.0.0.1 that it listens on: what a `Host` header must say.
        port: u16,
    },
    /// That of Azure Arc's agent, which a client knows by `IDENTITY_ENDPOINT` and `IMDS_ENDPOINT`; it presents what it was left in a file.
    Arc {
        /// The port of 127.0.0.1 that it listens on.
        port: u16,
    },
    /// The instance metadata service's, which every client looks for at 169.254.169.254; it presents no secret.
    Imds,
}

impl Protocol {
    /// The one path of an endpoint.
    pub const fn path(self) -> &'static str {
        match self {
            Self::AppService { .. } => "/msi/token",
            Self::Arc { .. } | Self::Imds => "/metadata/identity/oauth2/token",
        }
    }
}

impl Endpoint {
    /// App Service's, at a port of 127.0.0.1.
    pub const fn app_service(workload: Arc<Workload>, port: u16) -> Self {
        Self { workload, protocol: Protocol::AppService { port } }
    }

    /// IMDS; none for a workload that the kernel does not confine, as nothing else would keep strangers out.
    pub fn imds(workload: Arc<Workload>) -> Option<Self> {
        workload.confinement().is_some().then_some(Self { workload, protocol: Protocol::Imds })
    }

    /// Azure Arc's, at a port of 127.0.0.1; none for a workload that the kernel does not confine or for which no keys can be left.
    pub fn arc(workload: Arc<Workload>, port: u16) -> Option<Self> {
        let can_be = workload.confinement().is_some() && workload.challenges().is_some();
        can_be.then_some(Self { workload, protocol: Protocol::Arc { port } })
    }

    /// Whose it is.
    pub const fn workload(&self) -> &Arc<Workload> {
        &self.workload
    }

    /// What it speaks.
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// What the audit log calls it.
    pub(super) fn described(&self) -> String {
        let which = match self.protocol {
            Protocol::AppService { .. } => "identity",
            Protocol::Arc { .. } => "Azure Arc",
            Protocol::Imds => "metadata",
        };
        format!("the {which} endpoint of app {}", self.workload.name())
    }
}
