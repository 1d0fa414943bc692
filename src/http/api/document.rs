//! What is common to the whole OpenAPI document; each area describes its own paths.

use utoipa::{
    OpenApi as _,
    openapi::{
        Content, OpenApi, RefOr, ResponseBuilder,
        path::{Operation, Parameter, ParameterIn},
        request_body::RequestBody,
        schema::Ref,
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

use super::{FieldProblem, ProblemBody, problem::MEDIA_TYPE};

/// Name of the way to authenticate.
const BEARER: &str = "supabase";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "meshhook-errors",
        description = "Error events in, error metrics and alerting out. Every request acts by the \
                       caller's own Supabase access token, and row-level security decides.",
        license(name = "MIT", identifier = "MIT"),
    ),
    components(schemas(ProblemBody, FieldProblem))
)]
struct Head;

/// The document before any path is in it.
pub(super) fn head() -> OpenApi {
    Head::openapi()
}

/// Adds what holds for every operation: the token, and the failures that any of them may answer.
pub(super) fn finish(mut document: OpenApi) -> OpenApi {
    let bearer = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("An access token of the Supabase project."))
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
    document.security = Some(vec![SecurityRequirement::new(BEARER, Vec::<String>::new())]);
    for item in document.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            for (status, meaning) in failures(operation) {
                let content = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
                let failure =
                    ResponseBuilder::new().description(meaning).content(MEDIA_TYPE, content);
                let responses = &mut operation.responses.responses;
                responses.entry(status.to_owned()).or_insert_with(|| failure.build().into());
            }
        }
    }
    document
}

/// What may go wrong with an operation besides what it says itself, by what it takes.
fn failures(operation: &Operation) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
    let always = [
        ("400", "Something in the request is wrong; `errors` names it."),
        ("401", "There is no token, or it is not one of this project, or it has expired."),
        ("403", "The token does not allow this."),
        ("429", "Too many requests; `Retry-After` says when to go on."),
        ("503", "Not at the moment; `Retry-After` says when to try again."),
    ];
    let of_a_path = [("404", "There is none, or none that the token may see.")];
    let of_a_body = [
        ("408", "The body did not come in time."),
        ("413", "The body is longer than 64 KiB, or than what the request says."),
    ];
    let of_json = [("415", "The body is not JSON, or it is compressed.")];
    let in_path =
        |p: &RefOr<Parameter>| matches!(p, RefOr::T(p) if p.parameter_in == ParameterIn::Path);
    let names_something = operation.parameters.iter().flatten().any(in_path);
    let body = operation.request_body.as_ref();
    let is_json = |body: &RefOr<RequestBody>| matches!(body, RefOr::T(body) if body.content.contains_key("application/json"));
    let when = |happens: bool| if happens { usize::MAX } else { 0 };
    always
        .into_iter()
        .chain(of_a_path.into_iter().take(when(names_something)))
        .chain(of_a_body.into_iter().take(when(body.is_some())))
        .chain(of_json.into_iter().take(when(body.is_some_and(is_json))))
}
