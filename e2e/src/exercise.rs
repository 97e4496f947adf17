//! Microsoft Learn's exercise "Manage secrets in your server apps with Azure Key Vault", as `az` is told it after login: one step a line, in order.
//!
//! What each step does is asserted by its scenario, and how long all of them take is measured by `cargo xtask bench`.

/// What the app's secret is.
pub const SECRET: &str = "reindeer_flotilla";

/// The steps. `PRINCIPAL` is that of the identity that was assigned, `ZIP` the package's path.
pub const STEPS: [&str; 15] = [
    "group create -n learn -l eastus",
    "keyvault create -g learn -n secrets -l eastus --enable-rbac-authorization false",
    "keyvault secret set --vault-name secrets --name SecretPassword --value reindeer_flotilla",
    "appservice plan create -n plan -g learn --sku FREE -l eastus",
    "webapp create -n web -g learn --plan plan --runtime PYTHON:3.12",
    "webapp config appsettings set -g learn -n web --settings VaultName=secrets VERSION_OF=7",
    "webapp identity assign -g learn -n web",
    "keyvault set-policy -n secrets --object-id PRINCIPAL --secret-permissions get list",
    "webapp deployment source config-zip -g learn -n web --src ZIP",
    "webapp show -g learn -n web",
    "webapp identity remove -g learn -n web",
    "webapp delete -g learn -n web",
    "keyvault delete -g learn -n secrets",
    "keyvault purge -n secrets",
    "group delete -n learn -y",
];
