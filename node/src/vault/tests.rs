use countersign_protocol::{Scheme, TaskId};
use tempfile::TempDir;

use super::*;
use crate::task::fixtures::{
    acked, approved, folder, generation, key, node, own_share, share_at, wallet,
};

/// The cheapest work factor: these tests are about what is inside.
const WORK_FACTOR: u8 = 1;

impl Vault {
    /// Stores a share that nobody approved.
    pub(crate) fn keep_share(&self, key: &KeyDescriptor, share: &Share) {
        let name = key.key.to_string();
        self.commit_shares(vec![put(Section::Share, &name, join_share(key, share))])
            .unwrap();
    }

    /// Stores any bytes under any name.
    pub(crate) fn keep_bytes(&self, section: Section, name: &str, bytes: &[u8]) {
        let value = Zeroizing::new(bytes.to_vec());
        self.secrets
            .commit(vec![put(section, name, value)])
            .unwrap();
    }

    fn has_aux(&self, digest: Hash) -> bool {
        let bytes = self.get(Section::Aux, &digest.to_string()).unwrap();
        bytes.is_some()
    }
}

/// An empty store, without an identity, that costs no time to open.
pub(crate) fn cheap_vault(dir: &Path) -> Vault {
    let passphrase = Passphrase::new("a passphrase for tests".to_owned().into());
    Vault::over(Secrets::create(dir, &passphrase, &[], WORK_FACTOR).unwrap())
}

/// A plan that does whatever the vault may be asked for, with this key.
#[derive(Clone)]
struct Plan(KeyDescriptor);

impl UsesShare for Plan {
    fn uses(&self) -> &KeyDescriptor {
        &self.0
    }
}

impl MakesKey for Plan {
    fn makes(&self) -> KeyId {
        self.0.key
    }
}

impl MovesKey for Plan {
    fn moves(&self) -> &KeyDescriptor {
        &self.0
    }
}

fn empty() -> (TempDir, Vault) {
    let dir = folder();
    let vault = cheap_vault(dir.path());
    (dir, vault)
}

/// The vault of node 1, which holds the wallet.
fn holding() -> (TempDir, Vault) {
    let (dir, vault) = empty();
    vault.keep_share(&wallet(), &own_share());
    (dir, vault)
}

fn open(vault: &Vault, key: KeyDescriptor) -> Result<Share, VaultError> {
    vault.open_share(&approved(Plan(key)))
}

/// Why the share of the wallet is not opened, once its record is these bytes.
fn unusable(record: &[u8]) -> String {
    let (_dir, vault) = empty();
    vault.keep_bytes(Section::Share, &key().to_string(), record);
    open(&vault, wallet()).unwrap_err().to_string()
}

fn new_aux(seed: u8) -> NewAux {
    NewAux {
        digest: Hash([seed; 32]),
        bytes: vec![seed].into(),
    }
}

/// Another key, which signs with this auxiliary information.
fn other_with(aux: Hash) -> KeyDescriptor {
    KeyDescriptor {
        key: KeyId::from_bytes([9; 16]).unwrap(),
        aux: Some(aux),
        ..generation(0, &[1, 2])
    }
}

/// The next generation of the wallet, made by this task.
fn next(task: u8, aux: Option<Hash>) -> KeyDescriptor {
    KeyDescriptor {
        generation: 1,
        task: TaskId([task; 16]),
        aux,
        ..wallet()
    }
}

#[test]
fn the_share_of_the_approved_generation_is_opened() {
    let (_dir, vault) = holding();
    let share = open(&vault, wallet()).unwrap();
    assert_eq!(share.public(), own_share().public());
}

/// The journal may have them or not; they are not part of the facts.
#[test]
fn acknowledgements_do_not_decide_whether_a_share_fits() {
    let (_dir, vault) = holding();
    let unconfirmed = acked(wallet(), &[]);
    assert!(open(&vault, unconfirmed).is_ok());
}

#[test]
fn a_share_of_another_key_is_missing_and_not_lent() {
    let (_dir, vault) = holding();
    let other = KeyDescriptor {
        key: KeyId::from_bytes([9; 16]).unwrap(),
        ..wallet()
    };
    let refused = open(&vault, other).unwrap_err();
    assert!(matches!(refused, VaultError::Missing(_)), "{refused}");
    assert!(refused.to_string().contains("restore it from a backup"));
}

#[test]
fn a_share_is_not_opened_for_any_other_generation() {
    let (_dir, vault) = holding();
    let later = next(1, None);
    let by_another_session = KeyDescriptor {
        session: countersign_protocol::SessionId([9; 32]),
        ..wallet()
    };
    for other in [later, by_another_session] {
        let refused = open(&vault, other).unwrap_err().to_string();
        assert!(refused.contains("of another generation"), "{refused}");
    }
}

#[test]
fn a_share_is_not_opened_for_a_key_of_another_scheme() {
    let (_dir, vault) = holding();
    let other = KeyDescriptor {
        scheme: Scheme::Taproot,
        ..wallet()
    };
    assert!(open(&vault, other).is_err());
}

/// The record names the right key, but the share in it belongs to others.
#[test]
fn a_share_that_was_put_under_the_wrong_descriptor_is_not_used() {
    let (_dir, vault) = empty();
    let claimed = generation(0, &[1, 2]);
    vault.keep_share(&claimed, &own_share());
    let refused = open(&vault, claimed).unwrap_err().to_string();
    assert!(refused.contains("other shares than the key's"), "{refused}");
}

#[test]
fn a_record_that_is_cut_anywhere_is_not_used() {
    let whole = join_share(&wallet(), &own_share());
    for length in [0, 3, 4, 100, whole.len() / 2, whole.len() - 1] {
        let refused = unusable(&whole[..length]);
        assert!(refused.contains("cannot be used"), "{length}: {refused}");
    }
}

/// The file is authenticated as a whole; this is about what a faulty program may have written.
#[test]
fn a_secret_with_a_changed_byte_is_not_used() {
    let whole = join_share(&wallet(), &own_share());
    let secret = whole.len() - own_share().to_bytes().len();
    for at in [secret, secret + 10, whole.len() - 40, whole.len() - 1] {
        let mut changed = whole.to_vec();
        changed[at] ^= 1;
        let refused = unusable(&changed);
        assert!(refused.contains("cannot be used"), "{at}: {refused}");
    }
}

#[test]
fn a_public_part_that_claims_to_be_longer_than_its_record_is_damaged() {
    let mut record = join_share(&wallet(), &own_share());
    record[..4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(split_share(&record).is_none());
    let text = descriptor_in("csk1x", &record).unwrap_err().to_string();
    assert!(text.contains("the record of csk1x is damaged"), "{text}");
}

#[test]
fn a_new_share_is_stored_for_the_approved_key_alone() {
    let (_dir, vault) = empty();
    let other = other_with(Hash([1; 32]));
    let refused = vault.put_share(
        &approved(Plan(other)),
        &own_share(),
        &wallet(),
        Some(new_aux(1)),
    );
    assert!(matches!(refused, Err(VaultError::NotApproved)));
    assert_eq!(vault.stored_keys().unwrap(), []);
    assert!(!vault.has_aux(Hash([1; 32])));
    vault
        .put_share(&approved(Plan(wallet())), &own_share(), &wallet(), None)
        .unwrap();
    assert!(open(&vault, wallet()).is_ok());
}

#[test]
fn a_next_share_is_stored_for_the_very_next_generation_of_the_approved_key_alone() {
    let (_dir, vault) = holding();
    let approved = approved(Plan(wallet()));
    let another_key = KeyDescriptor {
        key: KeyId::from_bytes([9; 16]).unwrap(),
        ..next(1, None)
    };
    let another_root = KeyDescriptor {
        root_public_key: vec![7; 32],
        ..next(1, None)
    };
    let later = KeyDescriptor {
        generation: 2,
        ..next(1, None)
    };
    for wrong in [wallet(), another_key, another_root, later] {
        let refused = vault.put_next_share(&approved, &own_share(), &wrong, None);
        assert!(matches!(refused, Err(VaultError::NotApproved)));
    }
    assert_eq!(vault.next_keys().unwrap(), []);
    let fits = vault.put_next_share(&approved, &own_share(), &next(1, None), Some(new_aux(1)));
    fits.unwrap();
    assert_eq!(vault.next_of(key()).unwrap().len(), 1);
    assert!(vault.has_aux(Hash([1; 32])));
}

#[test]
fn the_share_in_force_stays_usable_while_a_next_one_waits() {
    let (_dir, vault) = holding();
    vault.keep_record(true, &next(1, None));
    assert!(open(&vault, wallet()).is_ok());
    assert!(open(&vault, next(1, None)).is_err(), "not in force yet");
}

#[test]
fn a_share_that_is_not_there_is_not_promoted_and_the_present_one_stays() {
    let (_dir, vault) = holding();
    vault.keep_record(true, &next(1, None));
    let refused = vault.promote_share(&next(2, None), &[next(1, None)]);
    assert!(matches!(refused, Err(VaultError::Missing(_))));
    assert!(open(&vault, wallet()).is_ok());
    assert_eq!(vault.next_of(key()).unwrap().len(), 1);
}

#[test]
fn a_promotion_destroys_the_old_share_and_those_that_it_is_told_to() {
    let (_dir, vault) = holding();
    for task in [1, 2, 3] {
        vault.keep_record(true, &next(task, None));
    }
    vault
        .promote_share(&next(1, None), &[next(2, None)])
        .unwrap();
    assert_eq!(vault.held(key()).unwrap().unwrap().generation, 1);
    let left = vault.next_of(key()).unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].task, TaskId([3; 16]));
    assert!(open(&vault, wallet()).is_err());
}

#[test]
fn auxiliary_information_goes_with_the_last_share_that_uses_it() {
    let aux = Hash([1; 32]);
    let (_dir, vault) = empty();
    let first = KeyDescriptor {
        aux: Some(aux),
        ..wallet()
    };
    let second = other_with(aux);
    vault.keep_record(false, &first);
    vault.keep_record(false, &second);
    vault.keep_bytes(Section::Aux, &aux.to_string(), &[1]);
    vault.release_share(first.key, &[]).unwrap();
    assert!(vault.has_aux(aux), "another key uses it");
    vault.release_share(second.key, &[]).unwrap();
    assert!(!vault.has_aux(aux));
    assert_eq!(vault.held_keys().unwrap(), []);
}

#[test]
fn auxiliary_information_of_a_waiting_share_outlives_the_share_in_force() {
    let aux = Hash([1; 32]);
    let (_dir, vault) = empty();
    let held = KeyDescriptor {
        aux: Some(aux),
        ..wallet()
    };
    vault.keep_record(false, &held);
    vault.keep_record(true, &next(1, Some(aux)));
    vault.keep_bytes(Section::Aux, &aux.to_string(), &[1]);
    vault.release_share(key(), &[]).unwrap();
    assert!(vault.has_aux(aux));
}

#[test]
fn a_promotion_keeps_the_auxiliary_information_that_both_generations_share() {
    let same = Hash([1; 32]);
    let fresh = Hash([2; 32]);
    for (next_aux, kept) in [(same, true), (fresh, false)] {
        let (_dir, vault) = empty();
        let held = KeyDescriptor {
            aux: Some(same),
            ..wallet()
        };
        vault.keep_record(false, &held);
        vault.keep_record(true, &next(1, Some(next_aux)));
        vault.keep_bytes(Section::Aux, &same.to_string(), &[1]);
        vault.promote_share(&next(1, Some(next_aux)), &[]).unwrap();
        assert_eq!(vault.has_aux(same), kept, "{next_aux}");
    }
}

#[test]
fn auxiliary_information_that_is_missing_or_damaged_is_told_apart() {
    let (_dir, vault) = empty();
    let digest = Hash([1; 32]);
    assert!(matches!(vault.aux(digest), Err(VaultError::Missing(_))));
    vault.keep_bytes(Section::Aux, &digest.to_string(), b"garbage");
    assert!(matches!(
        vault.aux(digest),
        Err(VaultError::Unusable { .. })
    ));
}

#[test]
fn auxiliary_information_under_the_name_of_another_is_not_used() {
    let (_dir, vault) = empty();
    let bytes = include_bytes!("../../../engine/tests/fixtures/aux/3-0.cbor");
    let own = Hash(Aux::from_bytes(bytes).unwrap().public_digest());
    let other = Hash([1; 32]);
    for name in [own, other] {
        vault.keep_bytes(Section::Aux, &name.to_string(), bytes);
    }
    assert!(vault.aux(own).is_ok());
    assert!(matches!(vault.aux(other), Err(VaultError::Unusable { .. })));
}

#[test]
fn an_orphaned_share_goes_and_takes_no_other_with_it() {
    let (_dir, vault) = holding();
    vault.keep_record(true, &next(1, None));
    vault.keep_record(true, &next(2, None));
    vault.drop_next_share(&next(1, None)).unwrap();
    let left = vault.next_of(key()).unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].task, TaskId([2; 16]));
    assert!(open(&vault, wallet()).is_ok());
}

#[test]
fn too_few_primes_are_left_for_later() {
    let (_dir, vault) = empty();
    for name in ["a", "b", "c"] {
        vault.keep_bytes(Section::Prime, name, &[7]);
    }
    assert!(vault.take_primes().unwrap().is_none());
    assert_eq!(vault.prime_count().unwrap(), 3);
}

#[test]
fn primes_that_cannot_be_read_are_not_used_up() {
    let (_dir, vault) = empty();
    for name in ["a", "b", "c", "d"] {
        vault.keep_bytes(Section::Prime, name, &[7]);
    }
    assert!(matches!(
        vault.take_primes(),
        Err(VaultError::Unusable { what: "primes", .. })
    ));
    assert_eq!(vault.prime_count().unwrap(), 4);
}

#[test]
fn a_store_without_an_identity_or_with_half_of_one_says_what_to_do() {
    let (_dir, vault) = empty();
    let missing = vault.identity().err().unwrap();
    assert!(matches!(missing, VaultError::Missing("identity")));
    assert!(missing.to_string().contains("countersign-node init"));
    vault.keep_bytes(Section::Identity, SELF, &[1; 31]);
    let half = vault.identity().err().unwrap();
    assert!(matches!(
        half,
        VaultError::Unusable {
            what: "identity",
            ..
        }
    ));
    vault.keep_bytes(Section::Identity, SELF, &[1; 32]);
    assert!(vault.identity().is_ok());
}

#[test]
fn an_event_key_is_optional_and_a_callback_key_is_not() {
    let (_dir, vault) = empty();
    assert!(vault.event_key().unwrap().is_none());
    assert!(matches!(
        vault.callback_key(),
        Err(VaultError::Missing("callback key"))
    ));
    vault.put_event_key(vec![5].into()).unwrap();
    assert_eq!(*vault.event_key().unwrap().unwrap(), [5]);
}

/// Orders of an operator with the passphrase are bound to a generation like everything else.
#[test]
fn a_check_up_or_an_export_of_another_generation_is_refused() {
    let (_dir, vault) = holding();
    let later = next(1, None);
    assert!(vault.check_up(&later, Hash([1; 32])).is_err());
    let password = Password::new("correct horse battery").unwrap();
    let exported = vault.export_share(node(1), &later, "now", &password);
    assert!(exported.is_err());
    assert!(vault.check_up(&wallet(), Hash([1; 32])).is_ok());
}

#[test]
fn a_check_up_shows_the_public_side_of_this_nodes_own_share() {
    let (_dir, vault) = holding();
    let (public, _) = vault.check_up(&wallet(), Hash([1; 32])).unwrap();
    assert_eq!(public, own_share().public());
    let other = usize::from(own_share().public().index.0 == 0);
    assert_ne!(public, share_at(other).public());
}

#[test]
fn a_record_without_a_task_in_its_name_is_not_taken_for_a_next_share() {
    let mut shares = Shares::default();
    shares.put_next(next(1, None));
    for name in ["", "csk1x", "csk1x/00", &format!("{}/zz", key())] {
        shares.follow(&delete(Section::PendingShare, name)).unwrap();
    }
    assert_eq!(shares.next_of(&key()).len(), 1);
    let change = delete(Section::PendingShare, &next_name(&next(1, None)));
    shares.follow(&change).unwrap();
    assert_eq!(shares.next_of(&key()), []);
}

/// A share that is replaced uses its auxiliary information no longer; else none would ever go.
#[test]
fn a_replaced_share_no_longer_counts_as_a_user() {
    let aux = Hash([1; 32]);
    let with = |aux| KeyDescriptor { aux, ..wallet() };
    let mut shares = Shares::default();
    shares.put(&with(Some(aux)));
    shares.put(&other_with(aux));
    assert_eq!(shares.unused_aux(&key(), None), None, "two use it");
    shares.put(&with(Some(Hash([2; 32]))));
    let other = other_with(aux).key;
    assert_eq!(shares.unused_aux(&other, None), Some(aux));
    assert_eq!(shares.unused_aux(&other, Some(aux)), None, "it is kept");
}

#[test]
fn a_damaged_record_stops_the_view_of_all_shares_and_names_the_key() {
    let (_dir, vault) = empty();
    vault.keep_bytes(Section::Share, &key().to_string(), b"x");
    let error = vault.held_keys().unwrap_err().to_string();
    assert!(error.contains(&key().to_string()), "{error}");
}
