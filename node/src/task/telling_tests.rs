use countersign_protocol::{Cause, Hash, Intact, PayloadKind};
use countersign_store::Stop;

use super::*;
use crate::task::fixtures::{
    NOW, TASK, decided, generation, key, keysign, node, nodes, quarantined, task,
};

fn verdict(plugin: &str) -> PluginVerdict {
    PluginVerdict {
        plugin: plugin.into(),
        version: "1".into(),
        digest: Hash([1; 32]),
        config: Hash([2; 32]),
        approved: true,
        code: String::new(),
        reason: String::new(),
        micros: 0,
    }
}

fn failed() -> Outcome {
    Outcome::Failed(Failure::new(FailureCode::SessionTimeout, "t"))
}

#[test]
fn an_alarm_says_how_many_were_left_out_before_it() {
    let refusal = busy();
    let first = alarm_text(&refusal, 0);
    assert_eq!(first, format!("busy: {}", refusal.reason));
    assert!(alarm_text(&refusal, 1).ends_with("(after 1 more alarms of this kind)"));
}

#[test]
fn every_refusal_before_admission_has_its_own_code_and_says_what_to_do() {
    for (refusal, code, remedy) in [
        (
            before_restore(),
            "task-before-restore",
            "order it again as a new task",
        ),
        (twin(), "twin", "order again as a new task"),
        (busy(), "busy", "try again later with a new task"),
        (
            cancelled_early(),
            "cancelled",
            "order it again as a new task",
        ),
        (
            bug(&std::io::Error::other("x")),
            "bug",
            "report this with the log",
        ),
    ] {
        assert_eq!(refusal.code.as_str(), code);
        assert!(refusal.reason.contains(remedy), "{}", refusal.reason);
        assert_eq!(refusal.plugin, None, "the node itself refused");
    }
}

#[test]
fn a_new_key_without_an_end_on_record_may_yet_come_to_be() {
    let waits = no_end(OperationKind::KeyGen);
    assert!(waits.text.contains("look at the key"), "{}", waits.text);
    let others = OperationKind::ALL
        .into_iter()
        .filter(|kind| *kind != OperationKind::KeyGen);
    for kind in others {
        let lost = no_end(kind);
        assert_eq!(lost.code, FailureCode::NoEnd);
        assert!(lost.text.ends_with("try again with a new task"));
    }
}

#[test]
fn a_refusal_that_came_while_the_task_waited_keeps_its_code() {
    for code in [RefusalCode::PeerQuarantined, RefusalCode::KeyStopped] {
        let failure = not_trusted(refusal(code.clone(), "why"));
        assert_eq!(failure.code.as_str(), code.as_str());
        assert_eq!((failure.cause, &failure.text[..]), (Cause::Peer, "why"));
        assert_eq!(failure.culprits, [], "nobody is accused anew");
    }
}

#[test]
fn a_late_approval_names_those_who_gave_it() {
    let text = too_late(&[verdict("limits"), verdict("approver")]);
    assert!(text.contains("approved by limits, approver"), "{text}");
    assert!(text.ends_with("nothing was done"));
}

#[test]
fn only_a_signature_is_blind_or_not() {
    let blind_for = |kind, bytes: &[u8]| {
        let mut order = keysign("", None);
        order.payload = countersign_protocol::Payload::new(kind, bytes.to_vec());
        blind(&task(Operation::KeySign(order)))
    };
    assert_eq!(blind_for(PayloadKind::Digest, &[7; 32]), Some(true));
    assert_eq!(blind_for(PayloadKind::Message, b"pay"), Some(false));
    let check = countersign_protocol::KeyShareSign {
        key: key(),
        nodes: nodes(&[1]),
    };
    assert_eq!(blind(&task(Operation::KeyShareSign(check))), None);
}

#[test]
fn every_outcome_is_counted_as_what_it_is() {
    let descriptor = generation(0, &[1, 2]);
    let intact = Intact {
        node: node(1),
        key: key(),
        generation: 0,
        public_shares: Vec::new(),
        proof: countersign_protocol::Point(Vec::new()),
    };
    for (outcome, expected) in [
        (Outcome::Created(descriptor.clone()), Ended::Succeeded),
        (Outcome::Reshared(descriptor), Ended::Succeeded),
        (Outcome::Intact(intact), Ended::Succeeded),
        (Outcome::Refused(busy()), Ended::Refused),
        (failed(), Ended::Failed),
    ] {
        assert_eq!(ended(&outcome), expected, "{outcome:?}");
    }
}

#[test]
fn a_change_is_logged_with_all_that_follows_from_it() {
    let stop = Stop {
        key: key(),
        signers: Vec::new(),
        task: TASK,
        since: NOW,
        code: FailureCode::Protocol,
        text: "t".into(),
    };
    let consequences = Consequences {
        quarantines: vec![quarantined(2, key())],
        stops: vec![stop],
        ..Consequences::default()
    };
    let end = Lines::of(&TaskChange::End {
        task: TASK,
        outcome: failed().into(),
        used: true,
        consequences: consequences.clone().into(),
    });
    assert_eq!(end.outcome, Some(failed()));
    assert_eq!(end.consequences, consequences);
    assert!(!end.waits);
    let judged = Lines::of(&TaskChange::Judge(consequences.clone().into()));
    assert!(judged.waits, "it is in doubt");
    assert_eq!(judged.consequences, consequences);
    let row = decided(TASK, OperationKind::KeySign, nodes(&[1, 2]));
    let refused = Lines::of(&TaskChange::Refuse {
        row: row.into(),
        refusal: busy(),
    });
    assert_eq!(refused.refusal, Some(busy()));
    assert_eq!(refused.outcome, None);
}
