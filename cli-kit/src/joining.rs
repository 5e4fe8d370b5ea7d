//! Registers a node or requester at the coordinator that invited it, and asks a coordinator for
//! contacts. Dials out, trusts no answer, and leaves at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_link::dial::{self, DialError};
use countersign_link::{Closed, Identity, PeerKey};
use countersign_protocol::contact::Contact;
use countersign_protocol::control::{FromNode, ToNode};
use countersign_protocol::invitation::Token;
use countersign_protocol::text::printable;
use countersign_protocol::{CoordinatorId, decode, encode};

/// Time for the last packet to leave.
const GOODBYE: Duration = Duration::from_millis(100);
/// Longest reason of a coordinator that is shown, in bytes.
const REASON: usize = 400;

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

/// Shows the token to the coordinator that made it, and to no other. Returns the contacts that it
/// proposes. A node that is registered already may show any token of the same coordinator.
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

/// Asks the coordinator at which this node is registered for the contacts that it proposes.
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
    match decode::<ToNode>(&link.welcome) {
        Ok(ToNode::Contacts { contacts }) => Ok(contacts),
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
