//! The OpenAPI document, generated from the handlers.

use countersign_api::Problem;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, Ref, RefOr, Tag,
};
use utoipa::{PartialSchema, ToResponse, ToSchema};

const BEARER: &str = "apiKey";
const DESCRIPTION: &str = "\
Submit signed tasks, follow them, and read wallets and nodes.

The coordinator signs nothing and need not be trusted: a task is signed by its requester, and results prove themselves. \
Verify what comes back, or use a client that does.

**Compatibility.** Within `/v1`, fields, codes, enumerated words, event types, optional parameters and paths may be added. \
Nothing is removed, renamed or given another meaning. Readers ignore what they do not know. \
Requests with unknown fields or parameters are refused.

**Errors** are `application/problem+json` (RFC 9457) with a stable `code`. Where a request may succeed later, `Retry-After` says when.

**Repeating a request.** Every request may be repeated after a lost answer. A task has an id that its requester chose: \
the same bytes again are the same task. Imports and other changes are the same change when repeated.";

/// Responses that any operation may give.
const COMMON: [(&str, &str, &str); 9] = [
    (
        "400",
        "BadRequest",
        "The request is malformed; `detail` says where.",
    ),
    ("401", "Unauthorised", "There is no valid API key."),
    (
        "403",
        "Forbidden",
        "The API key lacks the scope or the wallet.",
    ),
    (
        "405",
        "WrongMethod",
        "The path does not support the method.",
    ),
    ("408", "TooSlow", "The body did not arrive in time."),
    ("413", "TooLarge", "The body is too large."),
    (
        "429",
        "TooManyRequests",
        "Too many requests are under way; see `Retry-After`.",
    ),
    (
        "500",
        "Fault",
        "A fault of the coordinator, to be reported.",
    ),
    (
        "503",
        "Unavailable",
        "There is no room or no answer at present; see `Retry-After`.",
    ),
];

/// 404: there is no such thing.
pub struct Missing;

/// 409: it contradicts what is there.
pub struct Conflict;

/// 410: it was there.
pub struct Gone;

impl<'r> ToResponse<'r> for Missing {
    fn response() -> (&'r str, RefOr<Response>) {
        ("Missing", problem("There is no such thing.").into())
    }
}

impl<'r> ToResponse<'r> for Conflict {
    fn response() -> (&'r str, RefOr<Response>) {
        ("Conflict", problem("It contradicts what is there.").into())
    }
}

impl<'r> ToResponse<'r> for Gone {
    fn response() -> (&'r str, RefOr<Response>) {
        ("Gone", problem("It is not kept any more.").into())
    }
}

fn problem(description: &str) -> Response {
    let schema = Ref::from_schema_name(Problem::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new()
        .description(description)
        .content(Problem::MEDIA_TYPE, content)
        .build()
}

/// The document without its paths.
pub fn skeleton() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Countersign coordinator")
        .version("1")
        .description(Some(DESCRIPTION))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .tags(Some(tags()))
        .components(Some(components()))
        .security(Some([SecurityRequirement::new(BEARER, [""; 0])]))
        .build()
}

fn tags() -> Vec<Tag> {
    [
        ("tasks", "Orders and what became of them."),
        ("wallets", "Keys, in all their generations."),
        ("nodes", "The co-signers."),
        ("events", "What changed, in order."),
        ("webhooks", "Receivers that events are sent to."),
        (
            "operators",
            "API keys, what they were used for, and draining.",
        ),
    ]
    .map(|(name, description)| {
        TagBuilder::new()
            .name(name)
            .description(Some(description))
            .build()
    })
    .into()
}

fn components() -> Components {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A key from `countersign-coordinator api-key new`. Reading needs the scope `read`, everything else `create`.",
        ))
        .build();
    let mut components = Components::new();
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
    components
        .schemas
        .insert(Problem::name().into(), Problem::schema());
    for (_, name, description) in COMMON {
        components
            .responses
            .insert(name.into(), problem(description).into());
    }
    for (name, response) in [Missing::response(), Conflict::response(), Gone::response()] {
        components.responses.insert(name.into(), response);
    }
    components
}

/// Adds to each operation the responses that any may give.
pub fn complete(mut document: OpenApi) -> OpenApi {
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            for (status, name, _) in COMMON {
                operation
                    .responses
                    .responses
                    .entry(status.into())
                    .or_insert_with(|| Ref::from_response_name(name).into());
            }
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ]
    .into_iter()
    .flatten()
}

/// Removes the widths of numbers. Most are unsigned, for which OpenAPI has no name.
pub fn without_widths(value: &mut serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::Object(members) => {
            let is_width = |format: &Value| {
                let name = format.as_str();
                name.is_some_and(|name| name.starts_with("int"))
            };
            if members.get("format").is_some_and(is_width) {
                members.remove("format");
            }
            members.values_mut().for_each(without_widths);
        }
        Value::Array(items) => items.iter_mut().for_each(without_widths),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
