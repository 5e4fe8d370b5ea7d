//! The one list of capabilities. The answers that a recording can hold and the table of
//! `capability/table.rs` are both generated from it.

/// Passes every capability to the macro `$each`: a file of `capability/`, its type there, and the
/// answers of its imports that a trace records.
///
/// A recording stores an answer by its number, counted over all rows. So new answers are appended
/// after all others, and none is ever moved or removed.
macro_rules! capabilities {
    ($each:ident) => {
        $each! {
            types::Types {}
            config::Config {}
            log::Log {}
            wasi::Wasi {}
            clock::Clock {
                Slept(()),
            }
            keys::Keys {
                Bytes(Result<Vec<u8>, keys::Error>),
                Verified(Result<bool, keys::Error>),
            }
            http::Http {
                Responses(Vec<Result<http::Response, http::Error>>),
            }
            state::State {
                Entry(Result<Option<Vec<u8>>, state::Error>),
                Written(Result<(), state::Error>),
                Entries(Result<Vec<(String, Vec<u8>)>, state::Error>),
            }
        }
    };
}

pub(crate) use capabilities;
