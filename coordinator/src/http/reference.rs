//! The API's reference for people, in Markdown, from its document.

use std::fmt::Write;

use axum::http::Method;
use serde_json::Value;

use super::admission::scope_of;

/// Renders the document. The result is a page that stands alone.
pub fn markdown(document: &Value) -> String {
    let mut page = String::new();
    let info = &document["info"];
    line(&mut page, "# The HTTP API");
    line(&mut page, words(&info["description"]));
    line(
        &mut page,
        "The same in a form for programs: `/v1/openapi.json` (OpenAPI 3.1).",
    );
    scopes(&mut page, document);
    for tag in list(&document["tags"]) {
        line(&mut page, &format!("## {}", title(words(&tag["name"]))));
        line(&mut page, words(&tag["description"]));
        for (path, method, operation) in operations(document) {
            if operation["tags"][0] == tag["name"] {
                operation_section(&mut page, path, method, operation);
            }
        }
    }
    line(&mut page, "## Types");
    for (name, schema) in members(&document["components"]["schemas"]) {
        type_section(&mut page, name, schema);
    }
    page
}

/// The scope that each request needs, by the function that decides about requests.
fn scopes(page: &mut String, document: &Value) {
    line(page, "## Scopes");
    line(
        page,
        "Every API key, and every requester that signs its requests, has one or more scopes. None contains another: \
         whoever orders and reads needs both `create` and `read`.",
    );
    row(page, &["request", "", "scope"]);
    row(page, &["---"; 3]);
    for (path, method, operation) in operations(document) {
        let name = method.to_ascii_uppercase();
        let below = path.strip_prefix("/v1").unwrap_or(path);
        let Ok(method) = Method::from_bytes(name.as_bytes()) else {
            continue;
        };
        let Some(scope) = scope_of(&method, below) else {
            continue;
        };
        row(
            page,
            &[
                &format!("`{name} {path}`"),
                words(&operation["summary"]),
                &format!("`{}`", scope.as_str()),
            ],
        );
    }
    page.push('\n');
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    members(&document["paths"]).flat_map(|(path, item)| {
        members(item).map(move |(method, operation)| (path, method, operation))
    })
}

fn operation_section(page: &mut String, path: &str, method: &str, operation: &Value) {
    line(page, &format!("### {}", words(&operation["summary"])));
    line(page, &format!("`{} {path}`", method.to_ascii_uppercase()));
    line(page, words(&operation["description"]));
    let parameters = list(&operation["parameters"]);
    if !parameters.is_empty() {
        row(page, &["parameter", "in", "type", "meaning"]);
        row(page, &["---"; 4]);
        for parameter in parameters {
            let name = format!("`{}`", words(&parameter["name"]));
            let place = words(&parameter["in"]);
            let kind = kind(&parameter["schema"]);
            row(
                page,
                &[&name, place, &kind, words(&parameter["description"])],
            );
        }
        page.push('\n');
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_null() {
        line(page, &format!("Body: {}.", kind(body)));
    }
    row(page, &["status", "answer", "meaning"]);
    row(page, &["---"; 3]);
    for (status, response) in members(&operation["responses"]) {
        // Those that any operation may give are listed once, with their meaning, as `Problem`.
        if let Some(reference) = response["$ref"].as_str() {
            let own = ["Missing", "Conflict", "Gone"];
            let name = reference.rsplit('/').next().unwrap_or_default();
            if own.contains(&name) {
                row(page, &[status, &link("Problem"), own_meaning(name)]);
            }
            continue;
        }
        let content = members(&response["content"]).map(|(media, content)| {
            if media == "application/json" {
                kind(&content["schema"])
            } else {
                format!("`{media}`")
            }
        });
        let content: Vec<String> = content.collect();
        let meaning = words(&response["description"]);
        row(page, &[status, &content.join(", or "), meaning]);
    }
    page.push('\n');
}

fn own_meaning(name: &str) -> &'static str {
    match name {
        "Missing" => "There is no such thing.",
        "Conflict" => "It contradicts what is there.",
        _ => "It is not kept any more.",
    }
}

fn type_section(page: &mut String, name: &str, schema: &Value) {
    line(page, &format!("### {name}"));
    line(page, words(&schema["description"]));
    let parts: Vec<&Value> = match schema["allOf"].as_array() {
        Some(parts) => parts.iter().collect(),
        None => vec![schema],
    };
    for part in parts {
        if part["$ref"].is_string() {
            line(page, &format!("All members of {}, and:", kind(part)));
        }
        let properties = members(&part["properties"]).collect::<Vec<_>>();
        if properties.is_empty() {
            alternatives(page, part);
            continue;
        }
        row(page, &["member", "type", "meaning"]);
        row(page, &["---"; 3]);
        for (member, property) in properties {
            let needed = list(&part["required"]).iter().any(|one| one == member);
            let kind = if needed {
                kind(property)
            } else {
                format!("{}, optional", kind(property))
            };
            let meaning = words(&property["description"]);
            row(page, &[&format!("`{member}`"), &kind, meaning]);
        }
        page.push('\n');
    }
}

fn alternatives(page: &mut String, schema: &Value) {
    if let Some(pattern) = schema["pattern"].as_str() {
        line(page, &format!("Text of the form `{pattern}`."));
    }
    let words_of = list(&schema["enum"]).iter().map(words);
    let listed: Vec<String> = words_of.map(|word| format!("`{word}`")).collect();
    if !listed.is_empty() {
        line(page, &format!("One of {}.", listed.join(", ")));
    }
    let variants = list(&schema["oneOf"]);
    if variants.is_empty() {
        return;
    }
    row(page, &["one of", "meaning"]);
    row(page, &["---"; 2]);
    for variant in variants {
        let meaning = words(&variant["description"]);
        let named = members(&variant["properties"])
            .map(|(name, value)| format!("`{{\"{name}\": …}}` with {}", kind(value)));
        let named: Vec<String> = named.collect();
        let named = if named.is_empty() {
            kind(variant)
        } else {
            named.join(", ")
        };
        row(page, &[&named, meaning]);
    }
    page.push('\n');
}

/// A schema in a word or two.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return link(reference.rsplit('/').next().unwrap_or_default());
    }
    for several in ["oneOf", "anyOf", "allOf"] {
        let kinds: Vec<String> = list(&schema[several]).iter().map(kind).collect();
        if !kinds.is_empty() {
            return kinds.join(" or ");
        }
    }
    let constant = list(&schema["enum"]).iter().map(words);
    let constants: Vec<String> = constant.map(|word| format!("`{word}`")).collect();
    if !constants.is_empty() {
        return constants.join(" or ");
    }
    match &schema["type"] {
        Value::String(kind) if kind == "array" => {
            format!("list of {}", self::kind(&schema["items"]))
        }
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let kinds = kinds.iter().map(|kind| match words(kind) {
                "array" => format!("list of {}", self::kind(&schema["items"])),
                other => other.to_owned(),
            });
            kinds.collect::<Vec<_>>().join(" or ")
        }
        _ => "any".into(),
    }
}

fn link(name: &str) -> String {
    format!("[{name}](#{})", name.to_ascii_lowercase())
}

fn title(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn line(page: &mut String, text: &str) {
    if !text.is_empty() {
        page.push_str(text);
        page.push_str("\n\n");
    }
}

/// A row of a table. Line breaks and bars would end a cell.
fn row(page: &mut String, cells: &[&str]) {
    for cell in cells {
        let cell = cell.replace('\n', " ").replace('|', "\\|");
        // Writing to a string cannot fail.
        let _ = write!(page, "| {cell} ");
    }
    page.push_str("|\n");
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let object = value.as_object().into_iter().flatten();
    object.map(|(name, value)| (name.as_str(), value))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn words(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
