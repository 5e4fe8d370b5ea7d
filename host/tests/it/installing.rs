//! The plugin store and the signatures of publishers.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use countersign_host::{
    Code, Host, HostOptions, PluginSignature, PluginSource, PluginSpec, PluginStore, Publisher,
    StoreError,
};
use ed25519_dalek::SigningKey;
use serde_json::json;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::guests::{host, keygen, open_rules, rogue, services, soon};

/// The component of `rules` with a mark that changes its digest and nothing else.
fn release(folder: &Path, mark: u8) -> PathBuf {
    let mut bytes = std::fs::read(open_rules().file).unwrap();
    bytes.extend([0, 2, 1, mark]);
    let file = folder.join(format!("release-{}.wasm", char::from(mark)));
    std::fs::write(&file, bytes).unwrap();
    file
}

fn digest(file: &Path) -> [u8; 32] {
    Sha256::digest(std::fs::read(file).unwrap()).into()
}

fn installed(name: &str) -> PluginSource {
    PluginSource::Installed {
        name: name.into(),
        digest: None,
    }
}

#[tokio::test]
async fn what_is_installed_runs_under_its_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = PluginStore::new(folder.path().join("plugins"));
    assert_eq!(store.list().unwrap(), []);
    let file = release(folder.path(), b'1');
    let manifest = store.install(&host(), &file).await.unwrap();
    assert_eq!(
        (manifest.name.as_str(), manifest.current.digest),
        ("rules", digest(&file))
    );
    assert_eq!(store.list().unwrap(), [manifest]);
    for entry in std::fs::read_dir(store.folder()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    std::fs::remove_file(&file).unwrap();

    let (file, digest) = installed("rules").locate(&store).unwrap();
    let spec = PluginSpec {
        file,
        digest,
        ..open_rules()
    };
    let plugin = host().load(&spec, services()).await.unwrap();
    assert_eq!(
        plugin.evaluate(&keygen(), soon()).await.verdict.refusal(),
        None
    );
}

/// Otherwise nobody could replay what a plain file decided, once it was replaced.
#[tokio::test]
async fn a_component_from_a_plain_file_is_kept_by_its_digest_and_put_in_force_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let store = PluginStore::new(folder.path().join("plugins"));
    let file = release(folder.path(), b'k');
    let then = digest(&file);
    let spec = PluginSpec {
        file: file.clone(),
        ..open_rules()
    };
    let keeping = host().keeping(store.clone());
    keeping.load(&spec, services()).await.unwrap();
    std::fs::write(&file, "replaced").unwrap();
    assert!(keeping.load(&spec, services()).await.is_err());
    let kept = store.component(&then).unwrap();
    assert_eq!((digest(&kept), kept), (then, store.component_file(&then)));
    assert_eq!(store.list().unwrap(), []);
    assert_eq!(
        std::fs::read_dir(store.folder()).unwrap().count(),
        1,
        "nothing is kept of what was refused"
    );
}

/// A folder that cannot be written costs replays, not decisions.
#[tokio::test]
async fn a_component_that_cannot_be_kept_runs_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = PluginStore::new(folder.path().join("a file"));
    std::fs::write(store.folder(), "").unwrap();
    let plugin = host()
        .keeping(store)
        .load(&open_rules(), services())
        .await
        .unwrap();
    assert_eq!(
        plugin.evaluate(&keygen(), soon()).await.verdict.refusal(),
        None
    );
}

#[tokio::test]
async fn a_release_can_be_taken_back_and_put_in_force_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = PluginStore::new(folder.path().join("plugins"));
    let first = release(folder.path(), b'1');
    let second = release(folder.path(), b'2');
    store.install(&host(), &first).await.unwrap();
    assert!(matches!(
        store.rollback("rules"),
        Err(StoreError::NoPrevious(_))
    ));
    store.install(&host(), &second).await.unwrap();
    store.install(&host(), &second).await.unwrap();
    let in_force = || store.find("rules").unwrap().current.digest;
    assert_eq!(in_force(), digest(&second));
    assert_eq!(
        store.rollback("rules").unwrap().current.digest,
        digest(&first)
    );
    assert_eq!(in_force(), digest(&first));
    assert_eq!(
        installed("rules").locate(&store).unwrap().1,
        Some(digest(&first))
    );
    store.rollback("rules").unwrap();
    assert_eq!(in_force(), digest(&second));
    assert_eq!(store.find("rules").unwrap().previous.len(), 1);
}

#[tokio::test]
async fn a_pin_holds_for_what_is_installed() {
    let folder = tempfile::tempdir().unwrap();
    let store = PluginStore::new(folder.path());
    let file = release(folder.path(), b'1');
    store.install(&host(), &file).await.unwrap();
    let pinned = |digest| PluginSource::Installed {
        name: "rules".into(),
        digest: Some(digest),
    };
    assert!(pinned(digest(&file)).locate(&store).is_ok());
    assert!(matches!(
        pinned([0; 32]).locate(&store),
        Err(StoreError::Digest { .. })
    ));
}

#[tokio::test]
async fn a_component_that_was_exchanged_in_the_store_is_not_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let store = PluginStore::new(folder.path().join("plugins"));
    store
        .install(&host(), &release(folder.path(), b'1'))
        .await
        .unwrap();
    let (file, digest) = installed("rules").locate(&store).unwrap();
    std::fs::copy(release(folder.path(), b'2'), &file).unwrap();
    let error = host()
        .load(
            &PluginSpec {
                file,
                digest,
                ..open_rules()
            },
            services(),
        )
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Digest);
}

#[tokio::test]
async fn a_name_never_becomes_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let store = PluginStore::new(folder.path().join("plugins"));
    store
        .install(&host(), &release(folder.path(), b'1'))
        .await
        .unwrap();
    std::fs::copy(
        folder.path().join("plugins/rules.json"),
        folder.path().join("rules.json"),
    )
    .unwrap();
    for name in [
        "../rules",
        "/etc/passwd",
        "rules/",
        ".",
        "..",
        "",
        "Rules",
        "ru\0les",
        "a.b",
        &"a".repeat(65),
    ] {
        assert!(
            matches!(store.find(name), Err(StoreError::Name(_))),
            "{name}"
        );
        assert!(
            matches!(store.rollback(name), Err(StoreError::Name(_))),
            "{name}"
        );
        assert!(
            matches!(installed(name).locate(&store), Err(StoreError::Name(_))),
            "{name}"
        );
    }
}

#[tokio::test]
async fn links_and_special_files_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let store = PluginStore::new(folder.path().join("plugins"));
    let file = release(folder.path(), b'1');
    let link = folder.path().join("link.wasm");
    symlink(&file, &link).unwrap();
    assert!(matches!(
        store.install(&host(), &link).await,
        Err(StoreError::Io { .. })
    ));
    assert!(matches!(
        store.install(&host(), Path::new("/dev/zero")).await,
        Err(StoreError::Io { .. })
    ));
    assert!(matches!(
        store.install(&host(), folder.path()).await,
        Err(StoreError::Io { .. })
    ));

    store.install(&host(), &file).await.unwrap();
    let manifest = store.folder().join("rules.json");
    std::fs::rename(&manifest, folder.path().join("elsewhere.json")).unwrap();
    symlink(folder.path().join("elsewhere.json"), &manifest).unwrap();
    assert!(matches!(
        store.find("rules"),
        Err(StoreError::Manifest { .. })
    ));
}

#[tokio::test]
async fn a_store_that_others_can_write_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let store = PluginStore::new(folder.path().join("plugins"));
    let file = release(folder.path(), b'1');
    store.install(&host(), &file).await.unwrap();
    std::fs::set_permissions(store.folder(), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(
        store
            .find("rules")
            .unwrap_err()
            .to_string()
            .contains("chmod")
    );
    assert!(
        store
            .install(&host(), &file)
            .await
            .unwrap_err()
            .to_string()
            .contains("chmod")
    );
}

/// It says which component is in force.
#[tokio::test]
async fn a_manifest_that_others_can_write_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let store = PluginStore::new(folder.path().join("plugins"));
    let file = release(folder.path(), b'1');
    store.install(&host(), &file).await.unwrap();
    store
        .install(&host(), &release(folder.path(), b'2'))
        .await
        .unwrap();
    let manifest = store.folder().join("rules.json");
    for mode in [0o620, 0o602, 0o666] {
        std::fs::set_permissions(&manifest, std::fs::Permissions::from_mode(mode)).unwrap();
        for refused in [
            store.find("rules").map(drop),
            store.list().map(drop),
            store.rollback("rules").map(drop),
            store.install(&host(), &file).await.map(drop),
            installed("rules").locate(&store).map(drop),
        ] {
            let error = refused.unwrap_err().to_string();
            assert!(
                error.contains("chmod go-w") && error.contains("rules.json"),
                "{mode:o}: {error}"
            );
        }
    }
    std::fs::set_permissions(&manifest, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(store.find("rules").is_ok(), "others may read it");
    if std::os::unix::fs::chown(&manifest, Some(65_534), None).is_ok() {
        let error = store.find("rules").unwrap_err().to_string();
        assert!(error.contains("belongs to user 65534"), "{error}");
    }
}

#[tokio::test]
async fn a_damaged_manifest_is_said_to_be_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let store = PluginStore::new(folder.path().join("plugins"));
    store
        .install(&host(), &release(folder.path(), b'1'))
        .await
        .unwrap();
    let manifest = store.folder().join("rules.json");
    let good = std::fs::read_to_string(&manifest).unwrap();
    for bad in [
        "{".to_owned(),
        good.replace("\"format\": 1", "\"format\": 2"),
        good.replace("\"rules\"", "\"rogue\""),
        good.replace("\"current\"", "\"currant\""),
    ] {
        std::fs::write(&manifest, &bad).unwrap();
        assert!(
            matches!(store.find("rules"), Err(StoreError::Manifest { .. })),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_loaded_is_not_installed() {
    let folder = tempfile::tempdir().unwrap();
    let store = PluginStore::new(folder.path().join("plugins"));
    let file = folder.path().join("x.wasm");
    for (bytes, code, words) in [
        (b"\x7fELF\x02\x01\x01\0".to_vec(), Code::NotAComponent, "native code"),
        (b"\0asm\x01\0\0\0".to_vec(), Code::NotAComponent, "core module"),
        (b"\0asm\x0c\0\x01\0".to_vec(), Code::NotAComponent, "another version of the binary format"),
        (b"\0asm".to_vec(), Code::NotAComponent, "cut off"),
        (b"\n(component)".to_vec(), Code::NotAComponent, "text format"),
        (b"hello".to_vec(), Code::NotAComponent, "wrong first bytes"),
        (std::fs::read(open_rules().file).unwrap()[..5000].to_vec(), Code::NotAComponent, "out of bounds"),
        (
            wat::parse_str("(component)").unwrap(),
            Code::Incompatible,
            "does not export countersign:policy/plugin",
        ),
        (
            wat::parse_str(r#"(component (import "wasi:filesystem/types@0.2.0" (instance)))"#).unwrap(),
            Code::NotGranted,
            "wasi:filesystem",
        ),
        (
            wat::parse_str(
                r#"(component (import "countersign:policy/config@0.3.0" (instance)) (instance) (export "countersign:policy/plugin@0.3.0" (instance 1)))"#,
            )
            .unwrap(),
            Code::Incompatible,
            "countersign:policy@0.3.0, and this node serves 0.1",
        ),
        (
            wat::parse_str(
                r#"(component (instance) (export "countersign:policy/plugin@0.1.0" (instance 0)))"#,
            )
            .unwrap(),
            Code::Incompatible,
            "describe",
        ),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let StoreError::Component(error) = store.install(&host(), &file).await.unwrap_err() else {
            panic!("{words}")
        };
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(store.list().unwrap(), []);
}

/// Installing asks for a name; it grants nothing and reaches nobody.
#[tokio::test]
async fn a_component_is_inspected_without_grants() {
    let seen = host().inspect(&rogue(json!({})).file).await.unwrap();
    assert_eq!(seen.info.name, "rogue");
    assert!(
        seen.imports
            .contains(&"countersign:policy/http@0.1.0".to_owned()),
        "{:?}",
        seen.imports
    );
}

fn seed(number: u8) -> Zeroizing<[u8; 32]> {
    Zeroizing::new([number; 32])
}

fn publisher(name: &str, number: u8) -> Publisher {
    Publisher::new(
        name,
        SigningKey::from_bytes(&seed(number))
            .verifying_key()
            .as_bytes(),
    )
    .unwrap()
}

fn trusting(publishers: &[Publisher]) -> Host {
    Host::with(HostOptions {
        trusted_publishers: publishers.to_vec(),
        ..HostOptions::default()
    })
    .unwrap()
}

fn sign(file: &Path, plugin: &str, number: u8) {
    let signature = PluginSignature::sign(plugin, &digest(file), &seed(number)).to_json();
    std::fs::write(format!("{}.sig", file.display()), signature).unwrap();
}

#[tokio::test]
async fn where_publishers_are_listed_one_of_them_must_have_signed() {
    let folder = tempfile::tempdir().unwrap();
    let file = release(folder.path(), b'1');
    let other = release(folder.path(), b'2');
    let host = trusting(&[publisher("acme", 1), publisher("initech", 2)]);
    let store = PluginStore::new(folder.path().join("plugins"));
    let spec = PluginSpec {
        file: file.clone(),
        ..open_rules()
    };
    let refused = async || {
        let error = host.load(&spec, services()).await.unwrap_err();
        assert_eq!(error.code(), Code::Signature, "{error}");
        let StoreError::Component(error) = store.install(&host, &file).await.unwrap_err() else {
            panic!()
        };
        assert_eq!(error.code(), Code::Signature, "{error}");
        error.to_string()
    };
    assert!(refused().await.contains("no signature"));
    sign(&file, "rules", 3);
    assert!(refused().await.contains("no trusted publisher"));
    sign(&other, "rules", 1);
    std::fs::copy(
        folder.path().join("release-2.wasm.sig"),
        folder.path().join("release-1.wasm.sig"),
    )
    .unwrap();
    assert!(
        refused().await.contains("no trusted publisher"),
        "a signature of other bytes"
    );
    sign(&file, "rogue", 1);
    assert!(refused().await.contains("signed as `rogue`"));
    std::fs::write(folder.path().join("release-1.wasm.sig"), "{}").unwrap();
    assert!(refused().await.contains("fetch it again"));

    sign(&file, "rules", 2);
    host.load(&spec, services()).await.unwrap();
    let manifest = store.install(&host, &file).await.unwrap();
    assert_eq!(manifest.current.publisher.as_deref(), Some("initech"));
    let (file, digest) = installed("rules").locate(&store).unwrap();
    host.load(
        &PluginSpec {
            file,
            digest,
            ..open_rules()
        },
        services(),
    )
    .await
    .unwrap();
}

#[test]
fn the_bytes_that_a_publisher_signs_are_fixed() {
    use ed25519_dalek::Signer;
    let message = [b"countersign-plugin-v1\0rules\0".as_slice(), &[7; 32]].concat();
    let expected = SigningKey::from_bytes(&[1; 32]).sign(&message);
    let json: serde_json::Value =
        serde_json::from_slice(&PluginSignature::sign("rules", &[7; 32], &seed(1)).to_json())
            .unwrap();
    assert_eq!(json["signature"], hex::encode(expected.to_bytes()));
    assert!(Publisher::new("weak", &[0; 32]).is_err());
}
