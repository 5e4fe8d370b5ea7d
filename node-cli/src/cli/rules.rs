//! `init --rules`: names the plugin `rules` in the configuration, with a copy of the operator's
//! file.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use countersign_files::Custody;
use countersign_node::config::{Config, PluginConfig};

/// Name of the copy, beside the configuration.
const COPY: &str = "rules.yaml";
/// Its mode: written by its owner alone.
const READABLE: u32 = 0o644;
/// Largest file, in bytes.
const LARGEST: u64 = 4 << 20;
/// The list of plugins in the example.
const LIST: &str = "  plugins:";
/// Text before the component's file in the example, which is not in force.
const COMPONENT: &str = "#    file: ";
/// Memory for the limits of about 6,000 tasks, in bytes.
const MEMORY: u32 = 1 << 20;

/// Copies the rules, and adds the plugin that keeps them. Does nothing if that was done before.
pub(super) fn put_in_force(config: &Path, rules: &Path) -> anyhow::Result<()> {
    let unreadable = || format!("cannot read the rules in {}", rules.display());
    let wanted = Custody::Operator
        .read(rules, LARGEST)
        .with_context(unreadable)?;
    let _alone = countersign_files::lock_beside(config)
        .with_context(|| format!("{} cannot be locked; try again", config.display()))?;
    let present = Config::load(config)?.policy.plugins;
    let base = config.parent().filter(|dir| !dir.as_os_str().is_empty());
    let place = base.unwrap_or(Path::new(".")).join(COPY);
    if let Some(entry) = present.iter().find(|entry| entry.name == "rules") {
        let reads = matches!(&entry.source, PluginConfig::File(file) if *file == place);
        let decides = reads && entry.shadow.is_none();
        if !decides {
            bail!(
                "{} has a plugin `rules` already, which does not decide by {}; change that entry by hand, or leave out --rules",
                config.display(),
                place.display()
            );
        }
        return copy(&wanted, &place);
    }
    copy(&wanted, &place)?;
    let text = String::from_utf8(Custody::Operator.read(config, LARGEST)?)
        .with_context(|| format!("{} is not UTF-8 text; correct it", config.display()))?;
    let new = with_plugin(&text).with_context(|| {
        format!(
            "the section `policy` of {} is not as `config example` prints it; write the plugin there by hand",
            config.display()
        )
    })?;
    Config::parse(&new, config.parent().unwrap_or(Path::new(".")))
        .with_context(|| format!("the plugin cannot be added to {}", config.display()))?;
    countersign_files::replace(config, new.as_bytes())
        .with_context(|| format!("cannot write {}; check the disk", config.display()))
}

/// Writes the copy, or makes sure that it is there.
fn copy(rules: &[u8], copy: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}; check owner and disk", copy.display());
    if copy.exists() {
        let present = Custody::Operator.read(copy, LARGEST)?;
        if present != rules {
            bail!(
                "{} is there already, with other rules; move it away, or leave out --rules",
                copy.display()
            );
        }
    } else {
        countersign_files::create(copy, rules).with_context(cannot)?;
    }
    // If root writes it, the service's user reads it.
    std::fs::set_permissions(copy, PermissionsExt::from_mode(READABLE)).with_context(cannot)
}

/// The configuration with the plugin as the first of its list; `None` if it is not like the
/// example.
fn with_plugin(text: &str) -> Option<String> {
    let (before, after) = text.split_once(&format!("\n{LIST}\n"))?;
    let component = after
        .lines()
        .find_map(|line| line.strip_prefix(COMPONENT))?;
    let entry = format!(
        "  - {{ name: rules, file: {component}, config_file: {COPY}, grants: {{ state_bytes: {MEMORY} }} }}"
    );
    Some(format!("{before}\n{LIST}\n{entry}\n{after}"))
}

#[cfg(test)]
mod tests {
    use countersign_node::config::EXAMPLE;

    use super::*;

    #[test]
    fn the_node_is_guarded_by_a_copy_of_the_rules_and_every_comment_stays() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.yaml");
        let rules = dir.path().join("mine.yaml");
        std::fs::write(&file, EXAMPLE).unwrap();
        std::fs::write(&rules, "enable: true\n").unwrap();
        put_in_force(&file, &rules).unwrap();
        let config = Config::load(&file).unwrap();
        let [entry] = config.policy.plugins.as_slice() else {
            panic!("{:?}", config.policy.plugins)
        };
        assert_eq!(entry.name, "rules");
        let copy = dir.path().join(COPY);
        assert_eq!(std::fs::read(&copy).unwrap(), b"enable: true\n");
        let mode = std::fs::metadata(&copy).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "{mode:o}");
        let text = std::fs::read_to_string(&file).unwrap();
        let added = text.lines().filter(|line| !EXAMPLE.contains(line));
        assert_eq!(added.count(), 1);
        assert!(EXAMPLE.lines().all(|line| text.contains(line)));

        put_in_force(&file, &rules).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        std::fs::write(&rules, "enable: true\nkey_gen: {}\n").unwrap();
        let refused = put_in_force(&file, &rules).unwrap_err().to_string();
        assert!(refused.contains("with other rules"), "{refused}");
        assert_eq!(std::fs::read(&copy).unwrap(), b"enable: true\n");
    }

    #[test]
    fn a_plugin_of_that_name_that_decides_otherwise_is_not_taken_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.yaml");
        let rules = dir.path().join("mine.yaml");
        std::fs::write(&rules, "enable: true\n").unwrap();
        for entry in [
            "config_file: other.yaml",
            "config_file: rules.yaml, shadow: true",
            "config: {}",
        ] {
            let text = format!("policy: {{plugins: [{{name: rules, file: r.wasm, {entry}}}]}}\n");
            std::fs::write(&file, &text).unwrap();
            let refused = put_in_force(&file, &rules).unwrap_err().to_string();
            assert!(refused.contains("does not decide by"), "{refused}");
            assert!(!dir.path().join(COPY).exists());
        }
    }

    #[test]
    fn a_configuration_of_another_form_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.yaml");
        let rules = dir.path().join("mine.yaml");
        std::fs::write(&rules, "enable: true\n").unwrap();
        std::fs::write(&file, "policy: {plugins: []}\n").unwrap();
        let refused = put_in_force(&file, &rules).unwrap_err().to_string();
        assert!(refused.contains("by hand"), "{refused}");
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, "policy: {plugins: []}\n");
    }
}
