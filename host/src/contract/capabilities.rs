//! The one list of capabilities. The answers that a recording can hold, the grants, the document of
//! what is in force and the table of `capability/table.rs` are generated from it.

/// Passes every capability to the macro `$each`: a file of `capability/`, its type there, its
/// grants, and the answers of its imports that a trace records.
///
/// A grant has a type whose default grants nothing, and the value with which a plugin without an
/// entry is tried out. The configuration, the host and the record of what is in force have a field
/// of that name. The grants of `keys` and `http` are lists of names, and defined by hand.
///
/// A recording stores an answer by its number, counted over all rows. So new answers are appended
/// after all others, and none is ever moved or removed. Another number does not compile.
macro_rules! capabilities {
    ($each:ident) => {
        $each! {
            types::Types {}
            config::Config {}
            log::Log {}
            wasi::Wasi {}
            clock::Clock {
                0 => Slept(()),
            }
            keys::Keys {
                1 => Bytes(Result<Vec<u8>, keys::Error>),
                2 => Verified(Result<bool, keys::Error>),
            }
            http::Http {
                3 => Responses(Vec<Result<http::Response, http::Error>>),
            }
            state::State {
                /// Quota of its durable memory in bytes. Default: 0, with which the component must
                /// not import `state`.
                grant state_bytes: u64, trial 1 << 20;
                4 => Entry(Result<Option<Vec<u8>>, state::Error>),
                5 => Written(Result<(), state::Error>),
                6 => Entries(Result<Vec<(String, Vec<u8>)>, state::Error>),
            }
        }
    };
}

pub(crate) use capabilities;

/// The interfaces of the contract that need a grant, in the order of the rows. Stated once more for
/// the tests of the table, so that no interface comes or goes unnoticed.
#[cfg(test)]
pub(crate) const GRANTED: [&str; 3] = ["keys", "http", "state"];

/// The only ones of [`GRANTED`] whose importers are pre-initialised, if `check` does not use them:
/// what they keep stays in the node, and is bound to a task that was decided.
#[cfg(test)]
pub(crate) const PRE_INITIALISED: [&str; 1] = ["state"];
