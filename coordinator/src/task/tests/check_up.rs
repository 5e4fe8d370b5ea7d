//! Check-ups: every node's proof is needed, and each must be valid.

use countersign_protocol::Intact;

use super::*;

impl Play {
    /// Nodes 0 and 2 have begun to prove their shares.
    fn check_up() -> Self {
        let mut play = Self::new(check_up(wallet().key, &[2, 0]), Some(wallet()));
        play = play.act([On(0), On(1)]);
        assert_eq!(play.look(), (State::Waiting, "", vec![]));
        play = play.act([On(2), Yes(0), Yes(2)]);
        assert_eq!(
            play.look().2,
            vec![(0, "offer"), (2, "offer"), (0, "start"), (2, "start")]
        );
        play
    }

    fn proof(&self, who: usize) -> Intact {
        intact(&wallet(), self.flow.hash(), crowd()[who])
    }

    fn proves(&self, who: usize) -> Act {
        says(who, Outcome::Intact(self.proof(who)))
    }
}

#[test]
fn a_check_up_is_complete_with_everybodys_proof() {
    let play = Play::check_up();
    let one = play.proves(2);
    let other = play.proves(0);
    let expected = vec![play.proof(0), play.proof(2)];
    let mut play = play.act([one]);
    assert_eq!(play.look(), (State::Running, "", vec![]));
    let mut play = play.act([other]);
    assert_eq!(play.look(), (State::Completed, "", vec![]));
    assert_eq!(play.flow.record.result, Some(TaskResult::Intact(expected)));
}

#[test]
fn a_wrong_proof_is_the_fault_of_its_node() {
    type Change = fn(&mut Intact);
    let changes: [(&str, Change); 5] = [
        ("proof", |intact| intact.proof.0[40] ^= 1),
        ("public share", |intact| intact.public_shares[1].0[0] ^= 1),
        ("generation", |intact| intact.generation = 1),
        ("key", |intact| {
            intact.key = KeyId::from_bytes([1; 16]).unwrap()
        }),
        ("node", |intact| intact.node = crowd()[2]),
    ];
    for (what, change) in changes {
        let play = Play::check_up();
        let mut wrong = play.proof(0);
        change(&mut wrong);
        let right = play.proves(2);
        let mut play = play.act([right, says(0, Outcome::Intact(wrong))]);
        let (state, code, _) = play.look();
        assert_eq!((state, code), (State::Failed, "wrong-result"), "{what}");
        assert_eq!(play.culprits(), vec![crowd()[0]], "{what}");
    }
    let play = Play::check_up();
    let another = Outcome::Intact(play.proof(2));
    let right = play.proves(2);
    assert_eq!(
        play.act([right, says(0, another)]).look().1,
        "wrong-result",
        "another node's proof"
    );
    let play = Play::check_up().act([says(0, signed()), says(2, Outcome::Created(wallet()))]);
    assert!(play.flow.record.result.is_none());
}

#[test]
fn a_check_up_has_as_long_as_a_signature() {
    let play = Play::check_up();
    let one = play.proves(0);
    let mut play = play.act([one, Wait(59)]);
    assert_eq!(play.look().0, State::Running);
    let mut play = play.act([Wait(1)]);
    assert_eq!(play.look().0, State::Failed);
    assert_eq!(play.culprits(), vec![crowd()[2]]);
}
