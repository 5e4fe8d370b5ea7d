//! Messages of Solana transactions: every instruction as a call, and the transfers and approvals of the system program
//! and of the token programs.
//!
//! Tokens. An instruction that names its mint (`TransferChecked`) gives the asset `<chain>/token:<mint>`. One that does not
//! (`Transfer`) gives `<chain>/token:unknown`, which no list of assets contains. Recipients are token accounts; who owns
//! them is on the chain alone.
//! What empties an account or hands it over, without saying how much is in it, is a grant of everything.
//! Tables. Accounts that a lookup table names are not in the message; they appear as `unknown:<table>/<index>`.
//! A transfer instruction whose data or accounts are incomplete fails on the chain; here it refuses the message.

use countersign_protocol::{DerivationPath, Scheme};

use crate::solana_message::{Account, Instruction, Message};
use crate::{Call, DecodeError, Decoded, Destination, Grant, Input, Intent, Key, Networks, Transaction};

const KIND: &str = "solana-message";

const SYSTEM: &str = "11111111111111111111111111111111";
const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
const TOKEN_2022: &str = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb";

pub(crate) fn decode(
    key: &Key,
    path: &DerivationPath,
    bytes: &[u8],
    networks: &Networks,
) -> Result<Decoded, DecodeError> {
    if key.scheme != Scheme::Ed25519 {
        return Err(DecodeError::Scheme { kind: KIND, scheme: key.scheme });
    }
    let malformed = |reason: &str| DecodeError::malformed(KIND, reason);
    let message =
        Message::read(bytes).ok_or_else(|| malformed("it does not parse as legacy or version 0"))?;
    message.check().map_err(malformed)?;
    let signer = key.child(path)?;
    let signers = &message.keys[..usize::from(message.required_signatures)];
    if !signers.iter().any(|key| key.as_slice() == signer) {
        return Err(malformed(&format!("{} is none of its signers", bs58::encode(&signer).into_string())));
    }
    let reader = Reader { message: &message, signer: &signer, chain: &networks.solana };
    let transaction = reader.transaction(bytes).map_err(|reason| malformed(&reason))?;
    let input = Input::new(path.clone(), bytes.to_vec());
    Ok(Decoded { inputs: vec![input], intent: Intent::Transaction(transaction) })
}

/// What one instruction does.
#[derive(Default)]
struct Known {
    method: Option<&'static str>,
    destination: Option<Destination>,
    grant: Option<Grant>,
    lamports: u64,
}

struct Reader<'a> {
    message: &'a Message<'a>,
    signer: &'a [u8],
    chain: &'a str,
}

impl Reader<'_> {
    fn transaction(&self, bytes: &[u8]) -> Result<Transaction, String> {
        let mut transaction = Transaction {
            chain: self.chain.into(),
            sources: vec![bs58::encode(self.signer).into_string()],
            destinations: vec![],
            calls: vec![],
            grants: vec![],
            // Priority fees are set by instructions and bounded by nothing in the message.
            fee: None,
            unsigned: bytes.to_vec(),
            owners: Default::default(),
        };
        for instruction in &self.message.instructions {
            let program = self.address(instruction.program)?;
            let known =
                self.understand(&program, instruction).map_err(|reason| format!("{reason} ({program})"))?;
            transaction.destinations.extend(known.destination);
            transaction.grants.extend(known.grant);
            transaction.calls.push(Call {
                selector: selector(&program, instruction.data),
                method: known.method.map(str::to_string),
                amount: known.lamports.to_string(),
                data: instruction.data.to_vec(),
                contract: program,
            });
        }
        Ok(transaction)
    }

    fn understand(&self, program: &str, instruction: &Instruction) -> Result<Known, String> {
        let data = instruction.data;
        match (program, data.first_chunk::<4>().map(|tag| u32::from_le_bytes(*tag)), data.first()) {
            // CreateAccount { lamports, space, owner }; [funder, new]
            (SYSTEM, Some(0), _) => self.pay("CreateAccount", instruction, 1, number(data, 4)?),
            // Transfer { lamports }; [from, to]
            (SYSTEM, Some(2), _) => self.pay("Transfer", instruction, 1, number(data, 4)?),
            // CreateAccountWithSeed { base, seed, lamports, space, owner }; [funder, new, base]
            (SYSTEM, Some(3), _) => {
                let seed = usize::try_from(number(data, 36)?).map_err(|_| cut())?;
                let lamports = seed.checked_add(44).ok_or_else(cut)?;
                self.pay("CreateAccountWithSeed", instruction, 1, number(data, lamports)?)
            }
            // WithdrawNonceAccount(lamports); [nonce, to, ...]
            (SYSTEM, Some(5), _) => self.pay("WithdrawNonceAccount", instruction, 1, number(data, 4)?),
            // TransferWithSeed { lamports, seed, owner }; [from, base, to]
            (SYSTEM, Some(11), _) => self.pay("TransferWithSeed", instruction, 2, number(data, 4)?),
            // CreateAccountAllowPrefund { lamports, space, owner }; [new, funder]
            (SYSTEM, Some(13), _) => self.pay("CreateAccountAllowPrefund", instruction, 0, number(data, 4)?),
            // Assign { owner }, AuthorizeNonceAccount(authority): another program or key has the account from then on.
            (SYSTEM, Some(1), _) => hand_over("Assign", data, 4),
            (SYSTEM, Some(7), _) => hand_over("AuthorizeNonceAccount", data, 4),
            // AssignWithSeed { base, seed, owner }
            (SYSTEM, Some(10), _) => {
                let seed = usize::try_from(number(data, 36)?).map_err(|_| cut())?;
                hand_over("AssignWithSeed", data, seed.checked_add(44).ok_or_else(cut)?)
            }
            // Transfer { amount }; [source, destination, owner]
            (TOKEN | TOKEN_2022, _, Some(3)) => self.transfer("Transfer", instruction, None, 1),
            // TransferChecked { amount, decimals }; [source, mint, destination, owner]
            (TOKEN | TOKEN_2022, _, Some(12)) => self.transfer("TransferChecked", instruction, Some(1), 2),
            // TransferFeeExtension: TransferCheckedWithFee { amount, decimals, fee }; accounts as before
            (TOKEN_2022, _, Some(26)) if data.get(1) == Some(&1) => {
                let token = self.token(instruction, Some(1))?;
                self.token_payment("TransferCheckedWithFee", instruction, token, 2, number(data, 2)?)
            }
            // Approve { amount }; [source, delegate, owner]
            (TOKEN | TOKEN_2022, _, Some(4)) => self.approve("Approve", instruction, None, 1),
            // ApproveChecked { amount, decimals }; [source, mint, delegate, owner]
            (TOKEN | TOKEN_2022, _, Some(13)) => self.approve("ApproveChecked", instruction, Some(1), 2),
            // SetAuthority { type, authority }: whoever has it may move everything in the account.
            (TOKEN | TOKEN_2022, _, Some(6)) => self.set_authority(instruction),
            // CloseAccount; [account, destination, owner]: all that is in it, also wrapped SOL.
            (TOKEN | TOKEN_2022, _, Some(9)) => self.empty("CloseAccount", instruction),
            (TOKEN | TOKEN_2022, _, Some(38)) => self.empty("WithdrawExcessLamports", instruction),
            (TOKEN | TOKEN_2022, _, Some(45)) => self.empty("UnwrapLamports", instruction),
            (TOKEN | TOKEN_2022, _, Some(255)) => {
                Err("a batch of instructions is not read; send them singly".into())
            }
            _ => Ok(Known::default()),
        }
    }

    fn pay(
        &self,
        method: &'static str,
        instruction: &Instruction,
        to: usize,
        lamports: u64,
    ) -> Result<Known, String> {
        let destination = self.destination(instruction, to, String::new(), lamports)?;
        Ok(Known { method: Some(method), destination: Some(destination), grant: None, lamports })
    }

    fn transfer(
        &self,
        method: &'static str,
        instruction: &Instruction,
        mint: Option<usize>,
        to: usize,
    ) -> Result<Known, String> {
        let token = self.token(instruction, mint)?;
        self.token_payment(method, instruction, token, to, number(instruction.data, 1)?)
    }

    fn token_payment(
        &self,
        method: &'static str,
        instruction: &Instruction,
        token: String,
        to: usize,
        amount: u64,
    ) -> Result<Known, String> {
        let destination = self.destination(instruction, to, token, amount)?;
        Ok(Known { method: Some(method), destination: Some(destination), ..Known::default() })
    }

    fn approve(
        &self,
        method: &'static str,
        instruction: &Instruction,
        mint: Option<usize>,
        delegate: usize,
    ) -> Result<Known, String> {
        let amount = number(instruction.data, 1)?;
        let grant = Grant {
            spender: self.named(instruction, delegate)?,
            asset: self.token(instruction, mint)?,
            amount: (amount != u64::MAX).then(|| amount.to_string()),
        };
        Ok(Known { method: Some(method), grant: Some(grant), ..Known::default() })
    }

    /// All native value of an account, whose amount only the chain knows, goes to the second account.
    fn empty(&self, method: &'static str, instruction: &Instruction) -> Result<Known, String> {
        let spender = self.named(instruction, 1)?;
        let returns = spender == bs58::encode(self.signer).into_string();
        let grant = (!returns).then(|| Grant { spender, asset: String::new(), amount: None });
        Ok(Known { method: Some(method), grant, ..Known::default() })
    }

    fn set_authority(&self, instruction: &Instruction) -> Result<Known, String> {
        let grant = match instruction.data.get(2) {
            Some(0) => None,
            Some(1) => {
                let authority = instruction.data.get(3..35).ok_or_else(cut)?;
                let spender = bs58::encode(authority).into_string();
                Some(Grant { spender, asset: self.token(instruction, None)?, amount: None })
            }
            _ => return Err(cut()),
        };
        Ok(Known { method: Some("SetAuthority"), grant, ..Known::default() })
    }

    fn destination(
        &self,
        instruction: &Instruction,
        to: usize,
        asset: String,
        amount: u64,
    ) -> Result<Destination, String> {
        let address = self.named(instruction, to)?;
        let change = address == bs58::encode(self.signer).into_string();
        Ok(Destination { address, asset, amount: amount.to_string(), memo: None, change })
    }

    fn token(&self, instruction: &Instruction, mint: Option<usize>) -> Result<String, String> {
        let mint = mint.map(|mint| self.named(instruction, mint)).transpose()?;
        Ok(format!("{}/token:{}", self.chain, mint.as_deref().unwrap_or("unknown")))
    }

    /// The account that an instruction names in its list at `at`.
    fn named(&self, instruction: &Instruction, at: usize) -> Result<String, String> {
        let place = instruction.accounts.get(at).ok_or("an instruction lacks an account")?;
        self.address(*place)
    }

    fn address(&self, place: u8) -> Result<String, String> {
        match self.message.account(usize::from(place)) {
            Some(Account::Known(key)) => Ok(bs58::encode(key).into_string()),
            Some(Account::Looked { table, index }) => {
                Ok(format!("unknown:{}/{index}", bs58::encode(table).into_string()))
            }
            None => Err("an instruction names an account that is not there".into()),
        }
    }
}

/// Whoever stands in the data at `at` has the account from then on.
fn hand_over(method: &'static str, data: &[u8], at: usize) -> Result<Known, String> {
    let owner: &[u8; 32] = data.get(at..).and_then(<[u8]>::first_chunk).ok_or_else(cut)?;
    let grant = Grant { spender: bs58::encode(owner).into_string(), asset: String::new(), amount: None };
    Ok(Known { method: Some(method), grant: Some(grant), ..Known::default() })
}

/// Eight bytes at `at`, little-endian.
fn number(data: &[u8], at: usize) -> Result<u64, String> {
    let bytes = data.get(at..).and_then(<[u8]>::first_chunk).ok_or_else(cut)?;
    Ok(u64::from_le_bytes(*bytes))
}

fn cut() -> String {
    "the data of an instruction is too short".into()
}

/// Four bytes for the system program, one for the token programs, eight (Anchor's discriminator) for others.
fn selector(program: &str, data: &[u8]) -> Vec<u8> {
    let length = match program {
        SYSTEM => 4,
        TOKEN | TOKEN_2022 => 1,
        _ => 8,
    };
    data.iter().take(length).copied().collect()
}

#[cfg(test)]
#[path = "solana_tests.rs"]
mod tests;
