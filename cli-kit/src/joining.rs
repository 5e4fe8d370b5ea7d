//! Registers a node or requester at the coordinator that invited it, and asks a coordinator for
//! contacts. Dials out, trusts no answer, and leaves at once.

use std::io::{BufRead, IsTerminal, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_link::dial::{self, DialError};
use countersign_link::{Closed, Identity, PeerKey};
use countersign_protocol::contact::{Contact, MAX_CONTACTS, Role};
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::invitation::{NotAToken, Token};
use countersign_protocol::text::printable;
use countersign_protocol::{CoordinatorId, decode, encode};

/// Time for the last packet to leave.
const GOODBYE: Duration = Duration::from_millis(100);
/// Longest reason of a coordinator that is shown, in bytes.
const REASON: usize = 400;
/// Longest text in which a token is looked for, in bytes.
const TOKEN_TEXT: u64 = 4096;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Standard input cannot be read.
    #[error("the token cannot be read from standard input ({0}); write it there")]
    Input(#[from] std::io::Error),
    /// The text is another.
    #[error(transparent)]
    Text(#[from] NotAToken),
    /// It is for a node.
    #[error(
        "this invitation is for a node; use it with `countersign-node init --join`, or ask for one for a requester"
    )]
    ForNode,
    /// It is for a requester.
    #[error(
        "this invitation is for a requester; use it with `countersign requester join`, or ask for one for a node"
    )]
    ForRequester,
}

/// Why there are no contacts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The address leads nowhere.
    #[error(
        "cannot resolve {address} ({reason}); check the network, or ask for another invitation"
    )]
    Address {
        /// As in the token or the configuration.
        address: String,
        /// The system's reason.
        reason: String,
    },
    /// The handshake was refused.
    #[error(
        "the coordinator does not let this key in: the invitation was used, revoked or has expired; ask its operator for a new one, and run the command again"
    )]
    NotLetIn,
    /// Somebody else is at the address.
    #[error(
        "the program at {0} is not the coordinator that the invitation or the configuration names; nothing was sent to it. Ask the coordinator's operator for the right address"
    )]
    SomebodyElse(String),
    /// There is no connection.
    #[error(transparent)]
    Dial(DialError),
    /// The coordinator's words, freed of control characters.
    #[error("the coordinator answers: {0}")]
    Refused(String),
    /// The answer is of another version.
    #[error("the coordinator speaks another version; update the older program")]
    Version,
}

impl JoinError {
    /// True if the coordinator may have registered the key although its answer did not arrive.
    pub fn may_be_registered(&self) -> bool {
        match self {
            Self::Address { .. } | Self::NotLetIn | Self::SomebodyElse(_) | Self::Refused(_) => {
                false
            }
            Self::Dial(_) | Self::Version => true,
        }
    }
}

/// Reads the token in a command's argument, or on standard input if that is `-`. The role is that
/// of whoever runs the command.
pub fn read_token(argument: &str, role: Role) -> Result<Token, TokenError> {
    let token = if argument != "-" {
        argument.parse::<Token>()?
    } else if std::io::stdin().is_terminal() {
        eprint!("Paste the token: ");
        let mut line = String::new();
        std::io::stdin()
            .lock()
            .take(TOKEN_TEXT)
            .read_line(&mut line)?;
        line.parse()?
    } else {
        token_in(std::io::stdin())?
    };
    match (token.invitation.role, role) {
        (Role::Node, Role::Node) | (Role::Requester, Role::Requester) => Ok(token),
        (Role::Node, Role::Requester) => Err(TokenError::ForNode),
        (Role::Requester, Role::Node) => Err(TokenError::ForRequester),
    }
}

fn token_in(input: impl Read) -> Result<Token, TokenError> {
    let mut text = String::new();
    input.take(TOKEN_TEXT).read_to_string(&mut text)?;
    Ok(text.parse()?)
}

/// Shows the token to the coordinator that made it, and to no other. Returns the contacts that it
/// proposes, at most [`MAX_CONTACTS`]. Whoever is registered already under the token's name is told
/// again.
pub async fn join(identity: &Arc<Identity>, token: &Token) -> Result<Vec<Contact>, JoinError> {
    let invitation = &token.invitation;
    let frame = FromNode::Join {
        token: Box::new(token.clone()),
    };
    exchange(
        identity,
        &invitation.address,
        &invitation.coordinator,
        &frame,
    )
    .await
}

/// Asks the coordinator at which this node is registered for the contacts that it proposes, at most
/// [`MAX_CONTACTS`].
pub async fn ask(
    identity: &Arc<Identity>,
    address: &str,
    coordinator: &CoordinatorId,
) -> Result<Vec<Contact>, JoinError> {
    exchange(identity, address, coordinator, &FromNode::AskContacts).await
}

async fn exchange(
    identity: &Arc<Identity>,
    address: &str,
    coordinator: &CoordinatorId,
    frame: &FromNode,
) -> Result<Vec<Contact>, JoinError> {
    let at = resolve(address).await?;
    let key = PeerKey(*coordinator.as_bytes());
    let link = dial::connect(at, identity, key, &encode(frame)).await;
    let link = link.map_err(|error| match error {
        DialError::Closed(Closed::NotAdmitted) => JoinError::NotLetIn,
        DialError::Closed(Closed::WrongPeer) => JoinError::SomebodyElse(address.into()),
        other => JoinError::Dial(other),
    })?;
    link.handle.close("answered");
    // Lets the goodbye leave before the program ends, so that the guest's seat is free at once.
    tokio::time::sleep(GOODBYE).await;
    contacts_in(&link.welcome)
}

fn contacts_in(answer: &[u8]) -> Result<Vec<Contact>, JoinError> {
    match decode::<ToNode>(answer) {
        Ok(ToNode::Contacts { mut contacts }) => {
            contacts.truncate(MAX_CONTACTS);
            Ok(contacts)
        }
        Ok(ToNode::NotJoined { reason }) => Err(JoinError::Refused(printable(&reason, REASON))),
        Ok(_) | Err(_) => Err(JoinError::Version),
    }
}

async fn resolve(address: &str) -> Result<SocketAddr, JoinError> {
    let unknown = |reason: String| JoinError::Address {
        address: address.into(),
        reason,
    };
    let mut found = tokio::net::lookup_host(address)
        .await
        .map_err(|error| unknown(error.to_string()))?;
    found
        .next()
        .ok_or_else(|| unknown("it has no address".into()))
}

#[cfg(test)]
mod tests {
    use countersign_protocol::invitation::{Invitation, InvitationId};
    use countersign_protocol::{NodeId, UnixMillis};

    use super::*;

    fn key() -> [u8; 32] {
        Identity::from_seed(&[7; 32]).unwrap().public().0
    }

    fn token(role: Role) -> Token {
        Token {
            invitation: Invitation {
                coordinator: CoordinatorId::from_bytes(key()).unwrap(),
                address: "coordinator.example:7443".into(),
                id: InvitationId([1; 16]),
                role,
                name: "bob".into(),
                expires: UnixMillis(1),
            },
            mac: [2; 32],
        }
    }

    #[test]
    fn a_coordinator_proposes_no_more_than_is_looked_at() {
        let contact = |number: usize| Contact::Node {
            name: format!("n{number}"),
            id: NodeId::from_bytes(key()).unwrap(),
        };
        let contacts = (0..=MAX_CONTACTS).map(contact).collect();
        let answer = encode(&ToNode::Contacts { contacts });
        assert_eq!(contacts_in(&answer).unwrap().len(), MAX_CONTACTS);
        let reason = "no\u{1b}[2J".repeat(1000);
        let refused = contacts_in(&encode(&ToNode::NotJoined { reason })).unwrap_err();
        let shown = refused.to_string();
        assert!(
            shown.contains("no\\u{1b}") && shown.len() < 2 * REASON,
            "{shown}"
        );
        assert!(!refused.may_be_registered());
        let other = contacts_in(&[0xff]).unwrap_err();
        assert!(matches!(other, JoinError::Version) && other.may_be_registered());
    }

    #[test]
    fn a_token_is_looked_for_in_a_short_text_and_is_for_one_role() {
        let text = token(Role::Node).to_text().unwrap();
        let read = token_in(format!("\n {text}\n\n").as_bytes()).unwrap();
        assert_eq!(read, token(Role::Node));
        let far = " ".repeat(TOKEN_TEXT as usize) + &text;
        assert!(matches!(token_in(far.as_bytes()), Err(TokenError::Text(_))));
        let endless = std::io::repeat(b'q');
        assert!(matches!(token_in(endless), Err(TokenError::Text(_))));
        for (made_for, used_by) in [(Role::Node, Role::Requester), (Role::Requester, Role::Node)] {
            let text = token(made_for).to_text().unwrap();
            assert!(read_token(&text, made_for).is_ok());
            let refused = read_token(&text, used_by).unwrap_err().to_string();
            assert!(
                refused.contains(&format!("for a {made_for}; use it")),
                "{refused}"
            );
        }
    }
}
