//! `countersign console`: the pages on which people see and vote, served by their organisation.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use clap::Args;
use countersign_client::console::{Assets, Console, Origin, Register, read_labels};
use countersign_client::{ClientError, Profile};
use countersign_door::{Certificate, Tls};
use countersign_files::Custody;
use countersign_files::custody::read_secret;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use super::connect::interruption;
use super::output::Output;

/// Size limit of the files with certificate and key, in bytes.
const LARGEST: u64 = 1 << 20;

/// Arguments of `countersign console`.
#[derive(Debug, Args)]
pub struct ConsoleArgs {
    /// Address to listen on; without --certificate, loopback only.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7490")]
    listen: SocketAddr,
    /// The origin at which people open it, such as `https://console.treasury.example`; default:
    /// `http://localhost` with the port of --listen. Every other host is refused, and passkeys are
    /// bound to it: the profile and the nodes' quorum.yaml list it under `passkeys`.
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// File with the certificate for TLS and those of its issuers, in PEM. Read again at SIGHUP.
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// File with the certificate's private key, mode 600.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// File with your organisation's names of addresses, in YAML or JSON: `"ADDRESS": "label"` on
    /// each line. Read again whenever somebody signs in.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// File with the people who sign in by passkey, in YAML or JSON: `NAME: {api_key_file: FILE,
    /// passkeys: [{id: csv1…, credential: …}]}`. Read again at SIGHUP.
    #[arg(long, value_name = "FILE")]
    people: Option<PathBuf>,
}

/// The two files of a certificate.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// Serves until it is interrupted.
pub async fn execute(
    args: ConsoleArgs,
    profile: Profile,
    output: Output,
) -> Result<(), ClientError> {
    let ConsoleArgs {
        listen,
        origin,
        certificate,
        key,
        labels,
        people,
    } = args;
    let files = certificate.zip(key);
    let files = files.map(|(certificate, key)| Files { certificate, key });
    if files.is_none() && !listen.ip().to_canonical().is_loopback() {
        return Err(usage(format!(
            "{listen} is reached from other machines; name --certificate and --key, or listen on loopback behind a proxy with TLS"
        )));
    }
    let assets = Assets::embedded().map_err(usage)?;
    if let Some(labels) = &labels {
        read_labels(labels).map_err(usage)?;
    }
    let tls = files.as_ref().map(Files::tls).transpose()?;
    countersign_door::take_all_descriptors();
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        usage(format!(
            "cannot listen on {listen} ({error}); name another address with --listen"
        ))
    })?;
    let address = listener
        .local_addr()
        .map_err(|error| usage(format!("no address ({error}); name one with --listen")))?;
    let origin = origin.unwrap_or_else(|| format!("http://localhost:{}", address.port()));
    let origin: Origin = origin.parse().map_err(usage)?;
    if tls.is_some() && !origin.is_https() {
        return Err(usage(
            "with a certificate the console is opened by https; name that with --origin",
        ));
    }
    warn(&profile, &origin, output);
    let mut console = Console::new(profile, origin.clone(), assets)?.with_labels(labels);
    if let Some(people) = people {
        console = console.with_people(people).map_err(usage)?;
    }
    let renewed = Renewed {
        certificate: files.zip(tls.clone()),
        people: console.register(),
    };
    let interrupted = interruption()?;
    output.result(
        &json!({"origin": origin.to_string(), "listen": address.to_string()}),
        &[origin.to_string().into()],
    )?;
    output.note(format!("Listens on {address} until it is interrupted."));
    let serving = console.serve(listener, tls, interrupted);
    if renewed.is_empty() {
        serving.await;
        return Ok(());
    }
    tokio::select! {
        () = serving => Ok(()),
        failed = renewed.at_each_signal(output) => failed,
    }
}

impl Files {
    fn tls(&self) -> Result<Tls, ClientError> {
        Tls::new(self.read()?).map_err(usage)
    }

    fn read(&self) -> Result<Certificate, ClientError> {
        let unusable = |path: &PathBuf, reason: String| ClientError::File {
            path: path.clone(),
            reason,
            advice: "name the certificate in PEM with --certificate, and its key of mode 600 with --key",
        };
        let chain = Custody::Operator.read(&self.certificate, LARGEST);
        let chain = chain.map_err(|error| unusable(&self.certificate, error.to_string()))?;
        let key = read_secret(&self.key, LARGEST).map(Zeroizing::new);
        let key = key.map_err(|error| unusable(&self.key, error.to_string()))?;
        Certificate::from_pem(&chain, &key, SystemTime::now())
            .map_err(|error| unusable(&self.certificate, error.to_string()))
    }
}

/// What is read again at SIGHUP.
struct Renewed {
    certificate: Option<(Files, Tls)>,
    people: Option<Arc<Register>>,
}

impl Renewed {
    fn is_empty(&self) -> bool {
        self.certificate.is_none() && self.people.is_none()
    }

    /// Reads all of it at each SIGHUP. A file that cannot be used changes nothing.
    async fn at_each_signal(self, output: Output) -> Result<(), ClientError> {
        let mut hangup = signal(SignalKind::hangup())
            .map_err(|error| usage(format!("no signals ({error}); run it on Linux")))?;
        while hangup.recv().await.is_some() {
            if let Some((files, tls)) = &self.certificate {
                match files.read() {
                    Ok(certificate) => {
                        tls.replace(certificate);
                        output.note("The certificate was read again.");
                    }
                    Err(error) => output.note(format!("The certificate in use stays: {error}")),
                }
            }
            if let Some(people) = self.people.clone() {
                // Reads a file for each person, while others go on asking the console.
                match tokio::task::spawn_blocking(move || people.reload()).await {
                    Ok(Ok(())) => output.note("The people were read again."),
                    Ok(Err(error)) => output.note(format!("The people stay as they were: {error}")),
                    Err(error) => output.note(format!("The people stay as they were: {error}")),
                }
            }
        }
        Ok(())
    }
}

/// Says what will not work with this profile.
fn warn(profile: &Profile, origin: &Origin, output: Output) {
    let origin = origin.to_string();
    match &profile.passkeys {
        None => output.note(
            "Nobody can vote here: the profile has no `passkeys` with the domain and the origins of its pages.",
        ),
        Some(pages) if !pages.origins.contains(&origin) => output.note(format!(
            "Nobody can vote here: {origin} is not among the `origins` under `passkeys` in the profile."
        )),
        Some(_) => {}
    }
    if profile.trusted_requesters.is_empty() {
        output.note(
            "The profile has no `trusted_requesters`, so new wallets are not believed, and orders of any requester can be voted on; list your own id there, too.",
        );
    }
}

fn usage(error: impl ToString) -> ClientError {
    ClientError::Usage(error.to_string())
}
