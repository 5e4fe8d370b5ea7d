//! The commands of `countersign api-key`.
//!
//! A secret is made here, and only its hash is sent. It goes into a file of mode 0600, and is
//! printed only if that is asked for.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use countersign_client::api::{
    ApiKeySpec, ApiKeyView, KeyOrigin, Open, PreviousCredential, RotateApiKey, Scope,
};
use countersign_client::{ApiKey, Client, ClientError};
use countersign_protocol::{Hash, KeyId, RequesterId, UnixMillis};
use serde_json::{Value, json};

use super::line::{Line, Table, Tone};
use super::output::Output;
use super::time;
use super::words::scopes;

/// Subcommands for API keys.
#[derive(Debug, Subcommand)]
pub enum ApiKeyCommand {
    /// Make an API key, or change what one with the same secret may do.
    ///
    /// The secret is made here, and the coordinator gets its hash only. If the answer is lost,
    /// repeat the command with --from in place of --out.
    Create(CreateArgs),
    /// List API keys and what they may do. Secrets are not kept there.
    List,
    /// Show an API key.
    Show {
        /// Name of the API key.
        name: String,
    },
    /// Replace the secret of an API key.
    Rotate {
        /// Name of the API key.
        name: String,
        #[command(flatten)]
        credential: CredentialArgs,
        /// For how long the secret before is still accepted, at most seven days.
        #[arg(long, default_value_t = 0, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=604_800))]
        overlap: u32,
    },
    /// Revoke an API key at once: its requests that wait end, too. It is an error if there is none
    /// of this name.
    Revoke {
        /// Name of the API key.
        name: String,
    },
    /// Let an API key end at a time, or never.
    Expire {
        /// Name of the API key.
        name: String,
        #[command(flatten)]
        when: When,
    },
}

/// The settings of a new API key.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// 1 to 40 of a-z, 0-9 and -, beginning with a letter.
    name: String,
    /// Permissions: read, create, admin.
    #[arg(long, required = true, value_delimiter = ',', value_name = "SCOPE,SCOPE", value_parser = scopes())]
    scope: Vec<Scope>,
    /// Only these wallets: ids (csk1…), or names in the wallet book; default: all.
    #[arg(long, value_delimiter = ',', value_name = "WALLET,WALLET")]
    wallet: Option<Vec<String>>,
    /// When the key expires: a duration such as 12h or 90d, or a date; default: never.
    #[arg(long, value_name = "TIME", value_parser = time::to_come)]
    expires: Option<UnixMillis>,
    #[command(flatten)]
    credential: CredentialArgs,
}

/// The credential of an API key.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct CredentialArgs {
    /// Make a secret, and write it to this new file of mode 600.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Take the secret that an earlier command wrote to this file.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Make a secret, and print it on stdout; nothing else keeps it.
    #[arg(long)]
    print: bool,
    /// Make no secret: this requester (csr1…) signs its requests.
    #[arg(long, value_name = "REQUESTER")]
    requester: Option<RequesterId>,
}

/// The end of a key.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct When {
    /// When the key expires: a duration such as 12h or 90d, or a date. It ends at once if that is
    /// over.
    #[arg(long, value_name = "TIME", value_parser = time::end)]
    at: Option<UnixMillis>,
    /// It does not end by itself.
    #[arg(long)]
    never: bool,
}

pub async fn execute(
    command: ApiKeyCommand,
    client: &Client,
    output: &Output,
) -> Result<(), ClientError> {
    let api = client.api();
    match command {
        ApiKeyCommand::Create(args) => {
            let wallets = args.wallet.as_ref().map(|names| {
                let ids = names.iter().map(|name| client.find_id(name));
                ids.collect::<Result<Vec<KeyId>, _>>()
            });
            let wallets = wallets.transpose()?;
            let credential = args.credential.prepare()?;
            let (sha256, requester) = credential.parts();
            let spec = ApiKeySpec {
                sha256,
                requester,
                scopes: args.scope,
                wallets,
                expires: args.expires,
            };
            let made = api.put_api_key(&args.name, &spec).await;
            credential.tell(made, client, output)
        }
        ApiKeyCommand::List => list(&api.api_keys().await?, output),
        ApiKeyCommand::Show { name } => show(&find(client, &name).await?, None, client, output),
        ApiKeyCommand::Rotate {
            name,
            credential,
            overlap,
        } => {
            let credential = credential.prepare()?;
            let (sha256, requester) = credential.parts();
            let to = RotateApiKey {
                sha256,
                requester,
                overlap_seconds: overlap,
            };
            let rotated = api.rotate_api_key(&name, &to).await;
            credential.tell(rotated, client, output)
        }
        ApiKeyCommand::Revoke { name } => {
            // The coordinator says nothing of a name that it never knew.
            find(client, &name).await?;
            api.revoke_api_key(&name).await?;
            let line = format!("there is no API key {name} any more").into();
            output.result(&json!({"name": name, "revoked": true}), &[line])
        }
        ApiKeyCommand::Expire { name, when } => {
            // Either a time or `never`.
            let ended = api.expire_api_key(&name, when.at).await?;
            show(&ended, None, client, output)
        }
    }
}

/// There is no path of one key, since there are few.
async fn find(client: &Client, name: &str) -> Result<ApiKeyView, ClientError> {
    let keys = client.api().api_keys().await?;
    let found = keys.into_iter().find(|key| key.name == name);
    found.ok_or_else(|| {
        ClientError::Usage(format!(
            "the coordinator has no API key `{name}`; `countersign api-key list` has the names"
        ))
    })
}

/// A credential, and where its secret is.
enum Credential {
    Requester(RequesterId),
    Secret { key: ApiKey, place: Place },
}

enum Place {
    /// Written by this command.
    New(PathBuf),
    Before,
    Stdout,
}

impl CredentialArgs {
    /// Makes or reads the secret. It is durable before the coordinator hears of it.
    fn prepare(self) -> Result<Credential, ClientError> {
        if let Some(requester) = self.requester {
            return Ok(Credential::Requester(requester));
        }
        if let Some(path) = self.from {
            let key = ApiKey::load(&path)?;
            let place = Place::Before;
            return Ok(Credential::Secret { key, place });
        }
        let key = ApiKey::generate();
        let place = match self.out {
            Some(path) => {
                key.create(&path)?;
                Place::New(path)
            }
            None => Place::Stdout,
        };
        Ok(Credential::Secret { key, place })
    }
}

impl Credential {
    fn parts(&self) -> (Option<Hash>, Option<RequesterId>) {
        match self {
            Self::Requester(requester) => (None, Some(*requester)),
            Self::Secret { key, .. } => (Some(key.sha256()), None),
        }
    }

    /// Shows the key, or what became of the secret if there is an error.
    fn tell(
        &self,
        answer: Result<ApiKeyView, ClientError>,
        client: &Client,
        output: &Output,
    ) -> Result<(), ClientError> {
        let view = answer.inspect_err(|error| self.keep_or_remove(error, output))?;
        match self {
            Self::Requester(_) => show(&view, None, client, output),
            Self::Secret { key, place } => {
                if let Place::New(path) = place {
                    output.note(format!("the secret is in {}", path.display()));
                }
                let printed = matches!(place, Place::Stdout).then(|| key.expose());
                show(&view, printed, client, output)
            }
        }
    }

    /// A secret that the coordinator has certainly not taken is of no use.
    fn keep_or_remove(&self, error: &ClientError, output: &Output) {
        let Self::Secret {
            place: Place::New(path),
            ..
        } = self
        else {
            return;
        };
        let refused = error.is_certainly_undone();
        let shown = path.display();
        if !refused {
            output.note(format!(
                "the secret stays in {shown}, since the coordinator may have taken it; repeat the command with `--from {shown}`"
            ));
        } else if std::fs::remove_file(path).is_err() {
            output.note(format!("{shown} is of no use; delete it"));
        }
    }
}

fn list(keys: &[ApiKeyView], output: &Output) -> Result<(), ClientError> {
    let mut table = Table::new(&["name", "scopes", "wallets", "state", "kept", "credential"]);
    for key in keys {
        let wallets = key.spec.wallets.as_ref();
        let wallets = wallets.map_or("all".into(), |wallets| wallets.len().to_string());
        table.row([
            (key.name.clone(), Tone::Plain),
            (scopes_of(key), Tone::Plain),
            (wallets, Tone::Plain),
            state(key.spec.expires),
            (kept(&key.origin), Tone::Plain),
            (credential(key.spec.sha256, key.spec.requester), Tone::Dim),
        ]);
    }
    output.result(&json!({ "api_keys": keys }), &table.lines())
}

fn show(
    key: &ApiKeyView,
    secret: Option<&str>,
    client: &Client,
    output: &Output,
) -> Result<(), ClientError> {
    let wallets = key.spec.wallets.as_ref().map(|wallets| {
        let name = |id: &KeyId| {
            let name = client.name_of_wallet(*id)?;
            Ok(name.unwrap_or_else(|| id.to_string()))
        };
        let names: Result<Vec<String>, ClientError> = wallets.iter().map(name).collect();
        names.map(|names| names.join(", "))
    });
    let wallets = match wallets.transpose()? {
        Some(names) => names,
        None => "all".into(),
    };
    let (state, tone) = state(key.spec.expires);
    let mut lines: Vec<Line> = vec![
        format!("API key     {}", key.name).into(),
        format!("scopes      {}", scopes_of(key)).into(),
        format!("wallets     {wallets}").into(),
        Line::from("state       ").and(state, tone),
        format!("kept        {}", kept(&key.origin)).into(),
        format!(
            "credential  {}",
            credential(key.spec.sha256, key.spec.requester)
        )
        .into(),
    ];
    lines.extend(key.previous.as_ref().map(before));
    lines.extend(secret.map(|secret| format!("secret      {secret}").into()));
    let mut json = json!(key);
    if let (Some(secret), Value::Object(members)) = (secret, &mut json) {
        members.insert("key".into(), secret.into());
    }
    output.result(&json, &lines)
}

fn before(previous: &PreviousCredential) -> Line {
    format!(
        "before      {} until {}",
        credential(previous.sha256, previous.requester),
        time::utc(previous.expires)
    )
    .into()
}

fn scopes_of(key: &ApiKeyView) -> String {
    let words: Vec<String> = key.spec.scopes.iter().map(ToString::to_string).collect();
    words.join(",")
}

fn state(expires: Option<UnixMillis>) -> (String, Tone) {
    match expires {
        None => ("accepted".into(), Tone::Good),
        Some(end) if end > time::now() => {
            (format!("accepted until {}", time::utc(end)), Tone::Good)
        }
        Some(end) => (format!("ended {}", time::utc(end)), Tone::Bad),
    }
}

fn kept(origin: &Open<KeyOrigin>) -> String {
    match origin {
        Open::Known(KeyOrigin::File) => "in the configuration".into(),
        Open::Known(KeyOrigin::Api) => "by the coordinator".into(),
        Open::Unknown(_) => format!("unknown place {origin}"),
    }
}

fn credential(sha256: Option<Hash>, requester: Option<RequesterId>) -> String {
    match (sha256, requester) {
        (Some(hash), _) => format!("sha256 {hash}"),
        (None, Some(requester)) => format!("requester {requester}"),
        (None, None) => "-".into(),
    }
}
