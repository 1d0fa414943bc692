//! Which function a call means; functions can share a name and differ in parameters.

use std::collections::BTreeSet;

use super::{
    cache::{Cache, Function},
    error::ApiError,
    hint::{NAMES, PARAMETERS, nearest},
    payload::Format,
};

/// A function, and whether it takes the whole body in its single parameter without a name.
pub(super) type Found<'a> = (&'a Function, bool);

/// Finds the function whose parameters are these.
pub(super) fn find<'a>(
    cache: &'a Cache,
    schema: &str,
    name: &str,
    given: &BTreeSet<String>,
    format: Option<Format>,
) -> Result<Found<'a>, ApiError> {
    let all = cache.functions(schema, name);
    let named: Vec<&Function> = all.iter().filter(|f| takes(f, given)).collect();
    let whole: Vec<&Function> = all
        .iter()
        .filter(|f| format == Some(Format::Json) && takes_json(f) && !takes(f, given))
        .collect();
    match (named.as_slice(), whole.as_slice()) {
        ([one], _) => Ok((one, false)),
        ([], [one]) => Ok((one, true)),
        ([], []) => Err(not_found(cache, schema, name, given, format)),
        ([], several) | (several, _) => Err(ambiguous(several)),
    }
}

/// All that are required are given, and all that are given exist.
fn takes(function: &Function, given: &BTreeSet<String>) -> bool {
    let known = |name: &String| function.parameters.iter().any(|p| p.name == *name);
    function.parameters.iter().all(|p| !p.required || p.variadic || given.contains(&p.name))
        && given.iter().all(known)
        && !takes_json(function)
}

fn takes_json(function: &Function) -> bool {
    match function.parameters.as_slice() {
        [one] => one.name.is_empty() && matches!(one.type_name.as_str(), "json" | "jsonb"),
        _ => false,
    }
}

fn not_found(
    cache: &Cache,
    schema: &str,
    name: &str,
    given: &BTreeSet<String>,
    format: Option<Format>,
) -> ApiError {
    let list = given.iter().cloned().collect::<Vec<_>>().join(", ");
    let (short, long) = if given.is_empty() {
        (" without parameters".to_owned(), " without parameters".to_owned())
    } else {
        let plural = if given.len() > 1 { "s" } else { "" };
        (format!("({list})"), format!(" with parameter{plural} {list}"))
    };
    let or_json = if format == Some(Format::Json) {
        " or with a single unnamed json/jsonb parameter"
    } else {
        ""
    };
    let message = format!("Could not find the function {schema}.{name}{short} in the schema cache");
    let details = format!(
        "Searched for the function {schema}.{name}{long}{or_json}, but no matches were found in the schema cache."
    );
    let same_name = cache.functions(schema, name);
    let near = if same_name.is_empty() {
        let names = cache.functions.keys().filter(|(s, _)| s == schema).map(|(_, n)| n.as_str());
        nearest(name, names, NAMES).map(str::to_owned)
    } else {
        let lists: Vec<String> = same_name
            .iter()
            .map(|function| {
                let mut names: Vec<_> =
                    function.parameters.iter().map(|p| p.name.as_str()).collect();
                names.sort_unstable();
                format!("({})", names.join(", "))
            })
            .collect();
        nearest(&format!("({list})"), lists.iter().map(String::as_str), PARAMETERS)
            .map(|near| format!("{name}{near}"))
    };
    let hint = near.map(|near| format!("Perhaps you meant to call the function {schema}.{near}"));
    ApiError::no_function(message, details, hint)
}

fn ambiguous(functions: &[&Function]) -> ApiError {
    let signatures: Vec<String> = functions
        .iter()
        .map(|function| {
            let parameters: Vec<_> = function
                .parameters
                .iter()
                .map(|p| format!("{} => {}", p.name, p.type_name))
                .collect();
            format!("{}.{}({})", function.schema, function.name, parameters.join(", "))
        })
        .collect();
    let message =
        format!("Could not choose the best candidate function between: {}", signatures.join(", "));
    ApiError::new(300, "PGRST203", message).hint(Some(
        "Try renaming the parameters or the function itself in the database so function overloading can be resolved",
    ))
}
