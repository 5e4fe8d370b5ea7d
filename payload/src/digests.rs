//! Many digests for many children of one key, signed in one session. Their preimages are
//! unknown: they are blind.

use countersign_protocol::{DerivationPath, PayloadKind, Scheme};
use serde::Deserialize;

use crate::{DecodeError, Decoded, Input, Intent, MAX_INPUTS};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: DerivationPath,
    #[serde(with = "hex::serde")]
    digest: [u8; 32],
    /// Only for `taproot` keys.
    script_root: Option<ScriptRoot>,
}

#[derive(Deserialize)]
struct ScriptRoot(#[serde(with = "hex::serde")] [u8; 32]);

pub(crate) fn decode(
    scheme: Scheme,
    path: &DerivationPath,
    bytes: &[u8],
) -> Result<Decoded, DecodeError> {
    if !path.steps().is_empty() {
        return Err(DecodeError::malformed(
            PayloadKind::Digests,
            "each entry has its path, and the task's must be m",
        ));
    }
    let entries: Vec<Entry> = serde_json::from_slice(bytes)
        .map_err(|error| DecodeError::malformed(PayloadKind::Digests, error.to_string()))?;
    if !(1..=MAX_INPUTS).contains(&entries.len()) {
        let reason = format!(
            "it has {} entries, and may have 1 to {MAX_INPUTS}",
            entries.len()
        );
        return Err(DecodeError::malformed(PayloadKind::Digests, reason));
    }
    if scheme != Scheme::Taproot && entries.iter().any(|entry| entry.script_root.is_some()) {
        return Err(DecodeError::malformed(
            PayloadKind::Digests,
            "an entry has a script root, which only taproot keys know",
        ));
    }
    let input = |Entry {
                     path,
                     digest,
                     script_root,
                 }: Entry| Input {
        path,
        script_root: script_root.map(|root| root.0),
        signed_bytes: digest.to_vec(),
    };
    Ok(Decoded {
        inputs: entries.into_iter().map(input).collect(),
        intent: Intent::Opaque,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(&str, &str)]) -> String {
        let entry =
            |(path, digest): &(&str, &str)| format!(r#"{{"path":"{path}","digest":"{digest}"}}"#);
        format!(
            "[{}]",
            entries.iter().map(entry).collect::<Vec<_>>().join(",")
        )
    }

    #[test]
    fn each_entry_is_an_input_of_its_own() {
        let one = "11".repeat(32);
        let two = "22".repeat(32);
        let root: DerivationPath = "m".parse().unwrap();
        let text = list(&[("m/0/1", &one), ("m/0/1", &two), ("m", &one)]);
        let decoded = decode(Scheme::Taproot, &root, text.as_bytes()).unwrap();
        assert_eq!(decoded.intent, Intent::Opaque);
        let found: Vec<_> = decoded
            .inputs
            .iter()
            .map(|i| (i.path.to_string(), i.signed_bytes[0]))
            .collect();
        assert_eq!(
            found,
            [
                ("m/0/1".into(), 0x11),
                ("m/0/1".into(), 0x22),
                ("m".into(), 0x11)
            ]
        );
        let most = vec![("m/7", one.as_str()); MAX_INPUTS];
        assert_eq!(
            decode(Scheme::Taproot, &root, list(&most).as_bytes())
                .unwrap()
                .inputs
                .len(),
            MAX_INPUTS
        );
    }

    #[test]
    fn an_entry_of_a_taproot_key_may_have_a_script_root() {
        let digest = "11".repeat(32);
        let root = "22".repeat(32);
        let text = format!(
            r#"[{{"path":"m/1","digest":"{digest}","script_root":"{root}"}},{{"path":"m","digest":"{digest}"}}]"#
        );
        let m: DerivationPath = "m".parse().unwrap();
        for scheme in Scheme::ALL {
            let decoded = decode(scheme, &m, text.as_bytes());
            if scheme == Scheme::Taproot {
                let roots: Vec<_> = decoded
                    .unwrap()
                    .inputs
                    .iter()
                    .map(|input| input.script_root)
                    .collect();
                assert_eq!(roots, [Some([0x22; 32]), None]);
            } else {
                assert_eq!(decoded.unwrap_err().code(), "payload-malformed", "{scheme}");
            }
        }
        let short = text.replace(&root, "22");
        assert!(decode(Scheme::Taproot, &m, short.as_bytes()).is_err());
    }

    #[test]
    fn everything_else_is_refused() {
        let one = "11".repeat(32);
        let root: DerivationPath = "m".parse().unwrap();
        let too_many = list(&vec![("m/7", one.as_str()); MAX_INPUTS + 1]);
        for wrong in [
            "[]",
            "{}",
            "",
            &too_many,
            &list(&[("m/0'", &one)]),
            &list(&[("m", &one[2..])]),
            &list(&[("m", &one)]).replace("digest", "hash"),
            r#"[{"path":"m","path":"m/1","digest":"11"}]"#,
        ] {
            let error = decode(Scheme::Taproot, &root, wrong.as_bytes()).unwrap_err();
            assert_eq!(error.code(), "payload-malformed", "{wrong}");
        }
        let under = "m/1".parse().unwrap();
        assert!(
            decode(Scheme::Taproot, &under, list(&[("m", &one)]).as_bytes()).is_err(),
            "two paths for one signature"
        );
    }
}
