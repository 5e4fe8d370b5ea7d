//! Draining: the node finishes its tasks and gets no others, so that it can be stopped without
//! failing any.
//!
//! The coordinator answers in the order in which it offers: once it has agreed, no offer made
//! before is still under way. Until then offers are taken as usual. A coordinator that offers all
//! the same is refused as by a node that is full: one whose version has no such frame cannot know
//! better, and of any other the operator was told that nothing comes any more.

use countersign_protocol::control::FromNode;
use tokio::sync::watch;

/// Whether this node is to take new tasks, and what the coordinator has been told of it.
#[derive(Debug)]
pub struct Drain(watch::Sender<State>);

#[derive(Debug, Clone, Copy, Default)]
struct State {
    wanted: bool,
    link: Link,
}

#[derive(Debug, Clone, Copy, Default)]
enum Link {
    /// Nobody can offer anything.
    #[default]
    Down,
    /// The version of the link has no [`FromNode::Draining`].
    Older,
    Up {
        /// The last that was told on this link.
        told: bool,
        /// Number of those that were not answered yet.
        unanswered: u32,
    },
}

impl Default for Drain {
    fn default() -> Self {
        Self(watch::Sender::new(State::default()))
    }
}

impl Drain {
    /// Finishes the tasks under way and takes no others, or takes tasks again.
    pub fn want(&self, wanted: bool) {
        self.0.send_modify(|state| state.wanted = wanted);
    }

    /// True if no new tasks are wanted.
    pub fn wanted(&self) -> bool {
        self.0.borrow().wanted
    }

    /// True if no new task can reach the sessions any more.
    pub fn has_taken_effect(&self) -> bool {
        self.0.borrow().has_taken_effect()
    }

    /// Waits until no new task can reach the sessions.
    pub async fn taken_effect(&self) {
        let mut states = self.0.subscribe();
        // The sender lives as long as `self`.
        drop(states.wait_for(|state| state.has_taken_effect()).await);
    }

    /// True if a task that is offered now is to be refused.
    pub fn refuses(&self) -> bool {
        self.has_taken_effect()
    }

    /// Notes a new link of this version.
    pub fn linked(&self, version: u16) {
        let has_frame = FromNode::Draining { draining: true }.since() <= version;
        self.0.send_modify(|state| {
            state.link = if has_frame {
                Link::Up {
                    told: false,
                    unanswered: 0,
                }
            } else {
                Link::Older
            }
        });
    }

    /// Notes the end of the link.
    pub fn unlinked(&self) {
        self.0.send_modify(|state| state.link = Link::Down);
    }

    /// The frame that the coordinator needs to hear now, if any. Counts as told.
    pub fn untold(&self) -> Option<FromNode> {
        let mut frame = None;
        self.0.send_if_modified(|state| {
            let draining = state.wanted;
            if let Link::Up { told, unanswered } = &mut state.link
                && *told != draining
            {
                *told = draining;
                *unanswered += 1;
                frame = Some(FromNode::Draining { draining });
            }
            frame.is_some()
        });
        frame
    }

    /// Notes an answer of the coordinator.
    pub fn answered(&self) {
        self.0.send_modify(|state| {
            if let Link::Up { unanswered, .. } = &mut state.link {
                *unanswered = unanswered.saturating_sub(1);
            }
        });
    }

    /// Returns once [`Self::untold`] may have something new.
    pub async fn changed(&self) {
        let mut states = self.0.subscribe();
        let untold =
            |state: &State| matches!(state.link, Link::Up { told, .. } if told != state.wanted);
        drop(states.wait_for(untold).await);
    }
}

impl State {
    fn has_taken_effect(&self) -> bool {
        self.wanted
            && match self.link {
                Link::Down | Link::Older => true,
                Link::Up { told, unanswered } => told && unanswered == 0,
            }
    }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::PROTOCOL_VERSION;

    use super::*;

    const DRAINING: Option<FromNode> = Some(FromNode::Draining { draining: true });
    const TAKING: Option<FromNode> = Some(FromNode::Draining { draining: false });

    fn linked() -> Drain {
        let drain = Drain::default();
        drain.linked(PROTOCOL_VERSION);
        drain
    }

    #[test]
    fn a_node_that_takes_tasks_tells_nothing() {
        let drain = linked();
        assert_eq!(drain.untold(), None);
        assert!(!drain.wanted() && !drain.has_taken_effect() && !drain.refuses());
    }

    #[test]
    fn it_takes_effect_with_the_coordinators_answer() {
        let drain = linked();
        drain.want(true);
        assert!(!drain.has_taken_effect(), "nobody was told");
        assert_eq!((drain.untold(), drain.untold()), (DRAINING, None));
        assert!(!drain.has_taken_effect(), "offers may be under way");
        drain.answered();
        assert!(drain.has_taken_effect());
    }

    /// Its operator was told that it can be stopped.
    #[test]
    fn a_coordinator_that_has_agreed_and_offers_all_the_same_is_refused() {
        let drain = linked();
        drain.want(true);
        drain.untold();
        assert!(!drain.refuses(), "offers may be under way");
        drain.answered();
        assert!(drain.refuses());
        drain.want(false);
        assert!(!drain.refuses());
    }

    #[test]
    fn an_answer_to_an_earlier_request_is_not_taken_for_one_to_the_last() {
        let drain = linked();
        for (wanted, frame) in [(true, DRAINING), (false, TAKING), (true, DRAINING)] {
            drain.want(wanted);
            assert_eq!(drain.untold(), frame);
        }
        for answers in 1..=3 {
            drain.answered();
            assert_eq!(drain.has_taken_effect(), answers == 3, "{answers}");
        }
    }

    #[test]
    fn a_new_link_is_told_again() {
        let drain = linked();
        drain.want(true);
        assert_eq!(drain.untold(), DRAINING);
        drain.unlinked();
        assert!(drain.has_taken_effect(), "nobody can offer");
        drain.linked(PROTOCOL_VERSION);
        assert!(!drain.has_taken_effect());
        assert_eq!(drain.untold(), DRAINING);
    }

    #[test]
    fn an_older_coordinator_is_refused_and_told_nothing() {
        let drain = Drain::default();
        drain.linked(1);
        assert!(!drain.refuses());
        drain.want(true);
        assert_eq!(drain.untold(), None);
        assert!(drain.refuses() && drain.has_taken_effect());
        drain.want(false);
        assert!(!drain.refuses());
    }

    #[tokio::test]
    async fn those_that_wait_are_woken() {
        let drain = linked();
        let told = async {
            drain.changed().await;
            assert_eq!(drain.untold(), DRAINING);
            drain.answered();
        };
        let wanted = async {
            drain.want(true);
            drain.taken_effect().await;
        };
        tokio::join!(told, wanted);
    }
}
