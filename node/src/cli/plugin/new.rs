//! `plugin new`: a project that builds with one command into a component that this node accepts.

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};

/// The contract, for languages whose tools make bindings from it.
const WIT: &str = include_str!("../../../../wit/policy.wit");

pub(super) const EXAMPLES: &str = "Examples:
  countersign-node plugin new spending-limit
  countersign-node plugin new spending-limit --lang python --dir plugins/limit";

/// Arguments of `plugin new`.
#[derive(Debug, clap::Args)]
pub struct New {
    /// Name of the plugin: lower-case letters, digits and `-`, a letter first.
    name: String,
    /// Language of the project.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    lang: Language,
    /// Where to write it; must not exist yet. Default: a folder of that name here.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A local copy of the SDK, instead of the released one (Rust).
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Language {
    /// Smallest and fastest: 250 KB, 12 us a decision.
    Rust,
    /// JavaScript on QuickJS: 1.6 MB, 0.1 ms a decision. Needs Node.js and npm.
    Js,
    /// CPython: 18 MB, 1.3 ms a decision. Needs Python 3.10 or later.
    Python,
}

/// A file of a project: its place and its text, with `__NAME__` where the name goes.
type File = (&'static str, &'static str);

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../../../../sdk/templates/", $path))
    };
}

impl Language {
    fn files(self) -> Vec<File> {
        match self {
            Language::Rust => vec![
                ("Cargo.toml", template!("rust/Cargo.toml.in")),
                (".cargo/config.toml", template!("rust/config.toml")),
                ("src/lib.rs", template!("rust/src/lib.rs")),
            ],
            Language::Js => vec![
                ("package.json", template!("js/package.json")),
                ("policy.js", template!("js/policy.js")),
                ("wit/policy.wit", WIT),
            ],
            Language::Python => vec![
                ("build.py", template!("python/build.py")),
                ("requirements.txt", template!("python/requirements.txt")),
                ("policy.py", template!("python/policy.py")),
                ("wit/policy.wit", WIT),
            ],
        }
    }

    /// The one command, and what it makes.
    fn build(self, name: &str) -> (&'static str, String) {
        match self {
            Language::Rust => {
                let library = name.replace('-', "_");
                ("cargo build --release", format!("target/wasm32-wasip2/release/{library}.wasm"))
            }
            Language::Js => ("npm install", format!("{name}.wasm")),
            Language::Python => ("python3 build.py", format!("{name}.wasm")),
        }
    }
}

impl New {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        check_name(&self.name)?;
        let dir = self.dir.clone().unwrap_or_else(|| self.name.clone().into());
        if dir.exists() {
            bail!("{} exists already; choose another --dir, or remove it", dir.display());
        }
        let sdk = self.sdk_dependency()?;
        for (file, text) in self.lang.files() {
            let text = text.replace("__NAME__", &self.name).replace("__SDK__", &sdk);
            write(&dir.join(file), &text)?;
        }
        let (command, component) = self.lang.build(&self.name);
        println!("Wrote {}. Next:", dir.display());
        println!("  cd {} && {command}", dir.display());
        println!("  countersign-node plugin check {component}");
        Ok(())
    }

    /// What Cargo.toml says of the SDK.
    fn sdk_dependency(&self) -> anyhow::Result<String> {
        let Some(sdk) = &self.sdk else {
            return Ok(format!(
                "{{ git = \"{}\", tag = \"v{}\" }}",
                env!("CARGO_PKG_REPOSITORY"),
                env!("CARGO_PKG_VERSION")
            ));
        };
        let sdk = sdk.canonicalize().with_context(|| format!("{} is not there", sdk.display()))?;
        let sdk = sdk.to_str().context("the path of the SDK is not UTF-8; copy the SDK elsewhere")?;
        Ok(format!("{{ path = {sdk:?} }}"))
    }
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !plain || !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.ends_with('-') || name.len() > 64
    {
        bail!("`{name}` is no name for a plugin; use lower-case letters, digits and `-`, a letter first");
    }
    Ok(())
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let dir = file.parent().context("a file has a folder")?;
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
