//! The program as an operator runs it.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};

use countersign_recover::Curve;
use tempfile::TempDir;

use crate::*;

const CHILD: &str = "m/44/60/0/0/7";
/// Types the words given after the script on a terminal of its own, each when the program has asked
/// for it and shows nothing of the input, and prints the program's output.
const TYPIST: &str = r#"
import os, pty, sys, termios, time
words = sys.argv[1].split("|")
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
seen, asked = b"", 0
while True:
    try:
        read = os.read(terminal, 4096)
    except OSError:
        break
    seen += read
    if seen.count(b"Password of") + seen.count(b"Extended key") > asked:
        while termios.tcgetattr(terminal)[3] & termios.ECHO:
            time.sleep(0.01)
        os.write(terminal, words[asked].encode() + b"\n")
        asked += 1
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// A folder with the files of a wallet and a password file for each.
struct Desk {
    folder: TempDir,
    files: Vec<PathBuf>,
}

impl Desk {
    fn new(curve: Curve) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = Wallet::new(curve).write(folder.path());
        let desk = Self { folder, files };
        desk.write("password", PASSWORD.as_bytes(), 0o600);
        desk
    }

    fn path(&self, name: &str) -> String {
        text(&self.folder.path().join(name)).to_owned()
    }

    fn write(&self, name: &str, content: &[u8], mode: u32) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        text(&path).to_owned()
    }

    /// `verb` on the files chosen, with the same password for each.
    fn run(&self, verb: &str, chosen: &[usize], more: &[&str]) -> Output {
        let password = self.path("password");
        let files = chosen.iter().map(|i| text(&self.files[*i]));
        let passwords = chosen.iter().flat_map(|_| ["--password-file", &password]);
        let arguments: Vec<_> = std::iter::once(verb)
            .chain(files)
            .chain(passwords)
            .chain(["--group-id", GROUP])
            .collect();
        run(&[&arguments[..], more].concat(), b"", self.folder.path())
    }
}

fn run(arguments: &[&str], stdin: &[u8], folder: &Path) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_countersign-recover"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that fails early reads nothing.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json_of(output: &Output) -> Value {
    serde_json::from_str(&out(output)).unwrap()
}

/// The message of a failure.
fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn reference_child(curve: Curve, path: &str) -> Value {
    let desk = Desk::new(curve);
    let root = reference(&[
        "combine",
        GROUP,
        PASSWORD,
        text(&desk.files[0]),
        text(&desk.files[1]),
    ]);
    reference(&[
        "derive",
        root["extended_private_key"].as_str().unwrap(),
        path,
    ])
}

#[test]
fn verify_shows_the_wallet_and_no_secret() {
    for curve in [Curve::Secp256k1, Curve::Ed25519] {
        let desk = Desk::new(curve);
        let seen = out(&desk.run("verify", &[0, 2], &[]));
        assert!(
            seen.contains(GROUP) && seen.contains("2 of 3") && seen.contains("node-2"),
            "{seen}"
        );
        assert!(
            seen.contains("are enough") && !seen.contains("prv"),
            "{seen}"
        );
        let seen = json_of(&desk.run("verify", &[1], &["--json"]));
        assert_eq!(
            (&seen["enough"], &seen["threshold"]),
            (&json!(false), &json!(2))
        );
        assert_eq!(seen["files"][0]["node_id"], "node-1");
    }
}

#[test]
fn recover_shows_what_is_asked_for_and_nothing_else() {
    for curve in [Curve::Secp256k1, Curve::Ed25519] {
        let desk = Desk::new(curve);
        let plain = out(&desk.run("recover", &[0, 1], &[]));
        assert!(
            plain.contains("rebuilt") && !plain.contains("prv") && !plain.contains(ROOT),
            "{plain}"
        );
        let root = json_of(&desk.run("recover", &[2, 1], &["--show-root-private-key", "--json"]));
        assert_eq!(root["root"]["private_key"], format!("0x{ROOT}"));
        assert_eq!(
            root["root"]["extended_public_key"],
            root["root_extended_public_key"]
        );
        let keys = json_of(&desk.run(
            "recover",
            &[0, 1, 2],
            &["--paths", "44/60/0/0/7,m", "--json"],
        ));
        let mut expected = reference_child(curve, CHILD);
        expected["path"] = CHILD.into();
        assert_eq!((&keys["keys"][0], keys.get("root")), (&expected, None));
        let lines = out(&desk.run("recover", &[0, 1], &["--paths", CHILD]));
        assert!(
            lines.contains(expected["extended_private_key"].as_str().unwrap()),
            "{lines}"
        );
    }
}

#[test]
fn a_list_of_addresses_gets_its_keys_in_a_private_file() {
    let desk = Desk::new(Curve::Secp256k1);
    let child = reference_child(Curve::Secp256k1, CHILD);
    let list = format!(
        "wallet name,coin,address,curve,memo,address label,HD path,child publickey\n\
         w,ETH,x,secp256k1,,,{CHILD},{}\nw,SOL,y,ed25519,,,{CHILD},\n",
        child["extended_public_key"].as_str().unwrap()
    );
    let list = desk.write("address.csv", list.as_bytes(), 0o644);
    let seen = json_of(&desk.run("recover", &[0, 1], &["--csv-file", &list, "--json"]));
    assert_eq!(
        (&seen["csv"]["keys"], &seen["csv"]["skipped"]),
        (&json!(1), &json!(1))
    );
    let name = seen["csv"]["file"].as_str().unwrap();
    assert!(
        name.starts_with("recovery/address-recovery-2") && name.ends_with("Z.csv"),
        "{name}"
    );
    let path = desk.folder.path().join(name);
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let written = std::fs::read_to_string(&path).unwrap();
    let row = format!(
        ",{},{},{}\n",
        child["private_key"].as_str().unwrap(),
        child["extended_private_key"].as_str().unwrap(),
        child["extended_public_key"].as_str().unwrap()
    );
    assert!(
        written.ends_with(&row) && written.lines().count() == 2,
        "{written}"
    );
    assert!(!seen.to_string().contains("prv"));
}

#[test]
fn a_list_with_a_foreign_key_ends_with_2() {
    let desk = Desk::new(Curve::Ed25519);
    let list = format!(
        "a,b,c,d,e,f,g\nw,SOL,x,,,1,{}\nw,SOL,y,,,1,\n",
        "58".to_owned() + &"66".repeat(31)
    );
    let list = desk.write("address.csv", list.as_bytes(), 0o644);
    let output = desk.run(
        "recover",
        &[0, 1],
        &["--csv-file", &list, "--csv-output-dir", "out"],
    );
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("line 2") && said.contains("`x`"), "{said}");
    assert_eq!(
        std::fs::read_dir(desk.folder.path().join("out"))
            .unwrap()
            .count(),
        1
    );
}

#[test]
fn derive_takes_public_keys_as_arguments_and_private_ones_from_files_and_stdin() {
    let desk = Desk::new(Curve::Secp256k1);
    let folder = desk.folder.path();
    let root = json_of(&desk.run("recover", &[0, 1], &["--show-root-private-key", "--json"]));
    let private = &root["root"]["extended_private_key"];
    let public = &root["root"]["extended_public_key"];
    let private = private.as_str().unwrap();
    let public = public.as_str().unwrap();
    let expected = reference_child(Curve::Secp256k1, CHILD);

    let seen = json_of(&run(
        &["derive", public, "--paths", CHILD, "--json"],
        b"",
        folder,
    ));
    assert_eq!(
        seen["keys"][0]["extended_public_key"],
        expected["extended_public_key"]
    );
    assert_eq!(seen["keys"][0].get("private_key"), None);

    let file = desk.write("root.xprv", format!("{private}\n").as_bytes(), 0o600);
    let seen = json_of(&run(
        &["derive", "--key-file", &file, "--paths", CHILD, "--json"],
        b"",
        folder,
    ));
    assert_eq!(seen["keys"][0]["private_key"], expected["private_key"]);
    let seen = out(&run(
        &["derive", "--key-file", "-", "--paths", "m/1H"],
        private.as_bytes(),
        folder,
    ));
    let child = reference(&["derive", private, "m/1H"]);
    assert!(
        seen.contains(child["extended_private_key"].as_str().unwrap()),
        "{seen}"
    );

    let said = failed(&run(&["derive", private, "--paths", CHILD], b"", folder));
    assert!(
        said.contains("must not be an argument") && !said.contains(private),
        "{said}"
    );
    let said = failed(&run(&["derive", public, "--paths", "m/1H"], b"", folder));
    assert!(said.contains("hardened"), "{said}");
    let open = desk.write("open.xprv", private.as_bytes(), 0o644);
    let said = failed(&run(
        &["derive", "--key-file", &open, "--paths", CHILD],
        b"",
        folder,
    ));
    assert!(said.contains("chmod 600"), "{said}");
    let said = failed(&run(
        &["derive", "--key-file", "-", "--paths", CHILD],
        &private.as_bytes()[..110],
        folder,
    ));
    assert!(
        said.contains("not an extended private key") && !said.contains(&private[..20]),
        "{said}"
    );
}

#[test]
fn derive_shows_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let derive = |key: &str, path: &str, token: &str| {
        json_of(&run(
            &["derive", key, "--paths", path, "--token", token, "--json"],
            b"",
            folder.path(),
        ))["keys"][0]["addresses"]
            .clone()
    };
    // BIP-86: the account, and its first receiving address.
    let account = "xpub6BgBgsespWvERF3LHQu6CnqdvfEvtMcQjYrcRzx53QJjSxarj2afYWcLteoGVky7D3UKDP9QyrLprQ3VCECoY49yfdDEHGCtMMj92pReUsQ";
    let bitcoin = derive(account, "0/0", "BTC");
    assert_eq!(
        bitcoin["P2TR"],
        "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr"
    );
    assert!(bitcoin["P2PKH"].as_str().unwrap().starts_with('1'));
    assert!(
        derive(account, "m", "xtn")["P2WPKH"]
            .as_str()
            .unwrap()
            .starts_with("tb1q")
    );
    assert!(
        derive(account, "m", "ETH")["EVM"]
            .as_str()
            .unwrap()
            .starts_with("0x")
    );
    let cpub = "cpubGPd6REiRhwmwfDbwpjd1mxKbhzoygEy2KaaG8s4dcN4ubHK4kqw3uxhnV6BwHw18Qwqomdh5ijf6ygfh8qkCveuekSqmxuQ5zwqjfHH7uGW";
    let solana = derive(cpub, "m", "SOL")["Solana"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!((32..=44).contains(&solana.len()), "{solana}");
    let said = failed(&run(
        &["derive", cpub, "--paths", "m", "--token", "BTC"],
        b"",
        folder.path(),
    ));
    assert!(said.contains("keys are on secp256k1"), "{said}");
    let said = failed(&run(
        &["derive", cpub, "--paths", "m", "--token", "DOGE"],
        b"",
        folder.path(),
    ));
    assert!(said.contains("SMNT_MNT"), "{said}");
}

#[test]
fn failures_name_the_file_and_say_what_to_do() {
    let desk = Desk::new(Curve::Secp256k1);
    let folder = desk.folder.path();
    let [first, second] = [0, 1].map(|i| text(&desk.files[i]).to_owned());
    let group = ["--group-id", GROUP];

    desk.write("password", b"wrong horse", 0o600);
    let said = failed(&desk.run("recover", &[0, 1], &[]));
    assert!(said.contains(&first) && said.contains("password"), "{said}");
    let too_few = "needed, and there are 1";
    assert!(
        failed(&desk.run("recover", &[0], &[])).contains(too_few),
        "before a password is asked for"
    );
    desk.write("password", PASSWORD.as_bytes(), 0o640);
    assert!(failed(&desk.run("verify", &[0], &[])).contains("chmod 600"));
    desk.write("password", PASSWORD.as_bytes(), 0o600);

    assert!(failed(&desk.run("recover", &[0, 0], &[])).contains("both of node `node-0`"));
    assert!(failed(&desk.run("recover", &[0, 1], &["--paths", "1/x"])).contains("1/x"));
    assert!(
        failed(&desk.run("recover", &[0, 1], &["--paths", "1", "--csv-file", "x"]))
            .contains("cannot be used")
    );

    let password = desk.path("password");
    let uneven = [
        &["recover", &first, &second, "--password-file", &password][..],
        &group,
    ]
    .concat();
    assert!(failed(&run(&uneven, b"", folder)).contains("once for each"));
    let missing = [
        &["verify", "none.json", "--password-file", &password][..],
        &group,
    ]
    .concat();
    assert!(failed(&run(&missing, b"", folder)).contains("none.json"));
    let other = [
        "verify",
        &first,
        "--password-file",
        &password,
        "--group-id",
        "Other",
    ];
    assert!(
        failed(&run(&other, b"", folder)).contains(GROUP),
        "the wallets that there are"
    );

    let bytes = std::fs::read(&desk.files[1]).unwrap();
    std::fs::write(&desk.files[1], &bytes[..bytes.len() / 2]).unwrap();
    let output = desk.run("recover", &[0, 1], &["--json"]);
    assert!(failed(&output).contains("damaged"));
    let error: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(error["error"].as_str().unwrap().contains(&second));
}

fn typing(words: &str, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_countersign-recover");
    Command::new("python3")
        .args(["-c", TYPIST, words, program])
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn passwords_and_keys_are_typed_without_being_shown() {
    let desk = Desk::new(Curve::Secp256k1);
    let [first, second] = [0, 1].map(|i| text(&desk.files[i]));
    let recover = ["recover", first, second, "--group-id", GROUP];
    let seen = out(&typing(&format!("{PASSWORD}|{PASSWORD} "), &recover));
    assert!(
        seen.contains("node node-1") && seen.contains("rebuilt") && !seen.contains(PASSWORD),
        "{seen}"
    );
    let wrong = typing(&format!("{PASSWORD}|short"), &recover);
    assert!(
        wrong.status.code() == Some(1)
            && String::from_utf8_lossy(&wrong.stdout).contains("fewer than 8")
    );

    let root =
        reference(&["combine", GROUP, PASSWORD, first, second])["extended_private_key"].clone();
    let seen = out(&typing(
        root.as_str().unwrap(),
        &["derive", "--paths", CHILD],
    ));
    let child = reference_child(Curve::Secp256k1, CHILD);
    assert!(
        seen.contains(child["private_key"].as_str().unwrap())
            && !seen.contains(root.as_str().unwrap())
    );
}

#[test]
fn help_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let help = out(&run(&["--help"], b"", folder.path()));
    for word in [
        "verify",
        "recover",
        "derive",
        "Examples",
        "Exit codes",
        "--password-file",
        "--token BTC",
        "--json",
    ] {
        assert!(help.contains(word), "{word}");
    }
    for (verb, words) in [
        ("verify", &["--group-id", "--password-file"][..]),
        (
            "recover",
            &[
                "--paths",
                "--csv-file",
                "--csv-output-dir",
                "--show-root-private-key",
            ],
        ),
        (
            "derive",
            &["--key-file", "--paths", "--token", "EXTENDED_PUBLIC_KEY"],
        ),
    ] {
        let help = out(&run(&[verb, "--help"], b"", folder.path()));
        assert!(
            words.iter().all(|word| help.contains(word)),
            "{verb} {help}"
        );
    }
    assert!(out(&run(&["version"], b"", folder.path())).starts_with("countersign-recover 0"));
}
