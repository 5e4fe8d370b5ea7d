//! Exact amounts in the form that handlers read: whole units with decimals.

use crate::Config;

/// An asset in the handler's terms, with the decimals of its amounts.
pub(crate) struct Known<'a> {
    pub(crate) id: &'a str,
    decimals: usize,
}

/// The asset named by a CAIP-19 id, or the native asset of `chain` if `asset` is empty.
pub(crate) fn known<'a>(config: &'a Config, chain: &'a str, asset: &'a str) -> Known<'a> {
    match config.assets.find(chain, asset) {
        Some(asset) => Known {
            id: &asset.id,
            decimals: asset.decimals.into(),
        },
        None => Known {
            id: if asset.is_empty() { chain } else { asset },
            decimals: 0,
        },
    }
}

impl Known<'_> {
    /// Converts decimal digits to whole units. Other texts stay unchanged, and no handler mistakes
    /// them for a number.
    pub(crate) fn amount(&self, smallest: &str) -> String {
        if self.decimals == 0
            || smallest.is_empty()
            || !smallest.bytes().all(|b| b.is_ascii_digit())
        {
            return smallest.into();
        }
        let digits = format!("{smallest:0>width$}", width = self.decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - self.decimals);
        let whole = whole.trim_start_matches('0');
        format!("{}.{fraction}", if whole.is_empty() { "0" } else { whole })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        let wei = Known {
            id: "ETH",
            decimals: 18,
        };
        for (smallest, whole) in [
            ("0", "0.000000000000000000"),
            ("1", "0.000000000000000001"),
            ("10000000000000000", "0.010000000000000000"),
            (
                "1234567890123456789012345678",
                "1234567890.123456789012345678",
            ),
            ("1e18", "1e18"),
            ("", ""),
        ] {
            assert_eq!(wei.amount(smallest), whole);
        }
        assert_eq!(
            Known {
                id: "X",
                decimals: 0
            }
            .amount("7"),
            "7"
        );
    }
}
