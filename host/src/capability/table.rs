//! The table of all capabilities. Grants, pre-initialisation, linkers, anchors and restrictions
//! are derived from it. An interface without a row is refused whatever is granted, linked to
//! nothing, and never pre-initialised.

use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::capability::interface::{Capability, Interface, Need, PreInit};
use crate::contract::anchor::Anchor;
use crate::contract::capabilities::capabilities;
use crate::contract::grants::Grants;
use crate::contract::services::Services;
use crate::sandbox::call_state::CallState;
use crate::sandbox::context::Context;
use crate::sandbox::terms::Reach;

macro_rules! table {
    ($($file:ident::$capability:ident {
        $($(#[$doc:meta])* grant $grant:ident: $type:ty, trial $trial:expr;)*
        $($number:literal => $name:ident($answered:ty),)*
    })*) => {
        const ALL: &[Row] = &[$(Row::of::<super::$file::$capability>(),)*];
    };
}

capabilities!(table);

struct Row {
    interfaces: &'static [Interface],
    need: Need,
    reach: Reach,
    is_granted: fn(&Grants) -> bool,
    revoke: fn(&mut Grants),
    anchors: fn(&Grants, &dyn Services) -> Vec<Anchor>,
    link: fn(&mut Linker<CallState>) -> wasmtime::Result<()>,
    link_for_pre_init: fn(&mut Linker<CallState>) -> wasmtime::Result<()>,
}

impl Row {
    const fn of<C: Capability>() -> Self {
        Self {
            interfaces: C::INTERFACES,
            need: C::NEED,
            reach: C::REACH,
            is_granted: |grants| C::granted(grants).is_some(),
            revoke: C::revoke,
            anchors: C::anchors,
            link: C::link,
            link_for_pre_init: C::link_for_pre_init,
        }
    }
}

/// Finds an import by its full name, e.g. `countersign:policy/http@0.1.0`. The version is ignored:
/// the linker compares it.
fn find(import: &str) -> Option<(&'static Row, &'static Interface)> {
    let name = import.split('@').next()?;
    ALL.iter().find_map(|row| {
        let mut interfaces = row.interfaces.iter();
        Some((row, interfaces.find(|interface| interface.name == name)?))
    })
}

/// True if there is any grant under which `import` would be had.
pub(crate) fn is_known(import: &str) -> bool {
    find(import).is_some()
}

/// True if these grants cover `import`.
pub(crate) fn is_granted(import: &str, grants: &Grants) -> bool {
    find(import).is_some_and(|(row, _)| (row.is_granted)(grants))
}

/// True if a component with these grants may ask somebody outside the node.
pub(crate) fn reaches_outside(grants: &Grants) -> bool {
    ALL.iter()
        .any(|row| row.reach == Reach::Outside && (row.is_granted)(grants))
}

/// Tells the operator how to grant `import`, if it needs a grant.
pub(crate) fn advice(import: &str) -> Option<&'static str> {
    match find(import)?.0.need {
        Need::Nothing => None,
        Need::Grant(advice) => Some(advice),
    }
}

/// The meaning of `import` for pre-initialisation.
pub(crate) fn pre_init(import: &str) -> PreInit {
    find(import).map_or(PreInit::Forbidden, |(_, interface)| interface.pre_init)
}

/// A linker with every capability. Grants are checked before a component is linked.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<CallState>> {
    let mut linker = Linker::new(engine);
    ALL.iter().try_for_each(|row| (row.link)(&mut linker))?;
    Ok(linker)
}

/// A linker with the interfaces of [`PreInit::Linked`] alone.
pub(crate) fn restricted_linker(engine: &Engine) -> wasmtime::Result<Linker<CallState>> {
    let mut linker = Linker::new(engine);
    ALL.iter()
        .try_for_each(|row| (row.link_for_pre_init)(&mut linker))?;
    Ok(linker)
}

/// The same plugin without grants that reach outside the node.
pub(crate) fn restricted(context: &Context) -> Arc<Context> {
    let mut restricted = context.clone();
    ALL.iter()
        .for_each(|row| (row.revoke)(&mut restricted.grants));
    Arc::new(restricted)
}

/// The keys and authorities behind these grants, by kind and name.
pub(crate) fn anchors(grants: &Grants, services: &dyn Services) -> Vec<Anchor> {
    let anchors = ALL.iter().flat_map(|row| (row.anchors)(grants, services));
    let mut anchors: Vec<_> = anchors.collect();
    anchors.sort();
    anchors.dedup();
    anchors
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use wit_parser::{Resolve, WorldItem, WorldKey};

    use super::*;
    use crate::contract::capabilities::{GRANTED, PRE_INITIALISED};
    use crate::contract::grants::{KeyGrant, KeyUsage};

    fn generous() -> Grants {
        Grants {
            keys: vec![KeyGrant {
                name: "k".into(),
                usage: KeyUsage::Verify,
            }],
            http: vec!["https://risk.example.com/".parse().unwrap()],
            ..Grants::trial()
        }
    }

    fn interfaces() -> impl Iterator<Item = &'static Interface> {
        ALL.iter().flat_map(|row| row.interfaces)
    }

    /// Names of the interfaces that the worlds of `policy.wit` import.
    fn imported_by_the_contract() -> BTreeSet<String> {
        let wit = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit");
        let mut resolve = Resolve::default();
        resolve.push_dir(wit).unwrap();
        let mut names = BTreeSet::new();
        for (_, world) in &resolve.worlds {
            for (key, item) in &world.imports {
                let (WorldKey::Interface(_), WorldItem::Interface { id, .. }) = (key, item) else {
                    panic!("an import that is not a named interface: {key:?}");
                };
                let full = resolve.id_of(*id).unwrap();
                names.insert(full.split('@').next().unwrap().to_owned());
            }
        }
        names
    }

    #[test]
    fn the_table_lists_exactly_the_interfaces_of_the_contract() {
        let ours = interfaces().filter(|interface| !interface.name.starts_with("wasi:"));
        let ours: BTreeSet<String> = ours.map(|interface| interface.name.to_owned()).collect();
        assert_eq!(ours, imported_by_the_contract());
    }

    #[test]
    fn an_interface_that_is_not_listed_is_neither_granted_nor_pre_initialised() {
        for import in [
            "countersign:policy/vault@0.1.0",
            "countersign:policy/",
            "countersign:policy",
            "wasi:cli/run@0.2.0",
            "wasi:random/hardware@0.2.0",
            "wasi:sockets/tcp@0.2.0",
            "wasi:filesystem/preopens@0.2.0",
            "",
        ] {
            assert!(!is_known(import), "{import}");
            assert!(!is_granted(import, &generous()), "{import}");
            assert_eq!(pre_init(import), PreInit::Forbidden, "{import}");
            assert_eq!(advice(import), None, "{import}");
        }
    }

    #[test]
    fn the_version_does_not_matter() {
        for import in ["countersign:policy/http@0.9.0", "countersign:policy/http"] {
            assert!(is_granted(import, &generous()) && !is_granted(import, &Grants::default()));
        }
        assert_eq!(pre_init("wasi:cli/exit@0.2.12"), PreInit::Linked);
    }

    #[test]
    fn what_needs_a_grant_is_known_by_name() {
        let names = |keep: fn(&Row) -> bool| -> Vec<&str> {
            let kept = ALL.iter().filter(|row| keep(row));
            kept.flat_map(|row| row.interfaces)
                .map(|interface| interface.name)
                .collect()
        };
        let granted = GRANTED.map(|name| format!("countersign:policy/{name}"));
        assert_eq!(names(|row| row.need != Need::Nothing), granted);
        assert_eq!(names(|row| !(row.is_granted)(&Grants::default())), granted);
        assert_eq!(names(|row| row.reach != Reach::Sandbox), granted);
        let distinct: BTreeSet<_> = interfaces().map(|interface| interface.name).collect();
        assert_eq!(distinct.len(), interfaces().count());
    }

    #[test]
    fn what_needs_a_grant_or_uses_services_or_reaches_outside_is_never_pre_initialised() {
        let kept_inside = PRE_INITIALISED.map(|name| format!("countersign:policy/{name}"));
        for row in ALL {
            let bound = row.need != Need::Nothing || row.reach != Reach::Sandbox;
            for interface in row.interfaces {
                let name = interface.name;
                let inside = row.reach != Reach::Outside && kept_inside.iter().any(|n| n == name);
                let expected = bound && !inside;
                assert_eq!(interface.pre_init == PreInit::Forbidden, expected, "{name}");
                assert!(!bound || interface.pre_init != PreInit::Linked, "{name}");
            }
        }
    }

    #[test]
    fn only_a_grant_of_what_lies_outside_reaches_outside() {
        let inside = Grants {
            http: Vec::new(),
            ..generous()
        };
        assert!(reaches_outside(&generous()));
        assert!(!reaches_outside(&inside));
        assert!(!reaches_outside(&Grants::default()));
    }

    #[test]
    fn every_grant_that_reaches_outside_can_be_revoked() {
        for row in ALL {
            let mut grants = generous();
            assert!((row.is_granted)(&grants));
            let outward = row
                .interfaces
                .iter()
                .any(|interface| interface.pre_init == PreInit::Forbidden);
            (row.revoke)(&mut grants);
            assert_eq!((row.is_granted)(&grants), !outward);
        }
    }

    #[test]
    fn both_linkers_are_made_without_a_conflict() {
        let engine = Engine::default();
        linker(&engine).unwrap();
        restricted_linker(&engine).unwrap();
    }
}
