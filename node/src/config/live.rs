//! The configuration as parts see it that follow changes while the node runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use countersign_protocol::RequesterId;

use super::{Config, Preflights};

/// Sections that take effect when an operator asks for it (SIGHUP). All others need a restart.
pub const LIVE_SECTIONS: [&str; 9] = [
    "chains",
    "keys",
    "limits",
    "log",
    "passkeys",
    "policy",
    "preflight",
    "requesters",
    "roster",
];

/// The configuration in force.
#[derive(Debug)]
pub struct LiveConfig(ArcSwap<Config>);

impl LiveConfig {
    /// The configuration in force now. Ask again for the next decision.
    pub fn now(&self) -> Arc<Config> {
        self.0.load_full()
    }

    /// Takes the [live sections](LIVE_SECTIONS) of another configuration and keeps the others.
    pub fn take(&self, other: Config) {
        let present = self.now();
        self.0.store(Arc::new(Config {
            networks: other.networks,
            allow_blind: other.allow_blind,
            allow_binary: other.allow_binary,
            session: other.session,
            engines: other.engines,
            reshares: other.reshares,
            task_hours: other.task_hours,
            log: other.log,
            passkeys: other.passkeys,
            policy: other.policy,
            preflights: other.preflights,
            requesters: other.requesters,
            roster: other.roster,
            ..Config::clone(&present)
        }));
    }
}

impl Config {
    /// Returns the [live sections](LIVE_SECTIONS) that do not say the same as those of `other`.
    pub fn live_sections_unlike(&self, other: &Self) -> Vec<&'static str> {
        // A requester that only one of them lists is a matter of `requesters`.
        let in_both = |id: &&RequesterId| {
            self.requesters.contains_key(id) && other.requesters.contains_key(id)
        };
        let answered = |config: &'_ Self| -> BTreeSet<RequesterId> {
            let allowed = config.preflights.allowed.iter().filter(in_both);
            allowed.copied().collect()
        };
        let same = [
            self.networks == other.networks,
            self.allow_blind == other.allow_blind && self.allow_binary == other.allow_binary,
            self.session == other.session
                && self.engines == other.engines
                && self.reshares == other.reshares
                && self.task_hours == other.task_hours,
            self.log == other.log,
            self.passkeys == other.passkeys,
            self.policy == other.policy,
            self.preflights.per_minute == other.preflights.per_minute
                && answered(self) == answered(other),
            self.requesters == other.requesters,
            self.roster == other.roster,
        ];
        let sections = LIVE_SECTIONS.into_iter().zip(same);
        sections
            .filter(|(_, same)| !same)
            .map(|(section, _)| section)
            .collect()
    }

    /// `present` with the contacts of this configuration. Preflights follow those who come and go,
    /// and stay as they are for everybody else.
    pub fn contacts_alone(self, present: &Self) -> Self {
        let allowed = self.requesters.keys().filter(|id| {
            let known = present.requesters.contains_key(id);
            let judge = if known { present } else { &self };
            judge.preflights.allowed.contains(id)
        });
        Self {
            preflights: Preflights {
                allowed: allowed.copied().collect(),
                per_minute: present.preflights.per_minute,
            },
            requesters: self.requesters,
            roster: self.roster,
            source: self.source,
            ..present.clone()
        }
    }

    /// This configuration without what `present` does not permit. Names that plugins may decide by,
    /// and networks, stay those of `present`, since nobody can say which of two permits more. So no
    /// page may ask passkeys to sign, unless both have the same.
    pub fn within(self, present: &Self) -> Self {
        Self {
            networks: present.networks.clone(),
            allow_blind: &self.allow_blind & &present.allow_blind,
            allow_binary: &self.allow_binary & &present.allow_binary,
            preflights: Preflights {
                allowed: &self.preflights.allowed & &present.preflights.allowed,
                per_minute: self
                    .preflights
                    .per_minute
                    .min(present.preflights.per_minute),
            },
            reshares: self.reshares.min(present.reshares),
            task_hours: self.task_hours.min(present.task_hours),
            passkeys: self
                .passkeys
                .filter(|pages| present.passkeys.as_ref() == Some(pages)),
            requesters: remaining(&self.requesters, &present.requesters),
            roster: remaining(&self.roster, &present.roster),
            ..self
        }
    }
}

/// The present entries of ids that are still listed.
fn remaining<I: Ord + Clone>(
    new: &BTreeMap<I, String>,
    present: &BTreeMap<I, String>,
) -> BTreeMap<I, String> {
    let listed = present.iter().filter(|(id, _)| new.contains_key(id));
    listed
        .map(|(id, name)| (id.clone(), name.clone()))
        .collect()
}

impl From<Config> for LiveConfig {
    fn from(config: Config) -> Self {
        Self(ArcSwap::from_pointee(config))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use countersign_protocol::KeyId;

    use super::*;
    use crate::task::fixtures::{identity, node};

    fn parsed(text: &str) -> Config {
        Config::parse(text, Path::new("/")).unwrap()
    }

    fn requester(seed: u8) -> RequesterId {
        RequesterId::from_bytes(identity(seed).public().0).unwrap()
    }

    fn key(seed: u8) -> KeyId {
        KeyId::from_bytes([seed; 16]).unwrap()
    }

    /// Two requesters, nodes and keys, named after their seeds.
    fn with(a: u8, b: u8) -> String {
        let listed = |entry: &dyn Fn(u8) -> String| [a, b].map(entry).join(", ");
        let requesters = listed(&|seed| format!("{{name: r{seed}, id: {}}}", requester(seed)));
        let roster = listed(&|seed| format!("{{name: n{seed}, id: {}}}", node(seed)));
        let keys = listed(&|seed| key(seed).to_string());
        format!(
            "requesters: [{requesters}]\nroster: [{roster}]\n\
             keys: {{allow_blind: [{keys}], allow_binary: [{keys}]}}\n"
        )
    }

    /// What would have to change for each section to differ, and for nothing else to.
    const CHANGES: [(&str, &str); 17] = [
        ("chains", "chains: {bitcoin: testnet4}"),
        ("chains", "chains: {solana: devnet}"),
        ("keys", "keys: {allow_blind: [KEY]}"),
        ("keys", "keys: {allow_binary: [KEY]}"),
        ("limits", "limits: {ready_seconds: 7}"),
        ("limits", "limits: {ecdsa_seconds: 7}"),
        ("limits", "limits: {reshares: 7}"),
        ("limits", "limits: {task_hours: 25}"),
        ("log", "log: {std: {level: debug}}"),
        (
            "passkeys",
            "passkeys: {rp_id: a.example, origins: ['https://a.example']}",
        ),
        (
            "passkeys",
            "passkeys: {rp_id: b.example, origins: ['https://b.example']}",
        ),
        ("policy", "policy: {deadline_seconds: 7}"),
        ("policy", "policy: {allow_unguarded: true}"),
        ("preflight", "preflight: {per_minute: 7}"),
        ("preflight", "preflight: {allow: false}"),
        ("requesters", "requesters: [{name: x, id: REQUESTER}]"),
        ("roster", "roster: [{name: n, id: NODE}]"),
    ];

    /// A base that has one requester, and that with one of the changes.
    fn changed(change: &str) -> (Config, Config) {
        let base = format!("requesters: [{{name: r, id: {}}}]", requester(1));
        let change = change
            .replace("KEY", &key(1).to_string())
            .replace("REQUESTER", &requester(1).to_string())
            .replace("NODE", &node(2).to_string());
        let text = if change.starts_with("requesters") {
            change
        } else {
            format!("{base}\n{change}")
        };
        (parsed(&base), parsed(&text))
    }

    #[test]
    fn every_live_section_is_told_from_the_others_and_taken() {
        for (section, change) in CHANGES {
            let (before, after) = changed(change);
            assert_eq!(after.live_sections_unlike(&before), [section], "{change}");
            assert_eq!(before.live_sections_unlike(&after), [section], "{change}");
            for (from, to) in [(&before, &after), (&after, &before)] {
                let live = LiveConfig::from(from.clone());
                live.take(to.clone());
                assert!(to.live_sections_unlike(&live.now()).is_empty(), "{change}");
            }
        }
        let named: BTreeSet<&str> = CHANGES.map(|(section, _)| section).into();
        assert_eq!(named, LIVE_SECTIONS.into());
    }

    #[test]
    fn a_requester_more_is_a_matter_of_requesters_alone() {
        let one = parsed(&with(1, 2));
        let two = parsed(&with(1, 3));
        assert_eq!(
            one.live_sections_unlike(&two),
            ["keys", "requesters", "roster"]
        );
    }

    #[test]
    fn all_other_sections_stay_as_they_were_at_the_start() {
        let live = LiveConfig::from(parsed("limits: {tasks: 3}"));
        live.take(parsed(
            "limits: {tasks: 4, prime_sets: 3}\ncheck_up: {hours: 7}",
        ));
        let now = live.now();
        assert_eq!((now.tasks, now.prime_sets), (3, 1));
        assert_eq!(now.check_up, parsed("").check_up);
        assert_eq!(now.source.text, "limits: {tasks: 3}");
    }

    #[test]
    fn within_another_a_configuration_permits_what_both_do() {
        let present = parsed(&with(1, 2));
        let both = parsed(&with(1, 3)).within(&present);
        assert_eq!(both.requesters, [(requester(1), "r1".to_owned())].into());
        assert_eq!(both.roster, [(node(1), "n1".to_owned())].into());
        assert_eq!(both.allow_blind, [key(1)].into());
        assert_eq!(both.allow_binary, [key(1)].into());
        assert_eq!(both.preflights.allowed, [requester(1)].into());
    }

    #[test]
    fn within_another_a_configuration_has_no_other_names_networks_or_rates() {
        for (before, after, more) in [
            ("name: r,", "name: boss,", ""),
            ("", "", "chains: {bitcoin: testnet4}"),
            ("", "", "preflight: {per_minute: 1000}"),
        ] {
            let text = format!("requesters: [{{name: r, id: {}}}]\n", requester(1));
            let present = parsed(&text);
            let renamed = text.replacen(before, after, 1);
            let new = parsed(&format!("{renamed}{more}"));
            assert!(!new.live_sections_unlike(&present).is_empty(), "{more}");
            let within = new.within(&present);
            assert!(within.live_sections_unlike(&present).is_empty(), "{more}");
        }
        let slower = parsed("preflight: {per_minute: 1}\nlimits: {reshares: 1}");
        let slower = slower.within(&parsed(""));
        assert_eq!(slower.preflights.per_minute, 1, "that permits less");
        assert_eq!(slower.reshares.count, 1, "that permits less");
        let faster = parsed("limits: {reshares: 100, task_hours: 100}").within(&parsed(""));
        assert_eq!(faster.reshares, parsed("").reshares);
        assert_eq!(faster.task_hours, parsed("").task_hours);
    }

    #[test]
    fn within_another_a_configuration_has_the_same_pages_or_none() {
        let on = |host: &str| {
            parsed(&format!(
                "passkeys: {{rp_id: {host}, origins: ['https://{host}']}}"
            ))
        };
        let present = on("a.example");
        assert_eq!(on("a.example").within(&present).passkeys, present.passkeys);
        for (new, present) in [
            (on("b.example"), present.clone()),
            (parsed(""), present.clone()),
            (present, parsed("")),
        ] {
            assert_eq!(new.within(&present).passkeys, None);
        }
    }

    #[test]
    fn contacts_come_without_any_other_edit() {
        let present = parsed(&format!("{}preflight: {{allow: false}}", with(1, 2)));
        let new = parsed(&format!(
            "{}policy: {{deadline_seconds: 7}}\nlog: {{std: {{level: debug}}}}\nlimits: {{reshares: 100}}",
            with(1, 3)
        ));
        let requesters = new.requesters.clone();
        let roster = new.roster.clone();
        let taken = new.contacts_alone(&present);
        assert_eq!((&taken.requesters, &taken.roster), (&requesters, &roster));
        assert_eq!(
            taken.live_sections_unlike(&present),
            ["requesters", "roster"]
        );
        // Requester 1 may not ask now, and 3 may, by the file that lists it.
        assert_eq!(taken.preflights.allowed, [requester(3)].into());
    }
}
