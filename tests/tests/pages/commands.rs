//! Command lines of our programs in the book: each parses with the definition of the program's own
//! arguments. `--help` behind a line makes the program parse it and run nothing; only arguments
//! that are missing go unnoticed.

use std::collections::BTreeMap;
use std::process::Command;

use countersign_tests::process;

use crate::book::{pages, read};

const PROGRAMS: [&str; 4] = [
    "countersign",
    "countersign-node",
    "countersign-coordinator",
    "countersign-recover",
];
/// Words that stand before a program's name.
const BEFORE: [&str; 4] = ["sudo", "-u", "do", "$"];
/// What pages write where a reader's own value belongs, and such a value.
const PLACEHOLDERS: [(&str, &str); 8] = [
    ("csn1…", NODE),
    ("csk1…", KEY),
    ("csr1…", REQUESTER),
    ("<task>", TASK),
    ("TASK", TASK),
    ("ID", TASK),
    ("KEY", KEY),
    ("NODE", NODE),
];
const NODE: &str = "csn17fp3ey5w34r2rjdjvalnxzkf3pd3jgj8sl3szfqul486y8xukpsq9kg5jl";
const KEY: &str = "csk1qvpsxqcrqvpsxqcrqvpsxqcrqvptzmel";
const REQUESTER: &str = "csr1af9xcclzn3fq40h42pa3xtk9lx25wa4wh6l8hyjzrm4xj9zx6gkq0e9urw";
const TASK: &str = "01010101010101010101010101010101";

/// A program and its arguments, as a shell would pass them.
type Call = Vec<String>;

/// The calls of our programs in a page: in blocks for a shell or without a language, and in code
/// spans.
fn calls(page: &str) -> Vec<Call> {
    let mut found = Vec::new();
    let mut language = None;
    let mut line = String::new();
    for text in page.lines() {
        if let Some(named) = text.trim_start().strip_prefix("```") {
            language = language.is_none().then(|| named.to_owned());
        } else if matches!(language.as_deref(), Some("" | "sh")) {
            line += text.strip_suffix('\\').unwrap_or(text);
            if !text.ends_with('\\') {
                found.extend(commands(&std::mem::take(&mut line)));
            }
        } else if language.is_none() {
            let spans = text.split('`').skip(1).step_by(2);
            found.extend(spans.flat_map(commands));
        }
    }
    found.iter().filter_map(|words| call(words)).collect()
}

/// The commands of a line, each as its words. Knows quotes, escapes, comments, redirections, and
/// what separates commands.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word = None::<String>;
    let mut quote = None;
    let mut rest = line.chars().peekable();
    while let Some(letter) = rest.next() {
        match letter {
            _ if quote == Some(letter) => quote = None,
            _ if quote.is_some() => word.get_or_insert_default().push(letter),
            '"' | '\'' => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            '\\' => word.get_or_insert_default().extend(rest.next()),
            '#' if word.is_none() => break,
            // `<name>` is a placeholder, any other `<` a redirection.
            '<' if rest.peek().is_some_and(char::is_ascii_lowercase) => {
                let name: String = rest.by_ref().take_while(|letter| *letter != '>').collect();
                *word.get_or_insert_default() += &format!("<{name}>");
            }
            ' ' | '\t' | '|' | ';' | '&' | '(' | ')' | '<' | '>' => {
                commands.last_mut().unwrap().extend(word.take());
                if !letter.is_whitespace() {
                    commands.push(Vec::new());
                }
            }
            _ => word.get_or_insert_default().push(letter),
        }
    }
    commands.last_mut().unwrap().extend(word);
    commands
}

/// The call of a program of ours, if a command is one.
fn call(words: &[String]) -> Option<Call> {
    let before = |word: &String| BEFORE.contains(&word.as_str());
    let user = |at: usize| at > 0 && words[at - 1] == "-u";
    let start = (0..words.len()).find(|&at| !before(&words[at]) && !user(at))?;
    let call = &words[start..];
    // A drawing is not a command.
    let drawn = call.iter().any(|word| word.contains('─'));
    (PROGRAMS.contains(&call[0].as_str()) && !drawn).then(|| call.to_vec())
}

/// The program's complaint about a call. In a sentence, an option may stand without its value:
/// then the program's help must name it.
fn complaint(call: &[String]) -> Option<String> {
    let mut arguments = Vec::new();
    for word in &call[1..] {
        let value = arguments
            .last()
            .is_some_and(|last: &&str| last.starts_with("--"));
        // An ellipsis that is no option's value stands for further arguments.
        if value || !["…", "COMMAND"].contains(&word.as_str()) {
            arguments.push(filled(word));
        }
    }
    let Err(complaint) = help(&call[0], &arguments) else {
        return None;
    };
    let option = arguments.pop().filter(|word| word.starts_with("--"));
    let named = option.is_some_and(|option| {
        help(&call[0], &arguments).is_ok_and(|help| help.contains(&format!("{option} <")))
    });
    (!named).then(|| complaint.to_string())
}

fn filled(word: &str) -> &str {
    let value = PLACEHOLDERS.iter().find(|(name, _)| *name == word);
    value.map_or(word, |(_, value)| value)
}

fn help(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let nowhere = tempfile::tempdir()?;
    let mut command = Command::new(process::program(program)?);
    command.args(arguments).arg("--help");
    command.current_dir(&nowhere).env("HOME", nowhere.path());
    process::expect_success(&mut command)
}

#[test]
fn every_command_line_of_the_book_parses() {
    let mut found = BTreeMap::new();
    for page in pages().into_iter().chain(["README.md".to_owned()]) {
        for call in calls(&read(&page)) {
            found.insert(call, page.clone());
        }
    }
    assert!(found.len() > 150, "only {} lines were found", found.len());
    let wrong = found.iter().filter_map(|(call, page)| {
        let complaint = complaint(call)?;
        Some(format!("{page}: {complaint}"))
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_command_line_that_does_not_exist_is_found() {
    let page = "`countersign wallet mend x`\n```sh\nsudo -u a countersign-node start --confg \\\n  b # c\nls | countersign sign x --path 'm/x'\n```";
    let calls = calls(page);
    assert_eq!(calls.len(), 3);
    assert_eq!(calls[1], ["countersign-node", "start", "--confg", "b"]);
    for call in &calls {
        assert!(complaint(call).is_some(), "{call:?}");
    }
    let right = ["countersign", "sign", "x", "--psbt"].map(str::to_owned);
    assert_eq!(complaint(&right), None);
}
