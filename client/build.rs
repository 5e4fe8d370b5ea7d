//! Embeds the console's files, if `COUNTERSIGN_CONSOLE` names the folder that its build made.
//!
//! Without it the program has no console and needs no Node to be built.

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=COUNTERSIGN_CONSOLE");
    let mut files = Vec::new();
    if let Some(folder) = env::var_os("COUNTERSIGN_CONSOLE").filter(|folder| !folder.is_empty()) {
        let folder = fs::canonicalize(&folder)
            .map_err(|error| format!("{}: {error}", PathBuf::from(&folder).display()))?;
        println!("cargo:rerun-if-changed={}", folder.display());
        collect(&folder, "", &mut files)?;
    }
    let mut source = String::from("&[");
    for (name, path) in files {
        write!(source, "({name:?}, include_bytes!({path:?})),")?;
    }
    source.push(']');
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(Path::new(&out).join("console.rs"), source)?;
    Ok(())
}

/// Lists the files of a folder by their names below it, in the same order on every machine.
fn collect(
    folder: &Path,
    above: &str,
    files: &mut Vec<(String, PathBuf)>,
) -> Result<(), Box<dyn Error>> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().into_string();
        let name = format!("{above}{}", name.map_err(|_| "a name is not UTF-8")?);
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.push((name, entry.path()));
        }
    }
    Ok(())
}
