//! The configuration file. What is taken has a port, addresses and names; what is refused says so in a short text.

use server::{Config, Sources};
use std::fs;

/// One file.
pub(crate) fn check(data: &[u8]) {
    let file = std::env::temp_dir().join(format!("keyless-fuzz-{}.toml", std::process::id()));
    fs::write(&file, data).unwrap();
    let flags = vec![("data_dir", "/nowhere".to_owned())];
    let loaded = Config::load(&Sources { file: Some(file.clone()), flags, ..Sources::default() });
    fs::remove_file(&file).unwrap();
    match loaded {
        Ok(config) => {
            assert!(config.port != 0 && !config.addresses().is_empty());
            assert!(!config.names().login_host().is_empty());
        }
        Err(error) => assert!(error.to_string().len() < 4096 + 2 * data.len(), "{error}"),
    }
}
