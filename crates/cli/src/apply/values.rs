//! The files that a stack names: each read once, before anything is done, so that what is compared is what is set.

use super::stack::{Setting, Stack};
use crate::{failure::Failure, files, host::SentSetting};
use domain::{Secret, limits};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What is in the files, by the paths that the stack has.
#[derive(Default)]
pub(super) struct Values(BTreeMap<PathBuf, Secret<String>>);

impl Values {
    /// Reads them; paths are relative to the folder of the stack's file.
    pub(super) fn read(stack: &Stack, folder: &Path) -> Result<Self, Failure> {
        let mut values = Self::default();
        for vault in &stack.vaults {
            for secret in &vault.secrets {
                let what = || format!("secret {} in vault {}", secret.name, vault.name);
                values.take(&secret.from_file, folder, limits::SECRET_VALUE_BYTES_MAX, true, what)?;
            }
        }
        for app in &stack.apps {
            for (name, setting) in &app.settings {
                let what = || format!("setting {name} of app {}", app.name);
                if let Setting::File { path, is_secret } = setting {
                    values.take(path, folder, limits::APP_SETTING_VALUE_BYTES_MAX, *is_secret, what)?;
                }
            }
        }
        Ok(values)
    }

    fn take(
        &mut self,
        path: &Path,
        folder: &Path,
        bytes_max: usize,
        is_secret: bool,
        what: impl Fn() -> String,
    ) -> Result<(), Failure> {
        let failed = |why: String| {
            Failure::new(format!("{}: {why}", what())).next("Nothing was changed.").lasting(true)
        };
        if files::is_standard(path) {
            return Err(failed("from_file names a file".to_owned()));
        }
        if let Some(known) = self.0.get(path) {
            let is_short = known.expose().len() <= bytes_max;
            return if is_short { Ok(()) } else { Err(failed(format!("it is at most {bytes_max} bytes"))) };
        }
        let whole = folder.join(path);
        let bytes = files::read(&whole, bytes_max, "it")
            .map_err(|failure| failed(failure.to_string()).lasting(failure.is_lasting()))?;
        if is_secret {
            files::warn_if_readable_by_others(&whole);
        }
        let text = std::str::from_utf8(bytes.expose()).map_err(|_| {
            failed(format!("{} is no text in UTF-8; encode it first, as by `base64 -w0`", whole.display()))
        })?;
        self.0.insert(path.to_owned(), Secret::new(text.to_owned()));
        Ok(())
    }

    /// What is in a file.
    pub(super) fn of(&self, path: &Path) -> Result<&Secret<String>, Failure> {
        self.0.get(path).ok_or_else(|| Failure::new(format!("{} was not read", path.display())))
    }

    /// Settings as they are sent.
    pub(super) fn settings<'a>(
        &'a self,
        settings: impl Iterator<Item = (&'a String, &'a Setting)>,
    ) -> Result<BTreeMap<&'a str, SentSetting<'a>>, Failure> {
        let sent = settings.map(|(name, setting)| {
            let sent = match setting {
                Setting::Text(text) => SentSetting { value: text, secret: false },
                Setting::File { path, is_secret } => {
                    SentSetting { value: self.of(path)?.expose(), secret: *is_secret }
                }
            };
            Ok((name.as_str(), sent))
        });
        sent.collect()
    }
}
