use base64::Engine as _;
use bitcoin::psbt::Psbt;

use super::*;

/// A real PSBT of version 0.
fn version_0() -> Vec<u8> {
    let text: String = include_str!("../fixtures/psbt-base64-76-columns.txt")
        .split_whitespace()
        .collect();
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}

/// The same PSBT, written by embit 0.8.0 as version 2.
fn version_2() -> Vec<u8> {
    hex::decode(include_str!("../fixtures/psbt-v2.hex").trim()).unwrap()
}

fn converted(bytes: &[u8]) -> Psbt {
    Psbt::deserialize(&to_version_0(bytes).unwrap().unwrap()).unwrap()
}

#[test]
fn the_transaction_is_the_one_that_version_0_has() {
    let expected = Psbt::deserialize(&version_0()).unwrap();
    assert_eq!(converted(&version_2()), expected);
    assert_eq!(to_version_0(&version_0()), Ok(None));
}

#[test]
fn what_was_signed_comes_back_in_version_2() {
    let mut signed = converted(&version_2());
    signed.inputs[0].final_script_witness = Some(Witness::from_slice(&[[7; 3]]));
    let back = like(&version_2(), signed.serialize()).unwrap();
    assert_eq!(version(&back), Some(2));
    assert_eq!(converted(&back), signed);
    assert_eq!(
        like(&version_0(), signed.serialize()),
        Some(signed.serialize())
    );
    // Nothing may be added to it any more.
    let mut rest = &back[MAGIC.len()..];
    let mut original = version_2();
    assert!(
        !read_map(&mut rest)
            .unwrap()
            .contains_key(&[TX_MODIFIABLE][..])
    );
    let modifiable = [
        &[1, TX_MODIFIABLE, 1, 3][..],
        &original.split_off(MAGIC.len()),
    ]
    .concat();
    let open = [MAGIC, &modifiable].concat();
    let closed = like(&open, converted(&open).serialize()).unwrap();
    assert!(
        !read_map(&mut &closed[MAGIC.len()..])
            .unwrap()
            .contains_key(&[TX_MODIFIABLE][..])
    );
}

/// Changes one map, by its place.
fn changed(at: usize, change: impl FnOnce(&mut Map)) -> Result<Option<Vec<u8>>, Malformed> {
    let mut maps = read(&version_2()).unwrap();
    change(&mut maps[at]);
    to_version_0(&write(&maps))
}

#[test]
fn fields_that_lack_or_lie_are_refused() {
    assert!(changed(0, |_| ()).is_ok());
    for field in [TX_VERSION, INPUT_COUNT, OUTPUT_COUNT] {
        assert!(
            changed(0, |map| drop(map.remove(&[field][..]))).is_err(),
            "global {field}"
        );
        assert!(
            changed(0, |map| drop(map.insert(vec![field], vec![]))).is_err(),
            "global {field}"
        );
        assert!(
            changed(0, |map| drop(map.insert(vec![field], vec![2, 0]))).is_err(),
            "global {field}"
        );
    }
    for count in [0, 2, 0xfc] {
        assert!(
            changed(0, |map| drop(map.insert(vec![INPUT_COUNT], vec![count]))).is_err(),
            "{count} inputs"
        );
        assert!(
            changed(0, |map| drop(map.insert(vec![OUTPUT_COUNT], vec![count]))).is_err(),
            "{count} outputs"
        );
    }
    assert!(changed(0, |map| drop(map.insert(vec![UNSIGNED_TX], vec![0; 10]))).is_err());
    for field in [PREVIOUS_TXID, OUTPUT_INDEX] {
        assert!(
            changed(1, |map| drop(map.remove(&[field][..]))).is_err(),
            "input {field}"
        );
        assert!(
            changed(1, |map| drop(map.insert(vec![field], vec![7; 5]))).is_err(),
            "input {field}"
        );
    }
    assert!(changed(1, |map| drop(map.insert(vec![SEQUENCE], vec![7; 5]))).is_err());
    assert!(changed(2, |map| drop(map.remove(&[SCRIPT][..]))).is_err());
    assert!(changed(2, |map| drop(map.remove(&[AMOUNT][..]))).is_err());
    assert!(changed(2, |map| drop(map.insert(vec![AMOUNT], vec![7; 4]))).is_err());
    let bytes = version_2();
    assert!(to_version_0(&bytes[..bytes.len() - 1]).is_err());
    assert!(to_version_0(&[&bytes[..], &[0]].concat()).is_err());
    // A duplicate field: readers of the first and of the last one would sign different things.
    let again = [
        MAGIC,
        &[1, TX_VERSION, 4, 1, 0, 0, 0][..],
        &bytes[MAGIC.len()..],
    ]
    .concat();
    assert!(crate::psbt::parse(&again).is_err());
}

/// The table of BIP-370's test vectors for lock times: the demands of each input (time,
/// height), and the result.
#[test]
fn lock_times_are_determined_as_the_bip_says() {
    let time = |seconds: u32| (Some(FIRST_TIME + seconds), None);
    let height = |blocks: u32| (None, Some(blocks));
    let both = |seconds: u32, blocks: u32| (Some(FIRST_TIME + seconds), Some(blocks));
    let none = (None, None);
    for (demands, expected) in [
        (vec![none, none], Some(9)),
        (vec![none, height(10)], Some(10)),
        (vec![height(10), height(9)], Some(10)),
        (vec![both(5, 10), height(12)], Some(12)),
        (vec![both(5, 10), both(7, 8)], Some(10)),
        (vec![both(5, 10), time(7)], Some(FIRST_TIME + 7)),
        (vec![time(4), none], Some(FIRST_TIME + 4)),
        (vec![time(4), height(10)], None),
        (vec![time(4), both(5, 10), height(10)], None),
        (vec![(Some(FIRST_TIME - 1), None)], None),
        (vec![(None, Some(FIRST_TIME))], None),
    ] {
        let map = |(time, height): &(Option<u32>, Option<u32>)| {
            let fields = [(TIME_LOCKTIME, time), (HEIGHT_LOCKTIME, height)];
            let given = fields
                .into_iter()
                .filter_map(|(field, value)| Some((vec![field], (*value)?)));
            given
                .map(|(field, value)| (field, value.to_le_bytes().to_vec()))
                .collect::<Map>()
        };
        let mut maps: Vec<Map> = demands.iter().map(map).collect();
        let found = lock_time(&mut maps, 9).ok().map(LockTime::to_consensus_u32);
        assert_eq!(found, expected, "{demands:?}");
    }
}

/// Converts a PSBT of version 0 to version 2, with only the fields that its transaction gives.
pub(crate) fn as_version_2(original: &[u8], psbt: &Psbt) -> Vec<u8> {
    let mut maps = read(&psbt.serialize()).unwrap();
    let global = &read(original).unwrap()[0];
    for field in [TX_VERSION, VERSION] {
        maps[0].insert(vec![field], global[&[field][..]].clone());
    }
    let transaction = &psbt.unsigned_tx;
    maps[0].insert(vec![INPUT_COUNT], vec![transaction.input.len() as u8]);
    maps[0].insert(vec![OUTPUT_COUNT], vec![transaction.output.len() as u8]);
    maps[0].remove(&[UNSIGNED_TX][..]);
    let (inputs, outputs) = maps[1..].split_at_mut(transaction.input.len());
    for (map, input) in inputs.iter_mut().zip(&transaction.input) {
        map.insert(
            vec![PREVIOUS_TXID],
            input.previous_output.txid.to_byte_array().to_vec(),
        );
        map.insert(
            vec![OUTPUT_INDEX],
            input.previous_output.vout.to_le_bytes().to_vec(),
        );
        map.insert(vec![SEQUENCE], input.sequence.0.to_le_bytes().to_vec());
    }
    for (map, output) in outputs.iter_mut().zip(&transaction.output) {
        map.insert(vec![AMOUNT], output.value.to_sat().to_le_bytes().to_vec());
        map.insert(vec![SCRIPT], output.script_pubkey.to_bytes());
    }
    write(&maps)
}
