//! `keys`: keys that the node holds for plugins. Needs a grant for each key and use.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wasmtime::component::{HasSelf, Linker};

use crate::capability::interface::{Capability, Interface, Need, PreInit};
use crate::contract::anchor::Anchor;
use crate::contract::bindings::countersign::policy::keys;
use crate::contract::grants::{Grants, KeyGrant, KeyUsage};
use crate::contract::services::{KeyError, Services};
use crate::contract::text::printable;
use crate::contract::trace::{AnswerSize, Asked};
use crate::sandbox::call_state::CallState;
use crate::sandbox::terms::{Budget, Reach};

pub(crate) enum Keys {}

impl Capability for Keys {
    const INTERFACES: &'static [Interface] = &[Interface {
        name: "countersign:policy/keys",
        pre_init: PreInit::Forbidden,
    }];
    const NEED: Need = Need::Grant("list the keys that it may use under grants.keys");
    const REACH: Reach = Reach::Node;
    /// Enough for the incumbent's sixty retries.
    const BUDGET: Budget = Budget {
        most: 1024,
        of: "key operations",
    };

    type Grant = [KeyGrant];

    fn granted(grants: &Grants) -> Option<&[KeyGrant]> {
        (!grants.keys.is_empty()).then_some(&grants.keys)
    }

    fn revoke(grants: &mut Grants) {
        grants.keys = Vec::new();
    }

    fn anchors(grants: &Grants, services: &dyn Services) -> Vec<Anchor> {
        let keys = grants.keys.iter();
        keys.filter_map(|key| services.anchor(&key.name)).collect()
    }

    fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
        keys::add_to_linker::<CallState, HasSelf<CallState>>(linker, |call| call)
    }
}

impl keys::Host for CallState {
    fn sign(
        &mut self,
        key: String,
        algorithm: String,
        data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, keys::Error>> {
        let asked = Asked::new("keys.sign", key.as_str(), &[algorithm.as_bytes(), &data]);
        self.answer::<Keys, _>(asked, |call, node| {
            call.sign_granted(node.services(), &key, &algorithm, &data)
        })
    }

    fn verify(
        &mut self,
        key: String,
        algorithm: String,
        data: Vec<u8>,
        signature: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, keys::Error>> {
        let asked = Asked::new(
            "keys.verify",
            key.as_str(),
            &[algorithm.as_bytes(), &data, &signature],
        );
        self.answer::<Keys, _>(asked, |call, node| {
            call.key_grant(&key, |usage| {
                matches!(usage, KeyUsage::Verify | KeyUsage::Mac)
            })?;
            Ok(node
                .services()
                .verify(&key, &algorithm, &data, &signature)?)
        })
    }

    fn public_key(&mut self, key: String) -> wasmtime::Result<Result<Vec<u8>, keys::Error>> {
        let asked = Asked::new("keys.public-key", key.as_str(), &[]);
        self.answer::<Keys, _>(asked, |call, node| {
            call.key_grant(&key, |usage| usage != KeyUsage::Mac)?;
            Ok(node.services().public_key(&key)?)
        })
    }
}

impl CallState {
    fn sign_granted(
        &self,
        services: &dyn Services,
        key: &str,
        algorithm: &str,
        data: &[u8],
    ) -> Result<Vec<u8>, keys::Error> {
        let usage = self.key_grant(key, |usage| usage != KeyUsage::Verify)?;
        if usage == KeyUsage::Mac && algorithm != "HS256" {
            return Err(keys::Error::UnsupportedAlgorithm(
                "a shared secret signs HS256 only".into(),
            ));
        }
        if usage == KeyUsage::SignJwt && !is_jwt(data, algorithm) {
            let reason = "this key signs JWTs of the same algorithm only";
            return Err(keys::Error::UnsupportedAlgorithm(reason.into()));
        }
        Ok(services.sign(key, algorithm, data)?)
    }

    fn key_grant(
        &self,
        key: &str,
        usage: impl Fn(KeyUsage) -> bool,
    ) -> Result<KeyUsage, keys::Error> {
        let granted = self.context.grants.key(key, usage).map(|grant| grant.usage);
        granted.ok_or_else(|| keys::Error::UnknownKey(printable(key, 128)))
    }
}

/// True if `data` is the signing input of a JWT (RFC 7515 section 5.1) whose header names
/// `algorithm`. So a grant to sign JWTs is not a grant to sign anything.
fn is_jwt(data: &[u8], algorithm: &str) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let Some((header, claims)) = text.split_once('.') else {
        return false;
    };
    let object = |part: &str| -> Option<serde_json::Map<String, serde_json::Value>> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
    };
    let names_algorithm =
        object(header).is_some_and(|header| header.get("alg").is_some_and(|alg| alg == algorithm));
    names_algorithm && object(claims).is_some()
}

impl From<KeyError> for keys::Error {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unknown(key) => Self::UnknownKey(key),
            KeyError::Algorithm(algorithm) => Self::UnsupportedAlgorithm(algorithm),
            KeyError::Internal(text) => Self::Internal(text),
        }
    }
}

impl AnswerSize for Result<Vec<u8>, keys::Error> {
    fn size(&self) -> usize {
        self.as_ref().map_or(0, Vec::len)
    }
}

impl AnswerSize for Result<bool, keys::Error> {
    fn size(&self) -> usize {
        0
    }
}
