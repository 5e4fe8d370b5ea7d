//! The system program of Solana: native value, accounts and nonces.

use super::owners::Owners;
use super::{Known, Reader, cut, key_at, number};
use crate::malformed::Malformed;
use crate::solana_message::Instruction;
use crate::{Destination, Grant};

pub(super) fn understand(
    reader: &Reader,
    instruction: &Instruction,
    owners: &mut Owners,
) -> Result<Known, Malformed> {
    let data = instruction.data;
    let Some(tag) = data.first_chunk::<4>() else {
        return Ok(Known::default());
    };
    let mut pay = |method, to, amount| {
        payment(
            reader,
            method,
            reader.named(instruction, to)?,
            number(data, amount)?,
            owners,
        )
    };
    match u32::from_le_bytes(*tag) {
        // CreateAccount { lamports, space, owner }; [funder, new]
        0 => pay("CreateAccount", 1, 4),
        // Assign { owner }, AuthorizeNonceAccount(authority): another program or key controls the
        // account from then on.
        1 => hand_over("Assign", "owner", data, 4),
        // Transfer { lamports }; [from, to]
        2 => pay("Transfer", 1, 4),
        // CreateAccountWithSeed { base, seed, lamports, space, owner }; [funder, new, base]
        3 => pay("CreateAccountWithSeed", 1, behind_seed(data)?),
        // AdvanceNonceAccount; [nonce, recent blockhashes, authority]
        4 => {
            let fields = vec![
                ("nonce", reader.named(instruction, 0)?),
                ("authority", reader.named(instruction, 2)?),
            ];
            Ok(Known::harmless("AdvanceNonceAccount", fields))
        }
        // WithdrawNonceAccount(lamports); [nonce, to, ...]
        5 => pay("WithdrawNonceAccount", 1, 4),
        // InitializeNonceAccount(authority); [nonce, recent blockhashes, rent]
        6 => initialize_nonce(reader, data),
        7 => hand_over("AuthorizeNonceAccount", "authority", data, 4),
        // AssignWithSeed { base, seed, owner }
        10 => hand_over("AssignWithSeed", "owner", data, behind_seed(data)?),
        // TransferWithSeed { lamports, seed, owner }; [from, base, to]
        11 => pay("TransferWithSeed", 2, 4),
        // CreateAccountAllowPrefund { lamports, space, owner }; [new, funder]
        13 => pay("CreateAccountAllowPrefund", 0, 4),
        _ => Ok(Known::default()),
    }
}

/// The offset of the fields behind `base` and `seed`.
fn behind_seed(data: &[u8]) -> Result<usize, Malformed> {
    let seed = usize::try_from(number(data, 36)?).map_err(|_| cut())?;
    seed.checked_add(44)
        .ok_or_else(cut)
        .map_err(Malformed::from)
}

/// A payment of native value to an account.
pub(super) fn payment(
    reader: &Reader,
    method: &'static str,
    to: String,
    lamports: u64,
    owners: &mut Owners,
) -> Result<Known, Malformed> {
    let owner = owners.of_native(reader, &to);
    let destination = Destination {
        change: owner.as_ref().unwrap_or(&to) == &reader.signer,
        address: to.clone(),
        asset: String::new(),
        amount: lamports.to_string(),
        memo: None,
    };
    let fields = vec![("to", to), ("lamports", lamports.to_string())];
    Ok(Known {
        method: Some(method),
        fields,
        destination: Some(destination),
        grant: None,
        lamports,
    })
}

/// The key in the data at `at` controls the account from then on.
fn hand_over(
    method: &'static str,
    field: &'static str,
    data: &[u8],
    at: usize,
) -> Result<Known, Malformed> {
    let spender = key_at(data, at)?;
    let fields = vec![(field, spender.clone())];
    let grant = Grant {
        spender,
        asset: String::new(),
        amount: None,
    };
    Ok(Known {
        method: Some(method),
        fields,
        grant: Some(grant),
        ..Known::default()
    })
}

/// The authority of a nonce may withdraw the balance of its account.
fn initialize_nonce(reader: &Reader, data: &[u8]) -> Result<Known, Malformed> {
    let known = hand_over("InitializeNonceAccount", "authority", data, 4)?;
    let own = known
        .grant
        .as_ref()
        .is_some_and(|grant| grant.spender == reader.signer);
    Ok(Known {
        grant: known.grant.filter(|_| !own),
        ..known
    })
}
