//! `verify`: checks the worth of recovery files without showing a secret.

use clap::Args;
use serde_json::json;

use super::Outcome;
use super::files::Files;
use super::output::Output;
use crate::Recovery;

/// Rebuilds the root public key from the share public keys of all participants, opens every file
/// with its password, and checks that each share makes its share public key.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    files: Files,
}

impl VerifyArgs {
    pub(super) fn run(self, output: Output) -> anyhow::Result<Outcome> {
        let recovery = self.files.load()?;
        recovery.group().check_root()?;
        self.files.open(&recovery)?;
        output.result(&self.json(&recovery), &self.lines(&recovery))?;
        Ok(Outcome::Done)
    }

    fn json(&self, recovery: &Recovery) -> serde_json::Value {
        let info = recovery.group().info();
        let file = |(i, share): (usize, &crate::ExportedShare)| {
            let owner = share.participant();
            json!({ "file": self.files.name(i), "node_id": owner.node_id, "share_id": owner.share_id.as_str() })
        };
        json!({
            "group_id": info.id,
            "created_time": info.created_time,
            "curve": info.curve,
            "threshold": info.threshold,
            "participants": info.participants.len(),
            "root_extended_public_key": recovery.group().root().to_string(),
            "enough": recovery.check_enough().is_ok(),
            "files": recovery.files().iter().enumerate().map(file).collect::<Vec<_>>(),
        })
    }

    fn lines(&self, recovery: &Recovery) -> Vec<String> {
        let info = recovery.group().info();
        let mut lines = vec![
            format!(
                "wallet     {} ({}, {} of {})",
                info.id,
                info.curve,
                info.threshold,
                info.participants.len()
            ),
            format!("root key   {}", recovery.group().root()),
            "public     the share public keys of all participants make the root key".into(),
        ];
        let shares = recovery.files().iter().enumerate();
        lines.extend(shares.map(|(i, share)| {
            let owner = share.participant();
            format!(
                "share      good: {}, node {}, share id {}",
                self.files.name(i),
                owner.node_id,
                owner.share_id
            )
        }));
        lines.push(match recovery.check_enough() {
            Ok(()) => "enough     these files are enough to rebuild the private key".into(),
            Err(error) => format!("enough     not yet: {error}"),
        });
        lines
    }
}
