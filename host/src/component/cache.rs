//! Machine code on disk, so that a restart does not repeat seconds of compilation. Machine code is
//! not checked when it is loaded, so anybody who can write it runs code in the node. Each file
//! therefore carries a MAC under a key that only the node has, and the buffer that is verified is
//! the buffer that is loaded.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::PathBuf;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use zeroize::Zeroizing;

use crate::component::folder::Folder;

const LABEL: &[u8] = b"countersign-machine-code-v1\0";
const TAG: usize = 32;
/// Bytes of a file; a larger one is compiled anew each time.
const FILE: u64 = 256 << 20;

/// A directory of machine code. A file that is missing, short, changed, or made by another version
/// or for another machine is ignored: the component is compiled again and the file replaced.
#[derive(Clone)]
pub struct CodeCache {
    folder: PathBuf,
    key: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for CodeCache {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("CodeCache")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl CodeCache {
    /// A cache in `folder`, which is made when it is first needed. `key` must be secret, and the
    /// same after a restart.
    pub fn new(folder: impl Into<PathBuf>, key: [u8; 32]) -> Self {
        Self {
            folder: folder.into(),
            key: Zeroizing::new(key),
        }
    }

    /// Code that this node made for the component `digest`.
    pub(crate) fn find(&self, engine: &Engine, digest: &[u8; 32]) -> Option<Vec<u8>> {
        let compatibility = compatibility(engine);
        let folder = Folder::open(&self.folder).ok()?;
        let mut file = folder.read(&name(digest, &compatibility), FILE).ok()?;
        let (tag, code) = file.split_at_checked(TAG)?;
        self.mac(digest, &compatibility, code)
            .verify_slice(tag)
            .ok()?;
        file.drain(..TAG);
        Some(file)
    }

    /// Keeps `code`. A failure only costs time at the next start.
    pub(crate) fn keep(&self, engine: &Engine, digest: &[u8; 32], code: &[u8]) {
        if let Err(error) = self.try_keep(engine, digest, code) {
            let folder = self.folder.display();
            tracing::warn!(%error, %folder, "compiled plugins are not kept: the next start compiles them again");
        }
    }

    /// Removes code of components that are not in `wanted`, and what another version or machine
    /// made; gives the names of what it removed. A file with a name that this cache does not
    /// give is not touched.
    pub(crate) fn sweep(
        &self,
        engine: &Engine,
        wanted: &BTreeSet<[u8; 32]>,
    ) -> io::Result<Vec<String>> {
        let folder = match Folder::open(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        let compatibility = compatibility(engine);
        let kept: BTreeSet<String> = wanted
            .iter()
            .map(|digest| name(digest, &compatibility))
            .collect();
        let mut removed = folder.names()?;
        removed.retain(|file| is_name(file) && !kept.contains(file));
        removed.iter().try_for_each(|file| folder.remove(file))?;
        Ok(removed)
    }

    fn try_keep(&self, engine: &Engine, digest: &[u8; 32], code: &[u8]) -> io::Result<()> {
        let compatibility = compatibility(engine);
        let mut file = self
            .mac(digest, &compatibility, code)
            .finalize()
            .into_bytes()
            .to_vec();
        file.extend_from_slice(code);
        Folder::open_or_create(&self.folder)?.write(&name(digest, &compatibility), &file)
    }

    fn mac(&self, digest: &[u8; 32], compatibility: &[u8; 32], code: &[u8]) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.key).expect("any length");
        for part in [LABEL, digest, compatibility, code] {
            mac.update(part);
        }
        mac
    }
}

fn name(digest: &[u8; 32], compatibility: &[u8; 32]) -> String {
    format!(
        "{}-{}.cwasm",
        hex::encode(digest),
        hex::encode(&compatibility[..8])
    )
}

/// True for names that [`name`] makes.
fn is_name(file: &str) -> bool {
    let hex = |text: &str, digits: usize| {
        text.len() == digits
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let parts = file
        .strip_suffix(".cwasm")
        .and_then(|stem| stem.split_once('-'));
    parts.is_some_and(|(digest, compatibility)| hex(digest, 64) && hex(compatibility, 16))
}

/// Digest of everything besides the component that machine code depends on: version, settings and
/// processor features of `engine`.
fn compatibility(engine: &Engine) -> [u8; 32] {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut sha = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut sha);
    sha.0.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_nobody_wants_is_removed_and_nothing_else_is_touched() {
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        let folder = tempfile::Builder::new()
            .permissions(private)
            .tempdir()
            .unwrap();
        let cache = CodeCache::new(folder.path(), [1; 32]);
        let engine = Engine::default();
        for digest in [[2; 32], [3; 32]] {
            cache.keep(&engine, &digest, b"code");
        }
        let other_engine = name(&[2; 32], &[9; 32]);
        let strangers = [
            "notes.txt",
            "x.cwasm",
            &format!("{}-short.cwasm", hex::encode([2; 32])),
        ];
        for file in strangers.into_iter().chain([&*other_engine]) {
            std::fs::write(folder.path().join(file), "x").unwrap();
        }
        let mut gone = [name(&[3; 32], &compatibility(&engine)), other_engine];
        gone.sort();
        assert_eq!(cache.sweep(&engine, &[[2; 32]].into()).unwrap(), gone);
        assert_eq!(cache.find(&engine, &[2; 32]).unwrap(), b"code");
        assert!(
            strangers
                .iter()
                .all(|file| folder.path().join(file).exists())
        );
        let none = CodeCache::new(folder.path().join("none"), [1; 32]);
        assert!(none.sweep(&engine, &BTreeSet::new()).unwrap().is_empty());
    }
}
