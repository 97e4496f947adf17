//! What scopes mean, in words for the consent page. The names of scopes are told beside them: words of ours for somebody else's scope could
//! be wrong.

use directory::{
    Audience,
    audience::Resource,
    consent::{Asked, AskedOf},
};

/// One thing that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// What it means.
    pub(super) words: String,
    /// Its name.
    pub(super) name: String,
}

/// What is asked for, with what it means.
pub(super) fn wishes(audience: &Audience, asked: &Asked) -> Vec<Wish> {
    let openid =
        asked.openid.iter().map(|&name| Wish { words: of_openid(name).to_owned(), name: name.to_owned() });
    let of_resource =
        asked.scopes.iter().map(|name| Wish { words: of_scope(audience, name), name: name.clone() });
    openid.chain(of_resource).collect()
}

/// The same at several resources.
pub(super) fn wishes_of(all: &[AskedOf]) -> impl Iterator<Item = Wish> {
    all.iter().flat_map(|one| wishes(&one.audience, &one.asked))
}

fn of_openid(name: &str) -> &'static str {
    match name {
        "openid" => "Know that it is you who signs in",
        "profile" => "See your name",
        "email" => "See your mail address",
        _ => "Go on doing so while you are away, until you change your password or an administrator ends it",
    }
}

fn of_scope(audience: &Audience, name: &str) -> String {
    match &audience.resource {
        Resource::Vaults => "Use secrets, keys and certificates in all vaults as you may".to_owned(),
        Resource::Graph => of_graph(name).to_owned(),
        Resource::Management => "Manage resources as you may".to_owned(),
        Resource::Deployment => "Deploy to apps as you may".to_owned(),
        Resource::Registered(registration) => {
            let scope = registration.scopes.iter().find(|scope| scope.value == name);
            let described = scope.map(|scope| scope.description.trim()).filter(|text| !text.is_empty());
            let at = &registration.display_name;
            described.map_or_else(|| format!("Use {at} in your name"), |text| format!("{text} ({at})"))
        }
    }
}

/// Microsoft Graph permissions reference, as far as our Graph does it.
fn of_graph(name: &str) -> &'static str {
    match name {
        "User.Read" => "Read your profile in the directory",
        "User.ReadBasic.All" => "Read the names of all users",
        "User.Read.All" => "Read all users",
        "User.ReadWrite.All" => "Read and change all users, as you may",
        "Group.Read.All" => "Read all groups",
        "Group.ReadWrite.All" => "Read and change all groups, as you may",
        "GroupMember.Read.All" => "Read who is in which group",
        "GroupMember.ReadWrite.All" => "Change who is in which group, as you may",
        "Application.Read.All" => "Read all app registrations",
        "Application.ReadWrite.All" => "Read and change all app registrations, as you may",
        "AppRoleAssignment.ReadWrite.All" => "Change which app has which role, as you may",
        "DelegatedPermissionGrant.ReadWrite.All" => "Change what apps may do in users' names, as you may",
        "Directory.Read.All" => "Read the whole directory",
        "Directory.ReadWrite.All" => "Read and change the whole directory, as you may",
        "Directory.AccessAsUser.All" => "Do in the directory whatever you may do",
        _ => "Use the directory in your name",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use directory::graph::builtin::GRAPH_SCOPES;

    #[test]
    fn each_scope_of_graph_has_words_of_its_own() {
        let mut said: Vec<_> = GRAPH_SCOPES.iter().map(|(_, name)| of_graph(name)).collect();
        said.push(of_graph("another"));
        said.sort_unstable();
        assert!(said.windows(2).all(|two| two[0] != two[1]), "{said:?}");
    }
}
