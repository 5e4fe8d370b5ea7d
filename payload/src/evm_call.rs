//! The effects of calls to well-known token standards, read from their call data.
//!
//! `approve` and `transferFrom` are methods of both ERC-20 and ERC-721 with one encoding: their
//! last argument is an amount in the one and a token's number in the other, so 0 is nothing in the
//! one and a token in the other. The bytes do not tell which standard a contract follows. Such a
//! call names the asset `<chain>/token:<contract>`, with the number as it is: a policy must know
//! the contract, or assume the worse of both meanings.
//!
//! A contract takes the arguments at the front and ignores the rest, so data behind the arguments
//! hides nothing here either. Arguments that are too short, or with unused bits set, are read
//! differently by different contracts: such a call of a well-known method is refused as a whole,
//! rather than shown as if nothing were transferred.

use alloy_primitives::{Address, U256, address};

use crate::malformed::Malformed;
use crate::{Destination, Grant};

/// The same address on every chain.
const PERMIT2: Address = address!("000000000022D473030F116dDEE9F6B43aC78BA3");
/// Stands for a token standard: ERC-20 or ERC-721.
pub(crate) const EITHER: &str = "token";

/// The effects of a call.
pub(crate) struct Known {
    pub(crate) method: &'static str,
    pub(crate) destinations: Vec<Destination>,
    pub(crate) grants: Vec<Grant>,
}

/// Returns `None` for an unknown method.
pub(crate) fn understand(
    chain: &str,
    contract: &Address,
    sender: &Address,
    data: &[u8],
) -> Result<Option<Known>, Malformed> {
    let Some((selector, arguments)) = data.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let call = Reader {
        chain,
        contract,
        sender,
        arguments,
    };
    let known = match u32::from_be_bytes(*selector) {
        0xa9059cbb => call.pay(
            "transfer(address,uint256)",
            0,
            call.token("erc20", None),
            call.amount(1)?,
        ),
        0x23b872dd => {
            call.address(0)?;
            call.pay(
                "transferFrom(address,address,uint256)",
                1,
                call.token(EITHER, None),
                call.amount(2)?,
            )
        }
        0x42842e0e => call.move_one("safeTransferFrom(address,address,uint256)"),
        0xb88d4fde => call.move_one("safeTransferFrom(address,address,uint256,bytes)"),
        0xf242432a => {
            call.address(0)?;
            let asset = call.token("erc1155", Some(call.amount(2)?));
            call.pay(
                "safeTransferFrom(address,address,uint256,uint256,bytes)",
                1,
                asset,
                call.amount(3)?,
            )
        }
        0x2eb2c2d6 => {
            call.move_many("safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)")
        }
        0x095ea7b3 => call.allow("approve(address,uint256)", EITHER, 0, call.amount(1)?),
        0x39509351 => call.allow(
            "increaseAllowance(address,uint256)",
            "erc20",
            0,
            call.amount(1)?,
        ),
        0xa22cb465 => call.allow_all("setApprovalForAll(address,bool)", "erc721", 0, 1),
        0xd505accf => {
            call.address(0)?;
            let method = "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)";
            call.allow(method, "erc20", 1, call.amount(2)?)
        }
        0x8fcbaf0c => {
            call.address(0)?;
            let method = "permit(address,address,uint256,uint256,bool,uint8,bytes32,bytes32)";
            call.allow_all(method, "erc20", 1, 4)
        }
        0x87517c45 if *contract == PERMIT2 => {
            call.allow_token("approve(address,address,uint160,uint48)", 0, 1, 2)
        }
        0x2b67b570 if *contract == PERMIT2 => {
            let method = "permit(address,((address,uint160,uint48,uint48),address,uint256),bytes)";
            call.allow_token(method, 1, 5, 2)
        }
        0x36c78516 if *contract == PERMIT2 => {
            call.address(0)?;
            let asset = asset(chain, "erc20", &call.address(3)?, None);
            call.pay(
                "transferFrom(address,address,uint160,address)",
                1,
                asset,
                call.amount160(2)?,
            )
        }
        _ => return Ok(None),
    };
    known.map(Some)
}

/// CAIP-19 id of a token.
pub(crate) fn asset(chain: &str, standard: &str, contract: &Address, id: Option<U256>) -> String {
    let id = id.map(|id| format!("/{id}")).unwrap_or_default();
    format!("{chain}/{standard}:{contract}{id}")
}

/// An allowance; the largest number that the method can express means "without limit".
pub(crate) fn limit(amount: U256, largest: U256) -> Option<String> {
    (amount != largest).then(|| amount.to_string())
}

/// The maximum of 160 bits, Permit2's number type.
pub(crate) fn max160() -> U256 {
    U256::MAX >> 96
}

struct Reader<'a> {
    chain: &'a str,
    contract: &'a Address,
    sender: &'a Address,
    arguments: &'a [u8],
}

impl Reader<'_> {
    fn pay(
        &self,
        method: &'static str,
        to: usize,
        asset: String,
        amount: U256,
    ) -> Result<Known, Malformed> {
        let destinations = vec![self.destination(self.address(to)?, asset, amount)];
        Ok(Known {
            method,
            destinations,
            grants: vec![],
        })
    }

    fn move_one(&self, method: &'static str) -> Result<Known, Malformed> {
        self.address(0)?;
        self.pay(
            method,
            1,
            self.token("erc721", Some(self.amount(2)?)),
            U256::ONE,
        )
    }

    fn move_many(&self, method: &'static str) -> Result<Known, Malformed> {
        self.address(0)?;
        let to = self.address(1)?;
        let ids = self.list(2)?;
        let amounts = self.list(3)?;
        if ids.len() != amounts.len() {
            return Err("it names tokens and amounts of different number".into());
        }
        let pairs = ids.into_iter().zip(amounts);
        let destinations = pairs
            .map(|(id, amount)| self.destination(to, self.token("erc1155", Some(id)), amount))
            .collect();
        Ok(Known {
            method,
            destinations,
            grants: vec![],
        })
    }

    fn allow(
        &self,
        method: &'static str,
        standard: &str,
        spender: usize,
        amount: U256,
    ) -> Result<Known, Malformed> {
        let spender = self.address(spender)?.to_string();
        let grant = Grant {
            spender,
            asset: self.token(standard, None),
            amount: limit(amount, U256::MAX),
        };
        Ok(Known {
            method,
            destinations: vec![],
            grants: vec![grant],
        })
    }

    /// Everything of a contract, or nothing if revoked.
    fn allow_all(
        &self,
        method: &'static str,
        standard: &str,
        spender: usize,
        allowed: usize,
    ) -> Result<Known, Malformed> {
        let spender = self.address(spender)?.to_string();
        let amount = match self.amount(allowed)? {
            U256::ONE => None,
            U256::ZERO => Some("0".into()),
            _ => return Err("its truth value is neither 0 nor 1".into()),
        };
        let grant = Grant {
            spender,
            asset: self.token(standard, None),
            amount,
        };
        Ok(Known {
            method,
            destinations: vec![],
            grants: vec![grant],
        })
    }

    fn allow_token(
        &self,
        method: &'static str,
        token: usize,
        spender: usize,
        amount: usize,
    ) -> Result<Known, Malformed> {
        let asset = asset(self.chain, "erc20", &self.address(token)?, None);
        let amount = limit(self.amount160(amount)?, max160());
        let grant = Grant {
            spender: self.address(spender)?.to_string(),
            asset,
            amount,
        };
        Ok(Known {
            method,
            destinations: vec![],
            grants: vec![grant],
        })
    }

    fn destination(&self, to: Address, asset: String, amount: U256) -> Destination {
        let address = to.to_string();
        let change = to == *self.sender;
        Destination {
            address,
            asset,
            amount: amount.to_string(),
            memo: None,
            change,
        }
    }

    fn token(&self, standard: &str, id: Option<U256>) -> String {
        asset(self.chain, standard, self.contract, id)
    }

    fn word(&self, at: usize) -> Result<&[u8; 32], Malformed> {
        let rest = at
            .checked_mul(32)
            .and_then(|start| self.arguments.get(start..));
        rest.and_then(<[u8]>::first_chunk)
            .ok_or_else(|| "its call data ends within the arguments".into())
    }

    fn amount(&self, at: usize) -> Result<U256, Malformed> {
        self.word(at).map(|word| U256::from_be_bytes(*word))
    }

    fn amount160(&self, at: usize) -> Result<U256, Malformed> {
        let amount = self.amount(at)?;
        if amount > max160() {
            Err("its amount has more than 160 bits".into())
        } else {
            Ok(amount)
        }
    }

    fn address(&self, at: usize) -> Result<Address, Malformed> {
        let (high, low) = self.word(at)?.split_at(12);
        match high {
            [0, ..] if high.iter().all(|byte| *byte == 0) => Ok(Address::from_slice(low)),
            _ => Err("an address in its call data has more than 20 bytes".into()),
        }
    }

    /// A list of numbers at the place that the argument points to.
    fn list(&self, at: usize) -> Result<Vec<U256>, Malformed> {
        let outside = || "a list in its call data lies outside of it".to_string();
        let offset = usize::try_from(self.amount(at)?).map_err(|_| outside())?;
        let tail = Reader {
            arguments: self.arguments.get(offset..).ok_or_else(outside)?,
            ..*self
        };
        let length = usize::try_from(tail.amount(0)?).map_err(|_| outside())?;
        if length > self.arguments.len() / 32 {
            return Err(outside().into());
        }
        (1..=length).map(|index| tail.amount(index)).collect()
    }
}
