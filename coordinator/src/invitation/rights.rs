//! Rights of an invited requester. Never all of them: admins are made by admins.

use countersign_protocol::KeyId;
use serde::{Deserialize, Serialize};

use crate::api_key::Scope;

/// Most wallets that an invitation lists.
const MAX_WALLETS: usize = 64;

/// The scopes and the wallets of a requester who joined. By default it reads and orders, of all
/// wallets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawRights", into = "RawRights")]
pub struct Rights(RawRights);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRights {
    scopes: Vec<Scope>,
    /// All if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wallets: Option<Vec<KeyId>>,
}

/// The rights are not those of a requester.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a requester who is invited has the scope `read`, `create` or both, of all wallets or of 1 to {MAX_WALLETS} of them; choose other rights"
)]
pub struct RightsError;

impl Rights {
    /// These scopes, limited to these wallets if there is a list.
    pub fn new(scopes: Vec<Scope>, wallets: Option<Vec<KeyId>>) -> Result<Self, RightsError> {
        RawRights { scopes, wallets }.try_into()
    }

    /// Everything else is refused.
    pub fn scopes(&self) -> &[Scope] {
        &self.0.scopes
    }

    /// Only these wallets; all if absent.
    pub fn wallets(&self) -> Option<&[KeyId]> {
        self.0.wallets.as_deref()
    }
}

impl Default for Rights {
    fn default() -> Self {
        Self(RawRights {
            scopes: vec![Scope::Read, Scope::Create],
            wallets: None,
        })
    }
}

impl TryFrom<RawRights> for Rights {
    type Error = RightsError;

    fn try_from(raw: RawRights) -> Result<Self, RightsError> {
        let is_a_requesters = |scope: &Scope| match scope {
            Scope::Read | Scope::Vote | Scope::Create => true,
            Scope::Admin => false,
        };
        let wallets = raw.wallets.as_ref().map(Vec::len);
        let fits = !raw.scopes.is_empty()
            && raw.scopes.iter().all(is_a_requesters)
            && wallets.is_none_or(|count| (1..=MAX_WALLETS).contains(&count));
        if fits {
            Ok(Self(raw))
        } else {
            Err(RightsError)
        }
    }
}

impl From<Rights> for RawRights {
    fn from(rights: Rights) -> Self {
        rights.0
    }
}

impl std::fmt::Display for Rights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scopes: Vec<&str> = self.scopes().iter().map(|scope| scope.as_str()).collect();
        let wallets: String = match self.wallets() {
            None => "all wallets".into(),
            Some([_]) => "1 wallet only".into(),
            Some(wallets) => format!("{} wallets only", wallets.len()),
        };
        write!(f, "{}, of {wallets}", scopes.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wallets(count: usize) -> Option<Vec<KeyId>> {
        let wallet = KeyId::of_task(&countersign_protocol::Hash([1; 32]));
        Some(vec![wallet; count])
    }

    #[test]
    fn an_invitation_gives_no_rights_of_admins_and_no_empty_ones() {
        use Scope::{Admin, Create, Read};
        for (scopes, wallets) in [
            (vec![], None),
            (vec![Admin], None),
            (vec![Read, Create, Admin], None),
            (vec![Read], wallets(0)),
            (vec![Read], wallets(MAX_WALLETS + 1)),
        ] {
            assert_eq!(Rights::new(scopes, wallets), Err(RightsError));
        }
        for text in [
            r#"{"scopes": ["read", "admin"]}"#,
            r#"{"scopes": ["read"], "wallets": []}"#,
            r#"{"scopes": ["read"], "expires": 5}"#,
        ] {
            assert!(serde_json::from_str::<Rights>(text).is_err(), "{text}");
        }
        let read = Rights::new(vec![Read], wallets(1)).unwrap();
        assert_eq!(read.to_string(), "read, of 1 wallet only");
        let text = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<Rights>(&text).unwrap(), read);
    }
}
