//! Many digests for many children of one key, signed in one session. Nobody knows what they are of: they are blind.

use countersign_protocol::DerivationPath;
use serde::Deserialize;

use crate::{DecodeError, Decoded, Input, Intent, MAX_INPUTS};

const KIND: &str = "list of digests";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: DerivationPath,
    #[serde(with = "hex::serde")]
    digest: [u8; 32],
}

pub(crate) fn decode(path: &DerivationPath, bytes: &[u8]) -> Result<Decoded, DecodeError> {
    if !path.steps().is_empty() {
        return Err(DecodeError::malformed(KIND, "each entry has its path, and the task's must be m"));
    }
    let entries: Vec<Entry> =
        serde_json::from_slice(bytes).map_err(|error| DecodeError::malformed(KIND, error.to_string()))?;
    if !(1..=MAX_INPUTS).contains(&entries.len()) {
        let reason = format!("it has {} entries, and may have 1 to {MAX_INPUTS}", entries.len());
        return Err(DecodeError::malformed(KIND, reason));
    }
    let input = |entry: Entry| Input { path: entry.path, signed_bytes: entry.digest.to_vec() };
    Ok(Decoded { inputs: entries.into_iter().map(input).collect(), intent: Intent::Opaque })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(&str, &str)]) -> String {
        let entry = |(path, digest): &(&str, &str)| format!(r#"{{"path":"{path}","digest":"{digest}"}}"#);
        format!("[{}]", entries.iter().map(entry).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn each_entry_is_an_input_of_its_own() {
        let (one, two) = ("11".repeat(32), "22".repeat(32));
        let root: DerivationPath = "m".parse().unwrap();
        let text = list(&[("m/0/1", &one), ("m/0/1", &two), ("m", &one)]);
        let decoded = decode(&root, text.as_bytes()).unwrap();
        assert_eq!(decoded.intent, Intent::Opaque);
        let found: Vec<_> = decoded.inputs.iter().map(|i| (i.path.to_string(), i.signed_bytes[0])).collect();
        assert_eq!(found, [("m/0/1".into(), 0x11), ("m/0/1".into(), 0x22), ("m".into(), 0x11)]);
        let most = vec![("m/7", one.as_str()); MAX_INPUTS];
        assert_eq!(decode(&root, list(&most).as_bytes()).unwrap().inputs.len(), MAX_INPUTS);
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
            let error = decode(&root, wrong.as_bytes()).unwrap_err();
            assert_eq!(error.code(), "payload-malformed", "{wrong}");
        }
        let under = "m/1".parse().unwrap();
        assert!(decode(&under, list(&[("m", &one)]).as_bytes()).is_err(), "two paths for one signature");
    }
}
