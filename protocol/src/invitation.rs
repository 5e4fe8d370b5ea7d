//! Invitations: a token with which one node or requester registers at a coordinator, once.
//!
//! The coordinator makes the token and alone can verify it. Whoever holds it may take the invited
//! place until it expires, so it is passed on like a password. It never makes anybody a peer: each
//! node's own operator does that.

use std::fmt;
use std::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use serde::{Deserialize, Serialize};

use crate::contact::Role;
use crate::id::{CoordinatorId, byte_text};
use crate::task::UnixMillis;
use crate::{decode, encode};

/// The maximum size of an encoded [`Token`], in bytes.
pub const MAX_TOKEN: usize = 600;
/// The maximum length of a coordinator's address, in bytes.
pub const MAX_ADDRESS: usize = 261;
/// Prefix of a token's text form.
const PREFIX: &str = "csi";
/// Separates the MAC of invitations from all others.
const DOMAIN: &[u8] = b"countersign/1 invitation\0";

/// The random number of an invitation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InvitationId(pub [u8; 16]);

impl InvitationId {
    fn from_bytes(bytes: [u8; 16]) -> Result<Self, crate::IdError> {
        Ok(Self(bytes))
    }
}

byte_text!(
    InvitationId,
    16,
    "an invitation (32 lower-case hexadecimal digits)"
);

/// The statement of a token. The coordinator's MAC covers all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// The only coordinator that the guest talks to.
    pub coordinator: CoordinatorId,
    /// Its address for nodes, as `host:port`.
    pub address: String,
    /// The invitation's number.
    pub id: InvitationId,
    /// The part that the guest will have.
    pub role: Role,
    /// The name that the guest will have at the coordinator.
    pub name: String,
    /// The end of its validity, by the coordinator's clock.
    pub expires: UnixMillis,
}

impl Invitation {
    /// The bytes that the MAC covers: a domain, then the statement.
    pub fn covered(&self) -> Vec<u8> {
        [DOMAIN, &encode(self)].concat()
    }
}

/// An invitation with its MAC. Text `csi1…`. It admits its holder, so it appears in no log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The statement.
    pub invitation: Invitation,
    /// HMAC-SHA256 (RFC 2104) over [`Invitation::covered`], by a key of the coordinator.
    pub mac: [u8; 32],
}

/// The text is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not an invitation, or a character is missing or mistyped; copy the whole text (csi1...) again"
)]
pub struct NotAToken;

impl Token {
    /// The text to pass on. `None` if the address or the name is too long.
    pub fn to_text(&self) -> Option<String> {
        let bytes = encode(self);
        if bytes.len() > MAX_TOKEN || self.invitation.address.len() > MAX_ADDRESS {
            return None;
        }
        bech32::encode::<Bech32m>(Hrp::parse(PREFIX).ok()?, &bytes).ok()
    }
}

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let checked = CheckedHrpstring::new::<Bech32m>(text.trim()).map_err(|_| NotAToken)?;
        if checked.hrp().to_lowercase() != PREFIX {
            return Err(NotAToken);
        }
        let bytes: Vec<u8> = checked.byte_iter().take(MAX_TOKEN + 1).collect();
        let token: Self = decode(&bytes).map_err(|_| NotAToken)?;
        let readable = crate::contact::is_name(&token.invitation.name)
            && crate::text::is_plain(&token.invitation.address);
        readable.then_some(token).ok_or(NotAToken)
    }
}

/// Shows the statement only.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("invitation", &self.invitation)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
        Token {
            invitation: Invitation {
                coordinator: CoordinatorId::from_bytes(key.to_bytes()).unwrap(),
                address: "coordinator.example:7443".into(),
                id: InvitationId([9; 16]),
                role: Role::Node,
                name: "bob".into(),
                expires: UnixMillis(1_800_000_000_000),
            },
            mac: [0x5a; 32],
        }
    }

    #[test]
    fn a_token_survives_its_text_and_a_mistyped_one_is_noticed() {
        let text = token().to_text().unwrap();
        assert!(text.starts_with("csi1"), "{text}");
        assert_eq!(format!(" {text}\n").parse(), Ok(token()));
        for at in [0, 5, 40, text.len() - 1] {
            let other = if &text[at..=at] == "q" { "p" } else { "q" };
            let mistyped = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert_eq!(mistyped.parse::<Token>(), Err(NotAToken), "{at}");
        }
        assert_eq!(text[..text.len() - 1].parse::<Token>(), Err(NotAToken));
        let of_a_node = crate::NodeId::from_bytes(*token().invitation.coordinator.as_bytes());
        assert_eq!(
            of_a_node.unwrap().to_string().parse::<Token>(),
            Err(NotAToken)
        );
    }

    /// A token is in use for as long as it is valid, whatever is updated meanwhile. Written by
    /// another implementation of Bech32m.
    #[test]
    fn the_text_of_a_token_is_frozen() {
        let text = concat!(
            "csi1af9xcclzn3fq40h42pa3xtk9lx25wa4wh6l8hyjzrm4xj9zx6gkpscm0daexg6twv96x7u3wv4uxzmtsd3jn5de5xsesjz",
            "gfpyysjzgfpyysjzgfpyysjqqrvfhk9q9q78ptzdz6tfd95kj6tfd95kj6tfd95kj6tfd95kj6tfd95kj6tfd95kj6tggexh7n",
        );
        assert_eq!(token().to_text().unwrap(), text);
        assert_eq!(text.parse(), Ok(token()));
    }

    #[test]
    fn the_longest_address_and_name_fit() {
        let mut longest = token();
        longest.invitation.name = "n".repeat(crate::contact::MAX_NAME);
        longest.invitation.address = format!("{}:65535", "h".repeat(255));
        let text = longest.to_text().unwrap();
        assert_eq!(text.parse(), Ok(longest.clone()));
        longest.invitation.address.push('0');
        assert_eq!(longest.to_text(), None);
    }

    #[test]
    fn a_token_that_could_steer_a_terminal_is_refused() {
        for name in ["b\u{1b}[2J", "", "csn1x"] {
            let mut steering = token();
            steering.invitation.name = name.into();
            let text = steering.to_text().unwrap();
            assert_eq!(text.parse::<Token>(), Err(NotAToken));
        }
    }

    #[test]
    fn debug_shows_no_mac() {
        let shown = format!("{:?}", token());
        assert!(
            shown.contains("bob") && !shown.contains("90, 90"),
            "{shown}"
        );
    }
}
