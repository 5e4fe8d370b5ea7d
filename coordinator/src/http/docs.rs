//! The reference as a page that loads nothing.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:0;color:#1b1f24;background:#fff}\
main{max-width:60rem;margin:0 auto;padding:1rem}code{font-size:.9em;background:#f1f3f5;padding:.1em .3em;border-radius:3px}\
table{border-collapse:collapse;width:100%;display:block;overflow-x:auto}td,th{border:1px solid #d8dee4;padding:.3rem .6rem;text-align:left;vertical-align:top}\
h2{margin-top:3rem;border-bottom:1px solid #d8dee4}h3{margin-top:2rem}a{color:#0a58ca}\
@media(prefers-color-scheme:dark){body{background:#15181c;color:#e6e8ea}code{background:#262b31}td,th,h2{border-color:#3a4149}a{color:#7ab7ff}}";

/// Needs no API key: it is the same everywhere.
pub async fn page() -> Response {
    static PAGE: LazyLock<String> = LazyLock::new(|| {
        let markdown = super::reference_page();
        let mut body = String::new();
        let parser = Parser::new_ext(&markdown, Options::ENABLE_TABLES);
        html::push_html(&mut body, with_anchors(parser));
        format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Countersign API</title><style>{STYLE}</style><main>{body}</main></html>"
        )
    });
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
    ];
    (headers, PAGE.clone()).into_response()
}

/// Gives each heading the anchor that the page's links lead to.
fn with_anchors<'a>(events: impl Iterator<Item = Event<'a>>) -> impl Iterator<Item = Event<'a>> {
    let events: Vec<Event<'a>> = events.collect();
    let mut named = Vec::with_capacity(events.len());
    for (at, event) in events.iter().enumerate() {
        let Event::Start(Tag::Heading {
            level,
            classes,
            attrs,
            ..
        }) = event
        else {
            named.push(event.clone());
            continue;
        };
        let inside = events[at..]
            .iter()
            .take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
        let words: String = inside
            .filter_map(|event| match event {
                Event::Text(text) | Event::Code(text) => Some(text.to_ascii_lowercase()),
                _ => None,
            })
            .collect();
        named.push(Event::Start(Tag::Heading {
            level: *level,
            id: Some(CowStr::from(words.replace(' ', "-"))),
            classes: classes.clone(),
            attrs: attrs.clone(),
        }));
    }
    named.into_iter()
}
