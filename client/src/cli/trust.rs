//! `countersign wallet trust`: a person vouches for a wallet that the profile does not describe.

use clap::Args;
use countersign_client::belief::Introduction;
use countersign_client::{Client, ClientError};
use countersign_protocol::KeyId;
use serde_json::{Value, json};

use super::line::{Line, Tone};
use super::output::Output;

/// The wallet, and the person's word.
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// Its id (csk1…), from its requester; a name is not enough.
    wallet: KeyId,
    /// The fingerprint that was shown, once everything shown has been compared
    /// through another channel.
    #[arg(long, value_name = "FINGERPRINT", requires = "reason")]
    confirm: Option<String>,
    /// Record of who compared what with whom; kept in the wallet book.
    #[arg(long, value_name = "TEXT", requires = "confirm")]
    reason: Option<String>,
}

pub async fn execute(args: TrustArgs, client: &Client, output: &Output) -> Result<(), ClientError> {
    let TrustArgs {
        wallet,
        confirm,
        reason,
    } = args;
    match (confirm, reason) {
        (Some(confirm), Some(reason)) => {
            let wallet = client.trust(wallet, &confirm, &reason).await?;
            let belief = client.belief(wallet.key)?;
            let lines = [format!("wallet {} is believed from now on", wallet.key).into()];
            output.result(
                &json!({"trusted": true, "wallet": wallet, "belief": belief}),
                &lines,
            )
        }
        (None, _) | (Some(_), None) => show(&client.introduce(wallet).await?, client, output),
    }
}

fn show(introduced: &Introduction, client: &Client, output: &Output) -> Result<(), ClientError> {
    let wallet = introduced.newest();
    let fingerprint = introduced.fingerprint();
    let known = client.profile().known(client.requester());
    let doubts = introduced.doubts(&known);
    let doubts: Vec<String> = doubts.iter().map(ToString::to_string).collect();
    let shown = introduced.lines(&known);
    let mut lines: Vec<Line> = shown.into_iter().map(Line::from).collect();
    lines.extend(
        doubts
            .iter()
            .map(|doubt| Line::new(format!("doubt        {doubt}"), Tone::Bad)),
    );
    lines.push(format!("fingerprint  {fingerprint}").into());
    output.note("This is what the coordinator reports. None of it is believed or recorded yet.");
    output.note(
        "Compare id, root key, node ids and requester with their owners through another channel; then:",
    );
    output.note(format!(
        "  countersign wallet trust {} --confirm {fingerprint} --reason '…'",
        wallet.key
    ));
    let json: Value = json!({
        "trusted": false, "fingerprint": fingerprint, "doubts": doubts, "requester": introduced.requester(),
        "members": introduced.members(), "generations": introduced.generations(),
    });
    output.result(&json, &lines)
}
