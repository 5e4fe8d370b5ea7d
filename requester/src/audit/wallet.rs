//! Wallets: believed by the profile, or by the wallet book.

use std::collections::BTreeMap;

use countersign_audit::{Bundle, Wallet};
use countersign_protocol::{KeyDescriptor, KeyId};

use super::Trust;
use super::finding::{Missing, Proven, Report, Subject, Wrong};
use crate::belief::{Doubt, Introduction};
use crate::proof::{self, Disbelief};

/// Why the parts of a wallet do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WrongWallet(String);

/// The generations of each wallet that is believed, the oldest first.
pub(super) type Believed<'a> = BTreeMap<KeyId, Vec<&'a KeyDescriptor>>;

/// Judges each wallet of the bundle. Those that are believed already need not be in it.
pub(super) fn believed<'a>(
    bundle: &'a Bundle,
    trust: &Trust<'a>,
    report: &mut Report,
) -> Believed<'a> {
    let mut believed = Believed::new();
    for one in trust.wallets {
        believed.entry(one.key).or_default().push(one);
    }
    for known in believed.values_mut() {
        known.sort_by_key(|one| one.generation);
    }
    for wallet in &bundle.wallets {
        let subject = Subject::Wallet(wallet.wallet);
        let known = believed.entry(wallet.wallet).or_default();
        match judge(wallet, known, trust) {
            Ok(proven) => {
                report.proven(subject, proven);
                // The book may know later generations than the bundle, and the other way round.
                if wallet.generations.len() >= known.len() {
                    *known = wallet.generations.iter().collect();
                }
            }
            Err(Judgement::Missing(missing)) => report.missing(subject, missing),
            Err(Judgement::Wrong(wrong)) => report.wrong(subject, wrong),
        }
    }
    believed.retain(|_, known| !known.is_empty());
    believed
}

enum Judgement {
    Missing(Missing),
    Wrong(Wrong),
}

/// Checks that the parts prove each other and do not contradict the book, and that somebody known
/// stands behind them.
fn judge(
    wallet: &Wallet,
    known: &[&KeyDescriptor],
    trust: &Trust<'_>,
) -> Result<Proven, Judgement> {
    let wrong = |text: String| Judgement::Wrong(Wrong::Wallet(WrongWallet(text)));
    let Some(newest) = wallet.generations.last() else {
        return Err(wrong("it has no generation".into()));
    };
    let order = wallet.order.as_ref().map(|order| order.order());
    let signed = order
        .as_ref()
        .map(|order| proof::check_requester(order, trust.passkeys()));
    if let Some(Err(Disbelief::NoPasskeys(requester))) = signed {
        return Err(Judgement::Missing(Missing::OrderPages { requester }));
    }
    let introduced = Introduction::new(
        wallet.wallet,
        wallet.generations.clone(),
        newest,
        order.as_ref(),
        trust.passkeys(),
    );
    let introduced = introduced.map_err(|error| wrong(error.to_string()))?;
    let generations = wallet.generations.len();
    let mut in_book = false;
    for one in &wallet.generations {
        let same = known
            .iter()
            .find(|known| known.generation == one.generation);
        match same {
            None => {}
            Some(same) if same.digest() == one.digest() => in_book = true,
            Some(_) => {
                let number = one.generation;
                return Err(wrong(format!(
                    "its generation {number} is not the one in the wallet book"
                )));
            }
        }
    }
    if in_book {
        return Ok(Proven::WalletOfBook { generations });
    }
    let doubts = introduced.doubts(&trust.known);
    if doubts.is_empty() {
        return Ok(Proven::Wallet { generations });
    }
    let reasons: Vec<String> = doubts.iter().map(Doubt::to_string).collect();
    Err(Judgement::Missing(Missing::Belief {
        reasons: reasons.join("; "),
    }))
}
