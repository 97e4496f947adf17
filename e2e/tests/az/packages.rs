//! Packages by each of `az`'s ways, and what the app says of itself.

use super::{
    Az, noted,
    rows::{
        Row,
        Shown::{Done, Ours, Says},
        play_with,
    },
};
use e2e::{Ended, server::signal, wait};
use std::{process::Stdio, time::Duration};

/// The server does with what is sent as `keyless app deploy` does, and says so.
#[test]
fn packages_are_deployed_and_their_logs_are_followed() {
    let Some(az) = Az::start_warm("az-packages") else { return };
    let operator = az.operator("operator", "Owner");
    let _account = az.sign_in(&operator);
    let folder = az.hosts.package("site", &[("requirements.txt", "")]);
    let zip = Az::zip(&folder);
    let empty = Az::zip(&{
        let folder = az.hosts.packages.path().join("empty");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("notes"), "nothing to run").unwrap();
        folder
    });
    let more = [("$Z", &*zip), ("$E", &*empty)];
    play_with(
        &az,
        &operator,
        &more,
        &[
            Row("group create -n g -l local", 0, Done),
            Row("appservice plan create -g g -n plan --sku B1", 0, Done),
            Row("webapp create -g g -n web --plan plan --runtime PYTHON:3.12", 0, Done),
            Row(
                "webapp deploy -g g -n web --src-path $Z --type zip",
                0,
                Ours("app show web -o json", "\"ready\""),
            ),
            Row("webapp deploy -g g -n none --src-path $Z --type zip", 3, Says("ResourceNotFound")),
            Row(
                "webapp deploy -g g -n web --src-path no-such.zip --type zip",
                3,
                Says("not a valid local file path"),
            ),
            Row("webapp deploy -g g -n web --src-path $Z --type war", 1, Says("only packages of type zip")),
            Row("webapp deploy -g g -n web --src-path $E --type zip", 1, Says("does not say what to start")),
            Row("webapp deployment source config-zip -g g -n none --src $Z", 3, Says("ResourceNotFound")),
            Row(
                "webapp deployment source config-zip -g g -n web --src $E",
                1,
                Says("does not say what to start"),
            ),
        ],
    );
    assert_eq!(az.hosts.ask("web", "/who")["version"], "1", "what was refused has changed nothing");

    let words = "webapp log tail -g g -n web";
    let mut tail = az.command(words);
    let mut child = tail.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let errors = child.stderr.take().unwrap();
    let _told = wait::line(&mut child, errors, wait::LIMIT, "version 1 listens");
    // It goes on until it is told to stop.
    signal(&child, rustix::process::Signal::TERM);
    let ended = wait::for_end(&mut child, Duration::from_secs(20), "az webapp log tail");
    assert_eq!(ended.code(), Some(143));
    noted(words, 143, "the app's lines, until it is ended");
    az.refused("webapp log tail -g g -n none", 2, "ResourceNotFound");

    let words = "webapp up -n upped -g g --plan plan --runtime PYTHON:3.12 --sku B1 -l local";
    let mut up = az.command(words);
    let ended = Ended::from(wait::output(up.current_dir(&folder), b""));
    assert_eq!(ended.code, Some(0), "{}", ended.said());
    noted(words, 0, "");
    assert_eq!(az.hosts.ask("upped", "/who")["version"], "1");
}
