//! `keyless az`: the person's own Azure CLI, whose cloud is this installation.
//!
//! Owns: the folder in which `az` keeps who is signed in here, apart from the person's real Azure; the cloud "Keyless" in it; the environment
//! that `az` needs; and the process of an `az` that finds our names though nobody else does. Owns not: what the cloud answers (`wire::arm`),
//! nor signing in, which is `az login` as ever.
//!
//! The cloud is written as `az cloud register` writes it (azure-cli 2.91.0, `azure/cli/core/cloud.py`), so that nothing is asked of a server
//! or of Python to set it up.

use crate::{
    Global,
    failure::Failure,
    files::PrivateFile,
    login::kept,
    output::{self, Colour, Format, paint_if},
    run,
    signals::Signals,
    status::Status,
};
use domain::{DomainName, HostNames};
use kernel::Program;
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    io::{self, IsTerminal},
    net::ToSocketAddrs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

/// The cloud's name. Never one that `az` knows: it would take the real one's hosts.
const CLOUD: &str = "Keyless";
const PROGRAM: &str = "az";
/// Where `az` keeps the clouds that it was told of.
const CLOUDS: &str = "clouds.config";
/// What is ours of a cloud's section; the rest of it is what `az` remembers there, such as the subscription.
const OPTIONS: [&str; 3] = ["endpoint_", "suffix_", "profile"];
/// Any of these means that a proxy would be asked for our names, too.
const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    override_usage = "keyless az [OPTIONS] -- ARGUMENTS...\n       keyless az [OPTIONS] setup"
)]
pub(crate) struct Args {
    /// Where `az` keeps its accounts, clouds and tokens [default: a folder for this installation below ~/.local/state/keyless]
    #[arg(long, value_name = "DIR", global = true)]
    config_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
    /// What `az` is told
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub(crate) arguments: Vec<OsString>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Tell a shell how its own `az` finds this installation: eval "$(keyless az setup)"
    Setup,
}

/// What `az` needs to find an installation.
struct Setup {
    status: Status,
    folder: PathBuf,
    variables: Vec<(String, String)>,
}

pub(crate) async fn az(global: &Global, args: Args) -> Result<ExitCode, Failure> {
    let status: Status = global.admin()?.get("/v1/status").await?;
    let names = names(&status)?;
    let folder = match &args.config_dir {
        Some(folder) => std::path::absolute(folder)?,
        None => kept::folder()?.join("az").join(format!("{}_{}", names.domain(), names.port())),
    };
    register(&folder, &names)?;
    let variables = variables(&folder, &status, &names, |name| crate::variable(name)?.into_string().ok());
    let setup = Setup { status, folder, variables };
    match args.command {
        Some(Command::Setup) => {
            tell(&setup, &names, global.output);
            Ok(ExitCode::SUCCESS)
        }
        None => start(&setup, args.arguments).await,
    }
}

fn names(status: &Status) -> Result<HostNames, Failure> {
    let domain = DomainName::parse(&status.domain)
        .map_err(|error| Failure::new(format!("the server's domain is not understood: {error}")))?;
    Ok(HostNames::new(&domain, status.port))
}

/// Writes the cloud into a folder of `az`, unless it is there.
fn register(folder: &Path, names: &HostNames) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        Failure::new(format!("cannot keep what az needs in {}: {error}", folder.display()))
    };
    // Tokens will be in it.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    if fs::metadata(folder).map_err(failed)?.permissions().mode() & 0o077 != 0 {
        // It may be anything that somebody named: not ours to close.
        output::warn(format_args!(
            "other users of this machine can look into {0}, where az keeps its tokens: chmod 700 {0}",
            folder.display()
        ));
    }
    let file = folder.join(CLOUDS);
    let known = match fs::read_to_string(&file) {
        Ok(known) => known,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    let wanted = with_cloud(&known, &cloud(names));
    if wanted == known {
        return Ok(());
    }
    let mut written = PrivateFile::create(&file, true)?;
    written.write(wanted.as_bytes())?;
    written.finish()
}

/// The options of the cloud. The resource manager's URL has its slash: parts of `az` glue paths to it.
fn cloud(names: &HostNames) -> Vec<(&'static str, String)> {
    let (manager, graph) = (names.management_resource(), format!("{}/", names.graph_resource()));
    let vaults = names.vault_resource();
    vec![
        ("profile", "latest".to_owned()),
        ("endpoint_management", manager.clone()),
        ("endpoint_resource_manager", manager.clone()),
        ("endpoint_active_directory", names.login_base()),
        ("endpoint_active_directory_resource_id", manager),
        ("endpoint_active_directory_graph_resource_id", graph.clone()),
        ("endpoint_microsoft_graph_resource_id", graph),
        ("endpoint_app_service_resource_id", names.deployment_resource()),
        ("endpoint_portal", names.login_base()),
        ("suffix_keyvault_dns", format!(".{}", vaults.strip_prefix("https://").unwrap_or(&vaults))),
    ]
}

/// The file with the cloud as it should be, and everything else as it is.
fn with_cloud(known: &str, cloud: &[(&str, String)]) -> String {
    let (mut text, mut kept) = (String::new(), String::new());
    let mut is_in_it = false;
    for line in known.lines() {
        let said = line.trim();
        if said.starts_with('[') {
            is_in_it = said == format!("[{CLOUD}]");
        }
        match is_in_it {
            false => text.extend([line, "\n"]),
            // Its own line is written below.
            true if said.starts_with('[') || said.is_empty() => {}
            true if OPTIONS.iter().any(|option| said.starts_with(option)) => {}
            true => kept.extend([line, "\n"]),
        }
    }
    if !text.is_empty() && !text.ends_with("\n\n") {
        text.push('\n');
    }
    text.push_str(&format!("[{CLOUD}]\n"));
    for (option, value) in cloud {
        text.push_str(&format!("{option} = {value}\n"));
    }
    text + &kept + "\n"
}

/// The environment that makes `az` find the cloud, trust it, and ask nobody else. `set` says what a variable is now.
fn variables(
    folder: &Path,
    status: &Status,
    names: &HostNames,
    set: impl Fn(&str) -> Option<String>,
) -> Vec<(String, String)> {
    // Beside the hosts file: the system's roots and ours.
    let bundle = Path::new(&status.hosts_file).with_file_name(server::trust::BUNDLE).display().to_string();
    let mut variables: Vec<(String, String)> = [
        ("AZURE_CONFIG_DIR", folder.display().to_string()),
        ("AZURE_CLOUD_NAME", CLOUD.to_owned()),
        // It would ask the real login.microsoftonline.com whether ours is an authority.
        ("AZURE_CORE_INSTANCE_DISCOVERY", "false".to_owned()),
        ("AZURE_CORE_COLLECT_TELEMETRY", "false".to_owned()),
        ("REQUESTS_CA_BUNDLE", bundle.clone()),
        // `az webapp log tail` reads this one.
        ("SSL_CERT_FILE", bundle),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if PROXIES.iter().any(|name| set(name).is_some()) {
        for (name, other) in [("NO_PROXY", "no_proxy"), ("no_proxy", "NO_PROXY")] {
            let said = |name| set(name).filter(|hosts| !hosts.is_empty());
            let known = said(name).or_else(|| said(other)).unwrap_or_default();
            let own = format!(".{}", names.domain());
            let is_told = known.split(',').any(|host| host.trim() == own);
            let hosts = [known.as_str(), own.as_str()];
            let hosts = hosts.into_iter().filter(|host| !host.is_empty()).collect::<Vec<_>>().join(",");
            variables.push((name.to_owned(), if is_told { known } else { hosts }));
        }
    }
    variables
}

/// The environment for a shell on stdout, and what else a person should know on stderr.
fn tell(setup: &Setup, names: &HostNames, format: Format) {
    match format {
        Format::Json => output::json(&setup.variables.iter().cloned().collect::<BTreeMap<_, _>>()),
        Format::Table => {
            for (name, value) in &setup.variables {
                output::line(format_args!("export {name}={}", quoted(value)));
            }
        }
    }
    let is_terminal = io::stderr().is_terminal();
    let dim = |text: &str| paint_if(is_terminal, Colour::Dim, text);
    output::note(format_args!(
        "{} az keeps what is of this installation in {}",
        dim("keyless:"),
        setup.folder.display()
    ));
    if io::stdout().is_terminal() {
        output::note(format_args!("{} for this shell: eval \"$(keyless az setup)\"", dim("keyless:")));
    }
    output::note(format_args!("{} then: az login --tenant {}", dim("keyless:"), setup.status.tenant));
    let manager = names.management_host();
    if (manager.as_str(), names.port()).to_socket_addrs().is_err() {
        output::warn(format_args!(
            "{manager} is not found by this machine: put it, the names beside it and *.vault and *.apps below {} into DNS, or use \
             `keyless az -- ARGUMENTS`, which finds them without",
            names.domain()
        ));
    }
    if find(crate::variable("PATH").as_deref()).is_none() {
        output::warn(format_args!("there is no az in PATH; {INSTALL}"));
    }
}

const INSTALL: &str =
    "to install it: https://learn.microsoft.com/cli/azure/install-azure-cli, or `pip install azure-cli`";

/// A word of POSIX shells that means this very text.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Where `az` is.
fn find(path: Option<&OsStr>) -> Option<PathBuf> {
    let is_program = |file: &PathBuf| {
        fs::metadata(file)
            .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(path?).map(|folder| folder.join(PROGRAM)).find(is_program)
}

/// Runs `az` to its end, in a view of its own of who has which name.
async fn start(setup: &Setup, arguments: Vec<OsString>) -> Result<ExitCode, Failure> {
    let Some(program) = find(crate::variable("PATH").as_deref()) else {
        return Err(Failure::new("there is no az in PATH").next(INSTALL).code(run::NOT_FOUND));
    };
    let is_replaced = |name: &OsStr| setup.variables.iter().any(|(set, _)| OsStr::new(set) == name);
    let mut environment: Vec<(OsString, OsString)> =
        std::env::vars_os().filter(|(name, _)| !is_replaced(name)).collect();
    environment.extend(setup.variables.iter().map(|(name, value)| (name.into(), value.into())));
    let hosts = PathBuf::from(&setup.status.hosts_file);
    let program = Program {
        arguments: [program.into()].into_iter().chain(arguments).collect(),
        environment,
        hosts: hosts.exists().then_some(hosts),
        ..Program::default()
    };
    // Caught from here on: whoever stops us stops it.
    let mut signals = Signals::catch()?;
    let child = Arc::new(run::spawn_by(program, false, kernel::spawn)?);
    Ok(run::status_of(run::wait(&child, &mut signals).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation() -> HostNames {
        HostNames::new(&DomainName::parse("x.example").unwrap(), 8443)
    }

    #[test]
    fn a_cloud_is_written_beside_what_is_there() {
        let cloud = cloud(&installation());
        let fresh = with_cloud("", &cloud);
        assert!(fresh.starts_with("[Keyless]\nprofile = latest\n"), "{fresh}");
        for line in [
            "endpoint_resource_manager = https://management.x.example:8443/",
            "endpoint_active_directory = https://login.x.example:8443",
            "endpoint_microsoft_graph_resource_id = https://graph.x.example:8443/",
            "endpoint_app_service_resource_id = https://appservice.x.example:8443",
            "suffix_keyvault_dns = .vault.x.example:8443",
        ] {
            assert!(fresh.lines().any(|found| found == line), "{line}: {fresh}");
        }
        assert_eq!(with_cloud(&fresh, &cloud), fresh);
        let other = "[AzureCloud]\nsubscription = s-1\n\n[Keyless]\nendpoint_portal = https://old/\nsubscription = s-2\n\n[Mine]\n\
                     endpoint_portal = https://mine/\n";
        let both = with_cloud(other, &cloud);
        assert!(both.starts_with(
            "[AzureCloud]\nsubscription = s-1\n\n[Mine]\nendpoint_portal = https://mine/\n\n[Keyless]\n"
        ));
        assert!(both.ends_with("\nsubscription = s-2\n\n") && !both.contains("https://old/"), "{both}");
        assert_eq!(with_cloud(&both, &cloud), both);
    }

    #[test]
    fn a_shell_takes_a_value_as_it_is() {
        for value in ["/a b/$HOME", "it's `id`", ""] {
            let script = format!("printf %s {}", quoted(value));
            let told = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&told.stdout), value);
        }
    }

    #[test]
    fn only_a_program_is_az() {
        let folder = std::env::temp_dir().join(format!("keyless-az-{}", std::process::id()));
        let file = folder.join(PROGRAM);
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(find(None), None);
        fs::write(&file, "").unwrap();
        let path = std::env::join_paths(["/nowhere", folder.to_str().unwrap()]).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(find(Some(&path)), None);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find(Some(&path)), Some(file));
        fs::remove_dir_all(folder).unwrap();
    }
}
