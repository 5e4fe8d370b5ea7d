//! `plugin new`: creates a project that builds with one command into a component
//! that this node accepts.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The contract, for languages whose tools generate bindings from it.
const WIT: &str = include_str!("../../../../wit/policy.wit");

pub(super) const EXAMPLES: &str = "Examples:
  countersign-node plugin new spending-limit
  countersign-node plugin new day-limit --with state
  countersign-node plugin new spending-limit --lang python --dir plugins/limit

A Rust project contains a copy of the SDK that belongs to this program: only crates.io is needed to build it.";

#[derive(Debug, clap::Args)]
pub struct New {
    /// Name of the plugin: lower-case letters, digits and `-`, starting with a letter.
    name: String,
    /// Programming language of the project.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    lang: Language,
    /// Folder to create; it must not exist yet. Default: a folder of that name here.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Service of the node that the policy needs (Rust): start from a project that uses it.
    #[arg(long, value_enum)]
    with: Option<Need>,
    /// Use the SDK in this folder instead of a copy of it in the project (Rust).
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Need {
    /// Asks a server. Needs a grant of its URL.
    Http,
    /// Remembers, such as the amount spent in a day. Needs a grant of bytes.
    State,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Language {
    /// Smallest and fastest: 250 KB, 12 us per decision.
    Rust,
    /// JavaScript on QuickJS: 1.6 MB, 0.1 ms per decision. Needs Node.js and npm.
    Js,
    /// CPython: 18 MB, 1.3 ms per decision. Needs Python 3.10 or later.
    Python,
}

/// A file of a project: its path and its text, with `__NAME__` in place of the name.
type File = (&'static str, &'static str);

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../../../../sdk/templates/", $path))
    };
}

macro_rules! sdk {
    ($($path:literal),* $(,)?) => {
        [$((concat!("sdk/src/", $path), include_str!(concat!("../../../../sdk/src/", $path)))),*]
    };
}

/// The sources of the SDK, so that a project builds without fetching them from anywhere.
const SDK: &[File] = &sdk![
    "address.rs",
    "amount.rs",
    "asking.rs",
    "asset_names.rs",
    "bindings.rs",
    "export.rs",
    "export_receiver.rs",
    "failure.rs",
    "host.rs",
    "json.rs",
    "jwt.rs",
    "lib.rs",
    "node.rs",
    "operation.rs",
    "parsed.rs",
    "payload.rs",
    "plugin.rs",
    "receiver.rs",
    "scheme.rs",
    "selector.rs",
    "task.rs",
    "testing/host.rs",
    "testing/mod.rs",
    "testing/state.rs",
    "testing/tasks.rs",
];

/// The manifest of the copy. In this repository, it takes versions from the workspace.
const SDK_MANIFEST: &str = template!("rust/sdk.toml");

impl Language {
    fn files(self, need: Option<Need>) -> Vec<File> {
        match self {
            Self::Rust => vec![
                ("Cargo.toml", template!("rust/Cargo.toml.in")),
                (".cargo/config.toml", template!("rust/config.toml")),
                (".gitignore", template!("rust/gitignore")),
                ("src/lib.rs", policy(need)),
            ],
            Self::Js => vec![
                (".gitignore", template!("js/gitignore")),
                ("package.json", template!("js/package.json")),
                ("policy.js", template!("js/policy.js")),
                ("wit/policy.wit", WIT),
            ],
            Self::Python => vec![
                (".gitignore", template!("python/gitignore")),
                ("build.py", template!("python/build.py")),
                ("requirements.txt", template!("python/requirements.txt")),
                ("policy.py", template!("python/policy.py")),
                ("wit/policy.wit", WIT),
            ],
        }
    }

    /// Returns the command that builds the project, and the path of the component it makes.
    fn build(self, name: &str) -> (&'static str, String) {
        match self {
            Self::Rust => {
                let library = name.replace('-', "_");
                (
                    "cargo build --release",
                    format!("target/wasm32-wasip2/release/{library}.wasm"),
                )
            }
            Self::Js => ("npm install", format!("{name}.wasm")),
            Self::Python => ("python3 build.py", format!("{name}.wasm")),
        }
    }
}

/// Returns the policy of a Rust project.
fn policy(need: Option<Need>) -> &'static str {
    match need {
        None => template!("rust/src/lib.rs"),
        Some(Need::Http) => template!("rust/variants/http.rs"),
        Some(Need::State) => template!("rust/variants/state.rs"),
    }
}

impl New {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        check_name(&self.name)?;
        let dir = self.dir.clone().unwrap_or_else(|| self.name.clone().into());
        if dir.exists() {
            bail!(
                "{} exists already; choose another --dir, or remove it",
                dir.display()
            );
        }
        if !matches!(self.lang, Language::Rust) && self.with.is_some() {
            bail!("--with is for Rust; leave it out, or write --lang rust");
        }
        let sdk = self.sdk_dependency()?;
        for (file, text) in self.lang.files(self.with) {
            let text = text
                .replace("__NAME__", &self.name)
                .replace("__SDK__", &sdk);
            write(&dir.join(file), &text)?;
        }
        if matches!(self.lang, Language::Rust) && self.sdk.is_none() {
            write_sdk(&dir)?;
        }
        let (command, component) = self.lang.build(&self.name);
        println!("Wrote {}. Next:", dir.display());
        println!("  cd {} && {command}", dir.display());
        println!("  countersign-node plugin check {component}");
        if let Language::Rust = self.lang {
            println!(
                "Its tests: cargo test --target {}-unknown-linux-gnu",
                std::env::consts::ARCH
            );
        }
        Ok(())
    }

    /// Returns the SDK dependency for `Cargo.toml`.
    fn sdk_dependency(&self) -> anyhow::Result<String> {
        let Some(sdk) = &self.sdk else {
            return Ok("{ path = \"sdk\" }".into());
        };
        let sdk = sdk
            .canonicalize()
            .with_context(|| format!("{} does not exist", sdk.display()))?;
        let sdk = sdk
            .to_str()
            .context("the path of the SDK is not UTF-8; copy the SDK elsewhere")?;
        Ok(format!("{{ path = {sdk:?} }}"))
    }
}

fn write_sdk(dir: &Path) -> anyhow::Result<()> {
    let manifest = SDK_MANIFEST.replace("__VERSION__", env!("CARGO_PKG_VERSION"));
    write(&dir.join("sdk/Cargo.toml"), &manifest)?;
    write(&dir.join("sdk/wit/policy.wit"), WIT)?;
    SDK.iter()
        .try_for_each(|(file, text)| write(&dir.join(file), text))
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let plain = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !plain
        || !name.starts_with(|c: char| c.is_ascii_lowercase())
        || name.ends_with('-')
        || name.len() > 64
    {
        bail!(
            "`{name}` is not a valid name of a plugin; use lower-case letters, digits and `-`, starting with a letter"
        );
    }
    Ok(())
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let dir = file.parent().context("a file has a folder")?;
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn repository() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .unwrap()
            .into()
    }

    fn sources(folder: &Path, found: &mut BTreeSet<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else {
                found.insert(path.strip_prefix(repository()).unwrap().into());
            }
        }
    }

    #[test]
    fn the_copy_of_the_sdk_is_whole() {
        let mut there = BTreeSet::new();
        sources(&repository().join("sdk/src"), &mut there);
        let copied: BTreeSet<PathBuf> = SDK.iter().map(|(file, _)| file.into()).collect();
        assert_eq!(copied, there);
    }

    /// Compares the names, versions and features, as written on the manifests' lines.
    #[test]
    fn the_copys_dependencies_are_those_of_the_workspace() {
        let read = |file: &str| std::fs::read_to_string(repository().join(file)).unwrap();
        let workspace = read("Cargo.toml");
        let sdk = read("sdk/Cargo.toml");
        let named = |line: &str| line.split(['.', ' ']).next().unwrap_or_default().to_owned();
        let wanted = sdk.lines().skip_while(|line| *line != "[dependencies]");
        let wanted: Vec<String> = wanted
            .take_while(|line| *line != "[dev-dependencies]")
            .filter(|line| line.contains(".workspace = true"))
            .map(named)
            .collect();
        assert!(wanted.len() > 5, "{wanted:?}");
        for name in wanted {
            let line = workspace.lines().find(|line| named(line) == name).unwrap();
            assert!(SDK_MANIFEST.lines().any(|copied| copied == line), "{line}");
        }
        assert!(
            sdk.contains("getrandom = \"0.3\"") && SDK_MANIFEST.contains("getrandom = \"0.3\"")
        );
    }
}
