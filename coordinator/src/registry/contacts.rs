//! What nodes are told of each other: proposals for their operators, from which nothing follows.

use std::collections::BTreeMap;

use countersign_protocol::UnixMillis;
use countersign_protocol::contact::{Contact, MAX_CONTACTS};
use countersign_protocol::control::ToNode;

use super::{Connection, RegistryConfig, TaskRegistry};

impl RegistryConfig {
    /// The nodes as contacts.
    pub fn node_contacts(&self) -> impl Iterator<Item = Contact> + '_ {
        self.nodes.iter().map(|(id, name)| Contact::Node {
            name: name.clone(),
            id: *id,
        })
    }

    /// The requesters that may order here by themselves, as contacts.
    pub fn requester_contacts(&self, now: UnixMillis) -> impl Iterator<Item = Contact> + '_ {
        let named = self.named_requesters.iter();
        let named = named.filter(move |(_, named)| named.until.is_none_or(|until| now < until));
        named.map(|(id, named)| Contact::Requester {
            name: named.name.clone(),
            id: *id,
        })
    }
}

impl TaskRegistry {
    /// The contacts that the holder of this key is told: all but itself.
    pub fn contacts_for(&self, key: &[u8; 32], now: UnixMillis) -> Vec<Contact> {
        let rules = self.rules();
        let all = rules.node_contacts().chain(rules.requester_contacts(now));
        all.filter(|contact| contact.key() != key)
            .take(MAX_CONTACTS)
            .collect()
    }

    /// Tells a node its contacts now and whenever they change. A node that follows them already
    /// knows them, and asking again costs nothing.
    pub(super) fn follow_contacts(&self, connection: Connection, now: UnixMillis) {
        let mut inner = self.lock();
        if inner.is_current(connection)
            && let Some(presence) = inner.nodes.get_mut(&connection.node)
            && presence.told_contacts.is_none()
        {
            let contacts = self.contacts_for(connection.node.as_bytes(), now);
            presence.told_contacts = Some(contacts.clone());
            inner.send(connection.node, ToNode::Contacts { contacts });
        }
    }

    /// Tells all nodes that follow their contacts, if those have changed.
    pub fn tell_contacts(&self, now: UnixMillis) {
        let mut inner = self.lock();
        let following = inner
            .nodes
            .iter()
            .filter(|(_, presence)| presence.told_contacts.is_some());
        let news: BTreeMap<_, _> = following
            .map(|(node, _)| (*node, self.contacts_for(node.as_bytes(), now)))
            .collect();
        for (node, contacts) in news {
            if let Some(presence) = inner.nodes.get_mut(&node)
                && presence.told_contacts.as_ref() != Some(&contacts)
            {
                presence.told_contacts = Some(contacts.clone());
                inner.send(node, ToNode::Contacts { contacts });
            }
        }
    }
}
