//! Execution ids, which bind every proof to one task of one session.
//!
//! The caller's session bytes never reach a protocol. They are hashed with a label, the task
//! and its parameters, so that key generation, auxiliary information and signing with the
//! same session bytes still run under unrelated ids, and parties that disagree on a
//! parameter cannot finish together.

use generic_ec::Scalar;
use sha2::digest::Output;
use sha2::{Digest, Sha256, Sha512};

use crate::CallerFault;
use crate::curve::KeyCurve;

/// The task that an id is for.
#[derive(Clone, Copy)]
pub(crate) enum Task {
    Keygen,
    AuxInfo,
    Sign,
    Reshare,
    Agree,
    #[cfg(feature = "dkls23")]
    Dkls23Setup,
}

impl Task {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Keygen => b"keygen",
            Self::AuxInfo => b"aux-info",
            Self::Sign => b"sign",
            Self::Reshare => b"reshare",
            Self::Agree => b"agree",
            #[cfg(feature = "dkls23")]
            Self::Dkls23Setup => b"dkls23-set-up",
        }
    }
}

/// 32 bytes over the task, the session and the parameters, each preceded by its length.
pub(crate) fn execution_id(
    task: Task,
    session: &[u8],
    parameters: &[&[u8]],
) -> Result<[u8; 32], CallerFault> {
    if session.is_empty() {
        return Err(CallerFault::EmptySession);
    }
    let mut fields = vec![task.label(), session];
    fields.extend(parameters);
    Ok(labelled_hash(
        b"countersign engine execution id v1",
        &fields,
    ))
}

/// SHA-256 over a label and fields, each preceded by its length as 8 bytes, big-endian.
pub(crate) fn labelled_hash(label: &[u8], fields: &[&[u8]]) -> [u8; 32] {
    labelled::<Sha256>(label, fields).into()
}

/// Like [`labelled_hash`], to a scalar: twice as many bytes are reduced as the scalar has, so that
/// the result is uniform.
pub(crate) fn labelled_scalar<E: KeyCurve>(label: &[u8], fields: &[&[u8]]) -> Scalar<E> {
    Scalar::from_be_bytes_mod_order(labelled::<Sha512>(label, fields))
}

fn labelled<D: Digest>(label: &[u8], fields: &[&[u8]]) -> Output<D> {
    let mut hash = D::new();
    for field in std::iter::once(&label).chain(fields) {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hash.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_and_parameters_never_share_an_id() {
        let id = |task, session: &[u8], parameters: &[&[u8]]| {
            execution_id(task, session, parameters).unwrap()
        };
        let ids = [
            id(Task::Keygen, b"s", &[b"ab", b"c"]),
            id(Task::AuxInfo, b"s", &[b"ab", b"c"]),
            id(Task::Sign, b"s", &[b"ab", b"c"]),
            id(Task::Reshare, b"s", &[b"ab", b"c"]),
            id(Task::Sign, b"s", &[b"a", b"bc"]),
            id(Task::Sign, b"s", &[b"abc"]),
            id(Task::Sign, b"sab", &[b"c"]),
        ];
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert_eq!(
            execution_id(Task::Sign, b"", &[]),
            Err(CallerFault::EmptySession)
        );
    }
}
