//! Lines from the subscriber to the file, in each format, while settings change and files go.

use std::borrow::Cow;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tracing::Level;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::config::FileSettings;
use crate::rotate::RotatingFile;

const TASK: &str = "cst1qqq";

fn file(path: &Path, level: Level, format: Format) -> FileSettings {
    FileSettings {
        output: OutputSettings { level, format },
        path: path.into(),
        limit: 1 << 20,
        backups: 2,
    }
}

fn only_file(file: FileSettings) -> Settings {
    Settings {
        std: None,
        file: Some(file),
    }
}

/// Runs `act` with a log of these settings, and returns what is in the file in the end.
fn logged(path: &Path, settings: &Settings, act: impl FnOnce(&Log)) -> String {
    let names: Rewrite = Arc::new(|line| Cow::Owned(line.replace("csn1x", "alice")));
    let (log, layers) = Log::build(settings, names).unwrap();
    let subscriber = tracing_subscriber::registry().with(layers);
    tracing::subscriber::with_default(subscriber, || act(&log));
    drop(log);
    fs::read_to_string(path).unwrap()
}

fn signed() {
    tracing::info!(target: "countersign_node", task = %TASK, node = "csn1x", "signed \"it\"");
}

#[test]
fn a_line_for_people_has_the_names_of_nodes() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.log");
    let text = logged(
        &path,
        &only_file(file(&path, Level::INFO, Format::Text)),
        |_| signed(),
    );
    assert!(
        text.ends_with(" INFO signed \"it\" task=cst1qqq node=\"alice\"\n"),
        "{text}"
    );
}

#[test]
fn a_line_of_json_is_an_object_with_ids() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.log");
    let text = logged(
        &path,
        &only_file(file(&path, Level::INFO, Format::Json)),
        |_| signed(),
    );
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["message"], "signed \"it\"");
    assert_eq!(
        (&line["task"], &line["node"]),
        (&TASK.into(), &"csn1x".into())
    );
    assert_eq!(line["level"], "INFO");
    assert!(line["timestamp"].is_string(), "{line}");
}

#[test]
fn a_line_of_logfmt_has_a_key_before_each_value() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.log");
    let text = logged(
        &path,
        &only_file(file(&path, Level::INFO, Format::Logfmt)),
        |_| signed(),
    );
    let (time, rest) = text.split_once(' ').unwrap();
    assert!(time.starts_with("ts=20"), "{text}");
    assert_eq!(
        rest,
        "level=info target=countersign_node message=\"signed \\\"it\\\"\" task=cst1qqq node=csn1x\n"
    );
}

/// A plugin's or a peer's text must not look like a line of ours.
#[test]
fn no_text_begins_a_line_of_its_own() {
    for format in [Format::Text, Format::Json, Format::Logfmt] {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("a.log");
        let text = logged(
            &path,
            &only_file(file(&path, Level::INFO, format)),
            |_| tracing::info!(target: "countersign", reason = %"no\r\nts=2026 level=info message=signed", "a\nb"),
        );
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[test]
fn libraries_are_heard_from_warnings_up() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.log");
    let text = logged(
        &path,
        &only_file(file(&path, Level::DEBUG, Format::Text)),
        |_| {
            tracing::info!(target: "quinn", "chatter");
            tracing::warn!(target: "quinn", "trouble");
            tracing::debug!(target: "countersign_node", "detail");
            tracing::trace!(target: "countersign_node", "noise");
        },
    );
    let seen: Vec<bool> = ["chatter", "trouble", "detail", "noise"]
        .map(|word| text.contains(word))
        .into();
    assert_eq!(seen, [false, true, true, false]);
}

#[test]
fn other_settings_take_effect_while_it_runs() {
    let dir = TempDir::new().unwrap();
    let [first, second] = ["a.log", "b.log"].map(|name| dir.path().join(name));
    let settings = only_file(file(&first, Level::WARN, Format::Text));
    let text = logged(&first, &settings, |log| {
        tracing::info!(target: "countersign", "one");
        log.apply(&only_file(file(&second, Level::INFO, Format::Json)))
            .unwrap();
        tracing::info!(target: "countersign", "two");
        let nowhere = Settings {
            std: None,
            file: None,
        };
        log.apply(&nowhere).unwrap();
        tracing::error!(target: "countersign", "three");
    });
    assert_eq!(text, "");
    let text = fs::read_to_string(second).unwrap();
    assert!(
        text.contains(r#""message":"two""#) && text.lines().count() == 1,
        "{text}"
    );
}

#[test]
fn settings_that_cannot_be_put_in_force_change_nothing() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.log");
    let settings = only_file(file(&path, Level::INFO, Format::Text));
    let text = logged(&path, &settings, |log| {
        let folder = only_file(file(dir.path(), Level::ERROR, Format::Json));
        let error = log.apply(&folder).unwrap_err().to_string();
        assert!(
            error.contains("cannot be opened") && error.contains("log.file.filename"),
            "{error}"
        );
        tracing::info!(target: "countersign", "still here");
    });
    assert!(text.contains("still here"), "{text}");
}

#[test]
fn a_file_that_was_moved_away_is_opened_again() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.log");
    let settings = only_file(file(&path, Level::INFO, Format::Text));
    let text = logged(&path, &settings, |log| {
        tracing::info!(target: "countersign", "one");
        log.lines.flush();
        fs::rename(&path, dir.path().join("moved")).unwrap();
        log.apply(&settings).unwrap();
        tracing::info!(target: "countersign", "two");
    });
    assert!(text.contains("two") && !text.contains("one"), "{text}");
}

fn rotating(path: &Path, limit: u64, backups: u64) -> RotatingFile {
    RotatingFile::open(&FileSettings {
        limit,
        backups,
        ..file(path, Level::INFO, Format::Text)
    })
    .unwrap()
}

fn contents(dir: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn named(files: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, text): &(&str, &str)| (name.to_string(), text.to_string());
    files.iter().map(owned).collect()
}

#[test]
fn a_full_file_makes_room_and_the_oldest_goes() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.log");
    let mut log = rotating(&path, 4, 2);
    for line in ["1\n", "2\n", "3\n", "4\n", "5\n", "6\n", "7\n"] {
        log.write(line.as_bytes()).unwrap();
    }
    let expected = named(&[
        ("a.log", "7\n"),
        ("a.log.1", "5\n6\n"),
        ("a.log.2", "3\n4\n"),
    ]);
    assert_eq!(contents(dir.path()), expected);
}

/// Otherwise each further line would push out one of the earlier files.
#[test]
fn earlier_files_stay_where_they_are_if_no_new_one_can_be_made() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.log");
    let mut log = rotating(&path, 2, 2);
    log.write(b"1\n").unwrap();
    log.write(b"2\n").unwrap();
    fs::create_dir(dir.path().join("a.log.new")).unwrap();
    for _ in 0..5 {
        log.write(b"3\n").unwrap_err();
    }
    fs::remove_dir(dir.path().join("a.log.new")).unwrap();
    assert_eq!(
        contents(dir.path()),
        named(&[("a.log", "2\n"), ("a.log.1", "1\n")])
    );
}

#[test]
fn without_backups_only_the_newest_file_is_kept() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.log");
    let mut log = rotating(&path, 2, 0);
    for line in ["1\n", "2\n", "3\n"] {
        log.write(line.as_bytes()).unwrap();
    }
    assert_eq!(contents(dir.path()), named(&[("a.log", "3\n")]));
}

#[test]
fn a_file_of_an_earlier_run_is_continued_and_counts() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.log");
    rotating(&path, 4, 1).write(b"1\n").unwrap();
    let mut log = rotating(&path, 4, 1);
    log.write(b"2\n").unwrap();
    log.write(b"3\n").unwrap();
    let expected = named(&[("a.log", "3\n"), ("a.log.1", "1\n2\n")]);
    assert_eq!(contents(dir.path()), expected);
}

#[test]
fn a_line_longer_than_the_limit_is_written_whole() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.log");
    let mut log = rotating(&path, 2, 1);
    log.write(b"0123456789\n").unwrap();
    assert_eq!(contents(dir.path()), named(&[("a.log", "0123456789\n")]));
}

#[test]
fn files_and_folders_are_its_own() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("logs");
    let path = folder.join("a.log");
    rotating(&path, 2, 1).write(b"1\n").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&path)), (0o700, 0o600));
}

/// A file that was deleted while it was open is not an error when it is full.
#[test]
fn a_file_that_someone_deleted_begins_anew() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.log");
    let mut log = rotating(&path, 2, 1);
    log.write(b"1\n").unwrap();
    fs::remove_file(&path).unwrap();
    log.write(b"2\n").unwrap();
    assert_eq!(contents(dir.path()), named(&[("a.log", "2\n")]));
}

#[test]
fn a_pipe_or_a_folder_is_not_waited_for() {
    let dir = TempDir::new().unwrap();
    assert!(RotatingFile::open(&file(dir.path(), Level::INFO, Format::Text)).is_err());
    assert!(RotatingFile::open(&file(Path::new("/dev/full"), Level::INFO, Format::Text)).is_err());
    let locked = dir.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, Permissions::from_mode(0o500)).unwrap();
    let inside = RotatingFile::open(&file(&locked.join("a.log"), Level::INFO, Format::Text));
    // Root may write everywhere.
    assert_eq!(inside.is_ok(), fs::write(locked.join("b"), "").is_ok());
}

fn settings(text: &str) -> Result<Settings, SettingsError> {
    let raw: RawLog = serde_json::from_str(text).unwrap();
    raw.settings(Path::new("/base"), "svc")
}

#[test]
fn each_documented_level_and_format_is_known() {
    for (name, level) in [
        ("error", Level::ERROR),
        ("WARN", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
    ] {
        let text = format!(r#"{{"std":{{"level":"{name}"}}}}"#);
        assert_eq!(settings(&text).unwrap().std.unwrap().level, level);
    }
    for (name, format) in [
        ("text", Format::Text),
        ("json", Format::Json),
        ("logfmt", Format::Logfmt),
    ] {
        let text = format!(r#"{{"file":{{"enable":true,"format":"{name}"}}}}"#);
        assert_eq!(settings(&text).unwrap().file.unwrap().output.format, format);
    }
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let usual = settings("{}").unwrap();
    let std = OutputSettings {
        level: Level::INFO,
        format: Format::Text,
    };
    assert_eq!((usual.std, usual.file), (Some(std), None));
    let file = settings(r#"{"file":{"enable":true}}"#)
        .unwrap()
        .file
        .unwrap();
    assert_eq!(file.path, Path::new("/base/logs/svc.log"));
    assert_eq!((file.limit, file.backups), (100 << 20, 10));
}

#[test]
fn what_is_not_documented_is_refused() {
    for (text, expected) in [
        (
            r#"{"std":{"level":"trace"}}"#,
            "log.std.level is `trace`; choose error, warn, info or debug",
        ),
        (
            r#"{"std":{"format":"xml"}}"#,
            "log.std.format is `xml`; choose text, json or logfmt",
        ),
        (
            r#"{"file":{"enable":true,"level":""}}"#,
            "log.file.level is ``; choose error, warn, info or debug",
        ),
        (
            r#"{"file":{"enable":true,"maxsize":0}}"#,
            "log.file.maxsize is 0; choose from 1 to 10000",
        ),
        (
            r#"{"file":{"enable":true,"max_backups":1001}}"#,
            "log.file.max_backups is 1001; choose from 0 to 1000",
        ),
    ] {
        assert_eq!(settings(text).unwrap_err().to_string(), expected);
    }
    assert_eq!(
        settings(r#"{"std":{"enable":false,"level":"x"}}"#)
            .unwrap()
            .std,
        None
    );
}
