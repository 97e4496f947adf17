//! The `keyless` command: one file for each of its words.
//!
//! Owns: arguments, output, exit statuses, and the processes that `run` starts. Owns not: decisions; it is a client of the server,
//! of the administrator's socket and of the same Key Vault API that apps use.
#![forbid(unsafe_code)]

mod access;
mod admin;
mod app;
mod apply;
mod attach;
mod attributes;
mod audit;
mod az;
mod certificate;
mod clock;
mod collection;
mod demo;
mod doctor;
mod failure;
mod federated;
mod files;
mod group;
mod host;
mod https;
mod identity;
mod key;
mod keyvault;
mod login;
mod lookup;
mod objects;
mod outpost;
mod output;
mod place;
mod principal;
mod recover;
mod registration;
mod role;
mod run;
mod secret;
mod service;
mod signals;
mod signing_key;
mod status;
mod time;
mod up;
mod user;
mod vault;
mod verify;
mod whom;
mod within;

use admin::Admin;
use clap::{Args, Parser, Subcommand};
use failure::Failure;
use output::Format;
use server::{Config, Layout, Sources};
use std::{ffi::OsStr, path::PathBuf, pin::Pin, process::ExitCode};

/// A tenth of what answering a request costs is the system's allocator; this one's share is half of that (docs/benchmarks.md). It asks for no huge
/// pages (`no_thp`): what each thread's heap has just begun to use would be resident in pieces of 2 MiB.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Apps that need no secret to get their secrets.
#[derive(Debug, Parser)]
#[command(
    name = "keyless",
    version,
    about,
    max_term_width = 110,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command knows.
#[derive(Debug, Args)]
struct Global {
    /// The data directory [default: /var/lib/keyless for root, else ~/.local/share/keyless; KEYLESS_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    data_dir: Option<PathBuf>,
    /// The configuration file [env: KEYLESS_CONFIG]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    config: Option<PathBuf>,
    /// How answers are printed
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "table|json",
        help_heading = "Everywhere"
    )]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server in the foreground
    Up(up::Args),
    /// Run a program as an app: with an identity, and without a secret
    Run(run::Args),
    /// Run the Azure CLI with this installation as its cloud
    Az(az::Args),
    /// Give an identity to something that runs already: a process, a unit of systemd, a container
    Attach(attach::Attach),
    /// Take it away again
    Detach(attach::Detach),
    /// Make all that a file says: apps, identities, vaults, who may do what, secrets
    ///
    /// What is there and as the YAML file says is left alone, so that it can be run again at any time. What the file does not name is never
    /// removed and stays as it is. What it says of one thing is all of it, and the plan says what goes: the policy of somebody, a federated
    /// credential, the URIs of a registration, the tags of a secret, `allow_ip`. Values of secrets are in files of
    /// their own, which it names by `from_file`, relative to itself. An example: docs/operate, Declarative set-up.
    Apply(apply::Args),
    /// Apps and their identities
    #[command(subcommand)]
    App(app::Command),
    /// Managed identities that several apps may have
    #[command(subcommand)]
    Identity(identity::Command),
    /// Vaults, and who may do what in them
    #[command(subcommand)]
    Vault(vault::Command),
    /// Who may do what, by which rule, and why not
    #[command(subcommand)]
    Access(access::Command),
    /// Roles: who may manage what, and use what is in vaults that go by roles
    #[command(subcommand)]
    Role(role::Command),
    /// Secrets of a vault
    #[command(subcommand)]
    Secret(secret::Command),
    /// Keys of a vault: made there, used there
    #[command(subcommand)]
    Key(key::Command),
    /// Certificates of a vault, each with its key and secret
    #[command(subcommand)]
    Certificate(certificate::Command),
    /// App registrations and their client secrets
    #[command(subcommand)]
    AppRegistration(registration::Command),
    /// People who sign in: their passwords and second factors
    #[command(subcommand)]
    User(user::Command),
    /// Groups, which rules may name, and who is in them
    #[command(subcommand)]
    Group(group::Command),
    /// Acting identities: look, disable, enable
    #[command(subcommand)]
    Principal(principal::Command),
    /// The keys that sign the directory's tokens: look, roll, revoke
    #[command(subcommand)]
    SigningKey(signing_key::Command),
    /// Log in as yourself: by a browser, or by a code that you type into one
    Login(login::Args),
    /// Log out on this machine
    Logout,
    /// Tokens of whoever is logged in, as far as they may be shown
    #[command(subcommand)]
    Token(login::TokenCommand),
    /// Read or verify the audit log
    #[command(subcommand)]
    Audit(audit::Command),
    /// Find any damage to the store and the audit log, while no server runs
    Verify,
    /// The server's clock: what time it is, and time travel for tests
    #[command(subcommand)]
    Clock(clock::Command),
    /// What runs, and what the kernel enforces
    Status(status::Args),
    /// The server as a service of systemd
    #[command(subcommand)]
    Service(service::Command),
    /// What is missing, and how to mend it
    Doctor,
    /// Prove the recovery key; make a lost key file anew, or change to a passphrase
    Recover(recover::Args),
    /// The whole story in a minute, with real parts
    Demo(demo::Args),
    /// The version
    Version,
    /// What the server starts apps by, where it is no root
    #[command(hide = true)]
    Within(within::Args),
    /// What makes the sockets in the network of an ordinary user's container
    #[command(hide = true)]
    Outpost,
    /// What the server learns by what apps can be given where it is
    #[command(hide = true, name = server::installation::PROBE)]
    Probe,
}

impl Global {
    /// Where settings come from, with these flags over them.
    fn sources(&self, mut flags: Vec<(&'static str, String)>) -> Result<Sources, Failure> {
        if let Some(path) = &self.data_dir {
            let absolute = std::path::absolute(path)?;
            let text = absolute
                .to_str()
                .ok_or_else(|| Failure::new("--data-dir is not valid UTF-8").code(failure::USAGE))?;
            flags.push(("data_dir", text.to_owned()));
        }
        Ok(Sources::of_this_process(self.config.clone(), flags))
    }

    /// The configuration, with these flags over it.
    fn config(&self, flags: Vec<(&'static str, String)>) -> Result<Config, Failure> {
        Ok(Config::load(&self.sources(flags)?)?)
    }

    /// The running server.
    fn admin(&self) -> Result<Admin, Failure> {
        let sources = self.sources(Vec::new())?;
        let admin = Admin::new(Layout::of(Config::load(&sources)?.data_dir));
        Ok(if sources.names_data_dir() { admin.named() } else { admin })
    }

    /// The server whose data directory was said for this command, if one was.
    fn named_admin(&self) -> Result<Option<Admin>, Failure> {
        let is_named = self.sources(Vec::new())?.names_data_dir();
        if is_named { self.admin().map(Some) } else { Ok(None) }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Up(args) => up::up(&cli.global, &args).map(|()| ExitCode::SUCCESS),
        Command::Demo(args) => demo::demo(&args).map(|()| ExitCode::SUCCESS),
        Command::Within(args) => within::within(args),
        Command::Outpost => outpost::outpost(),
        Command::Probe => {
            output::json(&server::installation::hosting_facts());
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(args) => block_on(run::run(&cli.global, args)),
        Command::Az(args) => block_on(az::az(&cli.global, args)),
        other => block_on(command(&cli.global, other)).map(|()| ExitCode::SUCCESS),
    };
    let done = done.and_then(|code| match output::is_cut() {
        // A secret that is shown once, or half of a value: nobody may take that for all of it.
        true => {
            Err(Failure::new("not all of the answer could be written: what it went to is full or broken"))
        }
        false => Ok(code),
    });
    done.unwrap_or_else(|failure| {
        let is_coloured = std::io::IsTerminal::is_terminal(&std::io::stderr());
        output::note(format_args!(
            "{} {failure}",
            output::paint_if(is_coloured, output::Colour::Bad, "keyless:")
        ));
        ExitCode::from(failure.exit_code())
    })
}

async fn command(global: &Global, command: Command) -> Result<(), Failure> {
    match command {
        Command::Attach(args) => attach::attach(global, args).await,
        Command::Detach(args) => attach::detach(&global.admin()?, args).await,
        Command::Apply(args) => apply::apply(&global.admin()?, global.output, &args).await,
        Command::App(command) => app::app(&global.admin()?, global.output, command).await,
        Command::Identity(command) => identity::identity(&global.admin()?, global.output, command).await,
        Command::Vault(command) => vault::vault(&global.admin()?, global.output, command).await,
        Command::Access(command) => access::access(&global.admin()?, global.output, command).await,
        Command::Role(command) => role::role(&global.admin()?, global.output, command).await,
        Command::Clock(command) => clock::clock(&global.admin()?, global.output, command).await,
        Command::Secret(command) => secret::secret(&global.admin()?, global.output, command).await,
        Command::Certificate(command) => {
            certificate::certificate(&global.admin()?, global.output, command).await
        }
        Command::Key(command) => key::key(&global.admin()?, global.output, command).await,
        Command::AppRegistration(command) => {
            registration::registration(&global.admin()?, global.output, command).await
        }
        Command::User(command) => user::user(&global.admin()?, global.output, command).await,
        Command::Group(command) => group::group(&global.admin()?, global.output, command).await,
        Command::Principal(command) => principal::principal(&global.admin()?, global.output, command).await,
        Command::SigningKey(command) => {
            signing_key::signing_key(&global.admin()?, global.output, command).await
        }
        Command::Login(args) => login::login(global, args).await,
        Command::Logout => login::logout(global).await,
        Command::Token(command) => login::show(global, command).await,
        Command::Audit(command) => audit::audit(global, command).await,
        Command::Verify => verify::verify(global).await,
        Command::Status(args) => status::status(&global.admin()?, global.output, &args).await,
        Command::Service(command) => service::service(global, command),
        Command::Doctor => doctor::doctor(global).await,
        Command::Recover(args) => recover::recover(global, &args).await,
        Command::Version => {
            version(global.output);
            Ok(())
        }
        // Each has a way of its own in `main`.
        Command::Up(_)
        | Command::Run(_)
        | Command::Az(_)
        | Command::Demo(_)
        | Command::Within(_)
        | Command::Outpost
        | Command::Probe => Ok(()),
    }
}

fn version(format: Format) {
    let version = env!("CARGO_PKG_VERSION");
    match format {
        Format::Table => output::line(format_args!("keyless {version}")),
        Format::Json => output::json(&serde_json::json!({"version": version})),
    }
}

/// Runs a client's work on this thread.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // Behind a pointer: the runtime's own ways to wait, of which there are two, are then not compiled around each work.
    let work: Pin<Box<dyn Future<Output = Result<T, Failure>> + '_>> = Box::pin(work);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// A variable of this process's environment.
#[expect(clippy::disallowed_methods, reason = "the command line reads its own environment, here")]
fn variable(name: impl AsRef<OsStr>) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn misuse_is_status_two() {
        for misused in [
            &["keyless", "frobnicate"][..],
            &["keyless", "run", "--app", "web"],
            &["keyless", "run", "--app", "not a name", "--", "true"],
            &["keyless", "app", "show"],
            &["keyless", "az", "group", "list"],
            &["keyless", "status", "-o", "xml"],
            &["keyless", "up", "--port", "high"],
        ] {
            let error = Cli::try_parse_from(misused).unwrap_err();
            assert_eq!(error.exit_code(), i32::from(failure::USAGE), "{misused:?}");
        }
    }

    #[test]
    fn a_program_keeps_its_own_flags() {
        let cli = Cli::try_parse_from(["keyless", "run", "--app", "web", "--", "prog", "-o", "x", "--help"])
            .unwrap();
        let Command::Run(args) = cli.command else { panic!("it is run") };
        assert_eq!(args.program, ["prog", "-o", "x", "--help"]);
        let cli = Cli::try_parse_from(["keyless", "az", "--", "group", "list", "-o", "tsv"]).unwrap();
        let Command::Az(args) = cli.command else { panic!("it is az") };
        assert_eq!(args.arguments, ["group", "list", "-o", "tsv"]);
    }
}
