//! Every order and loss of messages in small reshares, with one liar that colludes with the
//! coordinator.
//!
//! The liar and the coordinator decide what happens next: which party stores or gives up, which
//! message arrives where, and which never does; the tunnels are theirs, too. They have every
//! acknowledgement that was ever signed, and the liar signs whatever it likes. Honest nodes decide
//! by the rules of [`super`] alone. From every reachable state the liar falls silent, the honest
//! nodes tell each other everything, and then a quorum of them must share a generation.

use std::collections::HashSet;

use super::*;

const OLD: usize = usize::MAX;
/// The most nodes and reshares in a case.
const NODES: usize = 6;
const STEPS: usize = 2;

const RULES: Rules = Rules {
    destroy_at_once: false,
    silent: false,
    quorum_is_enough: false,
    unordered: false,
};

/// A set of nodes, one bit each.
type Set = u8;

fn set(nodes: &[usize]) -> Set {
    nodes.iter().fold(0, |set, node| set | 1 << node)
}

fn has(set: Set, node: usize) -> bool {
    set & (1 << node) != 0
}

fn members(set: Set) -> impl Iterator<Item = usize> {
    (0..NODES).filter(move |node| has(set, *node))
}

/// One reshare of generation 0.
#[derive(Debug, Clone, Copy)]
struct Order {
    dealers: Set,
    new: Set,
}

impl Order {
    fn parties(&self) -> Set {
        self.dealers | self.new
    }
}

/// The rules in effect: those of [`super`], or, one at a time, the behaviour that they replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rules {
    /// A share without successor is destroyed as soon as the next generation is complete.
    destroy_at_once: bool,
    /// Only the parties of a complete generation tell of it, and only the coordinator.
    silent: bool,
    /// The acknowledgements of the members and of a quorum of old ones convince a node
    /// that took no part.
    quorum_is_enough: bool,
    /// Reshares are prepared in any order, and a commit deletes all aborted ones.
    unordered: bool,
}

#[derive(Debug, Clone)]
struct Case {
    old: Set,
    threshold: u32,
    orders: Vec<Order>,
    liar: usize,
    rules: Rules,
}

/// The knowledge and the shares of an honest node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Node {
    /// Of each reshare that it has prepared.
    standing: [Option<Standing>; STEPS],
    /// It has voted to abort.
    abort_vote: [bool; STEPS],
    /// It has the descriptor with all acknowledgements.
    complete: [bool; STEPS],
    /// The members known to have it in force.
    in_force: [Set; STEPS],
    /// It has a share: in force, in doubt or aborted.
    next: [bool; STEPS],
    old_share: Option<OldShare>,
    /// The newest generation that it knows of: [`OLD`], a reshare, or `None`.
    present: Option<usize>,
}

type World = [Node; NODES];

#[derive(Debug, Clone, Copy)]
enum Act {
    Store(usize, usize),
    GiveUp(usize, usize),
    AbortVote(usize, usize),
    Complete(usize, usize),
    InForce(usize, usize, usize),
}

impl Case {
    fn begin(&self) -> World {
        std::array::from_fn(|node| Node {
            standing: [None; STEPS],
            abort_vote: [false; STEPS],
            complete: [false; STEPS],
            in_force: [0; STEPS],
            next: [false; STEPS],
            old_share: has(self.old, node).then_some(OldShare::InUse),
            present: has(self.old, node).then_some(OLD),
        })
    }

    fn honest(&self, set: Set) -> impl Iterator<Item = usize> {
        members(set & !set_of(self.liar))
    }

    fn everybody(&self) -> Set {
        self.orders
            .iter()
            .fold(self.old, |all, order| all | order.parties())
    }

    fn step(order: usize) -> Step {
        Step {
            generation: 1,
            created: UnixMillis(order as u64),
            task: TaskId([order as u8; 16]),
        }
    }

    fn known(node: &Node) -> Vec<(Step, Standing)> {
        let standing = node.standing.iter().enumerate();
        standing
            .filter_map(|(order, standing)| Some((Self::step(order), (*standing)?)))
            .collect()
    }

    fn stored(&self, world: &World, order: usize, who: Set) -> bool {
        self.honest(who)
            .all(|node| world[node].standing[order].is_some())
    }

    /// True if the liar and the coordinator can show all acknowledgements to a node; the liar's
    /// own are at hand.
    fn has_all_acks(&self, world: &World, order: usize, to: usize) -> bool {
        let Order { dealers, new } = self.orders[order];
        if self.rules.quorum_is_enough && !has(dealers | new, to) {
            let consents =
                |node: &usize| *node == self.liar || world[*node].standing[order].is_some();
            let consenting = members((dealers | new) & self.old).filter(consents);
            return self.stored(world, order, new) && consenting.count() as u32 >= self.threshold;
        }
        self.stored(world, order, dealers | new)
    }

    /// True if a member has signed that it has the generation in force.
    fn has_in_force(&self, world: &World, order: usize, node: usize) -> bool {
        node == self.liar || (world[node].standing[order] == Some(Standing::Committed))
    }

    /// Returns everything that the liar and the coordinator can do next.
    fn acts(&self, world: &World) -> Vec<Act> {
        let mut acts = Vec::new();
        for (order, made) in self.orders.iter().enumerate() {
            for node in self.honest(self.everybody()) {
                if has(made.parties(), node) {
                    acts.extend([
                        Act::Store(node, order),
                        Act::GiveUp(node, order),
                        Act::AbortVote(node, order),
                    ]);
                }
                if self.has_all_acks(world, order, node) {
                    acts.push(Act::Complete(node, order));
                }
                let acks = members(made.new).filter(|by| self.has_in_force(world, order, *by));
                acts.extend(acks.map(|by| Act::InForce(node, order, by)));
            }
        }
        acts
    }

    fn act(&self, world: &World, act: Act) -> World {
        let mut next = *world;
        match act {
            Act::Store(node, order) => self.store(&mut next[node], node, order),
            Act::GiveUp(node, order) => {
                next[node].abort_vote[order] |= next[node].standing[order].is_none()
            }
            Act::AbortVote(node, order) => {
                let said = |by: usize| by == self.liar || world[by].abort_vote[order];
                let parties = self.orders[order].parties();
                if members(parties).any(|by| by != node && said(by)) {
                    hear_abort_vote(&mut next[node], order);
                }
            }
            Act::Complete(node, order) => self.show(&mut next[node], node, order),
            Act::InForce(node, order, by) => self.show_in_force(&mut next[node], order, by),
        }
        next
    }

    fn store(&self, node: &mut Node, me: usize, order: usize) {
        let made = self.orders[order];
        let admitted = if self.rules.unordered {
            Self::known(node)
                .iter()
                .all(|(_, standing)| *standing != Standing::InDoubt)
        } else {
            may_store(&Self::step(order), &Self::known(node)).is_ok()
        };
        let from_is_present = if has(self.old, me) {
            node.present == Some(OLD)
        } else {
            node.present.is_none()
        };
        if node.standing[order].is_some() || node.abort_vote[order] || !admitted || !from_is_present
        {
            return;
        }
        node.standing[order] = Some(Standing::InDoubt);
        node.next[order] = has(made.new, me);
    }

    /// Shows a node all acknowledgements.
    fn show(&self, node: &mut Node, me: usize, order: usize) {
        let made = self.orders[order];
        if has(made.parties(), me) {
            if node.standing[order].is_none() {
                return;
            }
            let present = node.present.filter(|present| *present != OLD).map(|_| 1);
            match on_complete(&Self::step(order), &Self::known(node), present) {
                OnComplete::Commit | OnComplete::CommitLate => self.take(node, me, order),
                OnComplete::Already | OnComplete::Passed => {}
            }
        } else if node.present == Some(OLD)
            && node
                .standing
                .iter()
                .all(|standing| *standing != Some(Standing::InDoubt))
        {
            node.complete[order] = true;
            node.present = Some(order);
            self.judge(node);
        }
    }

    fn take(&self, node: &mut Node, me: usize, order: usize) {
        node.standing[order] = Some(Standing::Committed);
        node.complete[order] = true;
        node.present = Some(order);
        if !has(self.orders[order].new, me) {
            return self.judge(node);
        }
        node.old_share = None;
        for aborted_reshare in 0..self.orders.len() {
            let sleeps = aborted_reshare != order
                && node.standing[aborted_reshare].is_some_and(|is| is != Standing::InDoubt);
            if sleeps
                && (self.rules.unordered
                    || supersedes(&Self::step(order), &Self::step(aborted_reshare)))
            {
                node.next[aborted_reshare] = false;
            }
        }
    }

    fn show_in_force(&self, node: &mut Node, order: usize, by: usize) {
        // A node that has nothing to lose need not count.
        if node.complete[order] && node.old_share == Some(OldShare::Kept) {
            node.in_force[order] |= set_of(by);
            self.judge(node);
        }
    }

    /// Decides about a share without successor. Nobody can be reached, so everybody in reach
    /// was handed the proof.
    fn judge(&self, node: &mut Node) {
        if node.old_share.is_none() || node.present.is_none_or(|present| present == OLD) {
            return;
        }
        for order in 0..self.orders.len() {
            let evidence = Evidence {
                complete: node.complete[order],
                in_force: if self.rules.destroy_at_once {
                    NODES
                } else {
                    node.in_force[order].count_ones() as usize
                },
                threshold: self.threshold as usize,
                handed_on: true,
            };
            match old_share(&evidence) {
                OldShare::InUse => {}
                OldShare::Kept => node.old_share = node.old_share.map(|_| OldShare::Kept),
                OldShare::Destroyed => (node.old_share, node.in_force) = (None, [0; STEPS]),
            }
        }
    }

    /// True of a node that holds nothing of the key, and will not: its operator may switch it off.
    fn is_gone(&self, world: &World, node: usize) -> bool {
        let Node {
            present, old_share, ..
        } = world[node];
        let outside =
            present.is_some_and(|present| present != OLD && !has(self.orders[present].new, node));
        outside && old_share.is_none()
    }

    /// The liar is silent; the honest tell each other everything, again and again. Nodes that hold
    /// nothing any more are gone.
    fn settle(&self, mut world: World) -> World {
        loop {
            let before = world;
            for (order, made) in self.orders.iter().enumerate() {
                let tells = |node: usize| {
                    before[node].complete[order]
                        && !self.is_gone(&before, node)
                        && (!self.rules.silent || has(made.parties(), node))
                };
                let told = self.honest(self.everybody()).any(tells);
                let abort_vote = self
                    .honest(made.parties())
                    .any(|node| before[node].abort_vote[order]);
                for node in self.honest(self.everybody()) {
                    let proves =
                        !has(made.parties(), node) || self.stored(&before, order, made.parties());
                    if told && proves {
                        self.show(&mut world[node], node, order);
                    } else if abort_vote && has(made.parties(), node) {
                        hear_abort_vote(&mut world[node], order);
                    }
                    for by in self.honest(made.new) {
                        if self.has_in_force(&before, order, by) {
                            self.show_in_force(&mut world[node], order, by);
                        }
                    }
                }
            }
            if world == before {
                return world;
            }
        }
    }

    /// Returns the generations that an honest quorum can sign with.
    fn whole(&self, world: &World) -> Vec<usize> {
        let signs = |node: usize, generation: usize| match generation {
            OLD => {
                world[node].present == Some(OLD) && world[node].old_share == Some(OldShare::InUse)
            }
            order => world[node].present == Some(order) && world[node].next[order],
        };
        let holders = |generation: usize| {
            if generation == OLD {
                self.old
            } else {
                self.orders[generation].new
            }
        };
        let quorum = |generation: &usize| {
            let honest = self
                .honest(holders(*generation))
                .filter(|node| signs(*node, *generation));
            honest.count() as u32 >= self.threshold
        };
        (0..self.orders.len()).chain([OLD]).filter(quorum).collect()
    }

    /// Walks through all states. Returns their number, or the path to one from which
    /// the key is lost.
    fn search(&self) -> Result<usize, Vec<Act>> {
        let mut seen = HashSet::from([self.begin()]);
        let mut open = vec![(self.begin(), Vec::new())];
        while let Some((world, way)) = open.pop() {
            let settled = self.settle(world);
            let whole = self.whole(&settled);
            if whole.is_empty() || (self.orders.len() == 1 && !self.agree(&settled)) {
                return Err(way);
            }
            for act in self.acts(&world) {
                let next = self.act(&world, act);
                if seen.insert(next) {
                    open.push((next, [&way[..], &[act]].concat()));
                }
            }
        }
        Ok(seen.len())
    }

    /// True if all honest nodes sign with the same generation once all are told.
    fn agree(&self, world: &World) -> bool {
        let moved = self
            .honest(self.everybody())
            .any(|node| world[node].present == Some(0));
        let behind = |node: usize| world[node].present == Some(OLD);
        !moved || !self.honest(self.everybody()).any(behind)
    }
}

fn set_of(node: usize) -> Set {
    1 << node
}

fn hear_abort_vote(node: &mut Node, order: usize) {
    if let Some(standing) = node.standing[order].filter(|standing| heeds_abort_vote(*standing)) {
        debug_assert_eq!(standing, Standing::InDoubt);
        node.standing[order] = Some(Standing::Aborted);
    }
}

/// All subsets of this size.
fn choices(from: Set, count: u32) -> impl Iterator<Item = Set> {
    (0..1u8 << NODES).filter(move |choice| choice & !from == 0 && choice.count_ones() == count)
}

/// One case for each choice of dealers and of the liar.
fn cases(old: &[usize], new: &[usize], threshold: u32) -> Vec<Case> {
    let old = set(old);
    let new = set(new);
    let mut cases = Vec::new();
    for dealers in choices(old, threshold) {
        for liar in members(old | new) {
            let orders = vec![Order { dealers, new }];
            cases.push(Case {
                old,
                threshold,
                orders,
                liar,
                rules: RULES,
            });
        }
    }
    cases
}

/// Searches all cases and returns the sum of their states.
fn walk(name: &str, cases: &[Case]) -> usize {
    let walked = |case: &Case| {
        case.search()
            .unwrap_or_else(|way| panic!("{name}: lost in {case:?} by {way:?}"))
    };
    let states = cases.iter().map(walked).sum();
    println!("{name}: {states} states in {} cases", cases.len());
    states
}

#[test]
fn from_every_state_of_a_reshare_with_one_liar_honest_nodes_find_a_quorum() {
    let states = [
        walk("2 of 3, one replaced", &cases(&[0, 1, 2], &[0, 1, 3], 2)),
        walk("2 of 3, refreshed", &cases(&[0, 1, 2], &[0, 1, 2], 2)),
        walk("2 of 3 to three others", &cases(&[0, 1, 2], &[3, 4, 5], 2)),
        walk(
            "3 of 4, one replaced",
            &cases(&[0, 1, 2, 3], &[0, 1, 2, 4], 3),
        ),
    ];
    assert!(states.iter().all(|states| *states > 100), "{states:?}");
}

/// Two reshares from one generation, ordered one after the other, that reach the
/// nodes in any order.
fn twice(rules: Rules) -> Vec<Case> {
    let old = set(&[0, 1, 2]);
    let both = [set(&[0, 1, 3]), set(&[0, 1, 2])];
    let mut cases = Vec::new();
    for new in both {
        for dealers in choices(old, 2) {
            for liar in [0, 1, 2, 3] {
                let first = Order {
                    dealers: set(&[0, 1]),
                    new: set(&[0, 1, 3]),
                };
                let orders = vec![first, Order { dealers, new }];
                cases.push(Case {
                    old,
                    threshold: 2,
                    orders,
                    liar,
                    rules,
                });
            }
        }
    }
    cases
}

#[test]
fn two_reshares_from_one_generation_that_cross_lose_no_key_either() {
    walk("2 of 3, twice", &twice(RULES));
}

/// The reason for each rule: without it there is a way to lose the key.
#[test]
fn without_any_one_of_the_rules_a_liar_and_the_coordinator_lock_up_a_key() {
    let all = || {
        [
            cases(&[0, 1, 2], &[0, 1, 3], 2),
            cases(&[0, 1, 2], &[3, 4, 5], 2),
        ]
        .concat()
    };
    let lost = |rules: Rules, cases: Vec<Case>| {
        let with = cases.into_iter().map(|case| Case { rules, ..case });
        with.filter_map(|case| case.search().err())
            .min_by_key(Vec::len)
    };
    let before = Rules {
        destroy_at_once: true,
        silent: true,
        quorum_is_enough: true,
        ..RULES
    };
    // Withholding one acknowledgement is enough, and so is destroying what others rely on.
    for rules in [
        before,
        Rules {
            destroy_at_once: true,
            ..RULES
        },
        Rules {
            silent: true,
            ..RULES
        },
    ] {
        let way = lost(rules, all()).unwrap_or_else(|| panic!("nothing is lost under {rules:?}"));
        println!("{rules:?}: lost by {way:?}");
    }
    let unordered = Rules {
        unordered: true,
        ..RULES
    };
    let way = lost(unordered, twice(unordered)).expect("nothing is lost where reshares cross");
    println!("{unordered:?}: lost by {way:?}");
}
