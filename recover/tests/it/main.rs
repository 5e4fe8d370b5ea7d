//! Recovery files against a second implementation (`tests/reference.py`), published vectors,
//! damaged files, and the program itself.

mod cli;
mod damaged;
mod hardening;
mod interop;
mod keys;

use std::path::{Path, PathBuf};
use std::process::Command;

use countersign_recover::{Curve, ExportedShare, Password, read};
use serde_json::{Value, json};

/// The group id of every wallet here.
const GROUP: &str = "OoQGkknsPdPjLCmSuuSf";
/// The password of every node except in tests of passwords.
const PASSWORD: &str = "correct horse";
/// A root key below the order of both curves.
const ROOT: &str = "07c10e6a265c14dbedb2bd994a58c8ee40a8645b4db9379b1b5cb42a387e4206";
/// One with leading zeros.
const SMALL_ROOT: &str = "0000b80b067e0d4993197fe10f2657a844a384589847602d56f0c629c81aae32";

/// A wallet whose files the reference writes.
#[derive(Debug, Clone)]
struct Wallet {
    curve: Curve,
    version: u64,
    shape: &'static str,
    hash_type: u64,
    share_ids: Vec<String>,
    coefficients: Vec<String>,
    strip: bool,
    long_keys: bool,
}

impl Wallet {
    /// 2 of 3, with share ids of 39 digits as in the files of the field.
    fn new(curve: Curve) -> Self {
        let share_ids = ["1", "7", "9"].map(|digit| digit.repeat(39)).to_vec();
        let coefficients = vec![ROOT.to_owned(), "05".repeat(31)];
        let version = 3;
        let shape = "groups";
        let hash_type = 5;
        Self {
            curve,
            version,
            shape,
            hash_type,
            share_ids,
            coefficients,
            strip: false,
            long_keys: false,
        }
    }

    /// Writes the files and returns their paths.
    fn write(&self, folder: &Path) -> Vec<PathBuf> {
        let spec = json!({
            "curve": self.curve,
            "group_id": GROUP,
            "version": self.version,
            "shape": self.shape,
            "share_ids": self.share_ids,
            "coefficients": self.coefficients,
            "chaincode": "0c".repeat(32),
            "hash_type": self.hash_type,
            "iterations": 10,
            "passwords": vec![PASSWORD; self.share_ids.len()],
            "strip": self.strip,
            "long_keys": self.long_keys,
        });
        reference(&["write", text(folder), &spec.to_string()]);
        (0..self.share_ids.len())
            .map(|i| folder.join(format!("{i}.json")))
            .collect()
    }

    /// The files, read here.
    fn shares(&self) -> Vec<ExportedShare> {
        let folder = tempfile::tempdir().unwrap();
        self.write(folder.path())
            .iter()
            .map(|path| load(path))
            .collect()
    }
}

fn load(path: &Path) -> ExportedShare {
    read(&std::fs::read(path).unwrap(), GROUP).unwrap()
}

fn password() -> Password {
    Password::new(PASSWORD).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs the second implementation.
fn reference(arguments: &[&str]) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference.py");
    // No __pycache__ beside the sources.
    let output = Command::new("python3")
        .args(["-B", script])
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}
