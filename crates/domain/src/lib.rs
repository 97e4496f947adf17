//! The nouns and their rules: what a tenant, principal, app, vault and secret *are*, with no way to store, send or time them.
//!
//! Owns: ids, names, `Secret<T>`, `Timestamp`, limits, and the two traits (`Clock`, `Entropy`) by which the world is handed in.
//! Owns not: any I/O, clock, random source, HTTP or serialization format of a protocol.
//! Invariant: this crate depends on none of ours and on nothing asynchronous.
#![forbid(unsafe_code)]

pub mod causes;
pub mod hosts;
pub mod ids;
pub mod limits;
pub mod name;
pub mod object;
pub mod permission;
pub mod placement;
pub mod secret;
pub mod text;
pub mod time;
pub mod world;

pub use causes::chain;
pub use hosts::{HostNames, HostRole};
pub use ids::{
    AppId, AssignmentId, AttachmentId, ChallengeId, ClientId, CredentialId, DeploymentId, GroupId, ObjectId,
    ObjectVersion, PlanId, PrincipalId, RefreshFamilyId, RegistrationId, RequestId, ResourceGroupId, RoleId,
    SessionId, SubscriptionId, TenantId, VaultId, WorkloadId,
};
pub use name::{
    AppName, DomainName, IdentityName, Location, NameError, ObjectName, PlanName, ResourceGroupName,
    UserName, VaultName,
};
pub use object::ObjectKind;
pub use permission::{
    CertificatePermission, CertificatePermissions, KeyPermission, KeyPermissions, Permission, Permissions,
    SecretPermission, SecretPermissions, StoragePermission, StoragePermissions, VerbSet,
};
pub use placement::{Placement, Tags};
pub use secret::{Secret, SecretStr};
pub use time::Timestamp;
pub use world::{Clock, Entropy, Workers};
