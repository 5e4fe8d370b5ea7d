//! Unsigned Ethereum transactions from their fields, as [`crate::decode`] reads them: for callers
//! that are handed fields instead of bytes. Nothing is chosen here: every field is given.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxLegacy};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, TxKind, U256, keccak256};

/// A transaction without signature.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are named as in EIP-1559")]
pub struct EvmUnsigned {
    pub chain_id: u64,
    pub nonce: u64,
    /// Units of gas.
    pub gas_limit: u64,
    /// The price of gas, which decides the type.
    pub price: EvmPrice,
    /// The recipient; `None` creates a contract.
    pub to: Option<[u8; 20]>,
    /// Wei, big-endian.
    pub value: [u8; 32],
    /// Calldata, or the code that creates a contract.
    pub data: Vec<u8>,
}

/// An entry of an access list (EIP-2930): a contract and the slots of its storage.
pub type EvmAccess = ([u8; 20], Vec<[u8; 32]>);

/// The price in wei for a unit of gas, by type of transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are named as in EIP-1559")]
pub enum EvmPrice {
    /// Type 0 (EIP-155).
    Legacy { gas_price: u128 },
    /// Type 1 (EIP-2930).
    WithAccessList {
        gas_price: u128,
        access_list: Vec<EvmAccess>,
    },
    /// Type 2 (EIP-1559).
    Dynamic {
        max_fee_per_gas: u128,
        max_priority_fee_per_gas: u128,
        access_list: Vec<EvmAccess>,
    },
}

impl EvmPrice {
    /// The most that a unit of gas can cost, in wei.
    pub fn highest(&self) -> u128 {
        match self {
            Self::Legacy { gas_price } | Self::WithAccessList { gas_price, .. } => *gas_price,
            Self::Dynamic {
                max_fee_per_gas, ..
            } => *max_fee_per_gas,
        }
    }
}

impl EvmUnsigned {
    /// The payload of kind `evm-transaction`: the encoding that is hashed for the signature.
    pub fn encode(&self) -> Vec<u8> {
        let to = self
            .to
            .map_or(TxKind::Create, |to| TxKind::Call(Address::from(to)));
        let value = U256::from_be_bytes(self.value);
        let input = self.data.clone().into();
        match &self.price {
            EvmPrice::Legacy { gas_price } => TxLegacy {
                chain_id: Some(self.chain_id),
                nonce: self.nonce,
                gas_price: *gas_price,
                gas_limit: self.gas_limit,
                to,
                value,
                input,
            }
            .encoded_for_signing(),
            EvmPrice::WithAccessList {
                gas_price,
                access_list,
            } => TxEip2930 {
                chain_id: self.chain_id,
                nonce: self.nonce,
                gas_price: *gas_price,
                gas_limit: self.gas_limit,
                to,
                value,
                access_list: entries(access_list),
                input,
            }
            .encoded_for_signing(),
            EvmPrice::Dynamic {
                max_fee_per_gas,
                max_priority_fee_per_gas,
                access_list,
            } => TxEip1559 {
                chain_id: self.chain_id,
                nonce: self.nonce,
                gas_limit: self.gas_limit,
                max_fee_per_gas: *max_fee_per_gas,
                max_priority_fee_per_gas: *max_priority_fee_per_gas,
                to,
                value,
                access_list: entries(access_list),
                input,
            }
            .encoded_for_signing(),
        }
    }
}

/// The hash under which the network knows a signed transaction (EIP-2718): Keccak-256 of its bytes.
pub fn evm_hash(signed: &[u8]) -> [u8; 32] {
    keccak256(signed).0
}

fn entries(list: &[EvmAccess]) -> AccessList {
    let entry = |(address, slots): &EvmAccess| AccessListItem {
        address: Address::from(*address),
        storage_keys: slots.iter().copied().map(B256::from).collect(),
    };
    AccessList(list.iter().map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{decode_as, digest_of, ecdsa};
    use crate::{Intent, PayloadKind};

    fn transfer(price: EvmPrice) -> EvmUnsigned {
        let mut value = [0; 32];
        value[24..].copy_from_slice(&1_000_000_000_000_000_000u64.to_be_bytes());
        EvmUnsigned {
            chain_id: 1,
            nonce: 9,
            gas_limit: 21_000,
            price,
            to: Some([0x35; 20]),
            value,
            data: vec![],
        }
    }

    /// EIP-155, "Example": its signing data and signing hash.
    #[test]
    fn the_example_of_eip_155_is_encoded() {
        let gas_price = 20_000_000_000;
        let bytes = transfer(EvmPrice::Legacy { gas_price }).encode();
        assert_eq!(
            hex::encode(&bytes),
            "ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080"
        );
        let decoded = decode_as(&ecdsa(), PayloadKind::EvmTransaction, &bytes).unwrap();
        assert_eq!(
            digest_of(&decoded),
            "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"
        );
    }

    #[test]
    fn every_type_is_read_as_it_was_meant() {
        let access_list = vec![([7; 20], vec![[8; 32], [9; 32]])];
        let prices = [
            EvmPrice::Legacy { gas_price: 3 },
            EvmPrice::WithAccessList {
                gas_price: 3,
                access_list: access_list.clone(),
            },
            EvmPrice::Dynamic {
                max_fee_per_gas: 3,
                max_priority_fee_per_gas: 1,
                access_list,
            },
        ];
        for (price, first) in prices.into_iter().zip([0xe7, 1, 2]) {
            assert_eq!(price.highest(), 3);
            let meant = transfer(price);
            let bytes = meant.encode();
            assert_eq!(bytes[0], first);
            let decoded = decode_as(&ecdsa(), PayloadKind::EvmTransaction, &bytes).unwrap();
            let Intent::Transaction(does) = decoded.intent else {
                panic!("{decoded:?}")
            };
            assert_eq!(
                (does.chain.as_str(), does.fee),
                ("eip155:1", Some("63000".into()))
            );
            assert_eq!(does.destinations[0].amount, "1000000000000000000");
            assert!(
                does.destinations[0]
                    .address
                    .eq_ignore_ascii_case(&format!("0x{}", "35".repeat(20)))
            );
        }
    }

    #[test]
    fn a_transaction_without_recipient_creates_a_contract() {
        let meant = EvmUnsigned {
            to: None,
            value: [0; 32],
            data: vec![0x60, 0x00],
            ..transfer(EvmPrice::Legacy { gas_price: 3 })
        };
        let decoded = decode_as(&ecdsa(), PayloadKind::EvmTransaction, &meant.encode()).unwrap();
        let Intent::Transaction(does) = decoded.intent else {
            panic!("{decoded:?}")
        };
        assert_eq!(
            (does.calls[0].contract.as_str(), &does.calls[0].data),
            ("", &vec![0x60, 0x00])
        );
    }
}
