//! The command `countersign sign`.

use std::collections::BTreeMap;

use clap::Args;
use countersign_client::{Client, ClientError, SignOrder, Signature};
use countersign_payload::{Decoded, Intent};
use countersign_protocol::{DerivationPath, InputSignature};
use countersign_requester::describe;
use serde_json::{Value, json};

use super::collect::{self, Collecting};
use super::exit::Exit;
use super::line::Line;
use super::out::{Out, Pending};
use super::output::Output;
use super::payload::{Saying, What, from_hex};
use super::preflight;
use super::progress::Progress;

/// Arguments of the command.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// Id (csk1…) of the wallet, or its name in the wallet book.
    wallet: String,
    /// The child that signs, such as m/44/60/0/0/7; m is the root key itself. A
    /// PSBT names its paths.
    #[arg(long, default_value = "m")]
    path: DerivationPath,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    saying: Saying,
    /// The digest you expect to be signed, such as the hash that another wallet shows; once for
    /// each signature, in order. Nodes refuse if the payload gives another one.
    #[arg(long, value_name = "HEX")]
    expect_digest: Vec<String>,
    /// The nodes that sign, as many as the wallet's threshold; default: the coordinator chooses
    /// among those online.
    ///
    /// A task has one outcome at each node. Where a wallet has twice as many nodes as must sign, a
    /// coordinator that chooses can have two groups sign the same bytes; with this option only the
    /// named nodes take part.
    #[arg(long, value_delimiter = ',', value_name = "NODE,NODE")]
    signers: Option<Vec<String>>,
    /// A remark that the nodes' plugins and operators see.
    #[arg(long)]
    note: Option<String>,
    #[command(flatten)]
    claims: Claims,
    #[command(flatten)]
    pub collecting: Collecting,
    /// Only ask who would approve, who not, and why; nothing is ordered. Shows the coordinator the
    /// signed task, which lives for a minute: a dishonest one could order it.
    #[arg(long, conflicts_with = "out")]
    dry_run: bool,
    #[command(flatten)]
    out: Out,
}

#[derive(Debug, Args)]
pub struct Claims {
    /// A statement that the nodes' plugins see as yours, such as reference=invoice-7; may
    /// be given several times.
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
    claims: Vec<(String, String)>,
}

impl Claims {
    /// Maps names to values, each name once.
    pub fn by_name(self) -> Result<BTreeMap<String, String>, ClientError> {
        let mut claims = BTreeMap::new();
        for (name, value) in self.claims {
            if claims.contains_key(&name) {
                return Err(ClientError::Usage(format!(
                    "there are two claims `{name}`; give each name once"
                )));
            }
            claims.insert(name, value);
        }
        Ok(claims)
    }
}

/// A claim without `=`.
#[derive(Debug, thiserror::Error)]
#[error("write NAME=VALUE")]
struct ClaimError;

fn claim(text: &str) -> Result<(String, String), ClaimError> {
    let (name, value) = text.split_once('=').ok_or(ClaimError)?;
    Ok((name.into(), value.into()))
}

pub async fn execute(
    args: SignArgs,
    client: &Client,
    output: &Output,
) -> Result<Exit, ClientError> {
    let digests = args
        .expect_digest
        .iter()
        .map(|hex| from_hex(hex))
        .collect::<Result<_, _>>()?;
    let payload = args.what.payload(args.saying, digests)?;
    let pending = args.out.open(payload.kind)?;
    let claims = args.claims.by_name()?;
    let nodes = |names: Vec<String>| {
        names
            .iter()
            .map(|name| client.profile().node(name))
            .collect()
    };
    let signers = args.signers.map(nodes).transpose()?;
    let wallet = client.find_wallet(&args.wallet).await?.key;
    let order = SignOrder {
        wallet,
        path: args.path,
        payload,
        signers,
        note: args.note,
        claims,
    };
    let decoded = client.decode(&order).await?;
    describe::lines(&order.payload, &decoded)
        .into_iter()
        .for_each(|line| output.note(line));
    collect::note(client, output);
    if args.dry_run {
        return preflight::show(&client.preflight_sign(&order).await?, client, output);
    }
    let mut progress = Progress::new(client.profile(), *output);
    let signed = client.sign(&order, |task| progress.show(task)).await;
    let signature = signed.inspect_err(|error| offer_others(error, client, output))?;
    let file = match pending {
        Some(pending) => Some(write(pending, client, &order, &signature, output).await?),
        None => None,
    };
    print(&signature, &order, &decoded, file, output).map(|()| Exit::Done)
}

/// Suggests the same order with other signers, if nodes were not online. Never where one refused.
fn offer_others(error: &ClientError, client: &Client, output: &Output) {
    if error.others().is_empty() {
        return;
    }
    let names: Vec<String> = error
        .others()
        .iter()
        .map(|node| client.profile().name_of(node))
        .collect();
    output.note("Enough other nodes hold the wallet to sign without those that were not online. They decide on it as a new order:");
    output.note(format!(
        "  {}",
        with_signers(std::env::args(), &names.join(","))
    ));
}

fn with_signers(args: impl Iterator<Item = String>, signers: &str) -> String {
    with_option(args, "--signers", signers)
}

/// A command line with this value of an option in place of the one before, quoted for a shell.
pub fn with_option(args: impl Iterator<Item = String>, option: &str, value: &str) -> String {
    let with_value = format!("{option}=");
    let mut words = Vec::new();
    let mut args = args.peekable();
    while let Some(word) = args.next() {
        if word == option {
            drop(args.next());
        } else if !word.starts_with(&with_value) {
            words.push(quoted(&word));
        }
    }
    words.extend([option.into(), quoted(value)]);
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Writes the file of `--out`, and returns its description.
async fn write(
    pending: Pending,
    client: &Client,
    order: &SignOrder,
    signature: &Signature,
    output: &Output,
) -> Result<Value, ClientError> {
    let finished = client.finish(order, signature, pending.form()).await?;
    let path = pending.write(&finished.bytes)?;
    let file = path.display().to_string();
    let length = finished.bytes.len();
    match finished.missing {
        0 => output.note(format!("{file}: {length} bytes, complete")),
        missing => output.note(format!(
            "{file}: {length} bytes; signatures of others that are missing: {missing}"
        )),
    }
    Ok(json!({ "file": file, "bytes": length, "missing_signatures": finished.missing }))
}

/// On stdout one signature a line, in the order of the inputs.
fn print(
    made: &Signature,
    order: &SignOrder,
    decoded: &Decoded,
    file: Option<Value>,
    output: &Output,
) -> Result<(), ClientError> {
    let signatures = &made.signed.signatures;
    let json = json!({
        "task": made.task, "wallet": made.wallet, "scheme": made.scheme, "kind": order.payload.kind,
        "blind": decoded.intent == Intent::Opaque, "intent": describe::json(&decoded.intent),
        "session": made.signed.session, "signatures": signatures.iter().map(row).collect::<Vec<_>>(),
        "out": file,
    });
    for one in signatures {
        output.note(format!(
            "{} verified under {}",
            one.path,
            hex::encode(&one.public_key)
        ));
    }
    let lines: Vec<Line> = signatures
        .iter()
        .map(|one| hex::encode(&one.signature).into())
        .collect();
    output.result(&json, &lines)
}

fn row(one: &InputSignature) -> Value {
    json!({
        "path": one.path, "public_key": hex::encode(&one.public_key), "signature": hex::encode(&one.signature),
        "recovery_id": one.recovery_id, "signed_bytes": hex::encode(&one.signed_bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_repeated_with_other_signers() {
        let repeat =
            |words: &[&str]| with_signers(words.iter().map(|word| (*word).to_owned()), "bob,carol");
        assert_eq!(
            repeat(&["countersign", "sign", "hot"]),
            "countersign sign hot --signers bob,carol"
        );
        assert_eq!(
            repeat(&[
                "countersign",
                "sign",
                "hot",
                "--signers",
                "alice,bob",
                "--message",
                "it's 5 €"
            ]),
            r"countersign sign hot --message 'it'\''s 5 €' --signers bob,carol"
        );
        assert_eq!(
            repeat(&["c", "--signers=a,b", "--note", ""]),
            "c --note '' --signers bob,carol"
        );
    }
}
