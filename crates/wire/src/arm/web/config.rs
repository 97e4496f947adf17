//! `config/…` of a site but for settings: what really changes how an app runs (its command, how often it runs, its health check), and values
//! that are told again as they were said.

use super::{
    super::{
        answer,
        error::ArmError,
        list as listed, said,
        said::{NOTHING, Said},
    },
    Here, Part, settings,
};
use access::Manager;
use axum::{body::Body, response::Response};
use domain::Tags;
use host::{App, AppView, Change, Desired, Health, Run, Site, SiteValue, WantedIdentities, Which, Whole};
use http::StatusCode;
use resource::SiteChange;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Changing the configuration.
pub(super) const CONFIG_WRITE: &str = "Microsoft.Web/sites/config/write";
/// Reading it, as far as it is no secret.
const CONFIG_READ: &str = "Microsoft.Web/sites/config/read";
/// Reading all of it.
const CONFIG_LIST: &str = "Microsoft.Web/sites/config/list/Action";

/// Values by where they are kept; `None` takes one away.
pub(super) type Values = BTreeMap<String, Option<SiteValue>>;

/// A value that is told again, and what it is until somebody says it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    name: &'static str,
    until: Until,
}

#[derive(Clone, Copy, Debug)]
enum Until {
    Flag(bool),
    Number(i64),
    Text(&'static str),
    /// A text, and not there.
    Nothing,
}

/// Some of them, and below which name they are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    place: &'static str,
    kept: &'static [Kept],
    promises: &'static [Promise],
}

/// A value that somebody would rely on: what of it is not so here is refused, and neither dropped nor told again as if it were.
#[derive(Clone, Copy, Debug)]
struct Promise {
    name: &'static str,
    is_so: fn(&Said) -> bool,
    why: &'static str,
}

const fn promise(name: &'static str, is_so: fn(&Said) -> bool, why: &'static str) -> Promise {
    Promise { name, is_so, why }
}

fn is_off(said: &Said) -> bool {
    said.flag() == Some(false)
}

/// A text that is one of these, in any case.
fn is_one_of(said: &Said, texts: &[&str]) -> bool {
    said.text().is_some_and(|said| texts.iter().any(|text| text.eq_ignore_ascii_case(said)))
}

fn is_open(said: &Said) -> bool {
    is_one_of(said, &["Enabled", ""])
}

fn is_allowed(said: &Said) -> bool {
    is_one_of(said, &["Allow", ""])
}

/// No rule but the one that stands for there being none.
fn is_for_all(said: &Said) -> bool {
    let is_all = |rule: &Said| {
        rule.member("ipAddress").is_some_and(|from| is_one_of(from, &["Any", "0.0.0.0/0"]))
            && rule.member("action").is_none_or(is_allowed)
    };
    matches!(said, Said::List(rules) if rules.iter().all(is_all))
}

fn is_no_origin(said: &Said) -> bool {
    said.members().is_some()
        && said.member("allowedOrigins").is_none_or(|all| matches!(all, Said::List(all) if all.is_empty()))
}

/// What is below 1.2 is said by old templates; 1.2 is what it is.
fn is_version_of_tls(said: &Said) -> bool {
    is_one_of(said, &["1.0", "1.1", "1.2"])
}

fn is_no_image(said: &Said) -> bool {
    let is_image = |text: &str| {
        let (kind, _) = text.split_once('|').unwrap_or((text, ""));
        ["docker", "compose", "kube", "sitecontainers"].iter().any(|image| image.eq_ignore_ascii_case(kind))
    };
    !said.text().is_some_and(is_image)
}

const NO_RULES: &str = "an app has no network rules of its own, and answers whoever reaches the server";
const TLS: &str = "TLS 1.2 and 1.3 are spoken, and nothing else can be set";
const NO_IMAGE: &str = "an app is made of a container image by `keyless app deploy NAME --image IMAGE`";

const fn flag(name: &'static str, until: bool) -> Kept {
    Kept { name, until: Until::Flag(until) }
}

const fn number(name: &'static str, until: i64) -> Kept {
    Kept { name, until: Until::Number(until) }
}

const fn text(name: &'static str, until: &'static str) -> Kept {
    Kept { name, until: Until::Text(until) }
}

const fn unset(name: &'static str) -> Kept {
    Kept { name, until: Until::Nothing }
}

/// Of the site's own properties.
pub(super) const SITE: Group = Group {
    place: "site",
    kept: &[
        flag("httpsOnly", true),
        flag("clientAffinityEnabled", false),
        flag("clientCertEnabled", false),
        text("clientCertMode", "Required"),
        text("publicNetworkAccess", "Enabled"),
        flag("hostNamesDisabled", false),
    ],
    promises: &[
        promise("publicNetworkAccess", is_open, NO_RULES),
        promise("clientCertEnabled", is_off, "the certificate of a client is asked for by nobody"),
        promise("hostNamesDisabled", is_off, "an app has its name as long as it is there"),
        promise("enabled", |said| said.flag() == Some(true), "an app is switched off by `az webapp stop`"),
    ],
};

/// Of `config/web`.
pub(super) const WEB: Group = Group {
    place: "web",
    kept: &[
        text("linuxFxVersion", ""),
        unset("windowsFxVersion"),
        text("netFrameworkVersion", "v4.0"),
        text("phpVersion", ""),
        text("pythonVersion", ""),
        text("nodeVersion", ""),
        unset("javaVersion"),
        unset("javaContainer"),
        unset("javaContainerVersion"),
        text("powerShellVersion", ""),
        flag("alwaysOn", false),
        flag("http20Enabled", true),
        text("http20ProxyFlag", ""),
        text("minTlsVersion", "1.2"),
        text("scmMinTlsVersion", "1.2"),
        text("ftpsState", "Disabled"),
        flag("webSocketsEnabled", true),
        flag("use32BitWorkerProcess", false),
        text("managedPipelineMode", "Integrated"),
        text("loadBalancing", "LeastRequests"),
        flag("detailedErrorLoggingEnabled", false),
        flag("httpLoggingEnabled", false),
        flag("requestTracingEnabled", false),
        flag("remoteDebuggingEnabled", false),
        flag("autoHealEnabled", false),
        flag("localMySqlEnabled", false),
        flag("vnetRouteAllEnabled", false),
        text("scmType", "None"),
        number("logsDirectorySizeLimit", 35),
        text("ipSecurityRestrictionsDefaultAction", "Allow"),
        text("scmIpSecurityRestrictionsDefaultAction", "Allow"),
        flag("scmIpSecurityRestrictionsUseMain", false),
        flag("acrUseManagedIdentityCreds", false),
    ],
    promises: &[
        promise("publicNetworkAccess", is_open, NO_RULES),
        promise("ipSecurityRestrictions", is_for_all, NO_RULES),
        promise("scmIpSecurityRestrictions", is_for_all, NO_RULES),
        promise("ipSecurityRestrictionsDefaultAction", is_allowed, NO_RULES),
        promise("scmIpSecurityRestrictionsDefaultAction", is_allowed, NO_RULES),
        promise("cors", is_no_origin, "an app answers browsers of other origins by itself"),
        promise("minTlsVersion", is_version_of_tls, TLS),
        promise("scmMinTlsVersion", is_version_of_tls, TLS),
        promise("linuxFxVersion", is_no_image, NO_IMAGE),
        promise("windowsFxVersion", is_no_image, NO_IMAGE),
    ],
};

/// Of `config/metadata`.
const METADATA: Group = Group { place: "metadata", kept: &[unset("CURRENT_STACK")], promises: &[] };

const LOG_LEVEL: &str = "applicationLogs.fileSystem.level";

/// Of `config/logs`, each by the path to it.
pub(super) const LOGS: Group = Group {
    place: "logs",
    kept: &[
        text(LOG_LEVEL, "Off"),
        flag("httpLogs.fileSystem.enabled", false),
        number("httpLogs.fileSystem.retentionInMb", 35),
        number("httpLogs.fileSystem.retentionInDays", 0),
        flag("failedRequestsTracing.enabled", false),
        flag("detailedErrorMessages.enabled", false),
    ],
    promises: &[],
};

/// How many there are.
#[cfg(test)]
pub(super) const KEPT: usize = SITE.kept.len() + WEB.kept.len() + METADATA.kept.len() + LOGS.kept.len();

/// What is said of a group's values. What is null or not said stays; what we do not know is not kept.
pub(super) fn read(group: Group, said: &Said) -> Result<Values, ArmError> {
    for promise in group.promises {
        if said.member(promise.name).is_some_and(|said| !(promise.is_so)(said)) {
            return Err(ArmError::bad_content(format!(
                "{} cannot be so here: {}.",
                promise.name, promise.why
            )));
        }
    }
    let mut values = Values::new();
    for kept in group.kept {
        let found = kept.name.split('.').try_fold(said, |of, name| of.member(name));
        let Some(found) = found else { continue };
        let value = match (kept.until, found) {
            (Until::Flag(_), Said::Flag(flag)) => SiteValue::Flag(*flag),
            (Until::Number(_), Said::Number(number)) if number.as_i64().is_some() => {
                SiteValue::Number(number.as_i64().unwrap_or_default())
            }
            (Until::Text(_) | Until::Nothing, Said::Text(text)) => SiteValue::Text(text.expose().clone()),
            // Unless told which level, `az webapp log config` says whether there is one.
            (Until::Text(_), Said::Flag(is_on)) if kept.name == LOG_LEVEL => {
                SiteValue::Text(if *is_on { "Error" } else { "Off" }.to_owned())
            }
            _ => return Err(ArmError::bad_content(format!("{} is not of its type.", kept.name))),
        };
        values.insert(format!("{}.{}", group.place, kept.name), Some(value));
    }
    Ok(values)
}

/// A group's values as they are told.
pub(super) fn told(group: Group, site: &Site) -> Map<String, Value> {
    let mut told = Value::Object(Map::new());
    for kept in group.kept {
        let value = match site.values.get(&format!("{}.{}", group.place, kept.name)) {
            Some(SiteValue::Flag(flag)) => json!(flag),
            Some(SiteValue::Number(number)) => json!(number),
            Some(SiteValue::Text(text)) => json!(text),
            None => match kept.until {
                Until::Flag(flag) => json!(flag),
                Until::Number(number) => json!(number),
                Until::Text(text) => json!(text),
                Until::Nothing => Value::Null,
            },
        };
        let place = kept.name.split('.').fold(&mut told, |of, name| &mut of[name]);
        *place = value;
    }
    match told {
        Value::Object(told) => told,
        _ => Map::new(),
    }
}

/// `config/web` as it is told.
pub(super) fn web(site: &Site, desired: Option<&Desired>) -> Value {
    let mut web = told(WEB, site);
    let (command, path) = (command(desired), health(desired));
    web.insert("appCommandLine".to_owned(), json!(command.unwrap_or_default()));
    web.insert("healthCheckPath".to_owned(), json!(path));
    web.insert("numberOfWorkers".to_owned(), json!(desired.map_or(1, |desired| desired.instances)));
    web.insert("defaultDocuments".to_owned(), json!([]));
    Value::Object(web)
}

fn command(desired: Option<&Desired>) -> Option<&str> {
    desired.and_then(|desired| desired.command.as_deref())
}

fn health(desired: Option<&Desired>) -> Option<&str> {
    match desired.map(|desired| &desired.health) {
        Some(Health::Path(path)) => Some(path),
        _ => None,
    }
}

/// What is said of how an app runs; what is `None` stays.
#[derive(Debug)]
pub(super) struct Running {
    /// The inner `None`: what the package says.
    command: Option<Option<String>>,
    /// The inner `None`: that it listens.
    health: Option<Option<String>>,
    instances: Option<u16>,
}

/// Reads it from a `siteConfig`.
pub(super) fn running(said: &Said) -> Result<Running, ArmError> {
    let text = |named: &str| match said.member(named).map(Said::text) {
        None => Ok(None),
        Some(Some(text)) => Ok(Some((!text.is_empty()).then(|| text.to_owned()))),
        Some(None) => Err(ArmError::bad_content(format!("{named} is no string."))),
    };
    let instances = match said.member("numberOfWorkers").map(Said::count) {
        None => None,
        // Too many is the host's to refuse.
        Some(Some(count)) => Some(u16::try_from(count).unwrap_or(u16::MAX)),
        Some(None) => return Err(ArmError::bad_content("numberOfWorkers is no number.")),
    };
    Ok(Running { command: text("appCommandLine")?, health: text("healthCheckPath")?, instances })
}

impl Running {
    const fn is_said(&self) -> bool {
        self.command.is_some() || self.health.is_some() || self.instances.is_some()
    }

    /// What of it is another than what is desired, if anything is.
    fn change(&self, desired: Option<&Desired>) -> Option<Change> {
        let command = self.command.clone().filter(|wanted| wanted.as_deref() != command(desired));
        let health = self.health.as_ref().filter(|wanted| wanted.as_deref() != health(desired));
        let health = health.map(|path| path.clone().map_or(Health::Port, Health::Path));
        let before = desired.map_or(1, |desired| desired.instances);
        let instances = self.instances.filter(|wanted| *wanted != before);
        let is_another = command.is_some() || health.is_some() || instances.is_some();
        is_another.then(|| Change { command, health, instances, ..Change::default() })
    }
}

/// What a request says of how an app runs, with which settings.
pub(super) struct Config<'a> {
    pub(super) settings: &'a settings::OfConfig,
    pub(super) running: &'a Running,
}

impl Config<'_> {
    /// Makes all of it so with the rest that is said of an app, or nothing. Of how it runs nothing happens if it is so already.
    pub(super) async fn change(
        &self,
        here: &Here<'_>,
        (which, tags, identities): (Which<'_>, Option<&Tags>, Option<&WantedIdentities>),
        (operation, site): (&'static str, &SiteChange),
    ) -> Result<AppView, ArmError> {
        let (state, by, now) = (here.asked.state, here.asked.by(), here.asked.context.now);
        let run = |desired: Option<&Desired>| self.running.change(desired);
        let run: Run<'_> = &run;
        let settings = self.settings.kinds();
        let run = self.running.is_said().then_some(run);
        let whole = Whole { which, tags, settings: &settings, run, identities };
        let app =
            state.resource.change_app(&state.host, by, here.name, (&whole, operation, site), now).await?;
        here.changed();
        Ok(app)
    }
}

pub(super) async fn get(here: &Here<'_>) -> Result<Response, ArmError> {
    let view = here.app(CONFIG_READ).await?;
    Ok(answer(StatusCode::OK, &shown(here, &view.app).await?))
}

/// `config`: those of them that have no secrets, as App Service lists them.
pub(super) async fn list(here: &Here<'_>) -> Result<Response, ArmError> {
    let view = here.app(CONFIG_READ).await?;
    listed(here.asked, vec![shown(here, &view.app).await?.item()])
}

pub(super) async fn change(here: &Here<'_>, body: Body) -> Result<Response, ArmError> {
    let view = here.app(CONFIG_WRITE).await?;
    let whole = said(body).await?;
    let said = properties(&whole)?;
    let site = SiteChange { values: read(WEB, said)?, ..SiteChange::default() };
    let config = Config { settings: &settings::of_config(said)?, running: &running(said)? };
    config.change(here, (Which::There(&view.app), None, None), (CONFIG_WRITE, &site)).await?;
    Ok(answer(StatusCode::OK, &shown(here, &view.app).await?))
}

async fn shown<'a>(here: &Here<'_>, app: &'a App) -> Result<Part<'a, Value>, ArmError> {
    let site = site(here, app).await?;
    let desired = here.asked.state.host.desired_of(app).await?;
    Ok(here.part_shown(app, "config/web", web(&site, desired.as_deref())))
}

pub(super) async fn metadata(here: &Here<'_>) -> Result<Response, ArmError> {
    let view = here.app(CONFIG_LIST).await?;
    let mut told = told(METADATA, &*site(here, &view.app).await?);
    told.retain(|_, value| !value.is_null());
    Ok(here.part(&view.app, "config/metadata", Value::Object(told)))
}

pub(super) async fn put_metadata(here: &Here<'_>, body: Body) -> Result<Response, ArmError> {
    let view = here.app(CONFIG_WRITE).await?;
    keep(here, &view.app, read(METADATA, properties(&said(body).await?)?)?).await?;
    let mut told = told(METADATA, &*site(here, &view.app).await?);
    told.retain(|_, value| !value.is_null());
    Ok(here.part(&view.app, "config/metadata", Value::Object(told)))
}

pub(super) async fn logs(here: &Here<'_>) -> Result<Response, ArmError> {
    let view = here.app(CONFIG_READ).await?;
    let told = told(LOGS, &*site(here, &view.app).await?);
    Ok(here.part(&view.app, "config/logs", Value::Object(told)))
}

pub(super) async fn put_logs(here: &Here<'_>, body: Body) -> Result<Response, ArmError> {
    let view = here.app(CONFIG_WRITE).await?;
    keep(here, &view.app, read(LOGS, properties(&said(body).await?)?)?).await?;
    let told = told(LOGS, &*site(here, &view.app).await?);
    Ok(here.part(&view.app, "config/logs", Value::Object(told)))
}

pub(super) async fn slot_names(here: &Here<'_>) -> Result<Response, ArmError> {
    let view = here.app(CONFIG_READ).await?;
    told_slot_names(here, &view.app).await
}

pub(super) async fn put_slot_names(here: &Here<'_>, body: Body) -> Result<Response, ArmError> {
    let view = here.app(CONFIG_WRITE).await?;
    let whole = said(body).await?;
    let said = properties(&whole)?;
    let change = SiteChange {
        slot_settings: names(said, "appSettingNames")?,
        slot_connection_strings: names(said, "connectionStringNames")?,
        ..SiteChange::default()
    };
    here.asked.state.resource.change_site(here.asked.by(), CONFIG_WRITE, &view.app, &change).await?;
    told_slot_names(here, &view.app).await
}

async fn told_slot_names(here: &Here<'_>, app: &App) -> Result<Response, ArmError> {
    let site = site(here, app).await?;
    let shown = json!({
        "id": here.id(app),
        "name": app.name,
        "type": "Microsoft.Web/sites",
        "location": app.placement.location,
        "properties": {
            "appSettingNames": site.slot_settings,
            "connectionStringNames": site.slot_connection_strings,
            "azureStorageConfigNames": [],
        },
    });
    Ok(answer(StatusCode::OK, &shown))
}

fn names(said: &Said, named: &str) -> Result<Option<Vec<String>>, ArmError> {
    let malformed = || ArmError::bad_content(format!("{named} is no list of names."));
    let Some(found) = said.member(named) else { return Ok(None) };
    let Said::List(names) = found else { return Err(malformed()) };
    let names = names.iter().map(|name| name.text().map(str::to_owned).ok_or_else(malformed));
    names.collect::<Result<_, _>>().map(Some)
}

/// What is kept of a site: who may see it was asked.
async fn site(here: &Here<'_>, app: &App) -> Result<std::sync::Arc<Site>, ArmError> {
    Ok(here.asked.state.resource.site(Manager::Administrator, app).await?.site)
}

async fn keep(here: &Here<'_>, app: &App, values: Values) -> Result<(), ArmError> {
    let change = SiteChange { values, ..SiteChange::default() };
    Ok(here.asked.state.resource.change_site(here.asked.by(), CONFIG_WRITE, app, &change).await?)
}

/// `properties` of a body.
pub(super) fn properties(whole: &Said) -> Result<&Said, ArmError> {
    object_at(whole, "properties")
}

/// An object below another; nothing if it is not said.
pub(super) fn object_at<'s>(of: &'s Said, named: &str) -> Result<&'s Said, ArmError> {
    match of.member(named) {
        None => Ok(&NOTHING),
        Some(found @ Said::Object(_)) => Ok(found),
        Some(_) => Err(ArmError::bad_content(format!("{named} is no object."))),
    }
}
