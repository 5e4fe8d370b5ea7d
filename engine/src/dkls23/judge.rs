//! The library's aborts, by cause and culprit.

use dkls23_core::protocols::{Abort, AbortKind, AbortReason, PartyIndex as Member};

use crate::{EngineError, PartyIndex, PeerFault};

/// Classifies an abort. `position` gives a member's position among the signers.
pub(super) fn judge(abort: &Abort, position: impl Fn(Member) -> Option<PartyIndex>) -> EngineError {
    let text = abort.reason.to_string();
    let (fault, member) = match abort.kind {
        AbortKind::BanCounterparty(member) => (PeerFault::Transfer(text), Some(member)),
        AbortKind::Recoverable => match recoverable(&abort.reason) {
            Some(found) => found,
            None => return EngineError::bug(text),
        },
    };
    match member.map(position) {
        None => EngineError::Peer {
            fault,
            culprits: Vec::new(),
        },
        Some(Some(party)) => EngineError::peer(fault, party),
        Some(None) => EngineError::bug(format!("{fault}, by a member that does not sign")),
    }
}

/// The fault and the member that is proven to have made it. `None` is a defect of this program: the
/// adapter has checked who speaks when, and the set-up was checked when it was loaded.
fn recoverable(reason: &AbortReason) -> Option<(PeerFault, Option<Member>)> {
    let protocol = |member: &Member| {
        let fault = PeerFault::Protocol(reason.to_string());
        Some((fault, Some(*member)))
    };
    match reason {
        AbortReason::SessionBindingMismatch { counterparty } => {
            Some((PeerFault::Disagreement, Some(*counterparty)))
        }
        AbortReason::CommitmentMismatch { counterparty }
        | AbortReason::TrivialInstancePoint { counterparty }
        | AbortReason::ProofVerificationFailed { counterparty } => protocol(counterparty),
        // A wrong key share, and wrong sums in the last round: nothing shows whose they are.
        AbortReason::PolynomialInconsistency => {
            Some((PeerFault::Protocol(reason.to_string()), None))
        }
        AbortReason::SignatureVerificationFailed | AbortReason::ZeroDenominator => {
            Some((PeerFault::Signature, None))
        }
        AbortReason::InvalidPartyIndex { .. }
        | AbortReason::WrongCounterpartyCount { .. }
        | AbortReason::DuplicateCounterparty { .. }
        | AbortReason::SelfInCounterparties
        | AbortReason::MissingMulState { .. }
        | AbortReason::MisroutedMessage { .. }
        | AbortReason::UnexpectedSender { .. }
        | AbortReason::DuplicateSender { .. }
        | AbortReason::WrongMessageCount { .. }
        | AbortReason::MissingMessageFromParty { .. }
        | AbortReason::TrivialPublicKey
        | AbortReason::TrivialKeyShare
        | AbortReason::MissingCommittedPoint { .. }
        | AbortReason::LagrangeCoefficientFailed
        | AbortReason::InvalidXCoordinateHex
        | AbortReason::ZeroShareDecommitFailed { .. }
        | AbortReason::ChainCodeCommitmentFailed { .. }
        | AbortReason::PhaseCalledOutOfOrder { .. }
        | AbortReason::InvalidHex { .. }
        | AbortReason::InvalidLocalState { .. }
        // Failed checks of the transfer ban somebody, and never come here.
        | AbortReason::OtConsistencyCheckFailed { .. }
        | AbortReason::MultiplicationVerificationFailed { .. }
        | AbortReason::GammaUInconsistency { .. } => None,
        // The library may add reasons. One that nobody knows here is no clean end: it counts.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verdict;

    fn number(number: u8) -> Member {
        Member::new(number).unwrap()
    }

    /// Members 2 and 5 sign with member 1.
    fn judged(abort: Abort) -> EngineError {
        let others = [number(2), number(5)];
        judge(&abort, |member| {
            let place = others.iter().position(|other| *other == member)?;
            Some([PartyIndex(1), PartyIndex(2)][place])
        })
    }

    #[test]
    fn a_ban_burns_the_set_up_with_whom_it_names() {
        let reason = AbortReason::OtConsistencyCheckFailed {
            counterparty: number(5),
        };
        let error = judged(Abort::ban(number(1), number(5), reason));
        assert_eq!(error.verdict(), Verdict::Burns);
        assert_eq!(error.culprits(), [PartyIndex(2)]);
    }

    #[test]
    fn a_ban_of_nobody_here_is_no_clean_end() {
        let reason = AbortReason::GammaUInconsistency {
            counterparty: number(3),
        };
        let error = judged(Abort::ban(number(1), number(3), reason));
        assert_eq!(error.verdict(), Verdict::Unknown);
    }

    #[test]
    fn other_faults_burn_nothing() {
        let counterparty = number(2);
        let named = [PartyIndex(1)];
        let cases: [(AbortReason, &[PartyIndex]); 5] = [
            (AbortReason::SessionBindingMismatch { counterparty }, &named),
            (AbortReason::CommitmentMismatch { counterparty }, &named),
            (AbortReason::TrivialInstancePoint { counterparty }, &named),
            (AbortReason::PolynomialInconsistency, &[]),
            (AbortReason::SignatureVerificationFailed, &[]),
        ];
        for (reason, culprits) in cases {
            let error = judged(Abort::recoverable(number(1), reason));
            assert_eq!(error.verdict(), Verdict::Clean, "{error}");
            assert_eq!(error.culprits(), culprits, "{error}");
        }
    }

    #[test]
    fn what_should_not_happen_is_unknown() {
        for reason in [
            AbortReason::SelfInCounterparties,
            AbortReason::PhaseCalledOutOfOrder { phase: "x".into() },
            AbortReason::InvalidLocalState {
                counterparty: number(2),
                detail: "x".into(),
            },
        ] {
            let error = judged(Abort::recoverable(number(1), reason));
            assert_eq!(error.verdict(), Verdict::Unknown, "{error}");
            assert_eq!(error.culprits(), []);
        }
    }
}
