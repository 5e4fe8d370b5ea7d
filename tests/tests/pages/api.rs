//! `docs/openapi-v1.json` and `docs/api.md`: written from the code, and compatible with the
//! document of the last release. The types of the clients for Python and TypeScript are written
//! from the document.

use std::process::Command;

use countersign_coordinator::http::{openapi_document, reference_page};
use serde_json::{Value, json};

use crate::page::{repository, written};

/// The document of the last release. Replaced by the present one at each release.
const RELEASED: &str = include_str!("../../fixtures/openapi-v1-released.json");

/// Values that became others which have them as one case. The other case, a passkey that orders, is
/// met only where an operator lists one.
const WIDER: [[&str; 2]; 2] = [
    [
        "^csr1[02-9ac-hj-np-z]{58}$",
        "^csr1[02-9ac-hj-np-z]{58}[02-9ac-hj-np-z]?$",
    ],
    [
        "#/components/schemas/Signature",
        "#/components/schemas/OrderProof",
    ],
];

#[test]
fn the_document_and_the_page_are_those_of_the_code() {
    written("docs/openapi-v1.json", &(openapi_document() + "\n"));
    written("docs/api.md", &reference_page());
    the_types_of_the_clients_are_those_of_the_document();
}

/// Not a test of its own: the document must have been written before.
fn the_types_of_the_clients_are_those_of_the_document() {
    let mut generate = Command::new("python3");
    generate.arg(repository().join("clients/generate.py"));
    if std::env::var_os("COUNTERSIGN_WRITE_PAGES").is_none() {
        generate.arg("--check");
    }
    let done = generate.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}; or run `just pages`");
}

#[test]
fn clients_of_the_last_release_are_served() {
    let released = serde_json::from_str(RELEASED).unwrap();
    let present = serde_json::from_str(&openapi_document()).unwrap();
    let broken = breaks(&released, &present);
    assert!(broken.is_empty(), "{broken:#?}");
}

/// What a client of `old` relies on and `new` lacks, as JSON pointers with a reason.
fn breaks(old: &Value, new: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", old, new, &mut found);
    found
}

/// Members stay; what is required of a request does not grow, and what is promised in an answer
/// does not shrink; other values stay the same. Texts for people are free.
fn compare(at: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (name, value) in old {
                if [
                    "description",
                    "summary",
                    "title",
                    "examples",
                    "info",
                    "tags",
                ]
                .contains(&name.as_str())
                    && !at.ends_with("/properties")
                {
                    continue;
                }
                match new.get(name) {
                    Some(other) => compare(&format!("{at}/{name}"), value, other, found),
                    None => found.push(format!("{at}/{name}: gone")),
                }
            }
            let is_type = new.contains_key("properties") || at.ends_with("/parameters");
            if is_type && !old.contains_key("required") && new.contains_key("required") {
                found.push(format!("{at}/required: new"));
            }
        }
        (Value::Array(old), Value::Array(new)) if at.ends_with("/parameters") => {
            for parameter in new {
                let same = |other: &&Value| other["name"] == parameter["name"];
                match old.iter().find(same) {
                    Some(known) => {
                        let at = format!("{at}/{}", parameter["name"]);
                        compare(&at, known, parameter, found);
                    }
                    None if parameter["required"] == json!(true) => {
                        found.push(format!("{at}/{}: required and new", parameter["name"]));
                    }
                    None => {}
                }
            }
            for parameter in old {
                if !new.iter().any(|other| other["name"] == parameter["name"]) {
                    found.push(format!("{at}/{}: gone", parameter["name"]));
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if at.ends_with("/required") => {
            if old != new {
                found.push(format!("{at}: {old:?} became {new:?}"));
            }
        }
        // Words and variants may be added.
        (Value::Array(old), Value::Array(new)) => {
            for value in old {
                if !new.iter().any(|other| {
                    let mut within = Vec::new();
                    compare(at, value, other, &mut within);
                    within.is_empty()
                }) {
                    found.push(format!("{at}: {value} is gone"));
                }
            }
        }
        (old, new) => {
            let is_wider = WIDER.iter().any(|pair| [old, new] == *pair);
            if old != new && !is_wider {
                found.push(format!("{at}: {old} became {new}"));
            }
        }
    }
}

#[test]
fn a_change_that_breaks_clients_is_found() {
    let old: Value = serde_json::from_str(&openapi_document()).unwrap();
    assert_eq!(breaks(&old, &old), [""; 0]);
    type Change = fn(&mut Value);
    let breaking: [(&str, Change); 8] = [
        ("a path is gone", |new| {
            new["paths"].as_object_mut().unwrap().remove("/v1/nodes");
        }),
        ("a method is gone", |new| {
            new["paths"]["/v1/tasks"]
                .as_object_mut()
                .unwrap()
                .remove("post");
        }),
        ("an answer is gone", |new| {
            let responses = &mut new["paths"]["/v1/tasks"]["post"]["responses"];
            responses.as_object_mut().unwrap().remove("200");
        }),
        ("a field is gone", |new| {
            let properties = &mut new["components"]["schemas"]["NodeView"]["properties"];
            properties.as_object_mut().unwrap().remove("name");
        }),
        ("a field has another type", |new| {
            new["components"]["schemas"]["NodeView"]["properties"]["online"]["type"] =
                json!("string");
        }),
        ("a request needs more", |new| {
            new["components"]["schemas"]["Submission"]["required"] =
                json!(["task", "signature", "more"]);
        }),
        ("a parameter is gone", |new| {
            let parameters = &mut new["paths"]["/v1/tasks"]["get"]["parameters"];
            parameters.as_array_mut().unwrap().remove(0);
        }),
        ("a word is gone", |new| {
            let words = &mut new["components"]["schemas"]["DeliveryState"];
            let text = words.to_string().replace("\"failed\"", "\"lost\"");
            *words = serde_json::from_str(&text).unwrap();
        }),
    ];
    for (what, change) in breaking {
        let mut new = old.clone();
        change(&mut new);
        assert_ne!(new, old, "{what}");
        assert!(!breaks(&old, &new).is_empty(), "{what}");
    }
    let mut more = old.clone();
    more["paths"]["/v1/more"] = json!({"get": {}});
    more["components"]["schemas"]["NodeView"]["properties"]["more"] = json!({"type": "string"});
    more["components"]["schemas"]["NodeView"]["description"] = json!("Better words.");
    assert_eq!(breaks(&old, &more), [""; 0], "additions break nothing");
}
