//! The token programs of Solana, the older one and Token-2022, and the program that
//! creates associated token accounts.

use super::owners::Owners;
use super::system::payment;
use super::{Known, Reader, TOKEN, UNKNOWN, cut, key_at, number};
use crate::malformed::Malformed;
use crate::solana_message::Instruction;
use crate::{Destination, Grant};

/// `SyncNative` of both token programs.
pub(super) const SYNC_NATIVE: u8 = 17;
/// Lamports that an account must hold for each of its bytes and for 128 bytes of overhead (two
/// years of rent, which exempt it for good).
const RENT_PER_BYTE: u64 = 6_960;
const RENT_OVERHEAD: u64 = 128;
/// Size of an account of the older token program, in bytes.
const ACCOUNT: u64 = 165;
/// Upper bound of a Token-2022 account with every extension that its mint can demand, in bytes.
const EXTENDED_ACCOUNT: u64 = 300;

pub(super) fn understand(
    reader: &Reader,
    program: &str,
    instruction: &Instruction,
    owners: &mut Owners,
) -> Result<Known, Malformed> {
    let data = instruction.data;
    let it = Token {
        reader,
        program,
        instruction,
    };
    match data.first() {
        // InitializeAccount; [account, mint, owner, rent]
        Some(1) => it.initialize("InitializeAccount", reader.named(instruction, 2)?, owners),
        // Transfer { amount }; [source, destination, owner]
        Some(3) => it.transfer("Transfer", None, 1, number(data, 1)?, owners),
        // Approve { amount }; [source, delegate, owner]
        Some(4) => it.approve("Approve", None, 1, owners),
        // Revoke; [source, owner]
        Some(5) => Ok(Known::harmless(
            "Revoke",
            vec![("account", reader.named(instruction, 0)?)],
        )),
        // SetAuthority { type, authority }; [account, authority]
        Some(6) => it.set_authority(owners),
        // Burn { amount }; [account, mint, owner]
        Some(8) => it.burn("Burn"),
        // CloseAccount; [account, destination, owner]: the whole balance, wrapped SOL included.
        Some(9) => {
            owners.lose(reader.named(instruction, 0)?);
            it.empty("CloseAccount")
        }
        // TransferChecked { amount, decimals }; [source, mint, destination, owner]
        Some(12) => it.transfer("TransferChecked", Some(1), 2, number(data, 1)?, owners),
        // ApproveChecked { amount, decimals }; [source, mint, delegate, owner]
        Some(13) => it.approve("ApproveChecked", Some(1), 2, owners),
        // BurnChecked { amount, decimals }; accounts as before
        Some(15) => it.burn("BurnChecked"),
        // InitializeAccount2 { owner }; [account, mint, rent]
        Some(16) => it.initialize("InitializeAccount2", key_at(data, 1)?, owners),
        // SyncNative; [account]: counts native value that is there already.
        Some(&SYNC_NATIVE) => Ok(Known::harmless(
            "SyncNative",
            vec![("account", reader.named(instruction, 0)?)],
        )),
        // InitializeAccount3 { owner }; [account, mint]
        Some(18) => it.initialize("InitializeAccount3", key_at(data, 1)?, owners),
        // InitializeImmutableOwner; [account]
        Some(22) => {
            let fields = vec![("account", reader.named(instruction, 0)?)];
            Ok(Known::harmless("InitializeImmutableOwner", fields))
        }
        // TransferFeeExtension: TransferCheckedWithFee { amount, decimals, fee }; accounts as
        // TransferChecked
        Some(26) if program != TOKEN && data.get(1) == Some(&1) => it.transfer(
            "TransferCheckedWithFee",
            Some(1),
            2,
            number(data, 2)?,
            owners,
        ),
        Some(38) => it.empty("WithdrawExcessLamports"),
        Some(45) => it.empty("UnwrapLamports"),
        Some(255) => Err("a batch of instructions is not read; send them singly".into()),
        _ => Ok(Known::default()),
    }
}

/// Create and CreateIdempotent; [funder, account, owner, mint, system program, token program]. The
/// funder pays the required balance, which the account's owner gets by closing it.
pub(super) fn understand_associated(
    reader: &Reader,
    instruction: &Instruction,
    owners: &mut Owners,
) -> Result<Known, Malformed> {
    let method = match instruction.data {
        [] | [0, ..] => "Create",
        [1, ..] => "CreateIdempotent",
        _ => return Ok(Known::default()),
    };
    let name = |at| reader.named(instruction, at);
    let account = name(1)?;
    let owner = name(2)?;
    let mint = name(3)?;
    let program = name(5)?;
    let bytes = if program == TOKEN {
        ACCOUNT
    } else {
        EXTENDED_ACCOUNT
    };
    owners.make(account.clone(), owner.clone(), mint.clone());
    let lamports = (RENT_OVERHEAD + bytes) * RENT_PER_BYTE;
    let rent = payment(reader, method, account.clone(), lamports, owners)?;
    let fields = vec![
        ("account", account),
        ("owner", owner),
        ("mint", mint),
        ("token_program", program),
        ("lamports", lamports.to_string()),
    ];
    Ok(Known { fields, ..rent })
}

/// An instruction of a token program.
struct Token<'a> {
    reader: &'a Reader<'a>,
    program: &'a str,
    instruction: &'a Instruction<'a>,
}

impl Token<'_> {
    fn transfer(
        &self,
        method: &'static str,
        mint: Option<usize>,
        to: usize,
        amount: u64,
        owners: &mut Owners,
    ) -> Result<Known, Malformed> {
        let source = self.named(0)?;
        let account = self.named(to)?;
        let made = || {
            owners
                .mint(&account)
                .or_else(|| owners.mint(&source))
                .map(str::to_string)
        };
        let mint = mint.map(|mint| self.named(mint)).transpose()?.or_else(made);
        let owner = owners.of_tokens(self.reader, self.program, mint.as_deref(), &account);
        let destination = Destination {
            change: owner.as_ref() == Some(&self.reader.signer),
            address: account.clone(),
            asset: self.asset(mint.as_deref()),
            amount: amount.to_string(),
            memo: None,
        };
        let fields = vec![
            ("source", source),
            ("account", account),
            ("owner", owner.unwrap_or_else(|| "unknown".into())),
            ("mint", mint.unwrap_or_else(|| "unknown".into())),
            ("amount", amount.to_string()),
        ];
        Ok(Known {
            method: Some(method),
            fields,
            destination: Some(destination),
            ..Known::default()
        })
    }

    /// Burnt tokens have left the account, and nobody receives them.
    fn burn(&self, method: &'static str) -> Result<Known, Malformed> {
        let mint = self.named(1)?;
        let amount = number(self.instruction.data, 1)?.to_string();
        let destination = Destination {
            address: String::new(),
            asset: self.asset(Some(&mint)),
            amount: amount.clone(),
            memo: None,
            change: false,
        };
        let fields = vec![
            ("account", self.named(0)?),
            ("mint", mint),
            ("amount", amount),
        ];
        Ok(Known {
            method: Some(method),
            fields,
            destination: Some(destination),
            ..Known::default()
        })
    }

    fn approve(
        &self,
        method: &'static str,
        mint: Option<usize>,
        delegate: usize,
        owners: &Owners,
    ) -> Result<Known, Malformed> {
        let source = self.named(0)?;
        let amount = number(self.instruction.data, 1)?;
        let made = || owners.mint(&source).map(str::to_string);
        let mint = mint.map(|mint| self.named(mint)).transpose()?.or_else(made);
        let spender = self.named(delegate)?;
        let fields = vec![
            ("source", source),
            ("delegate", spender.clone()),
            ("amount", amount.to_string()),
        ];
        let grant = Grant {
            spender,
            asset: self.asset(mint.as_deref()),
            amount: (amount != u64::MAX).then(|| amount.to_string()),
        };
        Ok(Known {
            method: Some(method),
            fields,
            grant: Some(grant),
            ..Known::default()
        })
    }

    /// An authority permits everything that it is for: moving the account's balance, closing it,
    /// minting more of a token.
    fn set_authority(&self, owners: &mut Owners) -> Result<Known, Malformed> {
        let account = self.named(0)?;
        let data = self.instruction.data;
        let authority = match data.get(2) {
            Some(0) => None,
            Some(1) => Some(key_at(data, 3)?),
            _ => return Err(cut().into()),
        };
        let asset = self.asset(owners.mint(&account));
        owners.lose(account.clone());
        let fields = vec![
            ("account", account),
            ("type", data.get(1).map(u8::to_string).unwrap_or_default()),
            (
                "authority",
                authority.clone().unwrap_or_else(|| "none".into()),
            ),
        ];
        let grant = authority.map(|spender| Grant {
            spender,
            asset,
            amount: None,
        });
        Ok(Known {
            method: Some("SetAuthority"),
            fields,
            grant,
            ..Known::default()
        })
    }

    /// The account's whole native value, an amount that only the chain knows, goes
    /// to the second account.
    fn empty(&self, method: &'static str) -> Result<Known, Malformed> {
        let account = self.named(0)?;
        let spender = self.named(1)?;
        let returns = spender == self.reader.signer;
        let fields = vec![("account", account), ("to", spender.clone())];
        let grant = (!returns).then(|| Grant {
            spender,
            asset: String::new(),
            amount: None,
        });
        Ok(Known {
            method: Some(method),
            fields,
            grant,
            ..Known::default()
        })
    }

    fn initialize(
        &self,
        method: &'static str,
        owner: String,
        owners: &mut Owners,
    ) -> Result<Known, Malformed> {
        let account = self.named(0)?;
        let mint = self.named(1)?;
        owners.make(account.clone(), owner.clone(), mint.clone());
        Ok(Known::harmless(
            method,
            vec![("account", account), ("owner", owner), ("mint", mint)],
        ))
    }

    fn asset(&self, mint: Option<&str>) -> String {
        let mint = mint
            .filter(|mint| !mint.starts_with(UNKNOWN))
            .unwrap_or("unknown");
        format!("{}/token:{mint}", self.reader.chain)
    }

    fn named(&self, at: usize) -> Result<String, Malformed> {
        self.reader.named(self.instruction, at)
    }
}
