//! Bitcoin's signature hashes, written from the documents: BIP-143, BIP-341, and the legacy one.
//!
//! `countersign-payload` uses the library `bitcoin`. This module hashes by itself, so that the two
//! can be compared. Every hash is for SIGHASH_ALL (or taproot's default, which is the
//! same with another byte).

use bitcoin::hashes::Hash;
use bitcoin::{Script, ScriptBuf, Transaction, TxOut};
use sha2::{Digest, Sha256};

/// A transaction and the outputs that it spends, one for each input.
pub(super) struct Spending<'a> {
    pub(super) transaction: &'a Transaction,
    pub(super) spent: &'a [TxOut],
}

impl Spending<'_> {
    /// BIP-143, for the script code that goes with the output.
    pub(super) fn segwit(&self, index: usize, script_code: &Script) -> [u8; 32] {
        let tx = self.transaction;
        let mut bytes = tx.version.0.to_le_bytes().to_vec();
        bytes.extend(twice(&self.outpoints()));
        bytes.extend(twice(&self.sequences()));
        bytes.extend(self.outpoint(index));
        put_bytes(&mut bytes, script_code.as_bytes());
        bytes.extend(self.spent[index].value.to_sat().to_le_bytes());
        bytes.extend(tx.input[index].sequence.0.to_le_bytes());
        bytes.extend(twice(&self.outputs()));
        bytes.extend(tx.lock_time.to_consensus_u32().to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        twice(&bytes)
    }

    /// BIP-341, spending by the key, without an annex. `kind`: 0 (default) or 1 (ALL).
    pub(super) fn taproot(&self, index: usize, kind: u8) -> [u8; 32] {
        let tx = self.transaction;
        let mut amounts = vec![];
        let mut scripts = vec![];
        for output in self.spent {
            amounts.extend(output.value.to_sat().to_le_bytes());
            put_bytes(&mut scripts, output.script_pubkey.as_bytes());
        }
        let mut bytes = vec![0, kind];
        bytes.extend(tx.version.0.to_le_bytes());
        bytes.extend(tx.lock_time.to_consensus_u32().to_le_bytes());
        for part in [
            self.outpoints(),
            amounts,
            scripts,
            self.sequences(),
            self.outputs(),
        ] {
            bytes.extend(Sha256::digest(part));
        }
        bytes.push(0);
        bytes.extend((index as u32).to_le_bytes());
        let tag = Sha256::digest("TapSighash");
        Sha256::new()
            .chain_update(tag)
            .chain_update(tag)
            .chain_update(bytes)
            .finalize()
            .into()
    }

    /// The legacy hash: the transaction with `script` in this input and nothing in the others.
    /// `script` has no OP_CODESEPARATOR.
    pub(super) fn legacy(&self, index: usize, script: &Script) -> [u8; 32] {
        let tx = self.transaction;
        let mut bytes = tx.version.0.to_le_bytes().to_vec();
        put_length(&mut bytes, tx.input.len());
        for (at, input) in tx.input.iter().enumerate() {
            bytes.extend(self.outpoint(at));
            put_bytes(
                &mut bytes,
                if at == index { script.as_bytes() } else { &[] },
            );
            bytes.extend(input.sequence.0.to_le_bytes());
        }
        put_length(&mut bytes, tx.output.len());
        bytes.extend(self.outputs());
        bytes.extend(tx.lock_time.to_consensus_u32().to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        twice(&bytes)
    }

    fn outpoint(&self, index: usize) -> Vec<u8> {
        let outpoint = self.transaction.input[index].previous_output;
        [
            &outpoint.txid.to_byte_array()[..],
            &outpoint.vout.to_le_bytes(),
        ]
        .concat()
    }

    fn outpoints(&self) -> Vec<u8> {
        (0..self.transaction.input.len())
            .flat_map(|index| self.outpoint(index))
            .collect()
    }

    fn sequences(&self) -> Vec<u8> {
        self.transaction
            .input
            .iter()
            .flat_map(|input| input.sequence.0.to_le_bytes())
            .collect()
    }

    fn outputs(&self) -> Vec<u8> {
        let mut bytes = vec![];
        for output in &self.transaction.output {
            bytes.extend(output.value.to_sat().to_le_bytes());
            put_bytes(&mut bytes, output.script_pubkey.as_bytes());
        }
        bytes
    }
}

/// The script code of a witness program of 20 bytes (BIP-143): DUP
/// HASH160 <program> EQUALVERIFY CHECKSIG.
pub(super) fn key_hash_code(program: &Script) -> Option<ScriptBuf> {
    let hash = program
        .as_bytes()
        .strip_prefix(&[0x00, 0x14])
        .filter(|hash| hash.len() == 20)?;
    Some(ScriptBuf::from(
        [&[0x76, 0xa9, 0x14], hash, &[0x88, 0xac]].concat(),
    ))
}

fn twice(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    put_length(to, bytes.len());
    to.extend(bytes);
}

/// Bitcoin's variable-length integers.
fn put_length(to: &mut Vec<u8>, length: usize) {
    match length {
        0..=0xfc => to.push(length as u8),
        0xfd..=0xffff => to.extend([&[0xfd][..], &(length as u16).to_le_bytes()].concat()),
        _ => to.extend([&[0xfe][..], &(length as u32).to_le_bytes()].concat()),
    }
}
