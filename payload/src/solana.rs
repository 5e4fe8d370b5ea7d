//! Messages of Solana transactions: every instruction as a call, and the effects of the
//! programs of everyday payments: the system program, the token programs, associated token
//! accounts, the compute budget, memos.
//!
//! Fees. The message determines a transaction's maximum cost: see [`budget`]. Tokens. An
//! instruction that names its mint (`TransferChecked`) gives the asset `<chain>/token:<mint>`. One
//! that does not (`Transfer`) gives it only if the message creates one of the two accounts,
//! otherwise `<chain>/token:unknown`, which no list of assets contains. Recipients are token
//! accounts. Their owners are reported beside them if the message shows them: see [`owners`]. An
//! instruction that empties an account or hands it over, without an amount, is a grant of
//! everything. Tables. Accounts that a lookup table names are not in the message; they appear as
//! `unknown:<table>/<index>`. An instruction of a known program with incomplete data or accounts
//! fails on the chain; here it refuses the message.

mod budget;
mod owners;
mod system;
mod token;

use std::collections::BTreeSet;

use countersign_protocol::{DerivationPath, PayloadKind, Scheme};

use crate::malformed::Malformed;
use crate::solana_message::{Account, Instruction, Message};
use crate::{
    Call, DecodeError, Decoded, Destination, Grant, Input, Intent, Key, Networks, Transaction,
};
use owners::Owners;

const SYSTEM: &str = "11111111111111111111111111111111";
const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
const TOKEN_2022: &str = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb";
const ASSOCIATED_TOKEN: &str = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL";
const COMPUTE_BUDGET: &str = "ComputeBudget111111111111111111111111111111";
const MEMO: &str = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr";
const MEMO_1: &str = "Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo";

/// Prefix of a recipient that the message does not identify.
const UNKNOWN: &str = "unknown:";

/// Maximum size of a transaction on the network, signatures included.
const LARGEST: usize = 1232;

pub(crate) fn decode(
    key: &Key,
    path: &DerivationPath,
    bytes: &[u8],
    networks: &Networks,
) -> Result<Decoded, DecodeError> {
    if key.scheme != Scheme::Ed25519 {
        return Err(DecodeError::Scheme {
            kind: PayloadKind::SolanaMessage,
            scheme: key.scheme,
        });
    }
    let malformed = |reason: &str| DecodeError::malformed(PayloadKind::SolanaMessage, reason);
    let message = Message::read(bytes)
        .ok_or_else(|| malformed("it does not parse as legacy or version 0"))?;
    message.check().map_err(malformed)?;
    if bytes.len() + 64 * usize::from(message.required_signatures) >= LARGEST {
        return Err(malformed(
            "with its signatures it is larger than the 1232 bytes that the network takes",
        ));
    }
    let signer = key.child(path)?;
    let signers = &message.keys[..usize::from(message.required_signatures)];
    if !signers.iter().any(|key| key.as_slice() == signer) {
        return Err(malformed(&format!(
            "{} is not among its signers",
            bs58::encode(&signer).into_string()
        )));
    }
    let signer = bs58::encode(&signer).into_string();
    let reader = Reader {
        message: &message,
        signer,
        chain: &networks.solana,
    };
    let transaction = reader
        .transaction(bytes)
        .map_err(|reason| malformed(&reason.to_string()))?;
    let input = Input::new(path.clone(), bytes.to_vec());
    Ok(Decoded {
        inputs: vec![input],
        intent: Intent::Transaction(transaction),
    })
}

/// The effects of one instruction.
#[derive(Default)]
struct Known {
    method: Option<&'static str>,
    fields: Vec<(&'static str, String)>,
    destination: Option<Destination>,
    grant: Option<Grant>,
    lamports: u64,
}

impl Known {
    /// An instruction that moves nothing and grants nothing.
    fn harmless(method: &'static str, fields: Vec<(&'static str, String)>) -> Self {
        Self {
            method: Some(method),
            fields,
            ..Self::default()
        }
    }
}

struct Reader<'a> {
    message: &'a Message<'a>,
    /// The signing account, in text.
    signer: String,
    chain: &'a str,
}

impl Reader<'_> {
    fn transaction(&self, bytes: &[u8]) -> Result<Transaction, Malformed> {
        let mut transaction = Transaction {
            chain: self.chain.into(),
            sources: vec![self.signer.clone()],
            destinations: vec![],
            calls: vec![],
            grants: vec![],
            fee: Some(budget::highest_fee(self)?.to_string()),
            unsigned: bytes.to_vec(),
            owners: Default::default(),
        };
        let mut owners = Owners::new(self.wrapped()?);
        for instruction in &self.message.instructions {
            let program = self.address(instruction.program)?;
            let known = self
                .understand(&program, instruction, &mut owners)
                .map_err(|reason| format!("{reason} ({program})"))?;
            transaction.destinations.extend(known.destination);
            transaction.grants.extend(known.grant);
            transaction.calls.push(Call {
                selector: selector(&program, instruction.data),
                method: known.method.map(str::to_string),
                fields: known.fields,
                amount: known.lamports.to_string(),
                data: instruction.data.to_vec(),
                contract: program,
            });
        }
        transaction.owners = owners.found();
        Ok(transaction)
    }

    /// The accounts of wrapped SOL, as shown by a `SyncNative`.
    fn wrapped(&self) -> Result<BTreeSet<String>, Malformed> {
        let mut wrapped = BTreeSet::new();
        for instruction in &self.message.instructions {
            let program = self.address(instruction.program)?;
            if matches!(program.as_str(), TOKEN | TOKEN_2022)
                && instruction.data.first() == Some(&token::SYNC_NATIVE)
            {
                wrapped.insert(self.named(instruction, 0)?);
            }
        }
        Ok(wrapped)
    }

    fn understand(
        &self,
        program: &str,
        instruction: &Instruction,
        owners: &mut Owners,
    ) -> Result<Known, Malformed> {
        match program {
            SYSTEM => system::understand(self, instruction, owners),
            TOKEN | TOKEN_2022 => token::understand(self, program, instruction, owners),
            ASSOCIATED_TOKEN => token::understand_associated(self, instruction, owners),
            COMPUTE_BUDGET => budget::understand(instruction.data),
            MEMO | MEMO_1 => Ok(memo(instruction.data)),
            _ => Ok(Known::default()),
        }
    }

    /// The account at index `at` of an instruction's list.
    fn named(&self, instruction: &Instruction, at: usize) -> Result<String, Malformed> {
        let place = instruction
            .accounts
            .get(at)
            .ok_or("an instruction lacks an account")?;
        self.address(*place)
    }

    fn address(&self, place: u8) -> Result<String, Malformed> {
        match self.message.account(usize::from(place)) {
            Some(Account::Known(key)) => Ok(bs58::encode(key).into_string()),
            Some(Account::Looked { table, index }) => Ok(format!(
                "{UNKNOWN}{}/{index}",
                bs58::encode(table).into_string()
            )),
            None => Err("an instruction names an account that is not there".into()),
        }
    }
}

/// A text beside a transaction, which moves nothing.
fn memo(data: &[u8]) -> Known {
    let text = std::str::from_utf8(data)
        .map_or_else(|_| format!("0x{}", hex::encode(data)), str::to_string);
    Known::harmless("Memo", vec![("text", text)])
}

/// A key in the data of an instruction, in text.
fn key_at(data: &[u8], at: usize) -> Result<String, Malformed> {
    let key: &[u8; 32] = data
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .ok_or_else(cut)?;
    Ok(bs58::encode(key).into_string())
}

/// Reads eight little-endian bytes at `at`.
fn number(data: &[u8], at: usize) -> Result<u64, Malformed> {
    let bytes = data
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .ok_or_else(cut)?;
    Ok(u64::from_le_bytes(*bytes))
}

fn cut() -> String {
    "the data of an instruction is too short".into()
}

/// Four bytes for the system program, one for the other known programs, none for a memo, eight
/// (Anchor's discriminator) for others.
fn selector(program: &str, data: &[u8]) -> Vec<u8> {
    let length = match program {
        SYSTEM => 4,
        TOKEN | TOKEN_2022 | ASSOCIATED_TOKEN | COMPUTE_BUDGET => 1,
        MEMO | MEMO_1 => 0,
        _ => 8,
    };
    data.iter().take(length).copied().collect()
}

#[cfg(test)]
#[path = "solana_tests.rs"]
mod tests;
