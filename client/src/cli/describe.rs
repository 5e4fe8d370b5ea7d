//! The effect of a reshare in words.

use countersign_client::{Profile, ReshareOrder};
use countersign_protocol::{KeyDescriptor, NodeId};

/// Describes a reshare: the present and the future holders of the wallet.
pub fn reshare_lines(from: &KeyDescriptor, order: &ReshareOrder, profile: &Profile) -> Vec<String> {
    let old = &from.committee;
    let new = &order.committee;
    let names = |nodes: Vec<&NodeId>| {
        nodes
            .into_iter()
            .map(|node| profile.name_of(node))
            .collect::<Vec<_>>()
    };
    let part = |nodes: &[NodeId], keep: &dyn Fn(&NodeId) -> bool| {
        names(nodes.iter().filter(|node| keep(node)).collect()).join(", ")
    };
    let groups = [
        (
            "stay ",
            part(old.members(), &|node| new.index_of(node).is_some()),
        ),
        (
            "join ",
            part(new.members(), &|node| old.index_of(node).is_none()),
        ),
        (
            "leave",
            part(old.members(), &|node| new.index_of(node).is_none()),
        ),
    ];
    let mut lines = vec![format!(
        "reshares {}, generation {}: from {} of {} nodes to {} of {}; key and addresses stay",
        from.name,
        from.generation,
        from.threshold.get(),
        old.members().len(),
        order.threshold.get(),
        new.members().len()
    )];
    lines.extend(
        groups
            .iter()
            .filter(|(_, who)| !who.is_empty())
            .map(|(what, who)| format!("  {what}: {who}")),
    );
    lines
}
