//! How a client and a coordinator know each other: over TLS, and without a bearer secret.

use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign_client::{Client, ClientError, Profile, RequesterKey};
use countersign_coordinator::{Config, Coordinator, RunError, api_key, identity};
use tokio::net::TcpStream;

const SIGNS: &str = "coordinator_ca: chain.pem\nrequester_key_file: requester.key\n";

/// A certificate for this machine that signs itself, and its key.
fn pair() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".into(), "localhost".into()];
    let made = rcgen::CertificateParams::new(names).unwrap();
    (made.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

struct World {
    dir: tempfile::TempDir,
    id: String,
}

impl World {
    /// Files of a coordinator that speaks TLS, and of a requester.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = RequesterKey::create(&dir.path().join("requester.key")).unwrap();
        identity::create(&dir.path().join("identity.key")).unwrap();
        let world = Self {
            dir,
            id: key.id().to_string(),
        };
        world.show(&pair());
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Puts a pair in its place.
    fn show(&self, (chain, key): &(String, String)) {
        std::fs::write(self.path("chain.pem"), chain).unwrap();
        write_secret(&self.path("key.pem"), key);
    }

    fn config(&self, rest: &str) -> Config {
        let text = format!(
            "data: .\nlisten_http: 127.0.0.1:0\nlisten_quic: 127.0.0.1:0\n\
             tls: {{certificate: chain.pem, key: key.pem}}\n{rest}"
        );
        Config::parse(&text, self.dir.path()).unwrap()
    }

    fn listed(&self) -> String {
        let id = &self.id;
        format!("api_keys:\n- {{name: desk, requester: {id}, scopes: [read, create]}}\n")
    }

    fn profile(&self, scheme: &str, coordinator: &Coordinator, rest: &str) -> Profile {
        let path = self.path("profile.yaml");
        let id = coordinator.id;
        let http = coordinator.http;
        let text = format!("coordinator: {scheme}://{http}\ncoordinator_id: {id}\n{rest}");
        std::fs::write(&path, text).unwrap();
        Profile::load(&path).unwrap()
    }
}

fn write_secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requester_needs_no_secret_and_believes_one_certificate() {
    let world = World::new();
    let coordinator = Coordinator::start(world.config(&world.listed()))
        .await
        .unwrap();
    // It waits until the coordinator takes signatures.
    let client = Client::new(world.profile("https", &coordinator, SIGNS)).unwrap();
    assert!(client.nodes().await.unwrap().is_empty());
    assert!(client.tasks(5, None).await.unwrap().tasks.is_empty());

    let (other, _) = pair();
    std::fs::write(world.path("other.pem"), other).unwrap();
    for ca in ["coordinator_ca: other.pem\n", ""] {
        let keys = "requester_key_file: requester.key\n";
        let profile = world.profile("https", &coordinator, &format!("{ca}{keys}"));
        let error = Client::new(profile).unwrap().nodes().await.unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    let plain = world.profile("http", &coordinator, "requester_key_file: requester.key\n");
    let error = Client::new(plain).unwrap().nodes().await.unwrap_err();
    assert!(error.to_string().contains("400"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_cannot_work_is_refused_with_advice() {
    let world = World::new();
    let coordinator = Coordinator::start(world.config("")).await.unwrap();
    let refused = |scheme: &str, rest: &str| {
        let profile = world.profile(scheme, &coordinator, rest);
        Client::new(profile).map(drop).unwrap_err().to_string()
    };
    let error = refused("http", SIGNS);
    assert!(error.contains("https URL"), "{error}");
    let error = refused("https", "coordinator_ca: chain.pem\n");
    assert!(error.contains("requester_key_file"), "{error}");
    for text in [
        "",
        "nonsense",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        std::fs::write(world.path("chain.pem"), text).unwrap();
        let error = refused("https", SIGNS);
        assert!(
            error.contains("chain.pem") && error.contains("coordinator_ca"),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_listed_is_refused_and_who_has_a_key_is_not_asked_to_sign() {
    let world = World::new();
    let (text, entry) = api_key::generate("screen", vec![api_key::Scope::Read]);
    write_secret(&world.path("api.key"), text.expose());
    let entry = serde_json::to_string(&entry).unwrap();
    let config = world.config(&format!("api_keys: [{entry}]\n"));
    let coordinator = Coordinator::start(config).await.unwrap();
    let reads = "coordinator_ca: chain.pem\napi_key_file: api.key\n";
    for keys in [
        reads.to_owned(),
        format!("{reads}requester_key_file: requester.key\n"),
    ] {
        let client = Client::new(world.profile("https", &coordinator, &keys)).unwrap();
        client.nodes().await.unwrap();
    }
    let client = Client::new(world.profile("https", &coordinator, SIGNS)).unwrap();
    let error = client.nodes().await.unwrap_err();
    assert!(
        matches!(error, ClientError::Api { status: 401, .. }),
        "{error}"
    );
}

/// The certificate shown to a client that believes this one alone.
async fn shows(coordinator: &Coordinator, chain: &str) -> bool {
    let believed = reqwest::Certificate::from_pem(chain.as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([believed])
        .build()
        .unwrap();
    let url = format!("https://{}/live", coordinator.http);
    client.get(url).send().await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_pair_is_used_and_a_bad_one_is_not() {
    let world = World::new();
    let first = pair();
    world.show(&first);
    let config = world.config("");
    let mut coordinator = Coordinator::start(config.clone()).await.unwrap();
    assert!(shows(&coordinator, &first.0).await);
    // Files that change are noticed.
    let second = pair();
    world.show(&second);
    while !shows(&coordinator, &second.0).await {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // A reload reads them at once, and keeps what it has if they are bad.
    let third = pair();
    for bad in [
        (third.0.clone(), second.1.clone()),
        (String::new(), third.1.clone()),
        (third.0.clone(), "nonsense".into()),
    ] {
        world.show(&bad);
        coordinator.reload(config.clone());
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(shows(&coordinator, &second.0).await);
        assert!(!shows(&coordinator, &third.0).await);
    }
    world.show(&third);
    coordinator.reload(config.clone());
    while !shows(&coordinator, &third.0).await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(TcpStream::connect(coordinator.http).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_starts_with_a_pair_that_cannot_be_used() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let refused = async || match Coordinator::start(world.config("")).await {
        Err(RunError::Tls(error)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let set = |name: &str, mode| {
        let mode = PermissionsExt::from_mode(mode);
        std::fs::set_permissions(world.path(name), mode).unwrap();
    };
    set("key.pem", 0o640);
    let error = refused().await;
    assert!(error.contains("chmod 600"), "{error}");
    set("key.pem", 0o600);
    set("chain.pem", 0o666);
    let error = refused().await;
    assert!(error.contains("chmod go-w"), "{error}");
    set("chain.pem", 0o644);
    std::fs::write(world.path("chain.pem"), pair().0).unwrap();
    let error = refused().await;
    assert!(
        error.contains("does not belong") && error.contains("chain.pem"),
        "{error}"
    );
    std::fs::remove_file(world.path("key.pem")).unwrap();
    let error = refused().await;
    assert!(
        error.contains("key.pem") && error.contains("correct `tls`"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_signed_for_one_coordinator() {
    let world = World::new();
    let coordinator = Coordinator::start(world.config(&world.listed()))
        .await
        .unwrap();
    let own = world.profile("https", &coordinator, SIGNS);
    Client::new(own).unwrap().nodes().await.unwrap();
    let path = world.path("profile.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let other = identity::create(&elsewhere.path().join("identity.key")).unwrap();
    let told = text.replace(&coordinator.id.to_string(), &other.to_string());
    std::fs::write(&path, &told).unwrap();
    let client = Client::new(Profile::load(&path).unwrap()).unwrap();
    let refused = client.nodes().await.unwrap_err();
    assert_eq!(refused.code(), "unauthorised", "{refused}");

    let silent: String = text
        .lines()
        .filter(|line| !line.starts_with("coordinator_id"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(&path, &silent).unwrap();
    let unsaid = Client::new(Profile::load(&path).unwrap()).map(drop);
    let error = unsaid.unwrap_err().to_string();
    assert!(error.contains("coordinator_id"), "{error}");
}
