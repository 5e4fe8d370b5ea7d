//! `recover`: the private key of a wallet, and the requested keys below it.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use countersign_protocol::text::printable;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Outcome;
use super::files::{Files, read_file, write_secret};
use super::output::Output;
use crate::{AddressList, ExtendedPrivateKey, KeyPath, RecoveredList, Recovery};

/// Size limit of address lists in bytes.
const MAX_LIST: usize = 256 << 20;

/// Without --paths, --csv-file and --show-root-private-key, only proves that the files and
/// passwords make the key.
#[derive(Debug, Args)]
pub struct RecoverArgs {
    #[command(flatten)]
    files: Files,
    /// Show the private keys at these paths, separated by commas.
    #[arg(
        long,
        value_name = "PATHS",
        value_delimiter = ',',
        conflicts_with = "csv_file"
    )]
    paths: Vec<KeyPath>,
    /// Write the private keys of all addresses of this list: CSV of 7 columns (wallet name, coin,
    /// address, memo, address label, HD path, child publickey) or 8 (curve as the fourth), with a
    /// header. Rows of the other curve are left out.
    #[arg(long, value_name = "FILE")]
    csv_file: Option<PathBuf>,
    /// Directory for the list with private keys, written as address-recovery-TIME.csv of mode 600.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "recovery",
        requires = "csv_file"
    )]
    csv_output_dir: PathBuf,
    /// Show the root private key, too.
    #[arg(long)]
    show_root_private_key: bool,
}

impl RecoverArgs {
    pub(super) fn run(self, output: Output) -> anyhow::Result<Outcome> {
        let recovery = self.files.load()?;
        // Checked before anything is typed.
        recovery.check_enough()?;
        recovery.group().check_root()?;
        let list = self
            .csv_file
            .as_ref()
            .map(|path| read_list(path))
            .transpose()?;
        let root = recovery.combine(&self.files.open(&recovery)?)?;

        let (mut json, mut lines) = describe(&recovery);
        if self.show_root_private_key {
            let key = key_json(&root);
            lines.push(String::new());
            lines.extend(key_lines("root", &key));
            json["root"] = key;
        }
        let keys = self
            .paths
            .iter()
            .map(|path| child(&root, path))
            .collect::<anyhow::Result<Vec<_>>>()?;
        for (path, key) in self.paths.iter().zip(&keys) {
            lines.push(String::new());
            lines.extend(key_lines(&path.to_string(), key));
        }
        if !keys.is_empty() {
            json["keys"] = keys.into();
        }
        let written = list
            .map(|list| self.write_list(&list, &root, output))
            .transpose()?;
        let incomplete = written
            .as_ref()
            .is_some_and(|(_, list)| !list.unlike.is_empty());
        if let Some((path, list)) = written {
            lines.push(list_line(&path, &list));
            json["csv"] = list_json(&path, &list);
        }
        output.result(&json, &lines)?;
        Ok(if incomplete {
            Outcome::Incomplete
        } else {
            Outcome::Done
        })
    }

    fn write_list(
        &self,
        list: &AddressList,
        root: &ExtendedPrivateKey,
        output: Output,
    ) -> anyhow::Result<(PathBuf, RecoveredList)> {
        let recovered = list.recover(root)?;
        let now = OffsetDateTime::now_utc()
            .replace_nanosecond(0)?
            .format(&Rfc3339)?;
        let path = self
            .csv_output_dir
            .join(format!("address-recovery-{now}.csv"));
        write_secret(&path, &recovered.csv)?;
        for row in &recovered.unlike {
            let address = printable(&row.address, 120);
            let said = "has another public key than its path leads to, and gets no private key: check path and wallet";
            output.note(&format!("line {}: `{address}` {said}", row.line));
        }
        Ok((path, recovered))
    }
}

fn read_list(path: &std::path::Path) -> anyhow::Result<AddressList> {
    let bytes = read_file(path, MAX_LIST)?;
    AddressList::read(&bytes).with_context(|| path.display().to_string())
}

fn describe(recovery: &Recovery) -> (Value, Vec<String>) {
    let info = recovery.group().info();
    let root = recovery.group().root().to_string();
    let lines = vec![
        format!(
            "wallet     {} ({}, {} of {})",
            info.id,
            info.curve,
            info.threshold,
            info.participants.len()
        ),
        format!("root key   {root}"),
        "private    rebuilt; it makes this root key".into(),
    ];
    (
        json!({ "group_id": info.id, "curve": info.curve, "root_extended_public_key": root }),
        lines,
    )
}

fn child(root: &ExtendedPrivateKey, path: &KeyPath) -> anyhow::Result<Value> {
    let mut key = key_json(&root.derive(path).with_context(|| path.to_string())?);
    key["path"] = path.to_string().into();
    Ok(key)
}

/// A private key in the three forms that are shown.
pub(super) fn key_json(key: &ExtendedPrivateKey) -> Value {
    json!({
        "private_key": format!("0x{}", hex::encode(key.secret().expose())),
        "extended_private_key": key.to_text().as_str(),
        "extended_public_key": key.public_text(),
    })
}

fn key_lines(name: &str, key: &Value) -> Vec<String> {
    let forms = ["private_key", "extended_private_key", "extended_public_key"];
    let lines =
        forms.map(|form| format!("  {form:<20}  {}", key[form].as_str().unwrap_or_default()));
    std::iter::once(name.to_owned()).chain(lines).collect()
}

fn list_line(path: &std::path::Path, list: &RecoveredList) -> String {
    let keys = list.keys;
    let skipped = list.skipped;
    let unlike = list.unlike.len();
    format!(
        "list       {}: {keys} keys, {skipped} rows of the other curve, {unlike} rows without a key",
        path.display()
    )
}

fn list_json(path: &std::path::Path, list: &RecoveredList) -> Value {
    let unlike = list
        .unlike
        .iter()
        .map(|row| json!({ "line": row.line, "address": row.address }));
    json!({
        "file": path.display().to_string(),
        "keys": list.keys,
        "skipped": list.skipped,
        "unlike": unlike.collect::<Vec<_>>(),
    })
}
