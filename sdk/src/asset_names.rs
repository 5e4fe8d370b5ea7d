//! A server's names for assets, as an operator configures them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::Amount;

/// The operator's translation from CAIP ids and smallest units, which the node uses, to a server's
/// own names and whole units.
///
/// Keyed by [CAIP-2](https://chainagnostic.org/CAIPs/caip-2) id for a chain's native asset, and by
/// [CAIP-19](https://chainagnostic.org/CAIPs/caip-19) id for others, for example
/// `{"eip155:1": {"id": "ETH", "decimals": 18}}`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct AssetNames(BTreeMap<String, AssetName>);

/// An asset as a server knows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssetName {
    /// The server's id, such as `ETH_USDT`.
    pub id: String,
    /// The number of decimals, at most [`MAX_DECIMALS`](Self::MAX_DECIMALS).
    pub decimals: u8,
}

/// An entry of [`AssetNames`] without an id, or with too many decimals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetNameError {
    /// CAIP id of the entry.
    asset: String,
}

impl fmt::Display for AssetNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "assets: `{}` needs an id, and at most {} decimals",
            self.asset,
            AssetName::MAX_DECIMALS
        )
    }
}

impl std::error::Error for AssetNameError {}

impl AssetName {
    /// The maximum number of decimals: a 256-bit number has at most 78 digits.
    pub const MAX_DECIMALS: u8 = 77;

    /// Converts from the smallest unit to whole units, without trailing zeros. `None` if `smallest`
    /// is not a number.
    pub fn in_units(&self, smallest: &str) -> Option<String> {
        Some(smallest.parse::<Amount>().ok()?.in_units(self.decimals))
    }
}

impl AssetNames {
    /// Finds the asset with the CAIP-19 id `asset`, or the native one of `chain` if that is empty.
    pub fn find(&self, chain: &str, asset: &str) -> Option<&AssetName> {
        self.0.get(if asset.is_empty() { chain } else { asset })
    }

    /// Checks that each entry has an id, and at most [`AssetName::MAX_DECIMALS`] decimals.
    pub fn validate(&self) -> Result<(), AssetNameError> {
        let wrong = |(_, asset): &(&String, &AssetName)| {
            asset.id.is_empty() || asset.decimals > AssetName::MAX_DECIMALS
        };
        match self.0.iter().find(wrong) {
            Some((name, _)) => Err(AssetNameError {
                asset: name.clone(),
            }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> AssetNames {
        let text = r#"{"eip155:1": {"id": "ETH", "decimals": 18},
                       "eip155:1/erc20:0xdac": {"id": "ETH_USDT", "decimals": 6}}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_native_asset_is_found_by_its_chain_and_others_by_their_id() {
        let names = names();
        assert_eq!(names.find("eip155:1", "").unwrap().id, "ETH");
        assert_eq!(
            names.find("eip155:1", "eip155:1/erc20:0xdac").unwrap().id,
            "ETH_USDT"
        );
        assert_eq!(names.find("eip155:137", ""), None);
    }

    #[test]
    fn amounts_are_exact_or_absent() {
        let usdt = AssetName {
            id: "ETH_USDT".into(),
            decimals: 6,
        };
        assert_eq!(usdt.in_units("1500000").as_deref(), Some("1.5"));
        assert_eq!(usdt.in_units("0").as_deref(), Some("0"));
        assert_eq!(usdt.in_units("unlimited"), None);
    }

    #[test]
    fn names_and_decimals_are_checked() {
        assert_eq!(names().validate(), Ok(()));
        for text in [
            r#"{"x": {"id": "", "decimals": 0}}"#,
            r#"{"x": {"id": "X", "decimals": 78}}"#,
        ] {
            assert!(
                serde_json::from_str::<AssetNames>(text)
                    .unwrap()
                    .validate()
                    .is_err(),
                "{text}"
            );
        }
    }
}
