//! `invite`: makes, lists and revokes invitations, in the data directory of a coordinator that may
//! run meanwhile.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use countersign_cli_kit::Output;
use countersign_coordinator::api_key::Scope;
use countersign_coordinator::invitation::{Guest, Invitations, Open, Rights};
use countersign_coordinator::{Config, identity};
use countersign_protocol::contact::Role;
use countersign_protocol::invitation::{Invitation, InvitationId, Token};
use countersign_protocol::{KeyId, UnixMillis};
use serde_json::json;

#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub struct Invite {
    #[command(subcommand)]
    command: Option<InviteCommand>,
    #[command(flatten)]
    new: NewInvitation,
}

#[derive(Debug, Subcommand)]
enum InviteCommand {
    /// Show the open invitations, without their tokens.
    List {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Print a JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Withdraw an invitation that nobody has used yet.
    Revoke {
        /// Its id, as `invite list` shows it.
        id: InvitationId,
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

#[derive(Debug, Args)]
struct NewInvitation {
    /// Invite a node. Requesters order by this name. May be repeated.
    #[arg(long, value_name = "NAME", required_unless_present = "requester")]
    name: Vec<String>,
    /// Invite a requester, which signs its requests. By default it may read and order, of all
    /// wallets. May be repeated.
    #[arg(long, value_name = "NAME")]
    requester: Vec<String>,
    /// What the requesters may do: `read`, `create` or both.
    #[arg(
        long,
        value_name = "SCOPE,SCOPE",
        value_delimiter = ',',
        requires = "requester"
    )]
    scope: Option<Vec<Scope>>,
    /// The only wallets (csk1...) that the requesters may know of.
    #[arg(
        long,
        value_name = "WALLET,WALLET",
        value_delimiter = ',',
        requires = "requester"
    )]
    wallet: Option<Vec<KeyId>>,
    /// How long the token is accepted: a number with s, m, h or d; 7d at most.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = validity)]
    valid: Duration,
    /// The address under which the coordinator is reached by QUIC (UDP), as host:port. Default:
    /// `public_quic`, or `listen_quic` if that is one address.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// The configuration file.
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    /// Print token, id and expiry as one JSON object, or as an array of them for several names.
    #[arg(long)]
    json: bool,
}

impl Invite {
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            None => self.new.run(),
            Some(InviteCommand::List { config, json }) => list(&config, json),
            Some(InviteCommand::Revoke { id, config }) => {
                open(&config)?.1.revoke(id)?;
                println!("Revoked {id}");
                Ok(())
            }
        }
    }
}

impl NewInvitation {
    fn run(self) -> anyhow::Result<()> {
        let nodes = self.name.into_iter().map(|name| (Role::Node, name));
        let requesters = self.requester.into_iter();
        let requesters = requesters.map(|name| (Role::Requester, name));
        let guests = nodes.chain(requesters).map(|(role, name)| {
            let rights = rights(role, self.scope.clone(), self.wallet.clone())?;
            anyhow::Ok(Guest { role, name, rights })
        });
        let guests: Vec<Guest> = guests.collect::<Result<_, _>>()?;
        let config = self
            .config
            .context("give the configuration with --config")?;
        let (config, invitations) = open(&config)?;
        for Guest { role, name, .. } in &guests {
            if config.knows(*role, name)? {
                bail!("there is a {role} called `{name}`; choose another name");
            }
        }
        let address = self.address.or_else(|| address(&config)).context(
            "the address of this coordinator is not known; give it with --address, or write `public_quic: HOST:PORT` into the configuration",
        )?;
        let tokens = invitations.make_all(&guests, &address, self.valid, now()?)?;
        let ids: Vec<_> = tokens.iter().map(|token| token.invitation.id).collect();
        let made = guests.into_iter().zip(tokens);
        let made: anyhow::Result<Vec<Made>> =
            made.map(|(guest, token)| Made::of(guest, token)).collect();
        let shown = made.and_then(|made| show(&made, &Output::new(self.json)));
        shown.map_err(|error| {
            let left = invitations.withdraw(&ids);
            let left: Vec<String> = left.iter().map(ToString::to_string).collect();
            let told = if left.is_empty() {
                "nobody is invited, because the tokens could not be shown; run the command again once this is mended".into()
            } else {
                format!("the tokens could not be shown; revoke these invitations: {}", left.join(", "))
            };
            error.context(told)
        })
    }
}

/// A new invitation.
struct Made {
    invitation: Invitation,
    /// The token, for its owner alone.
    text: String,
    /// Those of a requester.
    rights: Option<Rights>,
}

impl Made {
    fn of(guest: Guest, token: Token) -> anyhow::Result<Self> {
        let text = token
            .to_text()
            .context("the address is too long; give a shorter one with --address")?;
        let rights = match guest.role {
            Role::Node => None,
            // An invitation that names none gives the usual ones: to read and to order.
            Role::Requester => Some(guest.rights.unwrap_or_default()),
        };
        Ok(Self {
            invitation: token.invitation,
            text,
            rights,
        })
    }
}

/// Prints tokens: one as it is, several with their names.
fn show(made: &[Made], output: &Output) -> anyhow::Result<()> {
    let object = |made: &Made| {
        let invitation = &made.invitation;
        json!({
            "token": made.text,
            "invitation": invitation.id,
            "role": invitation.role,
            "name": invitation.name,
            "address": invitation.address,
            "coordinator": invitation.coordinator,
            "expires": invitation.expires,
            "rights": made.rights,
        })
    };
    if let [only] = made {
        let Made {
            invitation,
            text,
            rights,
        } = only;
        if !output.is_json() {
            eprintln!(
                "Give this token to the operator of {} `{}`, and to nobody else: whoever has it registers in that place, once.\nThey run `{}`. It is shown only now:",
                invitation.role,
                invitation.name,
                how(invitation.role)
            );
            tell(rights.as_ref());
        }
        return Ok(output.result(&object(only), || format!("{text}\n"))?);
    }
    if !output.is_json() {
        eprintln!(
            "Give each token to the operator named beside it, and to nobody else: whoever has it registers in that place, once.\nNodes run `{}`, requesters `{}`. They are shown only now:",
            how(Role::Node),
            how(Role::Requester)
        );
        tell(made.iter().find_map(|made| made.rights.as_ref()));
    }
    let value = made.iter().map(object).collect();
    let line = |made: &Made| {
        let invitation = &made.invitation;
        format!("{} {}  {}\n", invitation.role, invitation.name, made.text)
    };
    Ok(output.result(&value, || made.iter().map(line).collect())?)
}

/// Says what requesters may do; they all have the same rights.
fn tell(rights: Option<&Rights>) {
    if let Some(rights) = rights {
        eprintln!("Rights of a requester here: {rights}.");
    }
}

/// The command that the owner of a token runs.
fn how(role: Role) -> &'static str {
    match role {
        Role::Node => "countersign-node init --join TOKEN",
        Role::Requester => "countersign requester join TOKEN",
    }
}

/// The rights that were asked for, if they are not the usual ones.
fn rights(
    role: Role,
    scopes: Option<Vec<Scope>>,
    wallets: Option<Vec<KeyId>>,
) -> anyhow::Result<Option<Rights>> {
    if scopes.is_none() && wallets.is_none() {
        return Ok(None);
    }
    if role == Role::Node {
        bail!("a node has no scopes and no wallets; leave --scope and --wallet out");
    }
    let scopes = scopes.unwrap_or_else(|| Rights::default().scopes().to_vec());
    Ok(Some(Rights::new(scopes, wallets)?))
}

fn list(config: &Path, json: bool) -> anyhow::Result<()> {
    let now = now()?;
    let mut listed = open(config)?.1.list()?;
    listed.retain(|(_, open)| now < open.expires);
    let value = listed.iter().map(|(id, open)| {
        json!({"invitation": id, "role": open.role, "name": open.name, "expires": open.expires, "rights": open.rights})
    });
    let value = value.collect();
    Ok(Output::new(json).result(&value, || listed.iter().map(|one| line(one, now)).collect())?)
}

fn line((id, open): &(InvitationId, Open), now: UnixMillis) -> String {
    let minutes = open.expires.0.saturating_sub(now.0).div_ceil(60_000);
    let left = format!("{} h {:02} min", minutes / 60, minutes % 60);
    let rights = open.rights.as_ref();
    let rights = rights.map_or_else(String::new, |rights| format!("  ({rights})"));
    format!(
        "{id}  {:<9}  {left} left  {}{rights}\n",
        open.role, open.name
    )
}

fn open(path: &Path) -> anyhow::Result<(Config, Invitations)> {
    let config = Config::load(path)?;
    let (identity, id) = identity::load(&config.identity_file())?;
    let invitations = Invitations::of(&config.data, &identity, id)?;
    Ok((config, invitations))
}

/// The address that the configuration gives.
fn address(config: &Config) -> Option<String> {
    let listening = config.listen_quic;
    let is_one = !listening.ip().is_unspecified() && listening.port() != 0;
    config
        .public_quic
        .clone()
        .or_else(|| is_one.then(|| listening.to_string()))
}

fn now() -> anyhow::Result<UnixMillis> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock of this machine is before 1970; set it, and invite again")?;
    Ok(UnixMillis(since.as_millis() as u64))
}

/// Reads a time such as `30m`.
fn validity(text: &str) -> Result<Duration, &'static str> {
    let wrong = "write a number with s, m, h or d, such as 30m or 24h";
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 24 * 3600,
        _ => return Err(wrong),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| wrong)?;
    Ok(Duration::from_secs(u64::from(number) * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_a_requesters_and_not_silently_dropped() {
        let read = || Some(vec![Scope::Read]);
        assert!(rights(Role::Node, read(), None).is_err());
        assert!(rights(Role::Node, None, Some(vec![])).is_err());
        assert!(matches!(rights(Role::Node, None, None), Ok(None)));
        assert!(matches!(rights(Role::Requester, None, None), Ok(None)));
        let given = rights(Role::Requester, read(), None).unwrap().unwrap();
        assert_eq!(given.scopes(), [Scope::Read]);
        assert!(rights(Role::Requester, Some(vec![Scope::Admin]), None).is_err());
    }

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(validity("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(validity("24h"), validity("1d"));
        assert_eq!(validity("30m"), Ok(Duration::from_secs(1800)));
        for wrong in ["", "h", "24", "-1h", "1.5h", "1 h", "1é"] {
            assert!(validity(wrong).is_err(), "{wrong}");
        }
    }
}
