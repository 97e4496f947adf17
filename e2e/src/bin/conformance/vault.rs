//! The app that the suites run as, and what it may do in a vault: everything.

use e2e::Server;

/// The app's name.
pub(crate) const APP: &str = "conformance";

/// Every verb of every collection, as Azure names them.
const POLICY: [(&str, &str); 3] = [
    ("--secrets", "get,list,set,delete,recover,backup,restore,purge"),
    (
        "--keys",
        "get,list,create,import,update,delete,recover,backup,restore,purge,encrypt,decrypt,sign,verify,wrapKey,unwrapKey,\
         rotate,getrotationpolicy,setrotationpolicy,release",
    ),
    (
        "--certificates",
        "get,list,create,import,update,delete,recover,backup,restore,purge,managecontacts,manageissuers,getissuers,\
         listissuers,setissuers,deleteissuers",
    ),
];

/// Makes the app, with an identity.
pub(crate) fn app(server: &Server) {
    let _said = server.keyless(["app", "create", APP]).ok();
    let _said = server.keyless(["app", "identity", "assign", APP]).ok();
}

/// Makes a vault in which the app may do everything that there is; returns its URL.
pub(crate) fn vault(server: &Server, name: &str) -> String {
    let _said = server.keyless(["vault", "create", name]).ok();
    let help = server.keyless(["vault", "policy", "set", "--help"]).ok();
    let mut command = server.command(["vault", "policy", "set", name, "--app", APP]);
    for (flag, verbs) in POLICY {
        // Tolerated until all collections are there: a flag that the command does not have. Its tests fail then, each by its name.
        if help.contains(flag) {
            command.args([flag, verbs]);
        }
    }
    let _said = e2e::Ended::from(e2e::wait::output(&mut command, b"")).ok();
    server.vault_url(name)
}
