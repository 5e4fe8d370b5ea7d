//! The files of the application, embedded in this program, each compared with the digest in its
//! manifest.

use std::collections::BTreeMap;

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// What the build embedded: names and bytes.
const EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/console.rs"));
/// The list of the files, which is not served.
const MANIFEST: &str = "manifest.json";
/// The page.
const PAGE: &str = "index.html";
/// The version of the manifest that this program reads.
const VERSION: u32 = 1;

/// Why the application cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssetsError {
    /// The program was built without it.
    #[error(
        "this program was built without the console; use a released program, or build it as CONTRIBUTING.md says"
    )]
    Absent,
    /// The manifest cannot be read.
    #[error("the console's manifest is of no use ({0}); build the console again")]
    Manifest(String),
    /// A file is missing, or is not the one in the manifest.
    #[error("the console's file `{0}` is not the one that was built; build the console again")]
    Altered(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: u32,
    csp: String,
    files: Vec<Listed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    path: String,
    r#type: String,
    sha256: String,
}

/// One file as it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asset {
    pub(super) kind: String,
    pub(super) bytes: &'static [u8],
}

/// All files of the application.
#[derive(Debug)]
pub struct Assets {
    policy: String,
    page: Asset,
    by_path: BTreeMap<String, Asset>,
}

impl Assets {
    /// Those that are embedded in this program.
    pub fn embedded() -> Result<Self, AssetsError> {
        Self::of(EMBEDDED)
    }

    /// Those with these names and bytes, one of which is the manifest.
    pub fn of(files: &'static [(&'static str, &'static [u8])]) -> Result<Self, AssetsError> {
        let bytes_of = |name: &str| files.iter().find(|(known, _)| *known == name);
        let (_, manifest) = bytes_of(MANIFEST).ok_or(AssetsError::Absent)?;
        let manifest: Manifest = serde_json::from_slice(manifest)
            .map_err(|error| AssetsError::Manifest(error.to_string()))?;
        if manifest.version != VERSION {
            let reason = format!("it has version {}", manifest.version);
            return Err(AssetsError::Manifest(reason));
        }
        let mut by_path = BTreeMap::new();
        for Listed {
            path,
            r#type,
            sha256,
        } in manifest.files
        {
            let found =
                bytes_of(&path).filter(|(_, bytes)| hex::encode(Sha256::digest(bytes)) == sha256);
            let Some(&(_, bytes)) = found else {
                return Err(AssetsError::Altered(path));
            };
            let kind = r#type;
            by_path.insert(path, Asset { kind, bytes });
        }
        let page = by_path.remove(PAGE);
        Ok(Self {
            policy: manifest.csp,
            page: page.ok_or_else(|| AssetsError::Altered(PAGE.into()))?,
            by_path,
        })
    }

    /// The content security policy of the page.
    pub(super) fn policy(&self) -> &str {
        &self.policy
    }

    pub(super) fn page(&self) -> &Asset {
        &self.page
    }

    /// The file at this path of a URL.
    pub(super) fn at(&self, path: &str) -> Option<&Asset> {
        self.by_path.get(path.strip_prefix('/')?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn assets(
        manifest: String,
        files: &[(&'static str, &'static [u8])],
    ) -> Result<Assets, AssetsError> {
        let manifest: &'static [u8] = manifest.into_bytes().leak();
        let mut all = vec![(MANIFEST, manifest)];
        all.extend_from_slice(files);
        Assets::of(all.leak())
    }

    fn manifest(path: &str, sha256: &str) -> String {
        let file =
            |path: &str| serde_json::json!({"path": path, "type": "text/plain", "sha256": sha256});
        let files = [file(PAGE), file(path)];
        serde_json::json!({"version": 1, "csp": "default-src 'none'", "files": files}).to_string()
    }

    /// The digest of `abc` is the example of FIPS 180-4.
    #[test]
    fn files_that_were_built_are_served() {
        let files: [(&str, &[u8]); 2] = [(PAGE, b"abc"), ("assets/a.js", b"abc")];
        let assets = assets(manifest("assets/a.js", ABC), &files).unwrap();
        assert_eq!(assets.policy(), "default-src 'none'");
        assert_eq!(assets.page().bytes, b"abc");
        assert_eq!(assets.at("/assets/a.js").unwrap().kind, "text/plain");
        for path in [
            "assets/a.js",
            "/manifest.json",
            "/index.html",
            "/assets/../a",
            "/",
            "",
        ] {
            assert_eq!(assets.at(path), None, "{path}");
        }
    }

    #[test]
    fn a_file_that_was_altered_or_is_missing_is_not_served() {
        let altered: [(&str, &[u8]); 2] = [(PAGE, b"abc"), ("assets/a.js", b"abd")];
        let refused = assets(manifest("assets/a.js", ABC), &altered).unwrap_err();
        assert!(matches!(refused, AssetsError::Altered(path) if path == "assets/a.js"));
        let missing: [(&str, &[u8]); 1] = [(PAGE, b"abc")];
        let refused = assets(manifest("assets/a.js", ABC), &missing).unwrap_err();
        assert!(matches!(refused, AssetsError::Altered(_)));
        assert!(matches!(Assets::of(&[]).unwrap_err(), AssetsError::Absent));
        let refused = assets(
            manifest("a", ABC).replace("\"version\":1", "\"version\":2"),
            &missing,
        );
        assert!(matches!(refused.unwrap_err(), AssetsError::Manifest(_)));
    }
}
