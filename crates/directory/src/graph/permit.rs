//! Who may do what in the directory by Microsoft Graph (ADR 0018).
//!
//! Owns: the rights, which app roles and scopes give them, and [`GraphPermit`], which only a decision about a caller in its own view makes.
//! A token's word counts for nothing that the records do not say too: an application has the roles that it is assigned now, a user is an
//! administrator if the record says so now.

use super::GraphError;
use crate::{DirectoryError, Registration, User, app_role};
use access::{Caller, Principal, PrincipalKind};
use domain::PrincipalId;
use std::{fmt, sync::Arc};
use store::{Halt, View, refuse};

/// A kind of thing that can be done by Graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Reading registrations and service principals.
    ReadApplications,
    /// Changing them, and their credentials.
    WriteApplications,
    /// Reading users.
    ReadUsers,
    /// Making, changing and deleting users.
    WriteUsers,
    /// Reading groups and who is in them.
    ReadGroups,
    /// Making, changing and deleting groups.
    WriteGroups,
    /// Saying who is in a group.
    WriteMembers,
    /// Giving and taking app roles.
    AssignRoles,
    /// Giving and taking consent for others.
    WriteConsents,
    /// Reading what is of no kind above: the organization, objects of unknown kind.
    ReadDirectory,
    /// Reading oneself.
    ReadSelf,
    /// Changing one's own password, ending one's own sign-ins.
    ChangeSelf,
}

/// Everything by which an application may read.
const READ_ALL: [&str; 2] = ["Directory.Read.All", "Directory.ReadWrite.All"];
/// A client that may do whatever the user may.
const AS_USER: &str = "Directory.AccessAsUser.All";

impl Right {
    const ALL: [Self; 12] = [
        Self::ReadApplications,
        Self::WriteApplications,
        Self::ReadUsers,
        Self::WriteUsers,
        Self::ReadGroups,
        Self::WriteGroups,
        Self::WriteMembers,
        Self::AssignRoles,
        Self::WriteConsents,
        Self::ReadDirectory,
        Self::ReadSelf,
        Self::ChangeSelf,
    ];

    /// The app roles and scopes that give it, the least of them first.
    #[must_use]
    pub const fn given_by(self) -> &'static [&'static str] {
        match self {
            Self::ReadApplications => &["Application.Read.All", "Application.ReadWrite.All"],
            Self::WriteApplications => &["Application.ReadWrite.All"],
            Self::ReadUsers => &["User.ReadBasic.All", "User.Read.All", "User.ReadWrite.All"],
            Self::WriteUsers => &["User.ReadWrite.All", "Directory.ReadWrite.All"],
            Self::ReadGroups => &[
                "GroupMember.Read.All",
                "GroupMember.ReadWrite.All",
                "Group.Read.All",
                "Group.ReadWrite.All",
            ],
            Self::WriteGroups => &["Group.ReadWrite.All", "Directory.ReadWrite.All"],
            Self::WriteMembers => {
                &["GroupMember.ReadWrite.All", "Group.ReadWrite.All", "Directory.ReadWrite.All"]
            }
            Self::AssignRoles => &["AppRoleAssignment.ReadWrite.All"],
            Self::WriteConsents => &["DelegatedPermissionGrant.ReadWrite.All"],
            Self::ReadDirectory => &[
                "User.Read",
                "User.Read.All",
                "User.ReadWrite.All",
                "Group.Read.All",
                "Group.ReadWrite.All",
                "Application.Read.All",
                "Application.ReadWrite.All",
            ],
            Self::ReadSelf => &["User.Read", "User.ReadBasic.All", "User.Read.All", "User.ReadWrite.All"],
            Self::ChangeSelf => &["User.ReadWrite.All"],
        }
    }

    const fn is_read(self) -> bool {
        matches!(
            self,
            Self::ReadApplications
                | Self::ReadUsers
                | Self::ReadGroups
                | Self::ReadDirectory
                | Self::ReadSelf
        )
    }

    /// May every user do this, with a client that may?
    const fn is_everybodys(self) -> bool {
        self.is_read() || matches!(self, Self::ChangeSelf)
    }

    const fn is_of_self(self) -> bool {
        matches!(self, Self::ReadSelf | Self::ChangeSelf)
    }

    fn is_given_by(self, name: &str) -> bool {
        self.given_by().contains(&name) || self.is_read() && READ_ALL.contains(&name)
    }
}

/// Proof that a caller may do something, now. Its decision holds it.
#[derive(Clone, Debug)]
pub struct GraphPermit {
    principal: Arc<Principal>,
    right: Right,
    because: Because,
    /// The roles that an application has at Graph.
    roles: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Because {
    Administrator,
    User,
    Role(&'static str),
}

impl GraphPermit {
    /// Who acts.
    #[must_use]
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// Does an administrator act?
    #[must_use]
    pub fn is_administrators(&self) -> bool {
        self.because == Because::Administrator
    }

    /// What was permitted.
    #[must_use]
    pub const fn right(&self) -> Right {
        self.right
    }
}

/// Why it is permitted, for the audit log.
impl fmt::Display for GraphPermit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.because {
            Because::Administrator => formatter.write_str("an administrator of the directory"),
            Because::User if self.right.is_of_self() => {
                formatter.write_str("users may do this to themselves")
            }
            Because::User => formatter.write_str("users may read this"),
            Because::Role(role) => write!(formatter, "app role {role}"),
        }
    }
}

/// May the caller? All that is asked is read in this view.
pub(crate) fn permit(
    view: &View,
    caller: &Caller,
    right: Right,
    administrator: PrincipalId,
) -> Result<GraphPermit, Halt<DirectoryError>> {
    let gone = |why| refuse(GraphError::CallerGone { why }.into());
    let Some(principal) = view.get::<Principal>(&caller.principal())? else {
        return gone("its principal is gone");
    };
    if !principal.enabled {
        return gone("its principal is disabled");
    }
    if principal.revocations.refuse_caller(caller) {
        return gone("the token was revoked");
    }
    let is_user = principal.kind == PrincipalKind::User;
    match caller.scopes() {
        Some(mut scopes) if is_user => {
            if !scopes.any(|scope| right.is_given_by(scope) || scope == AS_USER) {
                return refuse(GraphError::Denied { needs: right }.into());
            }
            let user = view.get::<User>(&principal.id)?;
            let is_administrator =
                principal.id == administrator || user.is_some_and(|user| user.administers(administrator));
            let because = match is_administrator {
                true => Because::Administrator,
                false if right.is_everybodys() => Because::User,
                false => return refuse(GraphError::NotAdministrator.into()),
            };
            Ok(GraphPermit { principal, right, because, roles: Vec::new() })
        }
        None if !is_user => {
            if right.is_of_self() {
                return refuse(GraphError::NoUser.into());
            }
            let roles = app_role::at_graph(view, principal.id)?;
            match roles.iter().find(|role| right.is_given_by(role)) {
                Some(role) => {
                    let because = Because::Role(role);
                    Ok(GraphPermit { principal, right, because, roles })
                }
                None => refuse(GraphError::Denied { needs: right }.into()),
            }
        }
        // A user's token without scopes, or the reverse: none that we make for Graph.
        _ => refuse(GraphError::Denied { needs: right }.into()),
    }
}

impl GraphPermit {
    /// Nobody gets at more than he has by way of an application: who changes one, or adds what it proves itself by, has its roles at Graph.
    pub(crate) fn over_application(
        &self,
        view: &View,
        registration: &Registration,
    ) -> Result<(), Halt<DirectoryError>> {
        if self.is_administrators() {
            return Ok(());
        }
        let held = app_role::at_graph(view, registration.principal)?;
        match held.iter().find(|role| !self.has_all_of(role)) {
            None => Ok(()),
            Some(role) => refuse(GraphError::AboveCaller { what: "the application", has: role }.into()),
        }
    }

    /// Do the caller's own roles give every right that this one gives?
    fn has_all_of(&self, role: &str) -> bool {
        let is_given = |right: &Right| self.roles.iter().any(|own| right.is_given_by(own));
        Right::ALL.iter().filter(|right| right.is_given_by(role)).all(is_given)
    }

    /// Only administrators change administrators.
    pub(crate) fn over_user(
        &self,
        user: &User,
        administrator: PrincipalId,
    ) -> Result<(), Halt<DirectoryError>> {
        if self.is_administrators() || !user.administers(administrator) {
            return Ok(());
        }
        refuse(GraphError::AboveCaller { what: "the user", has: "an administrator's rank" }.into())
    }

    /// Nobody gives himself anything.
    pub(crate) fn not_for_itself(&self, subject: PrincipalId) -> Result<(), Halt<DirectoryError>> {
        if self.is_administrators() || subject != self.principal.id {
            return Ok(());
        }
        refuse(GraphError::ForItself.into())
    }

    /// What is given of Graph, the giver has.
    pub(crate) fn has_role(&self, role: Option<&'static str>) -> Result<(), Halt<DirectoryError>> {
        match role {
            Some(role) if !self.is_administrators() && !self.has_all_of(role) => {
                refuse(GraphError::AboveCaller { what: "the role", has: role }.into())
            }
            _ => Ok(()),
        }
    }
}
